// SPDX-License-Identifier: Apache-2.0
//
// The agent's heartbeat: every 50 ms the time goes into the control map; without it for 500 ms the
// kernel falls back to its heuristic.
//
// The thread takes no lock that others hold for long, allocates nothing, does no I/O: nothing else
// can delay it. But a heart that beats in a dead agent is worse than none: it stops beating while
// the publisher or the event reader has not come round for 5 s (both come round at least twice a
// second when healthy, each telling the time of its last turn), and goes on when they do.
// Thread-safe.
#pragma once

#include <tactus/abi/decision_map.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace tactus::agent {

class heartbeat {
 public:
  static constexpr std::uint64_t k_period_ns = 50'000'000;
  static constexpr std::uint64_t k_wedged_ns = 5'000'000'000;

  heartbeat();
  ~heartbeat();

  // Beats into this control from now on. `oldest_progress` tells the CLOCK_MONOTONIC time at which
  // the least recent of the watched threads came round last; it must only load atomics.
  void watch(tactus_control* control, std::function<std::uint64_t()> oldest_progress);
  // Stops beating; when it returns the control is no longer touched.
  void rest();

  std::uint64_t beats() const { return beats_.load(); }
  bool wedged() const { return wedged_.load(); }

 private:
  void loop();

  std::mutex mutex_;  // only ever held for a few stores
  tactus_control* control_ = nullptr;
  std::function<std::uint64_t()> oldest_progress_;
  std::atomic<std::uint64_t> beats_{0};
  std::atomic<bool> wedged_{false}, ended_{false};
  std::thread thread_;
};

}  // namespace tactus::agent
