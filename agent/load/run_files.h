// SPDX-License-Identifier: Apache-2.0
//
// Small files under /run/tactus: what was loaded, and why the scheduler left.
// They are hints for people and for idempotence; the truth is the link pin and
// the kernel's state, and everything works where they cannot be written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/load/checks.h"

namespace tactus::load {

// How the loaded scheduler was loaded.
struct load_hint {
  bool partial = false;
  bool fallback_only = false;
  std::string object;  // fingerprint
  bool operator==(const load_hint&) const = default;
};
std::optional<load_hint> read_hint(const host& where);
void write_hint(const host& where, const load_hint& hint);
void forget_hint(const host& where);

// Why the kernel took a scheduler out, from struct tactus_exit.
struct exit_reason {
  std::uint32_t kind = 0;  // 0: it has not left
  std::string name;        // the kernel's reason
  std::string message;
  bool hotplug = false;  // a CPU came or went
  bool by_hand = false;  // unregistered, or SysRq-S
  std::string text() const;  // "runnable task stall: ..."
};
exit_reason describe(const tactus_exit& left);

// The last ejection, as `tactus load --stay` saw it.
struct ejection {
  std::int64_t unix_seconds = 0;
  std::string reason;
  bool stays_out = false;  // it was not loaded again
  unsigned reloads = 0;    // within the last 30 s
};
std::optional<ejection> read_ejection(const host& where);
void write_ejection(const host& where, const ejection& last);
void forget_ejection(const host& where);

}  // namespace tactus::load
