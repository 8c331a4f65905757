// SPDX-License-Identifier: Apache-2.0
// A trace of events is made again decision by decision, and every field that is not as policy.h and the
// order of the ops have it is found. Here the reporting scheduler is the simulated one.
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "agent/trace/lines.h"
#include "sim/trace/replayer.h"
#include "tests/unit/sim/support.h"

using namespace tactus;
using namespace tactus::sim;
using namespace tactus::sim::test;
using nlohmann::json;

namespace {

struct lines_sink final : event_sink {
  std::vector<std::string> lines;
  void decision(const tactus_decision_event& e) override { lines.push_back(trace::decision(e)); }
  void completion(const tactus_completion_event& e, std::size_t) override { lines.push_back(trace::completion(e)); }
};

struct recording {
  std::string head;                 // header, topology, pools, rows
  std::vector<std::string> events;  // one line each
  std::string text() const {
    std::string all = head;
    for (const std::string& l : events) all += l;
    return all;
  }
};

// threshold: of confidence; above 65535 every row is mixed with the fallback.
recording record(const machine& m, const std::string& load, const std::string& policy_name, double seconds, unsigned threshold = 16384) {
  const workload w = load_workload(load);
  simulation s(m, w, {});
  const auto p = make_policy(policy_name, {});
  p->attach(s);
  lines_sink sink;
  scheduler& k = s.sched();
  k.sink = &sink;
  k.control.confidence_threshold = threshold;
  s.keep_records();
  recording r;
  const machine_topology& t = s.topology();
  r.head = trace::header(trace::kind::events, "test", k.control) + trace::topology(1, t.cpus, t.places, t.domain_cpus);
  for (unsigned i = 0; i < k.pools.size(); ++i)
    if (k.pools[i].in_use != 0) r.head += trace::pool(i, k.pools[i]);
  r.head += trace::rows(0, 0, k.control, k.nr_places, k.classes.data(), k.rows.data());
  s.run_until(static_cast<std::uint64_t>(seconds * 1e9));
  r.events = std::move(sink.lines);
  return r;
}

replay_result replayed(const std::string& text) {
  std::istringstream in(text);
  return replay(in, "test");
}

constexpr double k_seconds = k_slow_build ? 0.2 : 0.5;

// The rule of a file: first CPU or none, so that workers are held, asked and refused.
struct holding_rows {
  std::string file = "sim_event_check_rows.json";
  holding_rows() { std::ofstream(file) << R"({"rows": [{"places": [3, 2, 1, 1], "hold": 3}]})"; }
  ~holding_rows() { std::remove(file.c_str()); }
  std::string policy() const { return "rows:" + file; }
};

}  // namespace

TEST_CASE("what the scheduler reports is made again, by rows, by a mixture and by the fallback") {
  const holding_rows hold;
  struct {
    const char *machine, *load;
    std::string policy;
    unsigned threshold;
  } const cases[] = {{"demo", "tenants", "random", 16384},   {"demo", "server", hold.policy(), 16384}, {"demo", "server", hold.policy(), 65536},
                     {"laptop", "etl", "random", 65536},     {"server-2x32", "server", "random", 16384}, {"demo", "frame", "fallback", 16384}};
  for (const auto& c : cases) {
    INFO(c.machine << " " << c.load << " " << c.policy << " " << c.threshold);
    const recording r = record(load_machine(c.machine), c.load, c.policy, k_seconds, c.threshold);
    const replay_result out = replayed(r.text());
    CHECK(out.difference == "");
    CHECK(out.of_events);
    CHECK(out.events.decisions > 50);
    CHECK(out.events.decisions + out.events.completions == r.events.size());
    CHECK(out.events.lost == 0);
    CHECK(out.events.without_rows == 0);
    CHECK((out.events.by_row > 0) == (c.policy != "fallback"));
  }
}

TEST_CASE("every field that does not fit is found") {
  const holding_rows hold;
  const recording r = record(load_machine("demo"), "server", hold.policy(), k_seconds);
  // Changes the first event from the middle on that `fits`.
  const auto changed = [&](const auto& fits, const auto& change) {
    recording other = r;
    for (std::size_t i = other.events.size() / 2; i < other.events.size(); ++i) {
      json e = json::parse(other.events[i]);
      if (!fits(e)) continue;
      change(e);
      other.events[i] = e.dump() + "\n";
      return replayed(other.text()).difference;
    }
    return std::string("no such event");
  };
  const auto wake = [](const json& e) { return e["event"] == "decision" && e.value("moment", 0) == 0 && e.value("cpu", 0) != 0xffff; };
  const auto queued = [](const json& e) { return e["event"] == "decision" && e.value("moment", 0) == 0 && e.value("cpu", 0) == 0xffff && e.value("chosen", 0u) == TACTUS_HOLD; };
  const auto taken = [](const json& e) { return e["event"] == "decision" && e.value("moment", 0) == 1 && e.value("source", 0) == 0 && e.value("cpu", 0) != 0xffff; };
  const auto refused = [](const json& e) { return e["event"] == "decision" && e.value("moment", 0) == 1 && e.value("cpu", 0) == 0xffff; };
  const auto stop = [](const json& e) { return e["event"] == "completion" && e.value("stopped", 0) == 1; };
  const auto found = [&](const auto& fits, const auto& change, const char* why) {
    const std::string difference = changed(fits, change);
    INFO(difference);
    CHECK(difference.find(why) != std::string::npos);
  };
  found(wake, [](json& e) { e["num"] = e["num"].get<unsigned>() + 1; }, "policy.h here");
  found(wake, [](json& e) { e["den"] = e["den"].get<unsigned>() - 1; }, "policy.h here");
  found(wake, [](json& e) { e["legal"] = 16; }, "not of this machine");
  found(wake, [](json& e) { e["hold_legal"] = 0; }, "hold is legal");
  found(wake, [](json& e) { e["waiting"] = e.value("waiting", 0) + 30; }, "waiting are step");
  found(wake, [](json& e) { e["cpu"] = (e.value("cpu", 0) + 1) % 4; }, "is not of the place");
  found(wake, [](json& e) { e["source"] = TACTUS_SOURCE_MIXED; }, "the row is trusted here");
  found(wake, [](json& e) { e["source"] = TACTUS_SOURCE_FALLBACK_ILLEGAL; }, "no row chose");
  found(wake, [](json& e) { e["situation"] = e.value("situation", 0) & ~15; }, "the CPU's tier had no idle place");
  found(wake, [](json& e) { e["stint"] = e["stint"].get<std::uint64_t>() - 1; }, "its stint follows");
  found(queued, [](json& e) { e["used"] = 0; }, "it chose to hold and was put");
  found(taken, [](json& e) { e["num"] = e["num"].get<unsigned>() + 1; }, "policy.h here");
  found(taken, [](json& e) { e["moment"] = 0; }, "had not stopped");
  found(taken, [](json& e) { e["cpu"] = 0xffff; }, "its stint follows");
  found(taken, [](json& e) { e["chosen"] = TACTUS_HOLD, e["num"] = 19660; }, "though the row chose to hold");
  found(taken, [](json& e) { e["source"] = TACTUS_SOURCE_FORCED_BOUND; }, "its probability is not 1");
  found(refused, [](json& e) { e["stint"] = e["stint"].get<std::uint64_t>() + 1; }, "its stint follows");
  found(stop, [](json& e) { e["stopped"] = 0; }, "had not stopped");
  found(stop, [](json& e) { e["seq"] = e["seq"].get<std::uint64_t>() + 1; }, "two events have number");
}

TEST_CASE("rows are sought by version among those in force then or later, never before") {
  const holding_rows hold;
  recording r = record(load_machine("demo"), "server", hold.policy(), k_seconds);
  const std::size_t at = r.head.find("{\"rows\"");
  const std::string rows = r.head.substr(at);
  // The same rows as version 2, from the middle of the time on: what names version 1 later is too old.
  json second = json::parse(rows);
  second["t"] = static_cast<std::uint64_t>(k_seconds * 0.5e9);
  for (json& row : second["table"]) row[2] = 2;
  r.head += second.dump() + "\n";
  replay_result out = replayed(r.text());
  CHECK(out.difference == "");
  CHECK(out.events.without_rows > out.events.decisions / 4);
  CHECK(out.events.decisions > out.events.without_rows / 4);
  // Events that were lost are counted, and nothing is concluded across the gap.
  recording gap = record(load_machine("demo"), "server", hold.policy(), k_seconds);
  gap.events.erase(gap.events.begin() + 20, gap.events.begin() + 27);
  out = replayed(gap.text());
  CHECK(out.difference == "");
  CHECK(out.events.lost == 7);
}

TEST_CASE("events without a header are refused") {
  CHECK_THROWS_AS(replayed("{\"event\":\"decision\"}\n"), description_error);
  CHECK_THROWS_AS(replayed("{\"tactus_trace\":1,\"kind\":\"events\"}\n"), description_error);
}
