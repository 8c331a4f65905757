// SPDX-License-Identifier: Apache-2.0
// Repeats a trace. One of the simulator (kind "ops"): every op is called in the recorded order, with the
// recorded time, idle CPUs, tags and random numbers, and must make the recorded choice; the first
// difference ends it, since after it the states are no longer the same. One of a real scheduler (kind
// "events", from `tactus record`): see event_check.h.
#pragma once

#include <cstdint>
#include <istream>
#include <string>

#include "sim/trace/event_check.h"

namespace tactus::sim {

struct replay_result {
  std::uint64_t ops = 0;      // that agreed
  std::uint64_t choices = 0;  // .. of which had something to choose: select_cpu, enqueue, dispatch
  bool of_events = false;     // kind "events": ..
  event_counts events;        // .. and what agreed in it; ops and choices stay 0
  std::string difference;     // empty: none
};

// Throws description_error when the text is no trace.
replay_result replay(std::istream& trace, const std::string& name);

}  // namespace tactus::sim
