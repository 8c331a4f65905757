// SPDX-License-Identifier: Apache-2.0
// What machine a figure was measured on, as the JSON object "machine" of every result.
//
// Relies on: /proc and /sys; a source that is missing leaves its field out or empty.
// Does not: measure anything, need any privilege.
#pragma once

#include <nlohmann/json.hpp>

namespace tactus::examples {

// Facts that a reader needs to judge a figure: CPU model and count, whether the CPU is emulated,
// memory, kernel, the sched_ext scheduler in force, compiler, load average when asked.
// Thread-safe; reads a handful of small files. Never throws on a missing file.
nlohmann::ordered_json describe_machine();

// CPUs this process may run on (affinity mask), at least 1. Thread-safe.
unsigned allowed_cpus();

}  // namespace tactus::examples
