// SPDX-License-Identifier: Apache-2.0
//
// budget.h's implementation.
#include "agent/config/budget.h"

#include <ctime>

namespace tactus::agent {

void cpu_budget::measure(std::uint64_t wall_ns, std::uint64_t cpu_ns) {
  const sample* newest = count_ != 0 ? &samples_[(first_ + count_ - 1) % samples_.size()] : nullptr;
  if (newest != nullptr && (wall_ns <= newest->wall_ns || cpu_ns < newest->cpu_ns)) return;
  if (over_.load(std::memory_order_relaxed) && newest != nullptr) over_ns_ += wall_ns - newest->wall_ns;
  if (count_ == samples_.size()) {
    first_ = (first_ + 1) % samples_.size();
    count_--;
  }
  samples_[(first_ + count_) % samples_.size()] = {wall_ns, cpu_ns};
  count_++;
  // The oldest sample kept is the youngest that is at least one window old.
  while (count_ > 2 && wall_ns - samples_[(first_ + 1) % samples_.size()].wall_ns >= k_window_ns) {
    first_ = (first_ + 1) % samples_.size();
    count_--;
  }
  if (count_ < 2) return;
  const sample& oldest = samples_[first_];
  // Before a whole window has passed, count it as one: a start-up burst is not an excess.
  std::uint64_t wall = wall_ns - oldest.wall_ns;
  if (wall < k_window_ns) wall = k_window_ns;
  const double used = static_cast<double>(cpu_ns - oldest.cpu_ns) / static_cast<double>(wall);
  used_.store(used, std::memory_order_relaxed);
  const double share = this->share();
  if (used > share) {
    over_.store(true, std::memory_order_relaxed);
  } else if (used < 0.8 * share) {
    over_.store(false, std::memory_order_relaxed);
  }
}

void cpu_budget::measure() {
  timespec wall{}, cpu{};
  ::clock_gettime(CLOCK_MONOTONIC, &wall);
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
  const auto ns = [](const timespec& t) {
    return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000ull + static_cast<std::uint64_t>(t.tv_nsec);
  };
  measure(ns(wall), ns(cpu));
}

}  // namespace tactus::agent
