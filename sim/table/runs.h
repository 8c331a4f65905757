// SPDX-License-Identifier: Apache-2.0
// One run of the table of docs/results.md: a policy on a machine and a work load under one seed.
// All policies of a cell (machine x work load) see the same arrivals and the same work of a seed, and
// are measured over the same simulated time. What learns does so first, on arrivals of another seed,
// and stands still while it is measured.
//
// Thread-safety: run_cell and measured_seconds may be called from several threads at once.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sim/policy/policy.h"

namespace tactus::sim {

struct table_settings {
  unsigned seeds = 5;
  std::uint64_t tasks = 20'000;             // that end in the measured time under the fallback, about
  double least_s = 1, most_s = 30;          // bounds of the measured time, simulated
  std::uint64_t learn_decisions = 100'000;  // of `learned` and `bandit` before it
  std::string model = "models/start.ckpt";
};

// `model` is the shipped model as it is, `learned` the same after learn_decisions online.
const std::vector<std::string>& table_policies();
// Of these: rules that do not learn, among them the one that a cell's other policies are measured by.
bool is_fixed_rule(const std::string& policy);

struct table_run {
  std::string machine, workload, policy;
  std::uint64_t seed = 0;
  double response_ms = 0;  // area under weighted tasks present / weight ended
  double dropped = 0;      // share of tasks
  double missed = 0;       // share of the tasks with a deadline that missed it
  double wall_s = 0;       // that the run took
};
nlohmann::json to_json(const table_run& r);
table_run run_from_json(const nlohmann::json& j);  // throws nlohmann::json::exception

double measured_seconds(const table_settings& settings, const machine& m, const workload& w);
// threshold: of the policy threshold:best.
table_run run_cell(const table_settings& settings, const machine& m, const workload& w, const std::string& policy, std::uint64_t seed,
                   double seconds, unsigned threshold);

}  // namespace tactus::sim
