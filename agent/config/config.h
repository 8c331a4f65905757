// SPDX-License-Identifier: Apache-2.0
//
// What an operator can set of the agent, its defaults, and reading it from a TOML file.
// Every value is checked; a key that is not known, a wrong type or a value out of range is an error
// with file, line and the allowed range: nothing is clamped silently. Command line options go on
// top (tactusd.cpp). A config is a plain value; no thread-safety is needed.
#pragma once

#include "agent/learn/config.h"

#include <tactus/abi/decision_map.h>
#include <tactus/abi/registration.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace tactus::agent {

// What the agent publishes. random: uniform over places, no hold; the negative control of a
// comparison. Only in learned and random do pools get rows.
enum class policy_mode { learned, fallback, random };
const char* mode_name(policy_mode mode);
bool parse_mode(const std::string& text, policy_mode& out);

struct config {
  // [agent]
  std::string socket = TACTUS_SOCKET;
  std::string control = "/run/tactus/control.sock";
  std::string pins = TACTUS_PIN_DIR;
  std::string state = "/var/lib/tactus";
  std::string model;      // what to start from without a checkpoint; empty: as installed
  unsigned learners = 2;  // learner threads
  policy_mode mode = policy_mode::learned;
  bool learning = true;
  unsigned checkpoint_period_s = 60;
  bool champion = false;  // go back to the champion's weights when the present ones are clearly worse

  // [publish]
  unsigned period_ms = 50;        // between flips; never below 10
  unsigned idle_period_ms = 500;  // .. at most while nothing is learned; four times that while learning is off

  // [kernel]: what stands in the control map
  double confidence_threshold = 0.25;  // 0..1; below it the fallback decides
  double explore_share = 0.05;         // .. but for this share of decisions
  unsigned hold_limit_us = 10000;
  unsigned heartbeat_limit_ms = 500;

  // [limits]
  // Of one CPU, mean over 1 s; 0: a tenth of the machine's CPUs, from 20 to 100.
  unsigned cpu_percent = 0;
  double cpu_share() const;
  unsigned memory_mib = 256;
  unsigned pools_per_uid = 32;
  unsigned workers_per_uid = 2048;
  unsigned workers_total = 8192;
  unsigned slots_per_uid = 32;  // of 63 class slots

  // [sense]
  std::string cgroup;  // below /sys/fs/cgroup, whose pressure and memory count; empty: the machine's, or the container's

  // [trust]: uids whose tasks train the shared weights; empty list with trust_all = everybody
  bool trust_all = true;
  std::vector<std::uint32_t> trusted_uids;
  bool trusts(std::uint32_t uid) const;

  // [learning]: by the names of learn/config.h; "reward" names a preset of the reward_ weights
  learn::learner_config learner = [] {
    learn::learner_config l;
    l.held_out = 0.05;  // what champion.h judges by
    return l;
  }();
};

// what() is one line: file:line: what is wrong and what would be right.
class config_file_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Reads `path` over the defaults. Throws config_file_error.
config read_config(const std::string& path);
// The same from text; `name` stands for the path in messages.
config parse_config(const std::string& text, const std::string& name);

}  // namespace tactus::agent
