// SPDX-License-Identifier: Apache-2.0
// `tactus status`: what runs, whose rows are in force, how decisions came to be.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "agent/cli/snapshot.h"

namespace tactus::cli {

// What places workers right now.
enum class in_force {
  kernel_own,          // no scheduler of ours is loaded
  learned,             // rows, where they are valid
  fallback_by_mode,    // the operator's (or agent's) wish
  fallback_by_load,    // loaded with --fallback-only
  fallback_no_agent,   // no heartbeat within the limit
};
in_force what_is_in_force(const snapshot& s);

// Milliseconds since the agent's last beat; negative: it never beat.
double heartbeat_age_ms(const snapshot& s);

// Why the scheduler is not there although it was loaded; empty when it is, or never was.
std::string why_out(const snapshot& s);

std::string status_text(const snapshot& s);
nlohmann::json status_json(const snapshot& s);

}  // namespace tactus::cli
