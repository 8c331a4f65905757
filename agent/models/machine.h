// SPDX-License-Identifier: Apache-2.0
//
// Which machine a checkpoint was learned on: a number that is equal for machines of one build and
// survives reboots, new kernels and CPUs that are taken offline.
#pragma once

#include <cstdint>
#include <filesystem>

namespace tactus::agent {

// Of the CPUs' maker and model, their number, the NUMA nodes and the sizes of caches. Never 0. What
// cannot be read counts as absent. `root`: where proc/ and sys/ are. Thread-safe.
std::uint64_t machine_fingerprint(const std::filesystem::path& root = "/");

}  // namespace tactus::agent
