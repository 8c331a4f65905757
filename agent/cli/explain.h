// SPDX-License-Identifier: Apache-2.0
//
// `tactus explain`: the decision map in words and numbers.
//
// A class has 128 rows, one per situation. One sentence needs a mean over them,
// and how often each situation occurs is not in the map, so the mean is over
// the situations that this machine and class can be in, each set of idle tiers
// counting alike, n waiting workers counting 1/(1+n): short queues are common.
// --full shows every row, so nothing is hidden by the mean.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "agent/cli/snapshot.h"

namespace tactus::cli {

inline constexpr unsigned k_waiting_steps = 8;
// Least number of waiting workers of each step of the situation.
inline constexpr unsigned k_step_from[k_waiting_steps] = {0, 1, 2, 3, 5, 8, 13, 21};

struct tier_share {
  unsigned tier = 0;
  std::string cpus;
  double share = 0;  // of placements, hold left out
};

struct class_explanation {
  unsigned slot = 0;
  std::string name;
  unsigned valid_rows = 0;  // of those that can occur
  unsigned possible_rows = 0;
  double confidence = 0;
  double mean_slice_us = 0;  // 0: the default slice everywhere
  std::vector<tier_share> tiers;    // tiers that exist, best first
  std::vector<double> place_share;  // by place
  // P(hold) by waiting step, over situations where a worse tier is idle and the best is not.
  // Empty when the class has one tier only.
  std::vector<double> hold;
  // "holds while fewer than this wait"; 0: does not hold; nothing: however many wait.
  std::optional<unsigned> holds_below;
  std::string sentence;  // "93 % CPU 0-1, 7 % CPU 2-3; holds while fewer than 3 wait"
};

// rows: 128, by situation; places: those that exist. Pure.
class_explanation explain_class(unsigned slot, const tactus_class_conf& conf, const std::vector<tactus_row>& rows,
                                const std::vector<tactus_place>& places);

// One line per situation that can occur.
std::string full_table(const tactus_class_conf& conf, const std::vector<tactus_row>& rows,
                       const std::vector<tactus_place>& places);

nlohmann::json to_json(const class_explanation& e, const std::vector<tactus_place>& places);
nlohmann::json situations_json(const tactus_class_conf& conf, const std::vector<tactus_row>& rows,
                               const std::vector<tactus_place>& places);

// Name of a class as the map has it, "slot 5" when it has none, "unknown" for slot 0.
std::string class_name(unsigned slot, const tactus_class_conf& conf);

}  // namespace tactus::cli
