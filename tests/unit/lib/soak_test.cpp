// SPDX-License-Identifier: Apache-2.0
// Everything at once, for as long as asked: nested joins, futures, loops, deferred forks, exceptions, priorities,
// deadlines, classes that come and go, resizing, forked children, pools that are cancelled, a plug-in with a
// library of its own that is loaded and unloaded. Nothing is lost, nothing hangs, memory stays flat.
//
//   TACTUS_STRESS_SECONDS   length of the mixed part (3; `make stress` 600; 60 in the thread-sanitizer stage of `make check`)
//   TACTUS_STRESS_THREADS   threads that submit in it (4; 1 there, beside which other tests run)
//   TACTUS_STRESS_TASKS     tasks of the memory part (2 million; `make stress` 1e8)
#include <tactus/tactus.hpp>

#include <chrono>
#include <cstdlib>
#include <dlfcn.h>
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
constexpr bool k_forks = false;  // the sanitizers' own locks do not survive a fork of many threads
constexpr long k_scale = 20;
#elif defined(__SANITIZE_ADDRESS__)
constexpr bool k_forks = false;
constexpr long k_scale = 10;
#else
constexpr bool k_forks = true;
constexpr long k_scale = 1;
#endif

// What an unloaded library had in its task cache stays allocated (docs/design.md, Unloading).
constexpr unsigned k_most_unloads = 200;

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

// 2^depth leaves by fork_join, the last of which may fail.
long fork_tree(pool& p, const task_class& c, int depth, bool fails) {
  if (depth == 0) {
    if (fails) throw boom{};
    return 1;
  }
  long left = 0, right = 0;
  fork_join(p, c, [&] { left = fork_tree(p, c, depth - 1, false); }, [&] { right = fork_tree(p, c, depth - 1, fails); });
  return left + right;
}

struct mixture {
  pool& p;
  task_class background{"background", {.priority = 0}};
  task_class normal{"normal"};
  task_class urgent{"urgent", {.priority = 3, .deadline = 1ms}};
  std::atomic<long> detached_run{0}, detached_submitted{0}, wrong{0}, rounds{0};

  void step(std::minstd_rand& random) {
    const task_class& c = random() % 8 == 0 ? urgent : random() % 3 == 0 ? background : normal;
    std::atomic<long> ran{0};
    switch (random() % 9) {
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
      case 6: {
        const bool fails = random() % 2;
        bool threw = false;
        try {
          if (fork_tree(p, c, 8, fails) != 256) ++wrong;
        } catch (const boom&) {
          threw = true;
        }
        if (threw != fails) ++wrong;
        break;
      }
      case 7: {  // more classes than there are numbers
        const task_class one_of_many("many " + std::to_string(random() % 100), {.priority = static_cast<int>(random() % 3)});
        if (p.submit(one_of_many, [] { return 3; }).get() != 3) ++wrong;
        break;
      }
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

// A plug-in that has the library inside: loaded, used by a thread of its own, unloaded.
void loaded_and_unloaded() {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  constexpr int k_keep = RTLD_NODELETE;  // a leak checker does not find what an unloaded library points to
#else
  constexpr int k_keep = 0;
#endif
  void* const plugin = dlopen(TACTUS_SOAK_PLUGIN, RTLD_NOW | RTLD_LOCAL | k_keep);
  REQUIRE_MESSAGE((plugin != nullptr), dlerror());
  auto* const run = reinterpret_cast<int (*)()>(dlsym(plugin, "plugin_run"));
  REQUIRE((run != nullptr));
  int result = 0;
  std::thread([&] { result = run(); }).join();
  CHECK(result == 1012);
  dlclose(plugin);
  if (!k_keep) CHECK(dlopen(TACTUS_SOAK_PLUGIN, RTLD_NOW | RTLD_NOLOAD) == nullptr);
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
  pool_options options = with_workers(3, true);
  options.max_workers = 5;
  pool p(options);
  mixture mix{p};
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (long i = 0, n = from_environment("TACTUS_STRESS_THREADS", 4); i < n; ++i)
    threads.emplace_back([&, i] {
      std::minstd_rand random(static_cast<unsigned>(i) + 1);
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
    if (round % 20 == 0 && round < k_most_unloads * 20) loaded_and_unloaded();
    CHECK(p.resize(1 + round % 5) == 1 + round % 5);
    ++round;
    p.wait();
  }
  stop = true;
  for (auto& t : threads) t.join();
  p.wait();
  MESSAGE(mix.rounds.load() << " rounds, " << mix.detached_run.load() << " detached tasks, " << round << " pools, "
                                 << p.stats().evictions << " evictions");
  CHECK(mix.wrong == 0);
  CHECK(mix.detached_run == mix.detached_submitted);
  const pool_stats stats = p.stats();
  for (const auto& s : stats.classes) CHECK(s.submitted == s.finished);
  CHECK(stats.evicted.submitted == stats.evicted.finished);
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
