// SPDX-License-Identifier: Apache-2.0
// What CPUs do: bandwidth control, SMT, steal, heat, frequency, hotplug, affinity.
#include <set>

#include "tests/unit/sim/support.h"

using namespace tactus::sim;
using namespace tactus::sim::test;

namespace {

// Tasks of 1 ms, `n` in flight for ever.
workload closed(unsigned n, const std::string& more = "") {
  return parse_workload("closed", fmt::format("[[pool]]\nname = \"pool\"\nspares = 0\n{}\n[[class]]\nname = \"c\"\nwork = {{kind = \"fixed\", mean_us = 1000}}\n"
                                              "[[flow]]\narrivals = {{kind = \"closed\", in_flight = {}}}\n[[flow.stage]]\nclass = \"c\"\n",
                                              more, n));
}

// Tasks ended per ms, so in units of one CPU of speed 1.
double speed_of(const machine& m, const workload& w, double seconds = 2) {
  simulation s(m, w, {});
  const auto p = make_policy("fallback", {});
  p->attach(s);
  s.run_until(100'000'000);
  s.start_window();
  s.run_until(100'000'000 + static_cast<std::uint64_t>(seconds * 1e9));
  const figures f = s.window();
  return static_cast<double>(f.classes[0].ended) / f.seconds / 1000;
}

machine one(const std::string& more) { return parse_machine("one", "[[cpus]]\n" + more); }

// When a worker last began to run on each CPU; threads from 1,000,000 on are no workers.
struct cpu_watcher : op_sink {
  void begin(const scheduler&, op_record::kind, const kernel_thread*) override {}
  void drew(std::uint32_t) override {}
  void end(const scheduler&, const op_record& r) override {
    if (r.op == op_record::kind::running && r.tid < 1'000'000) last_run[static_cast<unsigned>(r.cpu)] = r.time_ns;
  }
  std::uint64_t last_run[TACTUS_MAX_CPUS] = {};
};

}  // namespace

TEST_CASE("a CPU under bandwidth control does its quota's share, one beside it all") {
  CHECK(speed_of(one("bandwidth_percent = 20\nbandwidth_period_ms = 5\n"), closed(1)) == doctest::Approx(0.2).epsilon(0.01));
  CHECK(speed_of(one("bandwidth_percent = 70\nbandwidth_period_ms = 5\n"), closed(1)) == doctest::Approx(0.7).epsilon(0.01));
  CHECK(speed_of(one(""), closed(1)) == doctest::Approx(1).epsilon(0.001));
  CHECK(speed_of(one("speed = 0.25\n"), closed(1)) == doctest::Approx(0.25).epsilon(0.001));
}

TEST_CASE("quota that is not used in a period is not saved for the next") {
  // 1 ms of work every 5 ms fits 20 %, whenever it comes.
  const machine m = one("bandwidth_percent = 30\nbandwidth_period_ms = 5\n");
  workload w = closed(1);
  w.flows[0].arrivals.think = distribution::fixed(19e6);
  simulation s(m, w, {});
  const auto p = make_policy("fallback", {});
  p->attach(s);
  s.run_until(2'000'000'000);
  CHECK(s.window().classes[0].latency.quantile_ns(1) < 1.05e6);  // never throttled
  CHECK(s.window().classes[0].ended == doctest::Approx(100).epsilon(0.02));
}

TEST_CASE("siblings that are both busy run at the machine's SMT speed each") {
  const machine m = parse_machine("smt", "smt_speed = 0.6\n[[cpus]]\nthreads_per_core = 2\n");
  CHECK(speed_of(m, closed(1)) == doctest::Approx(1).epsilon(0.01));
  CHECK(speed_of(m, closed(2)) == doctest::Approx(1.2).epsilon(0.01));
}

TEST_CASE("the fallback takes a whole idle core before a sibling of a busy one") {
  const machine m = parse_machine("smt", "smt_speed = 0.5\n[[cpus]]\ncores_per_cache = 2\nthreads_per_core = 2\n");
  CHECK(speed_of(m, closed(2)) == doctest::Approx(2).epsilon(0.02));
}

TEST_CASE("a CPU of which the host takes a share does the rest") {
  CHECK(speed_of(one("steal_percent = 30\nsteal_burst_ms = 1\n"), closed(1), k_slow_build ? 5 : 30) == doctest::Approx(0.7).epsilon(0.02));
}

TEST_CASE("a socket that gets hot runs slower until it has cooled down") {
  const machine m = parse_machine("hot", "[[cpus]]\n[heat]\nidle_c = 40\nfull_load_c = 140\nlimit_c = 90\nhysteresis_c = 5\ncapped_speed = 0.5\ntau_s = 0.5\n");
  const double speed = speed_of(m, closed(1), 10);
  CHECK(speed < 0.95);
  CHECK(speed > 0.5);
}

TEST_CASE("a neighbour's threads get their share, by virtual time") {
  const machine m = one("") ;
  machine shared = m;
  shared.neighbours.push_back({1, 1'000'000'000'000, 1, 100});  // one thread that always runs
  CHECK(speed_of(shared, closed(1), 4) == doctest::Approx(0.5).epsilon(0.05));
}

TEST_CASE("an event changes the speed at its time") {
  machine m = one("");
  m.events.push_back({machine_event::what::speed, 1'100'000'000, {0}, 0.5});
  CHECK(speed_of(m, closed(1), 2) == doctest::Approx(0.75).epsilon(0.01));
}

TEST_CASE("a CPU that goes offline runs nothing any more, nothing is lost, and it is used again when it returns") {
  machine m = equal_cpus(4);
  m.events.push_back({machine_event::what::offline, 500'000'000, {1, 2}, 1});
  m.events.push_back({machine_event::what::online, 1'000'000'000, {1}, 1});
  for (const char* name : {"fallback", "random", "fastest-first"}) {
    INFO(name);
    const workload w = closed(8);
    simulation s(m, w, {});
    const auto p = make_policy(name, {});
    p->attach(s);
    cpu_watcher watch;
    s.trace(&watch);
    s.run_until(500'000'000);
    s.start_window();
    s.run_until(999'999'999);
    CHECK(watch.last_run[1] <= 500'000'000);
    CHECK(watch.last_run[2] <= 500'000'000);
    CHECK(s.topology().nr_places == 2);
    CHECK(s.window().classes[0].ended == doctest::Approx(2 * 500).epsilon(0.02));
    CHECK(s.present_weight() == 8);
    s.run_until(1'000'000'000);
    s.start_window();
    s.run_until(1'500'000'000);
    CHECK(watch.last_run[1] >= 1'000'000'000);
    CHECK(watch.last_run[2] <= 500'000'000);
    CHECK(s.window().classes[0].ended == doctest::Approx(3 * 500).epsilon(0.02));
  }
}

TEST_CASE("a pool never runs outside its CPUs, and is refused CPUs that are not there") {
  for (const char* m : {"demo", "server-2x32"}) {
    const machine on = load_machine(m);
    const workload w = closed(6, "cpus = [1, 3]");
    for (const char* name : {"fallback", "random", "round-robin", "fastest-first"}) {
      INFO(m << " " << name);
      simulation s(on, w, {});
      const auto p = make_policy(name, {});
      p->attach(s);
      cpu_watcher watch;
      s.trace(&watch);
      s.run_until(500'000'000);
      CHECK(watch.last_run[1] > 0);
      CHECK(watch.last_run[3] > 0);
      for (unsigned c = 0; c < on.cpus.size(); ++c)
        if (c != 1 && c != 3) CHECK(watch.last_run[c] == 0);
    }
  }
  const machine small = equal_cpus(2);
  const workload w = closed(1, "cpus = [5]");
  CHECK_THROWS_AS(simulation(small, w, {}), description_error);
}

TEST_CASE("a flow with a driver thread is submitted when that thread gets a CPU, and no instance is lost") {
  workload w = closed(3);
  w.flows[0].arrivals = {};
  w.flows[0].arrivals.how = arrival_spec::kind::periodic;
  w.flows[0].arrivals.mean_gap_ns = 10e6;
  w.flows[0].driver_ns = 200'000;
  const machine m = equal_cpus(1);
  simulation s(m, w, {});
  s.run_until(5'000'000'000);
  CHECK(s.window().classes[0].ended == doctest::Approx(500).epsilon(0.01));
  CHECK(s.window().classes[0].latency.quantile_ns(0.5) == doctest::Approx(1.2e6).epsilon(0.03));
  // Beside a thread that always runs, nothing is lost either.
  machine shared = m;
  shared.neighbours.push_back({1, 1'000'000'000'000, 1, 100});
  simulation late(shared, w, {});
  late.run_until(5'000'000'000);
  CHECK(late.window().classes[0].ended > 490);
  CHECK(late.window().classes[0].latency.mean_ns() >= 1.19e6);
}
