// SPDX-License-Identifier: Apache-2.0
//
// The learner against exact optima (docs/learning.md), short: fewer seeds and decisions
// than `make oracle`. Rows are quantised, drawn by policy.h, and evaluated exactly.
#include "queueing/training.h"

#include <algorithm>
#include <doctest/doctest.h>

using namespace tactus::sim;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr bool k_slow_build = true;
#else
constexpr bool k_slow_build = false;
#endif

namespace {

// Median over seeds of a run's end.
measured median_run(const system_spec& spec, training how, int seeds) {
  const oracle_system system(spec);
  std::vector<double> argmax, drawn;
  if (k_slow_build) {  // here only that nothing breaks
    how.decisions = 4000;
    seeds = 1;
  }
  for (int i = 1; i <= seeds; ++i) {
    how.seed = static_cast<std::uint64_t>(i);
    const trained t = train(system, how);
    argmax.push_back(t.curve.back().argmax_over_pct);
    drawn.push_back(t.curve.back().stochastic_over_pct);
    CHECK(t.stats.bad_updates == 0);
    CHECK(t.stats.unknown_versions == 0);
    if (!k_slow_build) CHECK(t.forced_ratio < 1e-3);
  }
  std::sort(argmax.begin(), argmax.end());
  std::sort(drawn.begin(), drawn.end());
  const auto middle = argmax.size() / 2;
  MESSAGE(spec.model << ": % over the optimum, argmax " << argmax[middle] << ", drawn " << drawn[middle]);
  return {how.decisions, argmax[middle], drawn[middle]};
}

}  // namespace

TEST_CASE("O1: the most probable actions are those of the optimum, threshold 2") {
  training how;
  how.decisions = 200'000;
  const auto m = median_run(system_spec{}, how, 3);
  if (k_slow_build) return;
  CHECK(m.argmax_over_pct < 0.01);
  CHECK(m.stochastic_over_pct < 3);
}
