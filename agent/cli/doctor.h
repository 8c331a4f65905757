// SPDX-License-Identifier: Apache-2.0
// `tactus doctor`: each precondition with fact, consequence and the command to type.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "agent/load/checks.h"

namespace tactus::cli {

// Exit codes of doctor: its own, since a program wants the sum, not the first failure.
inline constexpr int k_doctor_good = 0, k_doctor_warnings = 1, k_doctor_cannot_run = 2;

int doctor_code(const std::vector<load::check>& checks);
std::string doctor_text(const std::vector<load::check>& checks);
nlohmann::json doctor_json(const std::vector<load::check>& checks);

// All checks of this machine, and whether pinned maps fit this program.
std::vector<load::check> examine(const load::host& where);

}  // namespace tactus::cli
