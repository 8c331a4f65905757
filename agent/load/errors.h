// SPDX-License-Identifier: Apache-2.0
//
// The ways in which loading, unloading and asking can fail, each with its own
// exit code of the command `tactus`. The table stands in tactus(1) as well.
#pragma once

#include <stdexcept>
#include <string>

namespace tactus::load {

enum class exit_code : int {
  ok = 0,
  internal = 1,          // a bug, or an error nobody foresaw
  no_sched_ext = 10,     // the kernel has no sched_ext
  other_scheduler = 11,  // another sched_ext scheduler is loaded
  no_btf = 12,           // the kernel publishes no type information
  no_rights = 13,        // capabilities or file permissions are missing
  no_bpffs = 14,         // the pins' folder is not in a bpf file system
  other_abi = 15,        // pinned maps are of another ABI version
  object_rejected = 16,  // the kernel does not take the scheduler object
  broken_btf = 17,       // the kernel's type information is unusable (old pahole)
  attach_failed = 18,    // attached, but the kernel threw it out
  not_loaded = 19,       // there are no maps to read
  no_agent = 20,         // the agent's control socket is missing or silent
  agent_refused = 21,    // the agent answered with an error
  gave_up = 22,          // --stay: the scheduler left too often
  machine_too_big = 23,  // beyond the limits of the ABI
  no_such_class = 24,    // explain: nothing of that name
  usage = 64,            // wrong use of the command line
};

// One line: what is wrong with its operand, and the next step.
class load_error : public std::runtime_error {
 public:
  load_error(exit_code code, const std::string& what, const std::string& next_step)
      : std::runtime_error(what + "; " + next_step), code_(code) {}
  exit_code code() const { return code_; }

 private:
  exit_code code_;
};

}  // namespace tactus::load
