// SPDX-License-Identifier: Apache-2.0
// tactus-bench pool: ours beside other pools, all with as many workers as there are CPUs.
//
// This file: the throughput rows, wall and CPU time of each. pool_latency.cpp and pool_memory.cpp have the
// others. Each repetition makes its pool anew (not timed) and waits until nothing uses CPU time any more,
// so that threads of one arm that spin on do not take it from the next. Results are checked.
#include <dirent.h>
#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <thread>

#include "common/machine.h"
#include "frame/asset_store.h"
#include "frame/audio_mixer.h"
#include "frame/nbody.h"
#include "frame/path_grid.h"
#include "pool_rows.h"
#include "pools/jobs.h"
#include "statistics.h"

namespace tactus::bench {

std::int64_t threads_cpu_ns(bool with_own) {
  std::int64_t sum = 0;
  DIR* const threads = opendir("/proc/self/task");
  if (!threads) return 0;
  while (const dirent* entry = readdir(threads)) {
    const int tid = std::atoi(entry->d_name);
    if (tid <= 0 || (!with_own && tid == gettid())) continue;
    timespec t{};
    const auto clock = static_cast<clockid_t>((~static_cast<unsigned>(tid) << 3) | 6);  // CPUCLOCK_PERTHREAD, _SCHED
    if (clock_gettime(clock, &t) == 0) sum += t.tv_sec * 1'000'000'000LL + t.tv_nsec;
  }
  closedir(threads);
  return sum;
}

// In the process's clock a thread that runs is up to date only after a tick; to read its own clock brings
// it up to date at once.
std::int64_t process_cpu_ns() {
  threads_cpu_ns(true);
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

void sleep_ns(std::int64_t ns) {
  const timespec t{ns / 1'000'000'000, ns % 1'000'000'000};
  nanosleep(&t, nullptr);
}

void settle() {
  for (int i = 0; i < 30; ++i) {
    const std::int64_t before = process_cpu_ns();
    sleep_ns(1'000'000);
    if (process_cpu_ns() - before < 100'000) return;
  }
}

namespace {

double spin(std::uint64_t rounds) {
  double x = 1;
  for (std::uint64_t i = 0; i < rounds; ++i) {
    x = x * 1.0000001 + 1e-9;
    asm volatile("" : "+x"(x));
  }
  return x;
}

double measured_rounds_per_us() {
  double best = 0;
  for (int i = 0; i < 20; ++i) {
    const std::int64_t begin = now_ns();
    keep(spin(100'000));
    best = std::max(best, 100'000e3 / static_cast<double>(now_ns() - begin));
  }
  return best;
}

}  // namespace

void work(double us) {
  static const double rounds_per_us = measured_rounds_per_us();
  keep(spin(static_cast<std::uint64_t>(us * rounds_per_us)));
}

namespace {

constexpr unsigned k_spawned = 20'000;
// The library's floors.
constexpr double k_loop_target_us = 1.0, k_spawn_target_ns = 50, k_fork_target_ns = 15;

std::vector<contestant_kind> contestants() {
  return {
      tactus_contestant(),
#ifdef BENCH_TBB
      tbb_contestant(),
#endif
#ifdef BENCH_TASKFLOW
      taskflow_contestant(),
#endif
#ifdef BENCH_OPENMP
      openmp_contestant(),
#endif
#ifdef BENCH_EIGEN
      eigen_contestant(),
#endif
#ifdef BENCH_ASIO
      asio_contestant(),
#endif
#ifdef BENCH_BOOST
      boost_contestant(),
#endif
#ifdef BENCH_BS
      bs_contestant(),
#endif
  };
}

// One job that takes part in two rows: its wall time and its CPU time.
struct job_row {
  std::string name, unit;
  double ns_per_unit;                         // the time is divided by this
  std::function<bool(contestant&)> can;       // empty: all can
  std::function<void(contestant&)> warm_up;   // before each measurement, not timed
  std::function<void(contestant&)> run;
  std::optional<double> target{};
  unsigned workers = 0;                       // 0: one per CPU
  std::function<void(const std::function<void()>&)> around{};  // what else goes on meanwhile
};

void add(const pool_setting& with, const job_row& job, result& out) {
  if (!with.set.wants(job.name)) return;
  auto kinds = with.kinds;
  kinds.push_back(serial_contestant());
  std::vector<arm_of_many> arms;
  for (const auto& kind : kinds) {
    if (job.can && !job.can(*kind.make(1))) continue;
    arms.push_back({kind.name, [kind, &job, &with] {
                      const auto pool = kind.make(job.workers ? job.workers : with.workers);
                      job.warm_up(*pool);
                      settle();
                      double wall = 0, cpu = 0;
                      const auto timed = [&] {
                        const std::int64_t cpu_begin = process_cpu_ns();
                        const std::int64_t begin = now_ns();
                        job.run(*pool);
                        wall = static_cast<double>(now_ns() - begin) / job.ns_per_unit;
                        cpu = static_cast<double>(process_cpu_ns() - cpu_begin) / job.ns_per_unit;
                      };
                      if (job.around) job.around(timed);
                      else timed();
                      return std::vector<double>{wall, cpu};
                    }});
  }
  for (row& r : interleave(with.set, {{job.name, job.unit, job.target}, {job.name + ", CPU time", job.unit}}, arms,
                           with.set.repetitions(25, 5)))
    out.rows.push_back(std::move(r));
}

void expect(bool right, const char* what) {
  if (!right) throw std::runtime_error(fmt::format("a pool computed {} wrong", what));
}

void spawn_rows(const pool_setting& with, result& out) {
  add(with, {"empty tasks from one outside thread", "ns per task", k_spawned, {},
             [](contestant& p) { p.spawn(k_spawned); }, [](contestant& p) { p.spawn(k_spawned); }, k_spawn_target_ns},
      out);
  constexpr unsigned k_threads = 4;
  const auto from_four = [](contestant& p) {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < k_threads; ++i) threads.emplace_back([&p] { p.spawn(k_spawned / k_threads); });
    for (std::thread& t : threads) t.join();
  };
  add(with, {"empty tasks from four outside threads", "ns per task", k_spawned,
             [](contestant& p) { return p.can_spawn_from_many(); }, from_four, from_four, {}},
      out);
}

// The work and how many tasks it is, counted as calls of the recursion but the leaves that make none.
void fork_row(const pool_setting& with, const char* name, fork_job job, int n, double tasks, result& out,
              std::optional<double> target = {}, unsigned workers = 0) {
  const long right = serial_contestant().make(1)->fork_join(job, n);
  const int less = std::max(n - (job == fork_job::skynet ? 2 : 5), 1);
  add(with, {name, "ns per task", tasks, [](contestant& p) { return p.can_fork(); },
             [job, less](contestant& p) { p.fork_join(job, less); },
             [job, n, right, name](contestant& p) { expect(p.fork_join(job, n) == right, name); }, target, workers},
      out);
}

void fork_rows(const pool_setting& with, result& out) {
  const bool quick = with.set.quick;
  const int n = quick ? 22 : 30;
  fork_row(with, quick ? "fork-join, fib(22)" : "fork-join, fib(30)", fork_job::fib, n, fib_tasks(n), out, k_fork_target_ns);
  fork_row(with, quick ? "fork-join, 8 queens" : "fork-join, 11 queens", fork_job::queens, quick ? 8 : 11,
           quick ? 2056 : 166'925, out);
  fork_row(with, quick ? "fork-join, skynet 10^4" : "fork-join, skynet 10^5", fork_job::skynet, quick ? 4 : 5,
           quick ? 11'110 : 111'110, out);
  const int depth = quick ? 12 : 18;
  const double nodes = static_cast<double>(serial_contestant().make(1)->fork_join(fork_job::tree, depth));
  fork_row(with, "fork-join, unbalanced tree", fork_job::tree, depth, nodes, out);
  for (const unsigned factor : {0u, 2u, 4u}) {
    const unsigned workers = factor ? factor * with.workers : 1;
    const std::string name = fmt::format("{} worker{} on {} CPUs, fib({})", workers, workers > 1 ? "s" : "", with.workers, quick ? 20 : 25);
    fork_row(with, name.c_str(), fork_job::fib, quick ? 20 : 25, fib_tasks(quick ? 20 : 25), out, {}, workers);
  }
}

void loop_rows(const pool_setting& with, result& out) {
  for (const unsigned n : {1000u, 1'000'000u}) {
    const unsigned times = n == 1000 ? 300 : 3;
    auto data = std::make_shared<std::vector<int>>(n);
    add(with, {fmt::format("parallel_for of {}", n), "us", times * 1e3, [](contestant& p) { return p.can_loop(); },
               [data](contestant& p) {
                 std::fill(data->begin(), data->end(), 0);
                 p.loop(*data);
               },
               [data, times](contestant& p) {
                 for (unsigned i = 0; i < times; ++i) p.loop(*data);
                 for (std::size_t i = 0; i < data->size(); i += 37) expect((*data)[i] == 2 * static_cast<int>(i), "a loop");
               },
               n == 1000 ? std::optional(k_loop_target_us) : std::nullopt},
        out);
  }
  auto values = std::make_shared<std::vector<double>>(1'000'000, 0.5);
  add(with, {"sum of 1e6 numbers", "us", 3e3, {}, [values](contestant& p) { p.reduce(*values); },
             [values](contestant& p) {
               for (int i = 0; i < 3; ++i) expect(p.reduce(*values) == 500'000, "a sum");
             }},
      out);
}

struct matrices {
  static constexpr std::size_t k_side = 256;
  std::vector<double> a = std::vector<double>(k_side * k_side, 1), b = std::vector<double>(k_side * k_side, 2),
                      c = std::vector<double>(k_side * k_side);
  void row(std::size_t i) {
    double* const to = &c[i * k_side];
    std::fill(to, to + k_side, 0.0);
    for (std::size_t k = 0; k < k_side; ++k)
      for (std::size_t j = 0; j < k_side; ++j) to[j] += a[i * k_side + k] * b[k * k_side + j];
  }
};

void matrix_row(const pool_setting& with, result& out) {
  auto m = std::make_shared<matrices>();
  const auto product = [m](contestant& p) {
    p.each(matrices::k_side, {[](void* c, std::size_t i) { static_cast<matrices*>(c)->row(i); }, m.get()});
    expect(m->c.back() == 2.0 * matrices::k_side, "a matrix product");
  };
  add(with, {"matrix product 256 x 256, a task per row", "us", 1e3, {}, product, product}, out);
}

// A frame of the example: 8 blocks of audio, 8 paths, 8 pieces of data, then a step of physics in 8 parts.
struct frame_kernels {
  frame::audio_mixer audio{{}};
  frame::path_grid paths{{}};
  frame::nbody bodies{{}};
  frame::asset_store assets{[] {
    frame::asset_store::config c;
    c.directories = {"/usr/bin", "/usr/lib", "/bin"};
    c.total_bytes = 1 << 20;
    return c;
  }()};
  std::uint64_t number = 0;

  void independent(std::size_t i) const {
    const std::uint64_t which = number * 8 + i / 3;
    if (i % 3 == 0) keep(audio.block_hash(which));
    else if (i % 3 == 1) keep(paths.find(which));
    else expect(assets.load(which), "a hash");
  }
  void run(contestant& p) {
    p.each(24, {[](void* c, std::size_t i) { static_cast<frame_kernels*>(c)->independent(i); }, this});
    bodies.begin_step();
    p.each(8, {[](void* c, std::size_t i) {
                 auto& b = static_cast<frame_kernels*>(c)->bodies;
                 const auto at = [&b](std::size_t part) { return static_cast<unsigned>(b.bodies() * part / 8); };
                 b.run_chunk(at(i), at(i + 1));
               }, this});
    bodies.end_step();
    ++number;
  }
};

void frame_row(const pool_setting& with, result& out) {
  const std::string name = "a frame of the example, 32 tasks";
  if (!with.set.wants(name)) return;
  auto kernels = std::make_shared<frame_kernels>();
  add(with, {name, "us", 4e3, {}, [kernels](contestant& p) { kernels->run(p); },
             [kernels](contestant& p) {
               for (int i = 0; i < 4; ++i) kernels->run(p);
             }},
      out);
}

// As many threads as there are CPUs take CPU time away.
void antagonist_row(const pool_setting& with, result& out) {
  const unsigned workers = with.workers;
  const auto beside_antagonists = [workers](const std::function<void()>& measure) {
    std::atomic<bool> stop{false};
    std::vector<std::thread> antagonists;
    for (unsigned i = 0; i < workers; ++i)
      antagonists.emplace_back([&stop] {
        while (!stop.load(std::memory_order_relaxed)) keep(spin(1000));
      });
    sleep_ns(2'000'000);
    measure();
    stop = true;
    for (std::thread& t : antagonists) t.join();
  };
  const indexed_body body{[](void*, std::size_t) { work(20); }, nullptr};
  add(with, {"1000 tasks of 20 us beside a busy thread per CPU", "ms", 1e6, {}, [body](contestant& p) { p.each(20, body); },
             [body](contestant& p) { p.each(1000, body); }, {}, 0, beside_antagonists},
      out);
}

result run(const settings& set) {
  result out;
  const pool_setting with{set, contestants(), examples::allowed_cpus()};
  add_memory_rows(with, out);  // first: it needs a process without threads
  spawn_rows(with, out);
  fork_rows(with, out);
  loop_rows(with, out);
  matrix_row(with, out);
  frame_row(with, out);
  antagonist_row(with, out);
  add_latency_rows(with, out);
  if (out.rows.empty()) throw std::runtime_error("no row's name contains '" + set.only + "'");
  out.notes.push_back(fmt::format("{} workers each; a peer that cannot do a row's job is left out of it", with.workers));
  out.notes.push_back("CPU time of an antagonist row includes the antagonists'");
  std::string missing;
  for (const char* peer : {"oneTBB", "OpenMP", "asio", "Boost", "Eigen", "Taskflow", "BS::thread_pool"})
    if (std::none_of(with.kinds.begin(), with.kinds.end(), [&](const auto& k) { return k.name == peer; }))
      missing += std::string(missing.empty() ? "" : ", ") + peer;
  if (!missing.empty()) out.notes.push_back("not found when this was built: " + missing);
  return out;
}

const registration pool{"pool", "ours beside oneTBB, OpenMP, asio, Boost, Eigen, ...: spawn, fork-join, loops, wake-up", run};

}  // namespace
}  // namespace tactus::bench
