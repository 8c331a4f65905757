// SPDX-License-Identifier: Apache-2.0
//
// The CPU budget as seen from any root, so that tests can give a fixture tree.
#ifndef TACTUS_SRC_SIZING_H
#define TACTUS_SRC_SIZING_H

#include <tactus/sizing.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace tactus::detail {

// root: "" for the machine, else a folder that stands for "/".
// affinity: the CPUs of the affinity mask, ascending.
cpu_budget read_cpu_budget_at(const std::string& root, const std::vector<unsigned>& affinity);

// "0-3,8" as a list of CPUs; what is not understood ends the list.
std::vector<unsigned> parse_cpu_list(std::string_view text);

// The CPUs the calling thread may run on; never empty.
std::vector<unsigned> affinity_cpus();

}  // namespace tactus::detail

#endif
