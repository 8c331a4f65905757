// SPDX-License-Identifier: Apache-2.0
//
// log.h's implementation: one write(2) per line, so that lines of threads do not mix.
#include "agent/serve/log.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>

namespace tactus::agent {

void log_line(log_level level, std::string_view text) {
  static const bool journal = std::getenv("JOURNAL_STREAM") != nullptr;
  std::string line = journal ? fmt::format("<{}>{}", static_cast<int>(level), text) : fmt::format("tactusd: {}", text);
  // A client's bytes may be in the text: one message stays one line.
  std::replace(line.begin(), line.end(), '\n', ' ');
  line += '\n';
  [[maybe_unused]] const auto n = ::write(STDERR_FILENO, line.data(), line.size());
}

void limited_log::warning(std::string_view text) {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const auto window = static_cast<unsigned long long>(now.tv_sec) / 10;
  if (window != window_s_) {
    if (left_out_ != 0) log_line(log_level::warning, fmt::format("{} more messages of this kind were left out", left_out_));
    window_s_ = window;
    used_ = left_out_ = 0;
  }
  if (used_ >= burst_) {
    left_out_++;
    return;
  }
  used_++;
  log_line(log_level::warning, text);
}

}  // namespace tactus::agent
