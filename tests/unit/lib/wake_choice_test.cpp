// SPDX-License-Identifier: Apache-2.0
// Which sleeping worker is woken, and how many threads a loop gets.
#include "pool_core.h"
#include "pools.h"
#include "spread.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

using namespace tactus;
using namespace std::chrono_literals;
using test::quiet;

namespace {

std::atomic<int> nr_moves{0};  // see sched_setaffinity()

}  // namespace

// In place of the C library's: counts how often a thread had itself moved from its CPU to another one.
extern "C" int sched_setaffinity(pid_t who, size_t size, const cpu_set_t* mask) noexcept {
  const int before = sched_getcpu();
  const auto result = static_cast<int>(syscall(SYS_sched_setaffinity, who, size, mask));
  if (result == 0 && !CPU_ISSET_S(static_cast<unsigned>(before), size, mask) && sched_getcpu() != before) ++nr_moves;
  return result;
}

namespace {

cpu_set_t allowed_cpus() {
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
  return allowed;
}

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

TEST_CASE("a worker that is woken with a task wakes the next one while more wait, so that all run at once") {
  constexpr unsigned k_workers = 4;
  pool p(quiet(k_workers));
  until_all_sleep(p);
  std::atomic<unsigned> arrived{0};
  std::atomic<bool> give_up{false};
  p.core().start_searching();  // who submits relies on a searcher ..
  for (unsigned i = 0; i < k_workers; ++i)
    p.detach([&] {
      ++arrived;
      while (arrived < k_workers && !give_up) std::this_thread::sleep_for(100us);
    });
  CHECK(arrived == 0);
  p.core().searching_.fetch_sub(1);
  p.core().wake_for_visible_work();  // .. which wakes one worker when it has found something for itself
  for (int i = 0; i < 50'000 && arrived < k_workers; ++i) std::this_thread::sleep_for(100us);
  CHECK(arrived == k_workers);
  give_up = true;
  p.wait();
}

TEST_CASE("what is less urgent than a searcher wants is not left to it when it falls asleep") {
  pool_options o = quiet(3);
  o.look_around = 300ms;
  pool p(o);
  until_all_sleep(p);
  const task_class low("low", {.priority = 0});
  std::atomic<bool> helper_waits{false}, low_runs{false}, go{false};
  p.detach([&] {
    task_group group(p);
    group.run([&] {
      while (!go) std::this_thread::sleep_for(100us);
    });
    helper_waits = true;
    group.wait();
  });
  while (!helper_waits) std::this_thread::sleep_for(100us);
  std::this_thread::sleep_for(20ms);  // now it searches, for what is at least as urgent as itself; one worker sleeps
  p.detach(low, [&] { low_runs = true; });
  for (int i = 0; i < 50'000 && !low_runs; ++i) std::this_thread::sleep_for(100us);
  CHECK(low_runs);
  go = true;
  p.wait();
}

TEST_CASE("a loop that turns out to be long gets every worker besides the caller") {
  pool p(quiet(2));
  CHECK(threads_of_loop(p, 60, 1ms) == 3);
}

TEST_CASE("a worker that was woken from the CPU it is on is in the way there, and nowhere else") {
  const stay_here here;
  pool p(quiet(1));
  until_all_sleep(p);
  CHECK(who_runs(p) == 0);
  detail::pool_core& core = p.core();
  CHECK(detail::in_the_way(core.workers[0], here.cpu));
  CHECK(!detail::in_the_way(core.workers[0], here.cpu + 1));
  static const tactus_route_table rows{};
  core.routes = &rows;  // an agent publishes rows
  CHECK(!detail::in_the_way(core.workers[0], here.cpu));
  core.routes = nullptr;
}

TEST_CASE("a worker whose waits are short leaves the CPU it was woken from, once, and keeps its mask") {
  if (const cpu_set_t allowed = allowed_cpus(); CPU_COUNT(&allowed) < 2) {
    MESSAGE("skipped: one CPU only");
    return;
  }
  pool p(quiet(1));
  detail::worker& w = p.core().workers[0];
  // How often the worker moves between a task and its sleep.
  const auto moves = [&](bool short_waits, bool woken_from_here) {
    const int before = nr_moves;
    p.submit([&] {
      w.idle_ticks_.fill(short_waits ? 0 : ~0ull);
      w.woken_from = woken_from_here ? sched_getcpu() : -1;
    }).get();
    until_all_sleep(p);
    const int n = nr_moves - before;
    if (n > 0) CHECK(w.woken_from == -1);  // it will not move again before it is woken again
    return n;
  };
  const auto most_moves = [&](bool short_waits, bool woken_from_here) {
    int most = 0;
    for (int round = 0; round < 10; ++round) most = std::max(most, moves(short_waits, woken_from_here));
    return most;
  };
  const auto set_mask = [&](int size) {  // of the CPU it is on and others
    cpu_set_t mask;
    p.submit([&] {
      const cpu_set_t allowed = allowed_cpus();
      CPU_ZERO(&mask);
      CPU_SET(static_cast<unsigned>(sched_getcpu()), &mask);
      for (unsigned cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&mask) < size; ++cpu)
        if (CPU_ISSET(cpu, &allowed)) CPU_SET(cpu, &mask);
      sched_setaffinity(0, sizeof mask, &mask);
    }).get();
    return mask;
  };
  const cpu_set_t mask = set_mask(2);
  CHECK(most_moves(true, true) == 1);  // in some rounds the kernel may have moved it before
  cpu_set_t after;
  p.submit([&] { after = allowed_cpus(); }).get();
  CHECK(CPU_EQUAL(&after, &mask));
  CHECK(most_moves(false, true) == 0);
  CHECK(most_moves(true, false) == 0);
  static const tactus_route_table rows{};
  p.core().routes = &rows;  // an agent publishes rows
  CHECK(most_moves(true, true) == 0);
  p.core().routes = nullptr;
  set_mask(1);
  CHECK(most_moves(true, true) == 0);
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
