// SPDX-License-Identifier: Apache-2.0
// tactus-bench pool: ours beside other pools, all with as many workers as there are CPUs.
//
// Rows: empty tasks from one outside thread; fork-join (fib, no cut-off); a loop of 1000; how long a
// task submitted after 20 ms of silence waits for its start. Each repetition makes its pool anew
// (not timed), so that an idle pool of one arm does not take CPU time from another.
#include <fmt/format.h>
#include <time.h>

#include <atomic>

#include "bench.h"
#include "common/machine.h"
#include "pools/contestant.h"
#include "statistics.h"

namespace tactus::bench {
namespace {

constexpr unsigned k_spawned = 20'000;
constexpr unsigned k_loop = 1000, k_loops = 300;
constexpr std::int64_t k_silence_ns = 20'000'000;
// The library's targets (floors of the pool): see docs/results.md for which are reached.
constexpr double k_loop_target_us = 1.0, k_spawn_target_ns = 50, k_fork_target_ns = 15;

void sleep_ns(std::int64_t ns) {
  const timespec t{ns / 1'000'000'000, ns % 1'000'000'000};
  nanosleep(&t, nullptr);
}

std::vector<contestant_kind> contestants() {
  return {
      tactus_contestant(),
#ifdef BENCH_TBB
      tbb_contestant(),
#endif
#ifdef BENCH_OPENMP
      openmp_contestant(),
#endif
#ifdef BENCH_ASIO
      asio_contestant(),
#endif
#ifdef BENCH_BOOST
      boost_contestant(),
#endif
#ifdef BENCH_EIGEN
      eigen_contestant(),
#endif
  };
}

double time_ns(const std::function<void()>& what) {
  const std::int64_t begin = now_ns();
  what();
  return static_cast<double>(now_ns() - begin);
}

double spawn_ns(const contestant_kind& kind, unsigned workers) {
  const auto pool = kind.make(workers);
  pool->spawn(k_spawned / 10);  // threads up, memory there
  return time_ns([&] { pool->spawn(k_spawned); }) / k_spawned;
}

double fork_ns(const contestant_kind& kind, unsigned workers, int n) {
  const auto pool = kind.make(workers);
  pool->fib(n / 2);
  long value = 0;
  const double ns = time_ns([&] { value = pool->fib(n); });
  long a = 0, b = 1;
  for (int i = 0; i < n; ++i) a = std::exchange(b, a + b);
  if (value != a) throw std::runtime_error(kind.name + " computed fib(" + std::to_string(n) + ") wrong");
  return ns / fib_tasks(n);
}

double loop_us(const contestant_kind& kind, unsigned workers) {
  const auto pool = kind.make(workers);
  std::vector<int> out(k_loop);
  pool->loop(out);
  const double ns = time_ns([&] {
    for (unsigned i = 0; i < k_loops; ++i) pool->loop(out);
  });
  for (unsigned i = 0; i < k_loop; ++i)
    if (out[i] != 2 * static_cast<int>(i)) throw std::runtime_error(kind.name + " left out part of a loop");
  return ns / k_loops / 1e3;
}

// Times from submission to start, us.
std::vector<double> wake_us(const contestant_kind& kind, unsigned workers, unsigned probes) {
  const auto pool = kind.make(workers);
  std::vector<double> out;
  for (unsigned i = 0; i < probes; ++i) {
    sleep_ns(k_silence_ns);
    std::atomic<std::int64_t> started{0};
    const std::int64_t submitted = now_ns();
    pool->post([](void* p) { static_cast<std::atomic<std::int64_t>*>(p)->store(now_ns()); }, &started);
    while (started.load() == 0) sleep_ns(200'000);  // asleep, so that this thread is not in the way
    out.push_back(static_cast<double>(started.load() - submitted) / 1e3);
  }
  return out;
}

[[gnu::noinline]] long serial_fib(int n) { return n < 2 ? n : serial_fib(n - 1) + serial_fib(n - 2); }

result run(const settings& set) {
  const unsigned workers = examples::allowed_cpus();
  const auto all = contestants();
  const unsigned reps = set.repetitions(25, 9);
  const int n = set.quick ? 22 : 25;
  result out;

  std::vector<arm> arms;
  for (const auto& kind : all) arms.push_back({kind.name, [&kind, workers] { return spawn_ns(kind, workers); }});
  out.rows.push_back(interleave(set, "spawn empty tasks from one outside thread", "ns per task", arms, reps));
  out.rows.back().target = k_spawn_target_ns;

  arms.clear();
  for (const auto& kind : all)
    if (kind.make(1)->can_fork()) arms.push_back({kind.name, [&kind, workers, n] { return fork_ns(kind, workers, n); }});
  arms.push_back({"serial", [n] {
                    long value = 0;
                    const double ns = time_ns([&] { value = serial_fib(n); });
                    keep(value);
                    return ns / fib_tasks(n);
                  }});
  out.rows.push_back(interleave(set, fmt::format("fork-join, fib({})", n), "ns per task", arms, reps));
  out.rows.back().target = k_fork_target_ns;

  arms.clear();
  for (const auto& kind : all)
    if (kind.make(1)->can_loop()) arms.push_back({kind.name, [&kind, workers] { return loop_us(kind, workers); }});
  arms.push_back({"serial", [] {
                    std::vector<int> data(k_loop);
                    return time_ns([&] {
                             for (unsigned l = 0; l < k_loops; ++l) {
                               for (unsigned i = 0; i < k_loop; ++i) data[i] = 2 * static_cast<int>(i);
                               keep(data.data());
                             }
                           }) / k_loops / 1e3;
                  }});
  out.rows.push_back(interleave(set, fmt::format("parallel_for of {}", k_loop), "us", arms, reps));
  out.rows.back().target = k_loop_target_us;

  // One run gives two rows: the median and the 99th percentile of the same probes.
  arms.clear();
  const unsigned probes = set.quick ? 10 : 50;
  std::vector<std::vector<double>> tails(all.size());
  for (std::size_t i = 0; i < all.size(); ++i)
    if (all[i].make(1)->can_post())
      arms.push_back({all[i].name, [&, i] {
                        const std::vector<double> us = wake_us(all[i], workers, probes);
                        tails[i].push_back(quantile_of(us, 0.99));
                        return quantile_of(us, 0.5);
                      }});
  const unsigned wake_reps = set.repetitions(15, k_least_reps);
  out.rows.push_back(interleave(set, "submit to start after 20 ms idle, p50", "us", arms, wake_reps));
  row tail{fmt::format("submit to start after 20 ms idle, p99 of {} probes", probes), "us", {}, {}, {}};
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (tails[i].empty()) continue;
    tails[i].erase(tails[i].begin());  // the run that does not count
    if (all[i].name == "tactus") tail.tactus = tails[i];
    else tail.peers.emplace_back(all[i].name, tails[i]);
  }
  out.rows.push_back(std::move(tail));
  out.notes.push_back(fmt::format("{} workers each; asio, Boost and Eigen can neither fork and join nor loop", workers));
#if !defined(BENCH_TBB) || !defined(BENCH_OPENMP) || !defined(BENCH_ASIO) || !defined(BENCH_BOOST) || !defined(BENCH_EIGEN)
  out.notes.push_back("not every peer was found when this was built; see the build's configuration output");
#endif
  return out;
}

const registration pool{"pool", "ours beside oneTBB, OpenMP, asio, Boost, Eigen: spawn, fork-join, loop, wake-up", run};

}  // namespace
}  // namespace tactus::bench
