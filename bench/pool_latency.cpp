// SPDX-License-Identifier: Apache-2.0
// tactus-bench pool, the rows about time and not throughput: submission to start after silence, what an
// idle pool burns, bursts after silence, urgent tasks among a backlog.
#include <fmt/format.h>

#include <atomic>
#include <deque>

#include "pool_rows.h"
#include "statistics.h"

namespace tactus::bench {
namespace {

constexpr std::int64_t k_us = 1000, k_ms = 1'000'000;

void stamp(void* p) { static_cast<std::atomic<std::int64_t>*>(p)->store(now_ns(), std::memory_order_release); }

// Submission to start, us, after each of `probes` silences. The shortest silence is spent spinning: to
// sleep for it takes longer.
std::vector<double> wake_us(const contestant_kind& kind, unsigned workers, std::int64_t silence_ns, unsigned probes) {
  const auto pool = kind.make(workers);
  std::vector<double> out;
  for (unsigned i = 0; i < probes + 3; ++i) {
    const std::int64_t from = now_ns();
    if (silence_ns >= k_ms) sleep_ns(silence_ns);
    while (now_ns() - from < silence_ns) {
    }
    std::atomic<std::int64_t> started{0};
    const std::int64_t submitted = now_ns();
    pool->post(&stamp, &started, false);
    while (started.load(std::memory_order_acquire) == 0) {
      // Asleep where there is time, so that this thread is not in the way.
      if (silence_ns >= k_ms) sleep_ns(200 * k_us);
    }
    if (i >= 3) out.push_back(static_cast<double>(started.load() - submitted) / 1e3);
  }
  return out;
}

void add_wake_rows(const pool_setting& with, result& out) {
  struct silence {
    const char* name;
    std::int64_t ns;
    unsigned probes, quick_probes;
  };
  for (const silence& s : {silence{"50 us", 50 * k_us, 1000, 50}, silence{"1 ms", k_ms, 60, 15},
                           silence{"20 ms", 20 * k_ms, 15, 5}}) {
    const std::string name = fmt::format("submit to start after {} idle", s.name);
    if (!with.set.wants(name)) continue;
    const unsigned probes = with.set.quick ? s.quick_probes : s.probes;
    std::vector<arm_of_many> arms;
    for (const auto& kind : with.kinds) {
      if (!kind.make(1)->can_post()) continue;
      arms.push_back({kind.name, [&kind, &with, s, probes] {
                        settle();
                        const auto us = wake_us(kind, with.workers, s.ns, probes);
                        return std::vector<double>{quantile_of(us, 0.5), quantile_of(us, 0.99), quantile_of(us, 0.999)};
                      }});
    }
    for (row& r : interleave(with.set,
                             {{name + ", p50", "us"},
                              {fmt::format("{}, p99 of {} probes", name, probes), "us"},
                              {fmt::format("{}, p99.9 of {} probes", name, probes), "us"}},
                             arms, with.set.repetitions(25, 5)))
      out.rows.push_back(std::move(r));
  }
}

// CPU time of all threads but the caller's, us. REQUIRES: none of them ends meanwhile.
double others_cpu_us() { return static_cast<double>(threads_cpu_ns(false)) / 1e3; }

void add_idle_rows(const pool_setting& with, result& out) {
  const std::string name = "CPU time after the last task";
  if (!with.set.wants(name)) return;
  std::vector<arm_of_many> arms;
  for (const auto& kind : with.kinds)
    arms.push_back({kind.name, [&kind, &with] {
                      settle();
                      const auto pool = kind.make(with.workers);
                      pool->spawn(1000);
                      const double at_end = others_cpu_us();
                      sleep_ns(k_ms);
                      const double after_1_ms = others_cpu_us();
                      sleep_ns(20 * k_ms);
                      return std::vector<double>{after_1_ms - at_end, others_cpu_us() - after_1_ms};
                    }});
  for (row& r : interleave(with.set, {{name + ", first ms", "us"}, {name + ", the 20 ms after that", "us", 0.0}}, arms,
                           with.set.repetitions(25, 5)))
    out.rows.push_back(std::move(r));
}

void add_burst_row(const pool_setting& with, result& out) {
  const std::string name = "200 tasks of 5 us after 5 ms idle";
  if (!with.set.wants(name)) return;
  const unsigned bursts = with.set.quick ? 2 : 5;
  std::vector<arm_of_many> arms;
  auto kinds = with.kinds;
  kinds.push_back(serial_contestant());
  for (const auto& kind : kinds)
    arms.push_back({kind.name, [kind, &with, bursts] {
                      settle();
                      const auto pool = kind.make(with.workers);
                      const indexed_body body{[](void*, std::size_t) { work(5); }, nullptr};
                      pool->each(20, body);
                      std::vector<double> us;
                      const std::int64_t cpu = process_cpu_ns();
                      for (unsigned b = 0; b < bursts; ++b) {
                        sleep_ns(5 * k_ms);
                        const std::int64_t begin = now_ns();
                        pool->each(200, body);
                        us.push_back(static_cast<double>(now_ns() - begin) / 1e3);
                      }
                      return std::vector<double>{quantile_of(us, 0.5),
                                                 static_cast<double>(process_cpu_ns() - cpu) / 1e3 / bursts};
                    }});
  for (row& r : interleave(with.set, {{name, "us"}, {name + ", CPU time per burst", "us"}}, arms, with.set.repetitions(25, 5)))
    out.rows.push_back(std::move(r));
}

// A backlog of ordinary tasks, and an urgent one every ms that should end within 2 ms.
void add_priority_rows(const pool_setting& with, result& out) {
  const std::string name = "urgent tasks among a backlog";
  if (!with.set.wants(name)) return;
  constexpr unsigned k_backlog = 300, k_urgent = 20;
  constexpr double k_backlog_us = 200, k_urgent_us = 20;
  constexpr std::int64_t k_deadline_ns = 2 * k_ms;
  struct urgent_task {
    std::int64_t due = 0;
    std::atomic<std::int64_t> ended{0};
  };
  std::vector<arm_of_many> arms;
  for (const auto& kind : with.kinds) {
    if (!kind.make(1)->can_post()) continue;
    arms.push_back({kind.name, [&kind, &with] {
                      settle();
                      const auto pool = kind.make(with.workers);
                      std::atomic<unsigned> left{k_backlog};
                      std::deque<urgent_task> urgent(k_urgent);
                      const std::int64_t begin = now_ns();
                      for (unsigned i = 0; i < k_backlog; ++i)
                        pool->post([](void* p) {
                          work(k_backlog_us);
                          static_cast<std::atomic<unsigned>*>(p)->fetch_sub(1);
                        }, &left, false);
                      for (unsigned i = 0; i < k_urgent; ++i) {
                        urgent[i].due = begin + (i + 1) * k_ms;
                        const std::int64_t rest = urgent[i].due - now_ns();
                        if (rest > 0) sleep_ns(rest);
                        pool->post([](void* p) {
                          work(k_urgent_us);
                          static_cast<urgent_task*>(p)->ended.store(now_ns());
                        }, &urgent[i], true);
                      }
                      for (const urgent_task& u : urgent)
                        while (u.ended.load() == 0) sleep_ns(200 * k_us);
                      while (left.load() != 0) sleep_ns(200 * k_us);
                      const double total_ms = static_cast<double>(now_ns() - begin) / 1e6;
                      double missed = 0;
                      std::vector<double> us;
                      for (const urgent_task& u : urgent) {
                        us.push_back(static_cast<double>(u.ended.load() - u.due) / 1e3);
                        missed += u.ended.load() - u.due > k_deadline_ns;
                      }
                      return std::vector<double>{quantile_of(us, 0.5), quantile_of(us, 0.99), missed, total_ms};
                    }});
  }
  for (row& r : interleave(with.set,
                           {{name + ", due to end, p50", "us"},
                            {name + ", due to end, p99", "us"},
                            {fmt::format("{}, missed of {}", name, k_urgent), "deadlines"},
                            {name + ", until all have run", "ms"}},
                           arms, with.set.repetitions(25, 5)))
    out.rows.push_back(std::move(r));
}

}  // namespace

void add_latency_rows(const pool_setting& with, result& out) {
  add_wake_rows(with, out);
  add_idle_rows(with, out);
  add_burst_row(with, out);
  add_priority_rows(with, out);
}

}  // namespace tactus::bench
