// SPDX-License-Identifier: Apache-2.0
//
// tactus record: what the scheduler decides and what ended, as a trace for `tactus-sim replay`. The
// agent copies the events that it reads anyway; they come over its control socket.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>

namespace tactus::cli {

struct record_result {
  std::uint64_t bytes = 0;
  bool ended_early = false;  // the size limit was reached, or the agent let the scheduler go
};

// Records for so long into `out`, at most so many bytes and what waits then. Throws
// load_error: no agent, no rights, a recording under way already, `out` cannot be written.
record_result record(const std::filesystem::path& control, std::chrono::milliseconds length, std::uint64_t most_bytes, std::FILE* out);

}  // namespace tactus::cli
