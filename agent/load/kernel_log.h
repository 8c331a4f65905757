// SPDX-License-Identifier: Apache-2.0
//
// Why a load failed: libbpf's messages, the verifier's, and the kernel's log.
#pragma once

#include <string>
#include <vector>

namespace tactus::load {

// Collects libbpf's messages while it lives (libbpf has one printer per process, so at most one of
// these at a time); with `verbose` they also go to standard error.
class libbpf_log {
 public:
  explicit libbpf_log(bool verbose);
  ~libbpf_log();
  libbpf_log(const libbpf_log&) = delete;
  libbpf_log& operator=(const libbpf_log&) = delete;

  const std::string& text() const;
};

// The one line of a libbpf log that tells most: a missing kernel function, the verifier's last
// complaint, else the last warning. Empty for an empty log.
std::string telling_line(const std::string& log);

// The last lines about sched_ext of the kernel's log, oldest first; empty where it may not be read.
std::vector<std::string> kernel_lines(std::size_t most);

}  // namespace tactus::load
