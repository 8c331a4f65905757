// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <vector>

#include "sim/machine/shipped.h"
#include "sim/workload/driver.h"

using namespace tactus::sim;

namespace {

struct recorder : task_sink {
  void submit(const sim_task& t) override { tasks.push_back(t); }
  void dropped(unsigned, std::uint64_t) override { ++drops; }
  std::vector<sim_task> tasks;
  unsigned drops = 0;
};

const machine& demo() {
  static const machine m = load_machine("demo");
  return m;
}

// Tasks submitted in so many s when each ends at once.
unsigned submitted(const workload& w, double seconds, std::uint64_t seed = 1) {
  driver d(w, demo(), seed);
  recorder r;
  unsigned n = 0;
  const auto end = static_cast<std::uint64_t>(seconds * 1e9);
  while (d.next_ns() <= end) {
    const std::uint64_t now = d.next_ns();
    d.fire(now, r);
    while (!r.tasks.empty()) {
      const sim_task t = r.tasks.back();
      r.tasks.pop_back();
      ++n;
      d.ended(t, now, r);
    }
  }
  return n;
}

workload with_arrivals(const std::string& arrivals) {
  return parse_workload("w", "[[class]]\nname = \"c\"\nwork = {kind = \"fixed\", mean_us = 100}\n[[flow]]\narrivals = {" + arrivals +
                                 "}\n[[flow.stage]]\nclass = \"c\"\n");
}

std::string error_of(const std::string& text, workload (*parse)(const std::string&, const std::string&)) {
  try {
    parse("w", text);
  } catch (const description_error& e) {
    return e.what();
  }
  return "";
}

workload invocations(const std::string& name, const std::string& text) { return parse_invocations(name, text); }

}  // namespace

TEST_CASE("every shipped work load is read, and every class of it has a flow") {
  CHECK(shipped_workloads().size() >= 6);
  for (const shipped_file& f : shipped_workloads()) {
    INFO(f.name);
    const workload w = load_workload(std::string(f.name));
    std::vector<bool> used(w.classes.size(), false);
    for (const flow_spec& flow : w.flows)
      for (const stage_spec& s : flow.stages) used[s.task_class] = true;
    for (const bool u : used) CHECK(u);
    driver d(w, demo(), 1);
    CHECK(d.next_ns() != driver::k_never);
  }
}

TEST_CASE("open arrivals come at the rate they were asked for") {
  for (const char* arrivals : {"kind = \"poisson\", per_s = 500", "kind = \"periodic\", period_ms = 2",
                               "kind = \"mmpp\", per_s = 500, burst_ratio = 8, burst_share = 0.1, burst_ms = 5",
                               "kind = \"on_off\", per_s = 500, burst_share = 0.3, burst_ms = 5"}) {
    INFO(arrivals);
    CHECK(submitted(with_arrivals(arrivals), 200) == doctest::Approx(100'000).epsilon(0.03));
  }
  // A load of 0.5 of the demo's 1.8 CPUs with tasks of 100 us.
  CHECK(submitted(with_arrivals("kind = \"poisson\", load = 0.5"), 20) == doctest::Approx(20 * 9000).epsilon(0.02));
}

TEST_CASE("mmpp and on-off arrivals come in bursts") {
  for (const char* arrivals : {"kind = \"mmpp\", per_s = 1000, burst_ratio = 20, burst_share = 0.1, burst_ms = 20",
                               "kind = \"on_off\", per_s = 1000, burst_share = 0.2, burst_ms = 20"}) {
    const workload w = with_arrivals(arrivals);
    driver d(w, demo(), 1);
    recorder r;
    double squares = 0, sum = 0;
    constexpr int windows = 5000;
    for (int i = 1; i <= windows; ++i) {
      r.tasks.clear();
      while (d.next_ns() <= i * 10'000'000ull) d.fire(d.next_ns(), r);
      const auto n = static_cast<double>(r.tasks.size());
      sum += n;
      squares += n * n;
    }
    const double mean = sum / windows;
    CHECK((squares / windows - mean * mean) / mean > 3);  // 1 for Poisson
  }
}

TEST_CASE("a closed flow keeps its number in flight, an instance goes through its stages") {
  const workload w = parse_workload("w", R"(
[[class]]
name = "a"
work = {mean_us = 100}
[[class]]
name = "b"
work = {mean_us = 100}
[[flow]]
arrivals = {kind = "closed", in_flight = 2}
[[flow.stage]]
class = "a"
tasks = 3
[[flow.stage]]
class = "b"
)");
  driver d(w, demo(), 1);
  recorder r;
  d.fire(0, r);
  REQUIRE(r.tasks.size() == 6);
  CHECK(d.pending(0) == 6);
  const std::vector<sim_task> first = r.tasks;
  r.tasks.clear();
  d.ended(first[0], 10, r);
  d.ended(first[1], 20, r);
  CHECK(r.tasks.empty());
  d.ended(first[2], 30, r);
  REQUIRE(r.tasks.size() == 1);
  CHECK(r.tasks[0].task_class == 1);
  const sim_task b = r.tasks[0];
  r.tasks.clear();
  d.ended(b, 40, r);
  CHECK(r.tasks.size() == 3);  // the next instance, at once
  CHECK(d.pending(0) == 6);
}

TEST_CASE("a serial flow waits for the instance before, and drops when too many wait") {
  workload w = with_arrivals("kind = \"periodic\", period_ms = 1");
  w.flows[0].serial = true;
  w.flows[0].most_waiting = 2;
  driver d(w, demo(), 1);
  recorder r;
  for (int i = 0; i < 5; ++i) d.fire(d.next_ns(), r);
  CHECK(r.tasks.size() == 1);
  CHECK(r.drops == 2);
  d.ended(r.tasks[0], 9'000'000, r);
  REQUIRE(r.tasks.size() == 2);
  CHECK(r.tasks[1].due_ns == 2'000'000);
}

TEST_CASE("arrivals and work are the same whatever becomes of the tasks") {
  const workload w = load_workload("server");
  const auto first_tasks = [&](bool end_at_once) {
    driver d(w, demo(), 5);
    recorder r;
    std::vector<std::uint64_t> out;
    while (out.size() < 500) {
      const std::uint64_t now = d.next_ns();
      d.fire(now, r);
      for (const sim_task& t : r.tasks) {
        out.push_back(t.work_ns);
        out.push_back(t.due_ns);
        if (end_at_once) d.ended(t, now, r);
      }
      r.tasks.clear();
    }
    return out;
  };
  CHECK(first_tasks(true) == first_tasks(false));
}

TEST_CASE("rt-app: periodic and sleeping threads become flows") {
  const workload w = parse_rt_app("t.json", R"({
    "global": {"duration": 2},
    "tasks": {
      "audio": {"instance": 2, "run": 1500, "timer": {"ref": "a", "period": 20000}, "priority": -10},
      "batch": {"loop": 50, "phases": {"one": {"loop": 3, "run": 1000, "sleep": 500}, "two": {"run": 4000}}}
    }})");
  REQUIRE(w.flows.size() == 3);
  CHECK(w.flows[0].arrivals.how == arrival_spec::kind::periodic);
  CHECK(w.flows[0].arrivals.mean_gap_ns == 20e6);
  CHECK(w.flows[0].serial);
  CHECK(w.classes[w.flows[0].stages[0].task_class].priority == 2);
  CHECK(w.flows[2].stages.size() == 4);
  CHECK(w.flows[2].loops == 50);
  CHECK(w.flows[2].stages[1].pause.mean_ns() == 500e3);
  CHECK(w.classes[w.flows[2].stages[3].task_class].work.mean_ns() == 4e6);
  // 2 threads x 50 per s, and 50 loops of 4 runs
  CHECK(submitted(w, 2) == doctest::Approx(2 * 100 + 200).epsilon(0.02));
}

TEST_CASE("rt-app: what has no counterpart is refused by name") {
  CHECK(error_of(R"({"tasks": {"t": {"run": 10, "lock": "m"}}})", parse_rt_app).find("event 'lock' is not modelled") != std::string::npos);
  CHECK(error_of(R"({"tasks": {"t": {"sleep": 10}}})", parse_rt_app).find("no run event") != std::string::npos);
  CHECK(error_of("{", parse_rt_app).find("w: ") == 0);
  CHECK(error_of("{}", parse_rt_app).find("no object 'tasks'") != std::string::npos);
}

TEST_CASE("invocation traces: a task comes at its start and works for its duration") {
  const workload w = invocations("t.csv", "app,func,end_timestamp,duration\na,f,10.5,0.5\na,g,10.2,0.1\nb,f,11,0.25\n");
  REQUIRE(w.classes.size() == 2);
  CHECK(w.classes[0].name == "f");
  const auto& t = w.flows[0].tasks;
  REQUIRE(t.size() == 3);
  CHECK(t[0].at_ns == 0);
  CHECK(t[0].work_ns == 500'000'000);
  CHECK(t[1].at_ns == doctest::Approx(1e8));
  CHECK(t[1].task_class == 1);
  CHECK(t[2].at_ns == doctest::Approx(0.75e9));
  CHECK(submitted(w, 2) == 3);
  CHECK(error_of("a,f,10\n", invocations).find("line 1: 3 fields") != std::string::npos);
  CHECK(error_of("a,f,x,1\n", invocations).find("end_timestamp 'x' is no number") != std::string::npos);
  CHECK(error_of("a,f,1,-1\n", invocations).find("negative") != std::string::npos);
}

TEST_CASE("a work load that cannot be read is refused with the key and what was expected") {
  CHECK(error_of("[[class]]\nname = \"c\"\n", parse_workload).find("work: expected a distribution") != std::string::npos);
  CHECK(error_of("[[class]]\nname = \"c\"\nwork = {mean_us = 1}\n[[flow]]\narrivals = {kind = \"often\"}\n", parse_workload)
            .find("kind: expected periodic") != std::string::npos);
  CHECK(error_of("[[class]]\nname = \"c\"\nwork = {mean_us = 1}\n[[flow]]\narrivals = {per_s = 1}\n[[flow.stage]]\nclass = \"d\"\n", parse_workload)
            .find("not 'd'") != std::string::npos);
  CHECK_THROWS_AS(load_workload("no-such-load"), description_error);
}
