// SPDX-License-Identifier: Apache-2.0
//
// Time as the whole agent counts it: CLOCK_MONOTONIC in ns, and the conversion of the pools'
// counter ticks to it. Thread-safe but for tick_clock::calibrate, which one thread calls.
#pragma once

#include <tactus/abi/tag_page.h>

#include <atomic>
#include <cstdint>
#include <ctime>

namespace tactus::agent {

inline std::uint64_t now_ns() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000ull + static_cast<std::uint64_t>(t.tv_nsec);
}

// The x86 time-stamp counter against CLOCK_MONOTONIC, measured by the agent itself, since what a
// pool says about it cannot be trusted. The longer it runs the better: the first pair is kept.
class tick_clock {
 public:
  tick_clock();
  // Takes another pair; call once a second. Cheap.
  void calibrate();
  // 0 before enough time has passed (1 ms) or without such a counter.
  double ns_per_tick() const { return ns_per_tick_.load(std::memory_order_relaxed); }
  // Length in ns of so many ticks of that clock; 0 for TACTUS_CLOCK_NONE and unknown ones.
  double ticks_to_ns(double ticks, unsigned clock) const;
  // A moment of that clock as CLOCK_MONOTONIC; 0 when unknown.
  std::uint64_t moment_to_ns(std::uint64_t ticks, unsigned clock) const;

 private:
  static std::uint64_t read_ticks();
  std::uint64_t first_ticks_ = 0, first_ns_ = 0;
  std::atomic<double> ns_per_tick_{0};
};

}  // namespace tactus::agent
