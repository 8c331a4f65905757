// SPDX-License-Identifier: Apache-2.0
// Turns a measured window of the frame example into JSON for programs and a table for people.
//
// The JSON's field names are used by the demo's comparison of arms: add, do not rename.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "game.h"
#include "meter.h"

namespace tactus::frame {

// Everything about one window: options, per class figures, cost. `pool_name` and `workers` say what ran.
nlohmann::ordered_json to_json(const game& load, const window_summary& window, const char* pool_name,
                               unsigned workers);
// The same figures, one line per class.
std::string to_table(const game& load, const window_summary& window);

}  // namespace tactus::frame
