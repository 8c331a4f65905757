// SPDX-License-Identifier: Apache-2.0
//
// The agent's CPU budget, kept by itself: a share of one CPU over sliding windows of 1 s.
// Over budget, the reader stops feeding the learners and the publisher publishes less often; the
// heartbeat is never held back. The unit's CPUQuota stands behind it.
// Thread-safety: measure from one thread; all else from any.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace tactus::agent {

class cpu_budget {
 public:
  explicit cpu_budget(double share) : share_(share) {}

  void set_share(double share) { share_.store(share, std::memory_order_relaxed); }
  double share() const { return share_.load(std::memory_order_relaxed); }

  // Takes a sample of (wall clock, CPU time used by the process), both ns; call about every 100 ms.
  void measure(std::uint64_t wall_ns, std::uint64_t cpu_ns);
  // The same with the process's own clocks.
  void measure();

  // CPU used over the last second, as a share of one CPU.
  double used() const { return used_.load(std::memory_order_relaxed); }
  // True from above the share until 0.8 of it, so that it does not flutter.
  bool over() const { return over_.load(std::memory_order_relaxed); }
  // Nanoseconds spent over budget since start.
  std::uint64_t over_ns() const { return over_ns_.load(std::memory_order_relaxed); }

 private:
  struct sample {
    std::uint64_t wall_ns = 0, cpu_ns = 0;
  };
  static constexpr std::uint64_t k_window_ns = 1'000'000'000;
  std::array<sample, 64> samples_{};
  std::size_t first_ = 0, count_ = 0;
  std::atomic<double> share_;
  std::atomic<double> used_{0};
  std::atomic<bool> over_{false};
  std::atomic<std::uint64_t> over_ns_{0};
};

}  // namespace tactus::agent
