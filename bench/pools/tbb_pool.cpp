// SPDX-License-Identifier: Apache-2.0
// oneTBB in the pool benchmark: task_group in an arena of as many slots as there are workers.
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include "contestant.h"

namespace tactus::bench {
namespace {

class tbb_entry : public contestant {
 public:
  // The calling thread works too while it waits, hence one slot more for it than workers.
  explicit tbb_entry(unsigned workers)
      : limit_(tbb::global_control::max_allowed_parallelism, workers + 1), arena_(static_cast<int>(workers) + 1, 1) {}
  void spawn(unsigned n) override {
    arena_.execute([n] {
      tbb::task_group group;
      for (unsigned i = 0; i < n; ++i) group.run([] {});
      group.wait();
    });
  }
  long fib(int n) override {
    long result = 0;
    arena_.execute([&] { result = fork(n); });
    return result;
  }
  void loop(std::vector<int>& out) override {
    arena_.execute([&] {
      tbb::parallel_for(std::size_t{0}, out.size(), [&](std::size_t i) { out[i] = 2 * static_cast<int>(i); });
    });
  }
  void post(void (*fn)(void*), void* argument) override {
    arena_.enqueue([fn, argument] { fn(argument); });
  }

 private:
  static long fork(int n) {
    if (n < 2) return n;
    long left = 0;
    tbb::task_group group;
    group.run([&] { left = fork(n - 1); });
    const long right = fork(n - 2);
    group.wait();
    return left + right;
  }
  tbb::global_control limit_;
  tbb::task_arena arena_;
};

}  // namespace

contestant_kind tbb_contestant() {
  return {"oneTBB", [](unsigned workers) { return std::make_unique<tbb_entry>(workers); }};
}

}  // namespace tactus::bench
