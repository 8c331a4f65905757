// SPDX-License-Identifier: Apache-2.0
// Completion events to costs of classes at places.
#include "agent/publish/class_stats.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

using namespace tactus::agent;

namespace {

struct fixture {
  tick_clock clock;
  class_stats stats{clock};
  pool_table pools;

  fixture() {
    const int index = pools.reserve();
    auto p = std::make_shared<pool>();
    p->index = static_cast<std::uint32_t>(index);
    p->slot_of[1] = 10;
    p->slot_of[2] = 20;
    pools.add(p);
    CHECK(index == 1);
  }

  // Reports tasks of `count` each, by CLOCK_MONOTONIC times.
  void report(std::uint64_t at_ns, std::uint64_t run_ns, unsigned place, std::vector<std::array<std::uint64_t, 3>> tasks,
              unsigned slot_now = 0, std::uint32_t tid = 77) {
    tactus_completion_event e{};
    e.head.type = TACTUS_EVENT_COMPLETION;
    e.head.tid = tid;
    e.head.time_ns = at_ns;
    e.pool = 1;
    e.place = static_cast<__u8>(place);
    e.clock = TACTUS_CLOCK_NS;
    e.stint_run_ns = run_ns;
    e.slot = static_cast<__u8>(slot_now);
    for (const auto& [local, end, wall] : tasks) {
      tactus_record& r = e.records[e.nr_records++];
      r.local_class = static_cast<__u8>(local);
      r.end_ticks = end;
      r.run_units = static_cast<__u32>(wall / 16);
      r.count = 1;
    }
    CHECK(stats.on_completion(e, offsetof(tactus_completion_event, records) + e.nr_records * sizeof(tactus_record), pools));
  }

  double cost(unsigned slot, unsigned place) {
    return stats.read([&](const auto& s, const auto&, const auto&) { return s[slot].place[place].run_ns / s[slot].place[place].tasks; });
  }
};

}  // namespace

TEST_CASE("a preempted task counts its CPU time, not its wall time") {
  fixture f;
  std::uint64_t t = 1'000'000'000;
  for (int i = 0; i < 50; i++) {
    // 1 ms of CPU, 5 ms from start to end
    f.report(t + 5'000'000, 1'000'000, 2, {{1, t + 5'000'000, 5'000'000}});
    t += 5'000'000;
  }
  CHECK(f.cost(10, 2) == doctest::Approx(1e6).epsilon(0.01));
}

TEST_CASE("CPU time of a report splits by the wall time of its records") {
  fixture f;
  std::uint64_t t = 1'000'000'000;
  f.report(t, 0, 0, {});
  for (int i = 0; i < 50; i++) {
    f.report(t + 4'000'000, 4'000'000, 0, {{1, t + 1'000'000, 1'000'000}, {2, t + 4'000'000, 3'000'000}});
    t += 4'000'000;
  }
  CHECK(f.cost(10, 0) == doctest::Approx(1e6).epsilon(0.01));
  CHECK(f.cost(20, 0) == doctest::Approx(3e6).epsilon(0.01));
}

TEST_CASE("a task that moved half-way counts at both places by the work done there") {
  fixture f;
  std::uint64_t t = 1'000'000'000;
  // Half of each task at place 0 (fast, 1 ms), half at place 1 (slow, 4 ms); ends alternate.
  for (int i = 0; i < 100; i++) {
    const unsigned first = i % 2, last = 1 - first;
    const std::uint64_t a = first == 0 ? 1'000'000 : 4'000'000, b = last == 0 ? 1'000'000 : 4'000'000;
    f.report(t + a, a, first, {}, 10);
    f.report(t + a + b, b, last, {{1, t + a + b, a + b}});
    t += a + b;
  }
  // Ten whole tasks' worth of work at each: 2 ms against 8 ms per task.
  CHECK(f.cost(10, 1) / f.cost(10, 0) == doctest::Approx(4).epsilon(0.02));
}

TEST_CASE("sums forget: a place that becomes slow is seen within some hundred tasks") {
  fixture f;
  std::uint64_t t = 1'000'000'000;
  for (int i = 0; i < 1000; i++, t += 1'000'000) f.report(t + 1'000'000, 1'000'000, 0, {{1, t + 1'000'000, 1'000'000}});
  CHECK(f.cost(10, 0) == doctest::Approx(1e6).epsilon(0.02));
  for (int i = 0; i < 600; i++, t += 3'000'000) f.report(t + 3'000'000, 3'000'000, 0, {{1, t + 3'000'000, 3'000'000}});
  CHECK(f.cost(10, 0) == doctest::Approx(3e6).epsilon(0.06));
}

TEST_CASE("without a trustworthy counter the stint time over the count is used") {
  fixture f;
  tactus_completion_event e{};
  e.head.tid = 5;
  e.head.time_ns = 2'000'000'000;
  e.pool = 1;
  e.clock = TACTUS_CLOCK_NONE;
  e.stint_run_ns = 8'000'000;
  e.nr_records = 1;
  e.records[0].count = 4;
  e.records[0].local_class = 1;
  REQUIRE(f.stats.on_completion(e, offsetof(tactus_completion_event, records) + sizeof(tactus_record), f.pools));
  CHECK(f.cost(10, 0) == doctest::Approx(2e6));
}

TEST_CASE("events that do not fit their bytes are counted and dropped") {
  fixture f;
  tactus_completion_event e{};
  e.nr_records = 3;
  CHECK_FALSE(f.stats.on_completion(e, offsetof(tactus_completion_event, records) + sizeof(tactus_record), f.pools));
  e.nr_records = 65;
  CHECK_FALSE(f.stats.on_completion(e, sizeof(e), f.pools));
  e.nr_records = 0;
  e.place = 64;
  CHECK_FALSE(f.stats.on_completion(e, sizeof(e), f.pools));
  CHECK(f.stats.read([](const auto&, const auto&, const auto& ev) { return ev.malformed; }) == 3);
}

TEST_CASE("any bytes as a completion leave finite, sane figures") {
  fixture f;
  std::uint64_t x = 88172645463325252ull;
  for (int i = 0; i < 5000; i++) {
    tactus_completion_event e;
    auto* words = reinterpret_cast<std::uint64_t*>(&e);
    for (std::size_t w = 0; w < sizeof(e) / 8; w++) {
      x ^= x << 13;
      x ^= x >> 7;
      x ^= x << 17;
      words[w] = x;
    }
    e.pool = 1;
    e.place %= 4;
    e.nr_records %= 65;
    for (auto& r : e.records) r.local_class %= 64;
    f.stats.on_completion(e, sizeof(e), f.pools);
  }
  f.stats.read([](const auto& slots, const auto&, const auto&) {
    for (const auto& s : slots) {
      CHECK(std::isfinite(s.mean_run_ns()));
      for (const auto& p : s.place) {
        CHECK(std::isfinite(p.run_ns));
        CHECK(p.run_ns >= 0);
        CHECK(p.tasks <= class_stats::k_window);
      }
    }
    return 0;
  });
}

TEST_CASE("ticks become nanoseconds after calibration") {
  tick_clock clock;
  const std::uint64_t until = now_ns() + 20'000'000;
  while (now_ns() < until) {}
  clock.calibrate();
  CHECK(clock.ticks_to_ns(123, TACTUS_CLOCK_NS) == 123);
  CHECK(clock.ticks_to_ns(123, TACTUS_CLOCK_NONE) == 0);
#if defined(__x86_64__)
  const double rate = clock.ns_per_tick();
  CHECK(rate > 0.05);
  CHECK(rate < 10);
  const std::uint64_t now = now_ns();
  CHECK(static_cast<double>(clock.moment_to_ns(__builtin_ia32_rdtsc(), TACTUS_CLOCK_TSC)) == doctest::Approx(static_cast<double>(now)).epsilon(1e-3));
#endif
}
