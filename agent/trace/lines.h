// SPDX-License-Identifier: Apache-2.0
//
// Lines of a trace, as docs/simulator.md describes them: written by `tactus record` (decisions and
// completions of a real scheduler) and by `tactus-sim trace` (calls of the simulated one), read by
// `tactus-sim replay`. Each function gives one line of JSON with its end. Pure; thread-safe.
#pragma once

#include <tactus/abi/decision_map.h>
#include <tactus/abi/event.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tactus::trace {

inline constexpr int k_version = 2;
enum class kind { ops, events };

std::string header(kind k, std::string_view about, const tactus_control& control);
std::string topology(std::uint64_t epoch, const std::vector<tactus_cpu>& cpus, const std::vector<tactus_place>& places,
                     const std::vector<std::uint32_t>& domain_cpus);
std::string pool(unsigned index, const tactus_pool_conf& conf);

// What is in force from time_ns on: all rows and classes of one bank. `classes` has TACTUS_MAX_SLOTS
// records, `rows` TACTUS_MAX_SLOTS x TACTUS_NR_SITUATIONS; torn ones and those of unused slots are left out.
std::string rows(std::uint64_t time_ns, unsigned bank, const tactus_control& control, unsigned nr_places,
                 const tactus_class_conf* classes, const tactus_row* rows);

std::string decision(const tactus_decision_event& e);
std::string completion(const tactus_completion_event& e);  // without its records
// So many events did not get into the trace here.
std::string lost(std::uint64_t events);

// Words of a mask of so many CPUs, highest first, 16 hexadecimal digits each.
std::string hex(const __u64* word, unsigned nr_cpus);

}  // namespace tactus::trace
