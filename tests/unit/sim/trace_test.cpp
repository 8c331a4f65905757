// SPDX-License-Identifier: Apache-2.0
// A trace replays: same calls, same choices; and a trace that was tampered with does not.
#include <sstream>

#include "sim/trace/replayer.h"
#include "sim/trace/trace_writer.h"
#include "tests/unit/sim/support.h"

using namespace tactus::sim;
using namespace tactus::sim::test;

namespace {

std::string trace_of(machine m, const std::string& load, const std::string& policy_name, double seconds) {
  const workload w = load_workload(load);
  simulation_options o;
  o.silent_from_ns = static_cast<std::uint64_t>(seconds * 0.3e9);
  o.silent_to_ns = static_cast<std::uint64_t>(seconds * 0.9e9);
  simulation s(m, w, o);
  const auto p = make_policy(policy_name, {});
  p->attach(s);
  std::string text;
  trace_writer writer(s, [&](const std::string& line) { text += line; }, "test");
  s.trace(&writer);
  s.run_until(static_cast<std::uint64_t>(seconds * 1e9));
  return text;
}

replay_result replayed(const std::string& text) {
  std::istringstream in(text);
  return replay(in, "test");
}

}  // namespace

TEST_CASE("traces replay with the same calls and choices") {
  std::vector<std::string> policies{"fallback", "random"};
#ifdef TACTUS_SIM_LEARNER
  policies.emplace_back("learned");
#endif
  for (const char* m : {"demo", "laptop", "server-2x32", "cloud-4"})
    for (const std::string& p : policies) {
      INFO(m << " " << p);
      const replay_result r = replayed(trace_of(load_machine(m), m == std::string("server-2x32") ? "etl" : "tenants", p, k_slow_build ? 0.05 : 0.2));
      INFO(r.difference);
      CHECK(r.difference.empty());
      CHECK(r.ops > 50);
      CHECK(r.choices > 10);
    }
}

TEST_CASE("a trace with hotplug and a silent agent replays too") {
  machine m = load_machine("demo");
  m.events.push_back({machine_event::what::offline, 500'000'000, {0}, 1});
  m.events.push_back({machine_event::what::online, 900'000'000, {0}, 1});
  const replay_result r = replayed(trace_of(m, "frame", "random", 2));
  INFO(r.difference);
  CHECK(r.difference.empty());
  CHECK(r.ops > 500);
}

TEST_CASE("another choice, another random number or a call too many is found") {
  const std::string text = trace_of(load_machine("demo"), "server", "random", 0.2);
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string t = text;
    const std::size_t at = t.find(from, t.size() / 2);
    REQUIRE(at != std::string::npos);
    t.replace(at, from.size(), to);
    return replayed(t);
  };
  CHECK(!changed("\"res\":65537", "\"res\":65538").difference.empty());
  CHECK(!changed("\"rnd\":[", "\"rnd\":[7,").difference.empty());
  CHECK(replayed(text).difference.empty());
}

TEST_CASE("what is no trace is refused") {
  CHECK_THROWS_AS(replayed(""), description_error);
  CHECK_THROWS_AS(replayed("{\"op\":\"tick\"}\n"), description_error);
  CHECK_THROWS_AS(replayed("hello\n"), description_error);
  CHECK_THROWS_AS(replayed("{\"tactus_trace\":1}\n"), description_error);
  CHECK_THROWS_AS(replayed("{\"rows\":1}\n"), description_error);
}
