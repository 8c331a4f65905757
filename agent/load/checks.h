// SPDX-License-Identifier: Apache-2.0
//
// What must hold of a machine before the scheduler can be loaded, and what had
// better hold: for `tactus load` (which stops at the first that fails) and for
// `tactus doctor` (which shows all).
//
// Relies on: text files under a root folder, so that fixtures can stand in.
// Does not: change anything, need any privilege.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <tactus/abi/decision_map.h>

#include "agent/load/errors.h"

namespace tactus::load {

// Where the machine is looked at. All paths but `pins` are taken below `root`.
struct host {
  std::filesystem::path root = "/";
  std::filesystem::path pins = TACTUS_PIN_DIR;
  std::filesystem::path run = "/run/tactus";  // taken as it is
};

enum class verdict { ok, warning, failure };

struct check {
  std::string id;           // stable, for programs
  verdict result = verdict::ok;
  std::string fact;         // what was found
  std::string consequence;  // what follows from it; empty when ok
  std::string command;      // what to type; empty when there is nothing to do
  exit_code code = exit_code::ok;  // of `tactus load` when this fails
};

// Each looks at one precondition. Thread-safety: no shared state.
check check_sched_ext(const host& where);
check check_btf(const host& where);         // there, readable, not truncated
check check_kernel_api(const host& where);  // kfuncs that the scheduler needs; pahole's hidden argument
check check_bpffs(const host& where);
check check_rights(const host& where);
check check_other_scheduler(const host& where);
check check_cpus(const host& where);

// What loading needs, in the order in which a person would fix it.
std::vector<check> required_checks(const host& where);
// What else matters for running well: user, agent, clock, pressure, RT limits.
std::vector<check> advisory_checks(const host& where);

// Throws load_error for the first failure.
void require(const std::vector<check>& checks);

// sched_ext as the kernel shows it; empty strings where there is none.
struct scheduler_state {
  std::string state;  // enabled, disabled, enabling, disabling
  std::string name;   // of the loaded scheduler
  std::string hotplug_seq;
  bool whole_system = false;
  bool ours() const;     // its name is ours
  bool running() const;  // ours and enabled
};
scheduler_state read_scheduler_state(const host& where);

}  // namespace tactus::load
