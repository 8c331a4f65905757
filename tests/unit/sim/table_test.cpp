// SPDX-License-Identifier: Apache-2.0
// The table of docs/results.md: what counts as the best rule and as a loss, and runs that can be repeated.
#include "sim/table/report.h"
#include "tests/unit/sim/support.h"

using namespace tactus::sim;
using namespace tactus::sim::test;

namespace {

// Two seeds; every policy costs 10 and 12 ms but for those given.
table_cell made_up(bool uneven, const std::map<std::string, double>& ratio) {
  table_cell c;
  c.machine = "m";
  c.workload = "w";
  c.hybrid_or_numa = uneven;
  for (const std::string& p : table_policies())
    for (std::uint64_t seed = 1; seed <= 2; ++seed) {
      table_run r{"m", "w", p, seed};
      r.response_ms = (8.0 + 2.0 * static_cast<double>(seed)) * (ratio.contains(p) ? ratio.at(p) : 1.0);
      c.runs[p].push_back(r);
    }
  return c;
}

}  // namespace

TEST_CASE("the best rule is the cheapest that does not learn; learned is compared with it by seed") {
  const cell_summary s = summary_of(made_up(true, {{"affinity", 0.8}, {"model", 0.5}, {"bandit", 0.4}, {"random", 0.3}, {"learned", 0.84}}));
  CHECK(s.best_rule == "affinity");
  CHECK(s.learned_over_best.mean == doctest::Approx(1.05));
  CHECK(s.learned_over_best.hi == doctest::Approx(1.05));
  CHECK(s.over_fallback.at("learned").mean == doctest::Approx(0.84));
  CHECK(s.fallback_ms == doctest::Approx(11));
}

TEST_CASE("losses are counted above two percent, the mean is of hybrid and NUMA cells") {
  const std::vector<table_cell> cells{made_up(true, {{"learned", 0.5}}), made_up(true, {{"learned", 0.72}}), made_up(false, {{"learned", 1.03}}),
                                      made_up(false, {{"learned", 1.01}})};
  const table_summary t = summary_of(cells);
  CHECK(t.cells == 4);
  CHECK(t.losses == 1);
  CHECK(t.learned_over_fallback.mean == doctest::Approx(0.6));
  const std::string text = to_markdown({}, cells);
  CHECK(text.find("**+3.0**") != std::string::npos);
  CHECK(text.find("**+1.0") == std::string::npos);
  CHECK(to_json(table_settings{}, cells)["cells"].size() == 4);
}

TEST_CASE("a run is the same again, and a run of the journal is read as it was written") {
  table_settings settings;
  settings.tasks = 500;
  settings.least_s = 0.05;
  const machine m = unequal_cpus(1, 1, 0.25);
  const workload w = queue_of("kind = \"exponential\", mean_us = 100", 0.5);
  const double seconds = measured_seconds(settings, m, w);
  CHECK(seconds >= settings.least_s);
  const table_run a = run_cell(settings, m, w, "threshold:best", 1, seconds, 2), b = run_cell(settings, m, w, "threshold:best", 1, seconds, 2);
  CHECK(a.response_ms == b.response_ms);
  CHECK(a.response_ms > 0);
  CHECK(run_cell(settings, m, w, "threshold:best", 1, seconds, 20).response_ms != a.response_ms);
  CHECK(to_json(run_from_json(to_json(a))) == to_json(a));
}
