// SPDX-License-Identifier: Apache-2.0
// oneTBB in the pool benchmark: task_group in an arena of as many slots as there are workers and callers;
// enqueue() for single tasks from outside, into an arena of high priority where they are urgent.
#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_reduce.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include <functional>

#include "contestant.h"
#include "jobs.h"

namespace tactus::bench {
namespace {

constexpr unsigned k_callers = 4;  // threads that may call spawn() at once

class tbb_entry : public contestant {
 public:
  // Calling threads work too while they wait, hence slots for them besides those of the workers.
  explicit tbb_entry(unsigned workers)
      : limit_(tbb::global_control::max_allowed_parallelism, workers + 1),
        arena_(static_cast<int>(workers + 1), 1),
        many_(static_cast<int>(workers + k_callers), k_callers),
        urgent_(static_cast<int>(workers + 1), 1, tbb::task_arena::priority::high) {}
  void spawn(unsigned n) override {
    many_.execute([n] {
      tbb::task_group group;
      for (unsigned i = 0; i < n; ++i) group.run([] {});
      group.wait();
    });
  }
  long fork_join(fork_job job, int n) override {
    long result = 0;
    arena_.execute([&] { result = run_fork_job(job, n, [] { return group(); }); });
    return result;
  }
  void loop(std::vector<int>& out) override {
    arena_.execute([&] {
      tbb::parallel_for(std::size_t{0}, out.size(), [&](std::size_t i) { out[i] = 2 * static_cast<int>(i); });
    });
  }
  double reduce(const std::vector<double>& data) override {
    double sum = 0;
    arena_.execute([&] {
      sum = tbb::parallel_reduce(
          tbb::blocked_range<std::size_t>(0, data.size()), 0.0,
          [&](const tbb::blocked_range<std::size_t>& part, double s) {
            for (std::size_t i = part.begin(); i != part.end(); ++i) s += data[i];
            return s;
          },
          std::plus<>());
    });
    return sum;
  }
  void each(std::size_t n, const indexed_body& body) override {
    arena_.execute([&] { tbb::parallel_for(std::size_t{0}, n, [&](std::size_t i) { body.call(body.context, i); }); });
  }
  void post(void (*fn)(void*), void* argument, bool urgent) override {
    (urgent ? urgent_ : arena_).enqueue([fn, argument] { fn(argument); });
  }

 private:
  struct group {  // neither copied nor moved
    tbb::task_group tasks;
    template <class F>
    void run(F&& fn) { tasks.run(std::forward<F>(fn)); }
    void wait() { tasks.wait(); }
  };
  tbb::global_control limit_;
  tbb::task_arena arena_, many_, urgent_;
};

}  // namespace

contestant_kind tbb_contestant() {
  return {"oneTBB", [](unsigned workers) { return std::make_unique<tbb_entry>(workers); }};
}

}  // namespace tactus::bench
