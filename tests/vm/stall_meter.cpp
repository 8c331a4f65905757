// SPDX-License-Identifier: Apache-2.0
#include "stall_meter.h"

#include <sched.h>

#include <algorithm>

namespace tactus::vmtest {
namespace {

constexpr std::uint64_t k_period_ns = 4'000'000;

void watch_from(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof(set), &set)) give_up("sched_setaffinity failed");
  become_realtime();
}

}  // namespace

stall_meter::stall_meter(std::uint64_t shortest_ns) {
  const auto watch = [this, shortest_ns] {
    const std::uint64_t due = now_ns() + k_period_ns, late = sleep_until(due);
    if (late < shortest_ns) return;
    const std::lock_guard lock(mutex_);
    stalls_.push_back({due - k_period_ns, due + late});
  };
  for (unsigned cpu = 0; cpu < nr_cpus(); ++cpu)
    threads_.push_back(std::make_unique<looping_thread>(watch, [cpu] { watch_from(cpu); }));
}

std::uint64_t stall_meter::inside(const span& s) const {
  std::vector<span> stalls;
  {
    const std::lock_guard lock(mutex_);
    stalls = stalls_;
  }
  std::sort(stalls.begin(), stalls.end(), [](const span& a, const span& b) { return a.begin < b.begin; });
  std::uint64_t sum = 0, reached = s.begin;
  for (const span& stall : stalls) {
    const std::uint64_t begin = std::max(reached, stall.begin), end = std::min(s.end, stall.end);
    if (begin >= end) continue;
    sum += end - begin;
    reached = end;
  }
  return sum;
}

}  // namespace tactus::vmtest
