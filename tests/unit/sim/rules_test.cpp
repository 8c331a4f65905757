// SPDX-License-Identifier: Apache-2.0
// Policies by name, and what the fixed rules cost where that is known.
#include <cstdio>
#include <fstream>

#include "tests/unit/sim/support.h"

using namespace tactus::sim;
using namespace tactus::sim::test;

namespace {

const std::string k_job = "kind = \"exponential\", mean_us = 100";

double cost(const machine& m, double load, const std::string& name) {
  const double seconds = (k_slow_build ? 0.5 : 10.0) / static_cast<double>(m.cpus.size());
  return cost_over_seeds(m, queue_of(k_job, load), name, seconds, 4).mean;
}

}  // namespace

TEST_CASE("an unknown policy and a bad threshold are refused") {
  CHECK_THROWS_AS(make_policy("best", {}), description_error);
  CHECK_THROWS_AS(make_policy("threshold:x", {}), description_error);
  CHECK_THROWS_AS(make_policy("rows:/no/such/file", {}), description_error);
  for (const policy_name& p : policy_names()) CHECK(p.what[0] != 0);
}

TEST_CASE("immediate dispatch to two servers costs what the exact chains say") {
  // LEARNING.md 8.5: optimum 1.42632 at equal speeds, which join the shortest queue reaches; speeds 1
  // and 0.25 at load 0.5: JSQ 18.4 % over 1.30890.
  const double tolerance = k_slow_build ? 0.08 : 0.02;
  CHECK(cost(equal_cpus(2), 0.5, "join-shortest-queue") == doctest::Approx(1.42632).epsilon(tolerance));
  CHECK(cost(equal_cpus(2), 0.5, "power-of-two") == doctest::Approx(1.42632 * 1.15).epsilon(0.12));
  CHECK(cost(equal_cpus(2), 0.5, "join-idle-queue") == doctest::Approx(1.42632 * 1.052).epsilon(tolerance));
  CHECK(cost(unequal_cpus(1, 1, 0.25), 0.5, "shortest-expected-delay") == doctest::Approx(1.30890 * 1.045).epsilon(0.05));
}

TEST_CASE("affinity: each of three rules costs what the exact chain says") {
  // LEARNING.md 8.6 at off 0.5, load 0.5: optimum 1.87496; class-own first +13.9 %, strict +6.7 %, cross at two +1.2 %.
  const machine m = parse_machine("two", "[[cpus]]\ntype = \"a\"\n[[cpus]]\njoined = true\ntype = \"b\"\n");
  std::string text = "[[pool]]\nname = \"pool\"\nworkers = 600\nspares = 0\nsteals = false\n";
  for (const char* c : {"a", "b"})
    text += fmt::format("[[class]]\nname = \"{0}\"\nwork = {{{1}}}\n[class.speed]\n{2} = 0.5\n[[flow]]\n"
                        "arrivals = {{kind = \"poisson\", per_s = 5000}}\n[[flow.stage]]\nclass = \"{0}\"\n",
                        c, k_job, c[0] == 'a' ? "b" : "a");
  const workload w = parse_workload("affinity", text);
  const auto cost_of = [&](const char* name) { return cost_over_seeds(m, w, name, k_slow_build ? 0.3 : 8, 4).mean; };
  const double tolerance = k_slow_build ? 0.15 : 0.03;
  CHECK(cost_of("affinity-strict") == doctest::Approx(1.87496 * 1.067).epsilon(tolerance));
  CHECK(cost_of("affinity") == doctest::Approx(1.87496 * 1.139).epsilon(tolerance));
  CHECK(cost_of("affinity-two") == doctest::Approx(1.87496 * 1.012).epsilon(tolerance));
}

TEST_CASE("the bandit learns the selfish rule: better than the shortest queue, no better than the optimum") {
  if (k_slow_build) return;
  // LEARNING.md 8.5, speeds 1 and 0.25, load 0.5: optimum 1.30890, shortest expected delay up to +9.4 %, JSQ +18.4 %.
  const double c = cost(unequal_cpus(1, 1, 0.25), 0.5, "bandit");
  MESSAGE("bandit " << c);
  CHECK(c > 1.30890 * 0.98);
  CHECK(c < 1.30890 * 1.14);
}

TEST_CASE("the search for a threshold finds what the exact solution says") {
  if (k_slow_build) return;
  // LEARNING.md 8.3, load 0.5: 2 at speeds 1 and 0.25; 5 at 1 and 0.1, near which the cost is flat.
  CHECK(best_threshold(unequal_cpus(1, 1, 0.25), queue_of(k_job, 0.5), 1) == 2);
  const unsigned m = best_threshold(unequal_cpus(1, 1, 0.1), queue_of(k_job, 0.5), 1);
  CHECK(m >= 4);
  CHECK(m <= 8);
  CHECK(cost(unequal_cpus(1, 1, 0.25), 0.5, "threshold:best") == doctest::Approx(1.29168).epsilon(0.02));
}

TEST_CASE("rows of a table decide, and rows that do not fit the machine are refused") {
  const std::string file = "sim_rules_test_rows.json";
  const auto write = [&](const char* text) { std::ofstream(file) << text; };
  // Never the slow CPU, and nobody is taken there: M/M/1 at load 0.625 (8.3, "fast only").
  const machine m = unequal_cpus(1, 1, 0.25);
  write(R"({"rows": [{"places": [1, 0]}]})");
  CHECK(cost(m, 0.5, "rows:" + file) == doctest::Approx(1.66667).epsilon(k_slow_build ? 0.2 : 0.05));
  // Threshold 2: the slow CPU only while another waits. Waiting counts the others.
  write(R"({"rows": [{"places": [1, 0], "hold": 0}, {"idle_tiers": 4, "waiting_step": 0, "places": [0, 0], "hold": 1},
                     {"idle_tiers": 4, "waiting_step": [1, 2, 3, 4, 5, 6, 7], "places": [0, 1]},
                     {"idle_tiers": 0, "places": [0, 0], "hold": 1}]})");
  CHECK(cost(m, 0.5, "rows:" + file) == doctest::Approx(1.29168).epsilon(k_slow_build ? 0.1 : 0.02));
  write(R"({"rows": [{"places": [1]}]})");
  CHECK_THROWS_AS(cost(m, 0.25, "rows:" + file), description_error);
  write(R"({"rows": [{"class": "nobody", "places": [1, 1]}]})");
  CHECK_THROWS_AS(cost(m, 0.25, "rows:" + file), description_error);
  write(R"({"rows": [{"places": [0, 0]}]})");
  CHECK_THROWS_AS(cost(m, 0.25, "rows:" + file), description_error);
  write("[");
  CHECK_THROWS_AS(cost(m, 0.25, "rows:" + file), description_error);
  std::remove(file.c_str());
}

#ifdef TACTUS_SIM_LEARNER
TEST_CASE("the learner, online in the simulator, beats the fallback where holding pays") {
  if (k_slow_build) return;
  const machine m = unequal_cpus(1, 1, 0.25);
  const workload w = queue_of(k_job, 0.5);
  double learned = 0, greedy = 0;
  for (std::uint64_t seed = 1; seed <= 2; ++seed) {
    policy_settings settings;
    settings.seed = seed;
    settings.publish_ns = 5'000'000;
    settings.publish_lag_ns = 500'000;
    simulation_options o;
    o.seed = seed;
    simulation s(m, w, o);
    const auto p = make_policy("learned", settings);
    p->attach(s);
    s.start_window();
    std::uint64_t t = 0;
    while (s.window().all_decisions() < 150'000) s.run_until(t += 10'000'000);
    p->set_learning(false);
    s.run_until(t += 100'000'000);
    s.start_window();
    s.run_until(t += 10'000'000'000);
    learned += s.window().cost / 2;
    CHECK(s.sched().stats.ring_lost == 0);
  }
  greedy = cost(m, 0.5, "fastest-first");
  MESSAGE("learned " << learned << ", greedy " << greedy << ", optimum 1.29168");
  CHECK(learned < greedy);
}
#endif
