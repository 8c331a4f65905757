// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/record.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "agent/cli/control.h"
#include "agent/load/errors.h"

namespace tactus::cli {
namespace {

constexpr auto k_look = std::chrono::milliseconds(50);

}  // namespace

record_result record(const std::filesystem::path& control, std::chrono::milliseconds length, std::uint64_t most_bytes, std::FILE* out) {
  const auto ask = [&](const char* what) { return ask_agent(control, {{"cmd", "record"}, {"do", what}}); };
  record_result result;
  const auto write = [&](const nlohmann::json& answer) {
    const std::string lines = answer.value("lines", std::string());
    result.bytes += lines.size();
    if (std::fwrite(lines.data(), 1, lines.size(), out) != lines.size())
      throw load::load_error(load::exit_code::usage, fmt::format("the recording cannot be written ({})", std::strerror(errno)),
                             "next: choose another file with -o");
    return !lines.empty();
  };
  ask("start");
  const auto end = std::chrono::steady_clock::now() + length;
  try {
    while (std::chrono::steady_clock::now() < end && !result.ended_early) {
      std::this_thread::sleep_for(k_look);
      nlohmann::json answer = ask("take");
      while (write(answer) && result.bytes < most_bytes && std::chrono::steady_clock::now() < end) answer = ask("take");
      result.ended_early = result.bytes >= most_bytes || !answer.value("running", false);
    }
  } catch (...) {
    ask("stop");
    throw;
  }
  // What waits still, so that the last line is whole.
  for (nlohmann::json answer = ask("stop"); write(answer);) answer = ask("take");
  std::fflush(out);
  return result;
}

}  // namespace tactus::cli
