// SPDX-License-Identifier: Apache-2.0
//
// `tactus load --stay`: keeps the scheduler loaded.
//
// States:  loaded -> (CPU came or went) -> loaded again at once
//          loaded -> (error)            -> loaded again, at most twice in 30 s, else: gave up
//          loaded -> (unloaded by hand, SysRq-S) -> ended
//          any    -> (SIGTERM, SIGINT)  -> ended; the scheduler stays loaded
//
// Relies on: loader.h; the kernel's state file, looked at five times a second.
// Does not: unload on exit (the scheduler outlives its loader by design).
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <string>

#include "agent/load/loader.h"
#include "agent/load/run_files.h"

namespace tactus::load {

// How often something may happen within a time. POLICY: two reloads in 30 s.
class reload_budget {
 public:
  using clock = std::chrono::steady_clock;
  explicit reload_budget(unsigned most = 2, std::chrono::seconds within = std::chrono::seconds(30))
      : most_(most), within_(within) {}

  // True, and counted, when one more is allowed at this time.
  bool take(clock::time_point now);
  // How many were taken in the time before now.
  unsigned taken(clock::time_point now);

 private:
  void forget_old(clock::time_point now);
  unsigned most_;
  std::chrono::seconds within_;
  std::deque<clock::time_point> times_;
};

// What is to be done when the scheduler has left.
enum class after_exit { reload, reload_counted, end };
after_exit decide_after_exit(const exit_reason& reason, bool hotplug_seen);

// Loads and watches until it ends or gives up; `say` gets one line per event.
// Blocks SIGTERM and SIGINT in this thread. Returns ok, or gave_up; throws
// load_error when the very first load fails.
exit_code stay(const load_options& options, const std::function<void(const std::string&)>& say);

}  // namespace tactus::load
