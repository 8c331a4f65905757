// SPDX-License-Identifier: Apache-2.0
//
// One request to the agent over its control socket: SOCK_SEQPACKET, one JSON
// object per message, {"cmd": ...} -> {"ok": true|false, "error": ..., ...}.
#pragma once

#include <chrono>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

namespace tactus::cli {

inline constexpr char k_control_socket[] = "/run/tactus/control.sock";

// Sends one request and returns the answer. Throws load_error: no_agent (no socket, nobody
// listens, no answer in time), no_rights, agent_refused (the answer says so, or is no JSON).
nlohmann::json ask_agent(const std::filesystem::path& socket, const nlohmann::json& request,
                         std::chrono::milliseconds patience = std::chrono::seconds(10));

}  // namespace tactus::cli
