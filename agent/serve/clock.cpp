// SPDX-License-Identifier: Apache-2.0
//
// clock.h's implementation.
#include "agent/serve/clock.h"

#if defined(__x86_64__) || defined(__i386__)
#include <x86intrin.h>
#endif

namespace tactus::agent {

std::uint64_t tick_clock::read_ticks() {
#if defined(__x86_64__) || defined(__i386__)
  return __rdtsc();
#else
  return 0;
#endif
}

tick_clock::tick_clock() {
  first_ns_ = now_ns();
  first_ticks_ = read_ticks();
}

void tick_clock::calibrate() {
  // The pair with the shortest bracket of three: an interrupt between the two reads would bend it.
  std::uint64_t best = ~0ull, ns = 0, ticks = 0;
  for (int i = 0; i < 3; i++) {
    const std::uint64_t before = now_ns();
    const std::uint64_t t = read_ticks();
    const std::uint64_t after = now_ns();
    if (after - before < best) {
      best = after - before;
      ns = before + (after - before) / 2;
      ticks = t;
    }
  }
  if (ticks <= first_ticks_ || ns < first_ns_ + 1'000'000) return;
  ns_per_tick_.store(static_cast<double>(ns - first_ns_) / static_cast<double>(ticks - first_ticks_),
                     std::memory_order_relaxed);
}

double tick_clock::ticks_to_ns(double ticks, unsigned clock) const {
  if (clock == TACTUS_CLOCK_NS) return ticks;
  if (clock == TACTUS_CLOCK_TSC) return ticks * ns_per_tick();
  return 0;
}

std::uint64_t tick_clock::moment_to_ns(std::uint64_t ticks, unsigned clock) const {
  if (clock == TACTUS_CLOCK_NS) return ticks;
  const double rate = ns_per_tick();
  if (clock != TACTUS_CLOCK_TSC || rate <= 0) return 0;
  const double since = static_cast<double>(static_cast<std::int64_t>(ticks - first_ticks_)) * rate;
  const double at = static_cast<double>(first_ns_) + since;
  return at > 0 && at < 9e18 ? static_cast<std::uint64_t>(at) : 0;
}

}  // namespace tactus::agent
