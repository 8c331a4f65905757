// SPDX-License-Identifier: Apache-2.0
// Files that are compiled into the program: the machines of sim/machines, the loads of sim/workloads.
#pragma once

#include <string_view>
#include <vector>

namespace tactus::sim {

struct shipped_file {
  std::string_view name, text;
};

// In order of name.
const std::vector<shipped_file>& shipped_machines();
const std::vector<shipped_file>& shipped_workloads();

}  // namespace tactus::sim
