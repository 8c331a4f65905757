// SPDX-License-Identifier: Apache-2.0
// A thread pool as tactus-bench pool sees it: the same jobs for ours and for each peer.
//
// Each implementation is one file and does a job the way its own documentation would. What a pool
// cannot do (fork-join without helping waits, for instance) it says so, and the row leaves it out.
// Every pool has `workers` threads of its own, or that many besides the caller's where the caller's
// thread joins in (oneTBB); with OpenMP the caller is one of them.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace tactus::bench {

enum class fork_job { fib, queens, skynet, tree };  // see jobs.h

// A body for every index of a range.
struct indexed_body {
  void (*call)(void* context, std::size_t index);
  void* context;
};

// Thread-safety: one thread uses it, but for spawn(), which several may call at once.
class contestant {
 public:
  virtual ~contestant() = default;
  // Submits n empty tasks from the calling thread and waits until all have run.
  virtual void spawn(unsigned n) = 0;
  virtual bool can_spawn_from_many() const { return true; }
  // Fork-join: the job's result for size n.
  virtual bool can_fork() const { return true; }
  virtual long fork_join(fork_job job, int n) = 0;
  // out[i] = 2 * i for all i, by the pool's own loop.
  virtual bool can_loop() const { return true; }
  virtual void loop(std::vector<int>& out) = 0;
  // Sum of all, in any order, by the pool's own means for it.
  virtual double reduce(const std::vector<double>& data) = 0;
  // body for 0 .. n-1, one task each where the pool has no loop; waits for all.
  virtual void each(std::size_t n, const indexed_body& body) = 0;
  // Runs fn once on a worker, some time; does not wait. urgent: before others, where the pool can.
  virtual bool can_post() const { return true; }
  virtual void post(void (*fn)(void*), void* argument, bool urgent) = 0;
};

struct contestant_kind {
  std::string name;
  std::function<std::unique_ptr<contestant>(unsigned workers)> make;
};

// Defined in the implementations' files; those not built return nothing.
contestant_kind tactus_contestant();
contestant_kind serial_contestant();
contestant_kind tbb_contestant();
contestant_kind openmp_contestant();
contestant_kind asio_contestant();
contestant_kind boost_contestant();
contestant_kind eigen_contestant();
contestant_kind taskflow_contestant();
contestant_kind bs_contestant();

}  // namespace tactus::bench
