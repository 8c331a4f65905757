// SPDX-License-Identifier: Apache-2.0
//
// Lines for the journal: one line per message on standard error, with the priority mark that
// systemd understands when standard error is the journal. Thread-safe.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace tactus::agent {

enum class log_level { error = 3, warning = 4, notice = 5, info = 6 };

void log_line(log_level level, std::string_view text);

template <typename... Args>
void log_error(fmt::format_string<Args...> f, Args&&... args) {
  log_line(log_level::error, fmt::format(f, std::forward<Args>(args)...));
}
template <typename... Args>
void log_warning(fmt::format_string<Args...> f, Args&&... args) {
  log_line(log_level::warning, fmt::format(f, std::forward<Args>(args)...));
}
template <typename... Args>
void log_info(fmt::format_string<Args...> f, Args&&... args) {
  log_line(log_level::info, fmt::format(f, std::forward<Args>(args)...));
}

// At most `burst` messages in any 10 s, for what a client can cause; tells how many were left out.
class limited_log {
 public:
  explicit limited_log(unsigned burst = 20) : burst_(burst) {}
  // One thread at a time.
  void warning(std::string_view text);

 private:
  unsigned burst_;
  unsigned used_ = 0, left_out_ = 0;
  unsigned long long window_s_ = 0;
};

}  // namespace tactus::agent
