// SPDX-License-Identifier: Apache-2.0
// A benchmark's rows as the JSON that programs read, as raw JSON with every sample, and as a table.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "bench.h"

namespace tactus::bench {

// {"machine":…, "rows":[{"name","unit","tactus":{"median","lo","hi"},"peers":{NAME:{…}}}]}: nothing else.
nlohmann::ordered_json to_json(const result& res);
// The same with targets, notes, settings, time and all samples.
nlohmann::ordered_json to_raw_json(const std::string& name, const settings& set, const result& res);
std::string to_table(const result& res);

}  // namespace tactus::bench
