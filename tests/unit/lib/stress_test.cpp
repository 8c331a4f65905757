// SPDX-License-Identifier: Apache-2.0
// Nothing is lost and nobody oversleeps: many submitters, pools that keep falling
// asleep, churn of pools and threads. Sized so that a sanitizer build ends too.
#include <tactus/tactus.hpp>

#include <cstdlib>
#include <doctest/doctest.h>
#include <ctime>
#include <random>
#include <thread>

using namespace tactus;
using namespace std::chrono_literals;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int k_scale = 10;
#else
constexpr int k_scale = 1;
#endif

namespace {
pool_options with_workers(unsigned workers, bool help = true) {
  pool_options o;
  o.workers = workers;
  o.register_with_agent = false;
  o.outside_threads_help = help;
  return o;
}
}  // namespace

TEST_CASE("a million tasks from four threads: none lost, none run twice") {
  for (bool help : {true, false}) {
    constexpr int k_each = 250'000 / k_scale;
    pool p(with_workers(2, help));
    task_class a("a"), b("b", {.priority = 2}), c("c", {.priority = 0});
    std::atomic<long> sum{0}, count{0};
    std::vector<std::thread> submitters;
    for (int s = 0; s < 4; ++s)
      submitters.emplace_back([&, s] {
        const task_class* classes[] = {&a, &b, &c};
        for (int i = 0; i < k_each; ++i)
          p.detach(*classes[(s + i / 100) % 3], [&, i] {
            sum.fetch_add(i, std::memory_order_relaxed);
            count.fetch_add(1, std::memory_order_relaxed);
          });
      });
    for (auto& t : submitters) t.join();
    p.wait();
    CHECK(count == 4l * k_each);
    CHECK(sum == 4l * (static_cast<long>(k_each) * (k_each - 1) / 2));
    std::uint64_t finished = 0;
    for (const auto& s : p.stats().classes) {
      finished += s.finished;
      CHECK(s.submitted == s.finished);
    }
    CHECK(finished == 4ull * k_each);
  }
}

// Each task is submitted when the workers are about to sleep, asleep or just
// woken; one lost wake-up hangs the test (its time limit is the failure).
TEST_CASE("no wake-up is lost whatever the pause before a submission") {
  for (unsigned workers : {1u, 2u, 4u}) {
    pool p(with_workers(workers, false));
    std::minstd_rand random(workers);
    for (int i = 0; i < 6000 / k_scale; ++i) {
      std::atomic<bool> ran{false};
      auto f = p.submit([&] { ran = true; });
      f.get();
      REQUIRE(ran);
      // 0 to about 100 us: around the time a worker looks about before it sleeps
      const auto until = std::chrono::steady_clock::now() + std::chrono::nanoseconds(random() % 100'000);
      while (std::chrono::steady_clock::now() < until) {
      }
    }
  }
}

TEST_CASE("work that a worker submits to its own deque wakes sleepers") {
  pool p(with_workers(3, false));
  task_class c("chain");
  for (int round = 0; round < 500 / k_scale; ++round) {
    // Two tasks that must run at the same time to end: the second is pushed by
    // the first and its pusher does not come back to its deque before it ran.
    std::atomic<bool> second{false};
    auto first = p.submit(c, [&] {
      p.detach(c, [&] {
        second = true;
        second.notify_all();
      });
      second.wait(false);
    });
    REQUIRE(first.wait_for(60s));
    if (round % 5 == 0) std::this_thread::sleep_for(1ms);
  }
  p.wait();
}

TEST_CASE("joins and futures under churn") {
  pool p(with_workers(4));
  std::atomic<long> n{0};
  std::vector<std::thread> outside;
  for (int s = 0; s < 3; ++s)
    outside.emplace_back([&] {
      for (int round = 0; round < 300 / k_scale; ++round) {
        task_group g(p);
        for (int i = 0; i < 20; ++i)
          g.run([&] {
            task_group inner(p);
            for (int k = 0; k < 5; ++k) inner.run([&] { ++n; });
            inner.wait();
            n += p.submit([] { return 1; }).get();
          });
        g.wait();
        p.parallel_for(0, 200, [&](int) { ++n; });
      }
    });
  for (auto& t : outside) t.join();
  p.wait();
  CHECK(n == 3l * (300 / k_scale) * (20 * 6 + 200));
}

TEST_CASE("threads that submit and end leave nothing behind") {
  pool p(with_workers(2));
  std::atomic<int> n{0};
  for (int i = 0; i < 200 / k_scale; ++i) {
    std::thread([&] {
      for (int k = 0; k < 50; ++k) p.detach([&] { ++n; });
      p.submit([&] { ++n; }).get();
    }).join();
  }
  p.wait();
  CHECK(n == 200 / k_scale * 51);
}

TEST_CASE("shutdown while others still submit loses nothing that was accepted") {
  for (int round = 0; round < 60 / k_scale + 2; ++round) {
    pool p(with_workers(2));
    std::atomic<int> accepted{0}, ran{0};
    std::vector<std::thread> submitters;
    for (int s = 0; s < 2; ++s)
      submitters.emplace_back([&] {
        try {
          for (;;) {
            p.detach([&] { ++ran; });
            ++accepted;
          }
        } catch (const pool_stopped&) {
        }
      });
    std::this_thread::sleep_for(1ms);
    p.shutdown();
    for (auto& t : submitters) t.join();
    CHECK(ran.load() == accepted.load());
  }
}

TEST_CASE("an idle pool uses no CPU time") {
  pool p(with_workers(4));
  for (int i = 0; i < 100; ++i) p.detach([] {});
  p.wait();
  // On a loaded machine it may take the workers a while to get as far as sleeping.
  for (std::uint64_t seen = 0; seen == 0 || seen != p.stats().parked; std::this_thread::sleep_for(200ms))
    seen = p.stats().parked;
  const auto cpu_ns = [] {
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<long>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
  };
  const long before = cpu_ns();
  const auto parked = p.stats().parked;
  std::this_thread::sleep_for(300ms);
  CHECK(cpu_ns() - before < 3'000'000);  // 1 %; this thread's own sleep included
  CHECK(p.stats().parked == parked);
}
