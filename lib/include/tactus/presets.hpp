// SPDX-License-Identifier: Apache-2.0
//
// Named sets of pool options for usual needs.
//
//     tactus::pool pool{tactus::preset::latency};
//     tactus::pool_options o = tactus::options_for(tactus::preset::latency);  // to change one
//
//                workers                spares  looks around  outside threads  agent
//                                               before sleep  help in wait()
//  basic         budget, nearest        4       default       yes              yes
//  performance   budget, rounded up     4       50 us         yes              yes
//  latency       budget, rounded down   4       200 us        no               yes
//  throughput    budget, rounded up     0       default       yes              yes
//  embedded      budget, at most 2      0       none          yes              no
//  testing       2                      0       default       no               no
//
// All but testing watch memory pressure. "budget": sizing.hpp. "spares": at most, and never more than workers.
// Looking around costs CPU time after each burst of tasks and saves the wake-up
// of the next. A thread that does not help in wait() cannot be held up there by
// a long task of somebody else.
#ifndef TACTUS_PRESETS_HPP
#define TACTUS_PRESETS_HPP

#include "export.h"
#include "options.hpp"

#include <optional>
#include <string_view>

namespace tactus {

enum class preset { basic, performance, latency, throughput, embedded, testing };

TACTUS_API pool_options options_for(preset which);

// By the name above; nothing for another name. For configuration files.
TACTUS_API std::optional<preset> preset_of_name(std::string_view name) noexcept;
TACTUS_API std::string_view name_of(preset which) noexcept;

}  // namespace tactus

#endif
