// SPDX-License-Identifier: Apache-2.0
// A thread pool as tactus-bench pool sees it: the same four jobs for ours and for each peer.
//
// Each implementation is one file and does a job the way its own documentation would. What a pool
// cannot do (fork-join without helping waits, for instance) it says so, and the row leaves it out.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace tactus::bench {

// Thread-safety: one thread uses it.
class contestant {
 public:
  virtual ~contestant() = default;
  // Submits n empty tasks from this thread and waits until all have run.
  virtual void spawn(unsigned n) = 0;
  // Fibonacci number by fork-join, one task per call with n >= 2.
  virtual bool can_fork() const { return true; }
  virtual long fib(int n) = 0;
  // out[i] = 2 * i for all i.
  virtual bool can_loop() const { return true; }
  virtual void loop(std::vector<int>& out) = 0;
  // Runs fn once on a worker, some time; does not wait.
  virtual bool can_post() const { return true; }
  virtual void post(void (*fn)(void*), void* argument) = 0;
};

struct contestant_kind {
  std::string name;
  std::function<std::unique_ptr<contestant>(unsigned workers)> make;
};

// Defined in the implementations' files; those not built return nothing.
contestant_kind tactus_contestant();
contestant_kind tbb_contestant();
contestant_kind openmp_contestant();
contestant_kind asio_contestant();
contestant_kind boost_contestant();
contestant_kind eigen_contestant();

// Tasks with two or more in fib(n): what the time is divided by.
constexpr double fib_tasks(int n) { return n < 2 ? 0 : 1 + fib_tasks(n - 1) + fib_tasks(n - 2); }

}  // namespace tactus::bench
