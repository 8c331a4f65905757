// SPDX-License-Identifier: Apache-2.0
// The runs of sim/table/runs.h as docs/results.md and as JSON. Costs are ratios to the fallback's cost of
// the same cell and seed; intervals are 95 %, over seeds (Student's t).
#pragma once

#include <map>

#include "sim/engine/estimate.h"
#include "sim/table/runs.h"

namespace tactus::sim {

struct table_cell {
  std::string machine, workload;
  bool hybrid_or_numa = false;  // the machine has CPUs of several types, or several nodes
  unsigned cpus = 0, threshold = 0;
  double seconds = 0;  // measured, simulated
  std::map<std::string, std::vector<table_run>> runs;  // by policy; ordered by seed
};

struct cell_summary {
  double fallback_ms = 0;
  std::map<std::string, estimate> over_fallback;  // by policy, cost ratio
  std::string best_rule;                          // of the fixed rules, by the mean over seeds
  estimate learned_over_best;                     // cost ratio, paired by seed
};
// REQUIRES: every policy has one run per seed.
cell_summary summary_of(const table_cell& cell);

struct table_summary {
  unsigned cells = 0, losses = 0;   // losses: learned more than 2 % worse than the cell's best rule
  estimate learned_over_fallback;   // geometric mean of the hybrid and NUMA cells
  std::map<std::string, double> geometric_mean;  // of all cells, cost over the fallback's
};
table_summary summary_of(const std::vector<table_cell>& cells);

std::string to_markdown(const table_settings& settings, const std::vector<table_cell>& cells);
nlohmann::json to_json(const table_settings& settings, const std::vector<table_cell>& cells);

}  // namespace tactus::sim
