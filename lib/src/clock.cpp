// SPDX-License-Identifier: Apache-2.0
//
// Which counter may be trusted, and how fast it runs.
#include "clock.h"

#include <fstream>
#include <string>

namespace tactus::detail {

tactus_clock clock_for_source(std::string_view clocksource) noexcept {
#if TACTUS_HAS_TSC
  if (clocksource == "tsc") return TACTUS_CLOCK_TSC;
#endif
  for (const std::string_view free_of_calls :
       {"tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"})
    if (clocksource == free_of_calls) return TACTUS_CLOCK_NS;
  return TACTUS_CLOCK_NONE;
}

namespace {

tick_clock detect() noexcept {
  tick_clock clock;
  try {
    std::ifstream file("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    std::string name;
    if (file >> name) clock.kind = clock_for_source(name);
  } catch (...) {
    // unreadable: no counter is trusted
  }
  clock.reads_tsc = TACTUS_HAS_TSC && clock.kind != TACTUS_CLOCK_NS;
#if TACTUS_HAS_TSC
  if (clock.reads_tsc) {
    const std::uint64_t from_ns = tick_clock::now_ns(), from = __rdtsc();
    std::uint64_t to_ns;
    do to_ns = tick_clock::now_ns();
    while (to_ns - from_ns < 200'000);
    clock.ticks_per_us = static_cast<double>(__rdtsc() - from) * 1000.0 / static_cast<double>(to_ns - from_ns);
  }
#endif
  return clock;
}

}  // namespace

const tick_clock& process_clock() noexcept {
  static const tick_clock clock = detect();
  return clock;
}

}  // namespace tactus::detail
