// SPDX-License-Identifier: Apache-2.0
// Everything at once, for as long as asked: nested joins, futures, loops, exceptions, priorities, deadlines,
// forked children, pools that are cancelled. Nothing is lost, nothing hangs, memory stays flat.
//
//   TACTUS_STRESS_SECONDS   length of the mixed part (3; `make stress` 600)
//   TACTUS_STRESS_TASKS     tasks of the memory part (2 million; `make stress` 1e8)
#include <tactus/tactus.hpp>

#include <chrono>
#include <cstdlib>
#include <doctest/doctest.h>
#include <fstream>
#include <random>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace tactus;
using namespace std::chrono_literals;

namespace {

#if defined(__SANITIZE_THREAD__)
constexpr bool k_forks = false;  // the sanitizer's own locks do not survive a fork of many threads
constexpr long k_scale = 20;
#elif defined(__SANITIZE_ADDRESS__)
constexpr bool k_forks = true;
constexpr long k_scale = 10;
#else
constexpr bool k_forks = true;
constexpr long k_scale = 1;
#endif

long from_environment(const char* name, long usual) {
  const char* text = std::getenv(name);
  return text ? std::strtol(text, nullptr, 10) : usual;
}

pool_options with_workers(unsigned workers, bool help) {
  pool_options o;
  o.workers = workers;
  o.register_with_agent = false;
  o.outside_threads_help = help;
  return o;
}

struct boom {};

// Tasks that a tree of this depth counts into `ran`: nested joins, some of which fail.
long tree(pool& p, const task_class& c, int depth, std::atomic<long>& ran, bool fails) {
  ++ran;
  if (depth == 0) {
    if (fails) throw boom{};
    return 1;
  }
  long below[3]{};
  task_group group(p, c);
  for (int i = 0; i < 3; ++i)
    group.run([&, i] { below[i] = tree(p, c, depth - 1, ran, fails && i == 1); });
  group.wait();
  return 1 + below[0] + below[1] + below[2];
}
constexpr long nodes(int depth) { return depth == 0 ? 1 : 1 + 3 * nodes(depth - 1); }

struct mixture {
  pool& p;
  task_class background{"background", {.priority = 0}};
  task_class normal{"normal"};
  task_class urgent{"urgent", {.priority = 3, .deadline = 1ms}};
  std::atomic<long> detached_run{0}, detached_submitted{0}, wrong{0}, rounds{0};

  void step(std::minstd_rand& random) {
    const task_class& c = random() % 8 == 0 ? urgent : random() % 3 == 0 ? background : normal;
    std::atomic<long> ran{0};
    switch (random() % 7) {
      case 0: {
        const bool fails = random() % 2;
        const int depth = 1 + static_cast<int>(random() % 4);
        bool threw = false;
        try {
          if (tree(p, c, depth, ran, fails) != nodes(depth)) ++wrong;
        } catch (const boom&) {
          threw = true;
        }
        if (threw != fails || ran != nodes(depth)) ++wrong;
        break;
      }
      case 1: {
        auto f = p.submit(c, [&] { return p.submit(normal, [] { return 7; }).get() + 1; });
        if (f.get() != 8) ++wrong;
        break;
      }
      case 2: {
        auto f = p.submit(c, []() -> int { throw boom{}; });
        try {
          f.get();
          ++wrong;
        } catch (const boom&) {
        }
        break;
      }
      case 3:
        p.parallel_for(0, 3000, [&](int) { ran.fetch_add(1, std::memory_order_relaxed); }, c);
        if (ran != 3000) ++wrong;
        break;
      case 4:
        try {
          p.parallel_for(0, 500, [&](int i) {
            if (i == 250) throw boom{};
          }, c);
          ++wrong;
        } catch (const boom&) {
        }
        break;
      case 5:
        for (int i = 0; i < 50; ++i) {
          ++detached_submitted;
          p.detach(c, [this] {
            ++detached_run;
            if (detached_run % 7 == 0) {
              ++detached_submitted;
              p.detach(normal, [this] { ++detached_run; });
            }
          });
        }
        break;
      default:
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
    }
    ++rounds;
  }
};

// What a task pool's own life adds: made, loaded, cancelled half way.
void cancelled_pool(unsigned seed) {
  pool p(with_workers(1 + seed % 3, seed % 2));
  std::atomic<long> ran{0};
  std::vector<future<void>> futures;
  for (int i = 0; i < 200; ++i) futures.push_back(p.submit([&] { ++ran; }));
  p.shutdown(stop_mode::cancel);
  long dropped = 0;
  for (auto& f : futures) {
    try {
      f.get();
    } catch (const cancelled&) {
      ++dropped;
    }
  }
  CHECK(ran + dropped == 200);
}

long resident_kib() {
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;)
    if (word == "VmRSS:") {
      long kib = 0;
      file >> kib;
      return kib;
    }
  return 0;
}

}  // namespace

TEST_CASE("everything at once: all results are right, nothing is lost, nothing hangs") {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(from_environment("TACTUS_STRESS_SECONDS", 3));
  pool p(with_workers(3, true));
  mixture mix{p};
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      std::minstd_rand random(i + 1);
      while (!stop) mix.step(random);
    });
  unsigned round = 0;
  while (std::chrono::steady_clock::now() < until) {
    cancelled_pool(round);
    if (k_forks && round % 10 == 0) {
      const pid_t child = fork();
      if (child == 0) _exit(p.submit([] { return 5; }).get() == 5 ? 0 : 1);  // runs in the call
      int status = -1;
      REQUIRE(waitpid(child, &status, 0) == child);
      CHECK(status == 0);
    }
    ++round;
    p.wait();
  }
  stop = true;
  for (auto& t : threads) t.join();
  p.wait();
  MESSAGE(mix.rounds.load() << " rounds, " << mix.detached_run.load() << " detached tasks, " << round << " pools");
  CHECK(mix.wrong == 0);
  CHECK(mix.detached_run == mix.detached_submitted);
  for (const auto& s : p.stats().classes) CHECK(s.submitted == s.finished);
}

TEST_CASE("memory stays flat over many tasks") {
  const long tasks = from_environment("TACTUS_STRESS_TASKS", 2'000'000 / k_scale);
  constexpr long k_at_once = 10'000;
  pool p(with_workers(2, true));
  task_class c("c");
  std::atomic<long> ran{0};
  const auto batch = [&] {
    for (long i = 0; i < k_at_once / 2; ++i) p.detach(c, [&] { ran.fetch_add(1, std::memory_order_relaxed); });
    p.submit(c, [&] {
       task_group group(p, c);
       for (long i = 0; i < k_at_once / 2 - 1; ++i) group.run([&] { ran.fetch_add(1, std::memory_order_relaxed); });
       ran.fetch_add(1, std::memory_order_relaxed);
       group.wait();
     }).get();
    p.wait();
  };
  long done = 0;
  for (; done < tasks / 4; done += k_at_once) batch();
  const long before = resident_kib();
  for (; done < tasks; done += k_at_once) batch();
  const long grown = resident_kib() - before;
  CHECK(ran == done);
  MESSAGE(done << " tasks, resident memory grew by " << grown << " KiB after the first quarter");
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
  CHECK(grown < 8 * 1024);  // the nodes of one batch, were they all new
#endif
}
