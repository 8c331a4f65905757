// SPDX-License-Identifier: Apache-2.0
// Spare workers: an urgent task starts while every worker runs something long,
// spares do not run ordinary tasks, and their number bounds the surplus.
#include <tactus/tactus.hpp>

#include <doctest/doctest.h>

#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

using namespace tactus;
using namespace std::chrono_literals;

namespace {

// A pool whose workers all run a long task until release().
struct busy_pool {
  pool p;
  std::atomic<bool> go{false};
  std::atomic<int> running{0};
  task_class batch{"batch"};

  explicit busy_pool(unsigned workers, int spares, int priority = 1)
      : p([&] {
          pool_options o;
          o.workers = workers;
          o.spares = spares;
          o.register_with_agent = false;
          o.outside_threads_help = false;
          return o;
        }()),
        cls_("busy", {.priority = priority}) {
    // Until all sleep a spare, still starting, might take one of the long tasks.
    while (p.stats().parked < workers + static_cast<unsigned>(spares)) std::this_thread::yield();
    for (unsigned i = 0; i < workers; ++i)
      p.detach(cls_, [&] {
        ++running;
        go.wait(false);
      });
    while (running < static_cast<int>(workers)) std::this_thread::yield();
  }
  void release() {
    go = true;
    go.notify_all();
    p.wait();
  }
  task_class cls_;
};

}  // namespace

TEST_CASE("an urgent task starts although all workers are busy") {
  task_class urgent("urgent", {.priority = 3}), high("high", {.priority = 2});
  busy_pool b(2, 1);
  CHECK(b.p.submit(urgent, [] { return 1; }).wait_for(10s));
  CHECK(b.p.submit(high, [] { return 1; }).wait_for(10s));
  CHECK(b.p.stats().spare_wakeups >= 1);
  b.release();
}

TEST_CASE("an ordinary task does not use a spare") {
  busy_pool b(2, 2);
  auto ordinary = b.p.submit(b.batch, [] { return 1; });
  CHECK_FALSE(ordinary.wait_for(50ms));
  CHECK(b.p.stats().spare_wakeups == 0);
  // .. nor does one that waits behind an urgent one
  task_class urgent("urgent", {.priority = 3});
  CHECK(b.p.submit(urgent, [] { return 1; }).wait_for(10s));
  CHECK_FALSE(ordinary.wait_for(50ms));
  b.release();
  CHECK(ordinary.get() == 1);
}

TEST_CASE("an equally urgent task does not use a spare") {
  busy_pool b(2, 2, 3);
  task_class urgent("urgent", {.priority = 3});
  auto f = b.p.submit(urgent, [] { return 1; });
  CHECK_FALSE(f.wait_for(50ms));
  b.release();
  CHECK(f.get() == 1);
}

TEST_CASE("no more urgent tasks run at once than there are spares") {
  constexpr int k_spares = 2;
  busy_pool b(2, k_spares);
  task_class urgent("urgent", {.priority = 3});
  std::atomic<int> now{0}, most{0}, done{0};
  for (int i = 0; i < 20; ++i)
    b.p.detach(urgent, [&] {
      const int n = ++now;
      int seen = most;
      while (n > seen && !most.compare_exchange_weak(seen, n)) {
      }
      std::this_thread::sleep_for(2ms);
      --now;
      ++done;
    });
  const auto limit = std::chrono::steady_clock::now() + 20s;
  while (done < 20 && std::chrono::steady_clock::now() < limit) std::this_thread::sleep_for(1ms);
  CHECK(done == 20);  // all by spares: the workers are stuck
  CHECK(most <= k_spares);
  b.release();
}

TEST_CASE("a task submitted by a busy worker wakes a spare too") {
  pool_options o;
  o.workers = 1;
  o.spares = 1;
  o.register_with_agent = false;
  o.outside_threads_help = false;
  pool p(o);
  task_class urgent("urgent", {.priority = 3}), batch("batch");
  std::atomic<bool> urgent_ran{false};
  auto f = p.submit(batch, [&] {
    p.detach(urgent, [&] {
      urgent_ran = true;
      urgent_ran.notify_all();
    });
    urgent_ran.wait(false);  // does not help: only another thread can run it
  });
  CHECK(f.wait_for(10s));
  urgent_ran = true;
  urgent_ran.notify_all();
  p.wait();
}

namespace {
std::atomic<bool> stuck_may_go{false};
void get_stuck(int) {
  while (!stuck_may_go) usleep(1000);
}
}  // namespace

TEST_CASE("a running worker takes an urgent task from a spare that gets no CPU") {
  stuck_may_go = false;
  struct sigaction stuck{}, before{};
  stuck.sa_handler = get_stuck;
  REQUIRE(sigaction(SIGUSR1, &stuck, &before) == 0);
  {
    pool_options o;
    o.workers = 1;
    o.spares = 1;
    o.name = "lame";
    o.register_with_agent = false;
    o.outside_threads_help = false;
    pool p(o);
    while (p.stats().parked < 2) std::this_thread::yield();
    pid_t spare = 0;
    for (auto const& entry : std::filesystem::directory_iterator("/proc/self/task")) {
      std::ifstream file(entry.path() / "comm");
      std::string name;
      std::getline(file, name);
      if (name == "lame/s0") spare = std::stoi(entry.path().filename());
    }
    REQUIRE(spare != 0);
    REQUIRE(tgkill(getpid(), spare, SIGUSR1) == 0);  // as if it never got a CPU
    task_class batch("batch", {.priority = 0}), urgent("urgent", {.priority = 3});
    std::atomic<bool> stop{false};
    std::function<void()> more = [&] {
      std::this_thread::sleep_for(200us);
      if (!stop) p.detach(batch, [&] { more(); });
    };
    p.detach(batch, [&] { more(); });
    for (int i = 0; i < 5; ++i) CHECK(p.submit(urgent, [] { return 1; }).wait_for(10s));
    stuck_may_go = true;
    stop = true;
    p.wait();
  }
  sigaction(SIGUSR1, &before, nullptr);
}
