// SPDX-License-Identifier: Apache-2.0
// Figures of one or more runs as a table for people and as JSON. With several seeds every figure is a
// mean with a 95 % interval (Student's t); differences between policies are paired by seed.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sim/engine/estimate.h"
#include "sim/engine/simulation.h"

namespace tactus::sim {

struct arm_result {
  std::string policy;
  std::vector<figures> runs;  // by seed
  std::vector<std::pair<std::string, double>> own;  // of the policy, last seed
};

const char* source_name(unsigned source);

nlohmann::json to_json(const machine& m, const workload& w, const std::vector<arm_result>& arms);
std::string to_table(const machine& m, const workload& w, const std::vector<arm_result>& arms);

}  // namespace tactus::sim
