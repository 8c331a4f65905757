// SPDX-License-Identifier: Apache-2.0
// Random systems of sim/solve to pre-train on: one queue before two to five servers of random speeds
// and load, immediate dispatch to two queues, two classes with affinity. All are drawn from continuous
// ranges, so that none of the cells in docs/learning.md is among them.
#pragma once

#include <cstdint>

#include "queueing/system.h"

namespace tactus::sim {

system_spec make_random_system(std::uint64_t number);

}  // namespace tactus::sim
