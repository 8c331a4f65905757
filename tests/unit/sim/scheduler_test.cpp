// SPDX-License-Identifier: Apache-2.0
// The scheduler's rules in the simulator: bounds of holding, heartbeat, torn rows, rings, counters,
// probabilities of the events, preemption.
#include <algorithm>
#include <functional>

#include "tests/unit/sim/support.h"

using namespace tactus::sim;
using namespace tactus::sim::test;

namespace {

struct recorder : event_sink {
  void decision(const tactus_decision_event& e) override { decisions.push_back(e); }
  void completion(const tactus_completion_event& e, std::size_t) override {
    for (unsigned i = 0; i < e.nr_records; ++i) tasks += e.records[i].count;
    run_ns += e.stint_run_ns;
    longest_wait_ns = std::max<std::uint64_t>(longest_wait_ns, e.stint_wait_ns);
    ++completions;
  }
  std::vector<tactus_decision_event> decisions;
  std::uint64_t tasks = 0, run_ns = 0, completions = 0, longest_wait_ns = 0;
};

// Every row the same: mass of the first place, of each other place, of hold, of 65535.
void same_rows(simulation& s, unsigned first, unsigned other, unsigned hold) {
  publish_true_tiers(s);
  s.sched().control.mode = TACTUS_MODE_LEARNED;
  for (tactus_row& row : s.sched().rows) {
    unsigned sum = 0;
    for (unsigned p = 0; p < TACTUS_MAX_PLACES; ++p) {
      if (p < s.topology().nr_places) sum += p == 0 ? first : other;
      row.cdf[p] = static_cast<__u16>(std::min(sum, 65535 - hold));
    }
    row.confidence = 65535;
    row.version_begin = row.version_end = 1;
  }
}

workload light_load() { return queue_of("kind = \"fixed\", mean_us = 200", 0.05); }

}  // namespace

TEST_CASE("rows that hold for ever hold nobody longer than twice the limit of 10 ms") {
  const machine m = equal_cpus(4);
  workload w = light_load();
  // As many as the timer and a free CPU look at: one behind eight with less virtual time is not seen.
  w.pools[0].workers = 8;
  simulation s(m, w, {});
  same_rows(s, 0, 0, 65535);
  recorder r;
  s.sched().sink = &r;
  s.start_window();
  s.run_until(2'000'000'000);
  const figures f = s.window();
  CHECK(f.held > 500);
  CHECK(f.timer_kicks > 50);
  CHECK(f.decisions[TACTUS_SOURCE_FORCED_BOUND] > 500);
  CHECK(r.longest_wait_ns > 9'000'000);
  CHECK(r.longest_wait_ns <= 20'000'000);
}

TEST_CASE("rows that send everybody to one place cannot make a worker wait beside an idle CPU") {
  const machine m = equal_cpus(4);
  const workload w = queue_of("kind = \"exponential\", mean_us = 1000", 0.7);
  simulation s(m, w, {});
  same_rows(s, 65535, 0, 0);
  s.start_window();
  s.run_until(3'000'000'000);
  CHECK(s.window().classes[0].ended == doctest::Approx(3 * 2800).epsilon(0.05));
  CHECK(s.sched().stats.decisions[TACTUS_SOURCE_FORCED_BOUND] > 0);
}

TEST_CASE("an agent silent for 500 ms: fallback; back: rows again") {
  const machine m = equal_cpus(4);
  const workload w = light_load();
  simulation_options o;
  o.silent_from_ns = 1'000'000'000;
  o.silent_to_ns = 3'000'000'000;
  simulation s(m, w, o);
  same_rows(s, 16384, 16384, 0);
  const auto rows_share = [&](std::uint64_t until) {
    s.start_window();
    s.run_until(until);
    const figures f = s.window();
    return static_cast<double>(f.decisions[TACTUS_SOURCE_ROW]) /
           static_cast<double>(f.decisions[TACTUS_SOURCE_ROW] + f.decisions[TACTUS_SOURCE_FALLBACK_HEARTBEAT]);
  };
  CHECK(rows_share(1'499'000'000) == 1);
  s.run_until(1'501'000'000);
  CHECK(rows_share(2'999'000'000) == 0);
  s.run_until(3'000'000'000);
  CHECK(rows_share(4'000'000'000) == 1);
}

TEST_CASE("torn, missing and unsure rows fall back, each under its own name") {
  const machine m = equal_cpus(4);
  const workload w = light_load();
  const auto source_after = [&](const std::function<void(simulation&)>& spoil, unsigned source) {
    simulation s(m, w, {});
    same_rows(s, 16384, 16384, 0);
    spoil(s);
    s.run_until(500'000'000);
    return s.sched().stats.decisions[source];
  };
  CHECK(source_after([](simulation& s) { for (auto& r : s.sched().rows) r.version_begin = 2; }, TACTUS_SOURCE_FALLBACK_TORN) > 100);
  CHECK(source_after([](simulation& s) { for (auto& r : s.sched().rows) r.version_end = 0; }, TACTUS_SOURCE_FALLBACK_MISSING) > 100);
  CHECK(source_after([](simulation& s) { for (auto& c : s.sched().classes) c.in_use = 0; }, TACTUS_SOURCE_FALLBACK_MISSING) > 100);
  CHECK(source_after([](simulation& s) { for (auto& r : s.sched().rows) r.confidence = 0; }, TACTUS_SOURCE_MIXED) > 100);
  CHECK(source_after([](simulation& s) { s.sched().control.mode = TACTUS_MODE_FALLBACK; }, TACTUS_SOURCE_FALLBACK_MODE) > 100);
}

TEST_CASE("events say with which probability and among what was drawn, in sequence") {
  const machine m = load_machine("demo");
  const workload w = load_workload("frame");
  simulation s(m, w, {});
  same_rows(s, 20'000, 10'000, 15'535);
  recorder r;
  s.sched().sink = &r;
  s.keep_records();
  s.run_until(2'000'000'000);
  REQUIRE(r.decisions.size() > 400);
  unsigned drawn = 0, holds = 0;
  std::uint64_t before = 0;
  for (const tactus_decision_event& e : r.decisions) {
    CHECK((before == 0 || e.head.sequence > before));
    before = e.head.sequence;
    CHECK(e.prob_num > 0);
    CHECK(e.prob_num <= e.prob_den);
    if (e.source != TACTUS_SOURCE_ROW) continue;
    ++drawn;
    holds += e.chosen == TACTUS_HOLD;
    if (e.chosen < TACTUS_MAX_PLACES) CHECK((e.legal >> e.chosen & 1) != 0);
    else CHECK(e.hold_legal == 1);
    if (e.moment == TACTUS_MOMENT_IDLE) CHECK(e.prob_den == 65'535);  // the whole row, as at the wake-up
  }
  CHECK(drawn > 200);
  CHECK(holds > 20);
  // Every task is reported once, or is in a worker's page still.
  std::uint64_t ended = 0;
  for (const class_window& c : s.window().classes) ended += c.ended;
  CHECK(r.tasks <= ended);
  CHECK(r.tasks + 64 >= ended);
}

TEST_CASE("the area of the events is the time integral of weighted tasks present") {
  const machine m = equal_cpus(4);
  const workload w = queue_of("kind = \"exponential\", mean_us = 2000", 0.7);
  simulation s(m, w, {});
  recorder r;
  s.sched().sink = &r;
  s.start_window();
  s.run_until(20'000'000'000);
  REQUIRE(r.decisions.size() > 100);
  const auto &first = r.decisions.front().head, &last = r.decisions.back().head;
  const double mean = static_cast<double>(last.area - first.area) / static_cast<double>(last.time_ns - first.time_ns);
  // The kernel sees a change when it handles a worker, at the latest with the next tick.
  CHECK(mean == doctest::Approx(s.window().cost).epsilon(0.03));
}

TEST_CASE("when all work has ended every counter of the scheduler is back at zero") {
  const machine m = load_machine("laptop");
  workload w = load_workload("etl");
  for (flow_spec& f : w.flows) f.loops = 40;
  for (const char* name : {"fallback", "random", "threshold:2", "power-of-two"}) {
    INFO(name);
    simulation s(m, w, {});
    const auto p = make_policy(name, {});
    p->attach(s);
    std::uint64_t t = 0;
    while (!s.finished() && t < 100'000'000'000) s.run_until(t += 10'000'000);
    REQUIRE(s.finished());
    CHECK(s.present_weight() == 0);
    for (unsigned d = 0; d < s.sched().nr_domains; ++d) {
      CHECK(s.sched().domains[d].nr_waiting == 0);
      CHECK(s.sched().domains[d].nr_held == 0);
      CHECK(s.sched().domains[d].present == 0);
      CHECK(s.sched().held[d].nr == 0);
    }
    for (unsigned k = 0; k < s.sched().nr_places; ++k) {
      CHECK(s.sched().depth[k] == 0);
      CHECK(s.sched().of_place[k].nr == 0);
    }
  }
}

TEST_CASE("a ring that is too small loses events, counts them, and harms nothing else") {
  const machine m = equal_cpus(4);
  const workload w = queue_of("kind = \"exponential\", mean_us = 50", 0.7);
  const auto run = [&](std::uint64_t bytes, recorder& r) {
    simulation_options o;
    o.ring.bytes = bytes;
    simulation s(m, w, o);
    s.sched().sink = &r;
    s.keep_records();
    s.run_until(1'000'000'000);
    CHECK(s.sched().domains[0].lost == s.sched().stats.ring_lost);
    CHECK(s.sched().domains[0].sequence == r.decisions.size() + r.completions + s.sched().stats.ring_lost);
    return std::pair{s.window().classes[0].ended, s.sched().stats.ring_lost};
  };
  recorder large, small;
  const auto all = run(1 << 20, large), few = run(4096, small);
  CHECK(all.second == 0);
  CHECK(few.second > 1000);
  CHECK(all.first == few.first);
}

TEST_CASE("among places of one tier: where the worker ran last, else idle, else the shallowest queue") {
  const auto decisions = [](const machine& m, double load, unsigned first, unsigned other) {
    const workload w = queue_of("kind = \"exponential\", mean_us = 1000", load);
    simulation s(m, w, {});
    same_rows(s, first, other, 0);
    recorder r;
    s.sched().sink = &r;
    s.run_until(2'000'000'000);
    std::vector<tactus_decision_event> by_row;
    for (const tactus_decision_event& e : r.decisions)
      if (e.source == TACTUS_SOURCE_ROW && e.moment == TACTUS_MOMENT_WAKE) by_row.push_back(e);
    REQUIRE(by_row.size() > 200);
    return by_row;
  };
  const auto share = [](const std::vector<tactus_decision_event>& of, auto&& is) {
    return static_cast<double>(std::count_if(of.begin(), of.end(), is)) / static_cast<double>(of.size());
  };
  // Drawn evenly among four equal CPUs, which are mostly idle.
  const auto calm = decisions(equal_cpus(4), 0.05, 16'384, 16'384);
  CHECK(share(calm, [](const auto& e) { return e.chosen == e.prev_place; }) < 0.4);
  CHECK(share(calm, [](const auto& e) { return e.used == e.prev_place; }) > 0.85);
  // All is drawn for place 0; who finds nothing idle does not queue there alone.
  const auto busy = decisions(equal_cpus(4), 0.9, 65'535, 0);
  const auto queued = [&] {
    std::vector<tactus_decision_event> of;
    for (const auto& e : busy) if (e.cpu == 0xffff) of.push_back(e);
    return of;
  }();
  REQUIRE(queued.size() > 1000);
  CHECK(share(queued, [](const auto& e) { return e.chosen == 0; }) == 1);
  CHECK(share(queued, [](const auto& e) { return e.used == 0; }) < 0.4);
  // A place of another tier is none of these, however idle.
  const auto unequal = decisions(unequal_cpus(2, 2, 0.3), 0.3, 65'535, 0);
  CHECK(share(unequal, [](const auto& e) { return e.used < 2; }) == 1);
}

TEST_CASE("an urgent task preempts background work at once, a background task does not") {
  const machine m = equal_cpus(1);
  const auto p99 = [&](int priority) {
    const workload w = parse_workload("w", fmt::format(R"(
[[class]]
name = "quick"
priority = {}
work = {{kind = "fixed", mean_us = 100}}
[[class]]
name = "batch"
priority = 0
work = {{kind = "fixed", mean_us = 50000}}
[[flow]]
arrivals = {{kind = "periodic", period_ms = 20}}
[[flow.stage]]
class = "quick"
[[flow]]
arrivals = {{kind = "closed", in_flight = 2}}
[[flow.stage]]
class = "batch"
)", priority));
    simulation s(m, w, {});
    s.run_until(4'000'000'000);
    return s.window().classes[0].latency.quantile_ns(0.99);
  };
  CHECK(p99(3) < 1e6);
  CHECK(p99(0) > 10e6);
}
