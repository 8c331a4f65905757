// SPDX-License-Identifier: Apache-2.0
// Same machine, load, policy and seed: the same calls of the scheduler's ops, bit for bit.
#include "tests/unit/sim/support.h"

#include <algorithm>

using namespace tactus::sim;
using namespace tactus::sim::test;

namespace {

struct hashing_sink : op_sink {
  void begin(const scheduler&, op_record::kind, const kernel_thread*) override {}
  void drew(std::uint32_t random) override { mix(random); }
  void end(const scheduler&, const op_record& r) override {
    mix(static_cast<std::uint64_t>(r.op));
    mix(r.time_ns);
    mix(static_cast<std::uint64_t>(r.cpu));
    mix(r.tid);
    mix(r.argument);
    mix(static_cast<std::uint64_t>(r.result));
    ++ops;
  }
  void mix(std::uint64_t x) { hash = (hash ^ x) * 0x100000001b3ull; }
  std::uint64_t hash = 0xcbf29ce484222325ull, ops = 0;
};

hashing_sink trace_of(const std::string& m, const std::string& w, const std::string& policy_name, std::uint64_t seed,
                      std::uint64_t step_ns, double seconds) {
  const machine on = load_machine(m);
  const workload load = load_workload(w);
  simulation_options o;
  o.seed = seed;
  simulation s(on, load, o);
  policy_settings settings;
  settings.seed = seed;
  const auto p = make_policy(policy_name, settings);
  p->attach(s);
  hashing_sink sink;
  s.trace(&sink);
  const auto end = static_cast<std::uint64_t>(seconds * 1e9);
  for (std::uint64_t t = 0; t < end;) s.run_until(t = std::min(end, t + step_ns));
  return sink;
}

}  // namespace

TEST_CASE("the same seed gives the same trace bit for bit, another seed another one") {
  std::vector<std::string> policies{"fallback", "random", "power-of-two", "threshold:3"};
#ifdef TACTUS_SIM_LEARNER
  policies.emplace_back("learned");
#endif
  for (const char* m : {"demo", "laptop", "cloud-4"})
    for (const std::string& p : policies) {
      INFO(m << " " << p);
      const double seconds = k_slow_build ? 0.3 : 1;
      const hashing_sink a = trace_of(m, "tenants", p, 1, 1'000'000'000, seconds);
      const hashing_sink b = trace_of(m, "tenants", p, 1, 7'000'000, seconds);  // however often it is asked
      const hashing_sink c = trace_of(m, "tenants", p, 2, 1'000'000'000, seconds);
      CHECK(a.ops > 100);
      CHECK(a.ops == b.ops);
      CHECK(a.hash == b.hash);
      CHECK(a.hash != c.hash);
    }
}

TEST_CASE("on 1024 CPUs too") {
  const double seconds = k_slow_build ? 0.01 : 0.05;
  CHECK(trace_of("big-1024", "server", "fallback", 3, 1'000'000, seconds).hash ==
        trace_of("big-1024", "server", "fallback", 3, 50'000'000, seconds).hash);
}
