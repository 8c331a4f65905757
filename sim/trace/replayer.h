// SPDX-License-Identifier: Apache-2.0
// Repeats a trace: every op is called in the recorded order, with the recorded time, idle CPUs, tags
// and random numbers, and must make the recorded choice. The first difference ends it, since after it
// the states are no longer the same.
#pragma once

#include <cstdint>
#include <istream>
#include <string>

namespace tactus::sim {

struct replay_result {
  std::uint64_t ops = 0;      // that agreed
  std::uint64_t choices = 0;  // .. of which had something to choose: select_cpu, enqueue, dispatch
  std::string difference;     // empty: none
};

// Throws description_error when the text is no trace.
replay_result replay(std::istream& trace, const std::string& name);

}  // namespace tactus::sim
