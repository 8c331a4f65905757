// SPDX-License-Identifier: Apache-2.0
// Which sleeping worker is woken, and how many threads a loop gets.
#include "pool_core.h"
#include "pools.h"
#include "spread.h"

#include <doctest/doctest.h>

#include <mutex>
#include <set>
#include <thread>

using namespace tactus;
using namespace std::chrono_literals;
using test::quiet;

namespace {

// Holds the calling thread on the CPU it is on, until it goes.
class stay_here {
 public:
  stay_here() {
    sched_getaffinity(0, sizeof before_, &before_);
    cpu = sched_getcpu();
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(cpu), &one);
    sched_setaffinity(0, sizeof one, &one);
  }
  ~stay_here() { sched_setaffinity(0, sizeof before_, &before_); }
  int cpu;

 private:
  cpu_set_t before_;
};

void until_all_sleep(pool& p) {
  while (p.core().nr_idle() < p.workers()) std::this_thread::sleep_for(100us);
  std::this_thread::sleep_for(1ms);  // a worker that counts as idle may take it back once more
  while (p.core().nr_idle() < p.workers()) std::this_thread::sleep_for(100us);
}

// The number of the worker that runs a task submitted by the caller.
unsigned who_runs(pool& p) {
  unsigned who = ~0u;
  p.submit([&] { who = detail::t_state.self->index; }).get();
  return who;
}

unsigned threads_of_loop(pool& p, int n, std::chrono::microseconds each) {
  std::mutex lock;
  std::set<std::thread::id> seen;
  p.parallel_for(0, n, [&](int) {
    std::this_thread::sleep_for(each);
    std::lock_guard guard(lock);
    seen.insert(std::this_thread::get_id());
  });
  return static_cast<unsigned>(seen.size());
}

}  // namespace

TEST_CASE("who takes part wakes a worker that last ran on another CPU, where there is one") {
  const stay_here here;
  const detail::taking_part guard;
  for (unsigned other = 0; other < 4; ++other) {
    pool p(quiet(4));
    until_all_sleep(p);
    for (unsigned i = 0; i < 4; ++i) p.core().workers[i].last_cpu = i == other ? here.cpu + 1 : here.cpu;
    CHECK(who_runs(p) == other);
  }
}

TEST_CASE("a caller that may sleep next wakes the first worker, wherever it ran") {
  const stay_here here;
  pool p(quiet(3));
  until_all_sleep(p);
  for (unsigned i = 0; i < 3; ++i) p.core().workers[i].last_cpu = i == 0 ? here.cpu : here.cpu + 1;
  CHECK(who_runs(p) == 0);
}

TEST_CASE("a worker that last ran on the caller's CPU is woken all the same where there is no other") {
  const stay_here here;
  const detail::taking_part guard;
  pool p(quiet(1));
  until_all_sleep(p);
  CHECK(p.core().workers[0].last_cpu >= 0);
  p.core().workers[0].last_cpu = here.cpu;
  CHECK(who_runs(p) == 0);
}

TEST_CASE("a loop that turns out to be long gets every worker besides the caller") {
  pool p(quiet(2));
  CHECK(threads_of_loop(p, 60, 1ms) == 3);
}

TEST_CASE("a worker that was started or woken and has not come to run yet is not one that runs") {
  pool p(quiet(2));
  detail::pool_core& core = p.core();
  std::atomic<int> busy{0};
  std::atomic<bool> over{false};
  const auto hold = [&] {
    ++busy;
    while (!over) std::this_thread::sleep_for(100us);
  };
  auto one = p.submit(hold), other = p.submit(hold);
  while (busy < 2) std::this_thread::sleep_for(100us);
  detail::worker& w = core.workers[1];
  CHECK(core.another_runs(core.workers[0]));
  // It reads neither before its task has ended.
  w.delivered = true;  // as if it had been woken just now
  CHECK(!core.another_runs(core.workers[0]));
  w.delivered = false;
  const int tid = w.tid.exchange(0);  // as if it had just been started
  CHECK(!core.another_runs(core.workers[0]));
  w.tid = tid;
  over = true;
  one.get();
  other.get();
}
