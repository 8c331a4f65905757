// SPDX-License-Identifier: Apache-2.0
// The scheduler and its agent as one arm of a comparison: loaded, unloaded and loaded again in one boot.
// The agent is started once and stays.
//
// Relies on: root, tactus and tactusd on PATH. What they say goes to k_log.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "child_process.h"

namespace tactus::bench {

inline constexpr double k_patience_s = 120;  // an emulated machine on a busy host is slow
inline constexpr const char* k_log = "/tmp/tactus-bench-kernel.log";

// Throws `unavailable` without root or sched_ext, or where a scheduler is loaded; `script` is what to run instead.
void require_sched_ext(const char* script);
// "disabled", "enabled", ...; empty where the kernel has no sched_ext.
std::string sched_ext_state();
// Throws std::runtime_error after timeout_s.
void wait_until(const char* what, double timeout_s, const std::function<bool()>& condition);
// Runs `tactus WORDS`; throws std::runtime_error when it fails and must not.
void tactus_command(std::vector<std::string> words, bool must = true);
// The last lines of k_log on standard error: a VM takes its files away with it.
void show_log();

class scheduler_arm {
 public:
  // agent: the command that runs it; empty: tactusd.
  explicit scheduler_arm(std::string agent);
  ~scheduler_arm();  // unloads, ends the agent
  scheduler_arm(const scheduler_arm&) = delete;
  scheduler_arm& operator=(const scheduler_arm&) = delete;

  // Returns when the agent answers. Both throw std::runtime_error.
  void load();
  void unload();

 private:
  std::string command_;
  std::unique_ptr<child_process> agent_;
};

}  // namespace tactus::bench
