// SPDX-License-Identifier: Apache-2.0
//
// The counter that completion records are taken with.
//
//   TSC   x86, and the kernel itself keeps time by it (clocksource "tsc"), so it
//         is invariant and equal on all CPUs
//   NS    CLOCK_MONOTONIC, where the clocksource is read without a system call
//   NONE  neither: records carry counts only, the kernel's stint times are used.
//         Ticks may still be read for guesses (when to merge), never recorded.
#ifndef TACTUS_SRC_CLOCK_H
#define TACTUS_SRC_CLOCK_H

#include <tactus/abi/tag_page.h>

#include <cstdint>
#include <ctime>
#include <string_view>
#if defined(__x86_64__) || defined(__i386__)
#include <x86intrin.h>
#define TACTUS_HAS_TSC 1
#else
#define TACTUS_HAS_TSC 0
#endif

namespace tactus::detail {

// Only where tick_clock::reads_tsc.
inline std::uint64_t read_tsc() noexcept {
#if TACTUS_HAS_TSC
  return __rdtsc();
#else
  return 0;
#endif
}

struct tick_clock {
  tactus_clock kind = TACTUS_CLOCK_NONE;
  bool reads_tsc = false;      // read() is one instruction
  double ticks_per_us = 1000;  // 1000 where ticks are ns

  std::uint64_t read() const noexcept {
    return reads_tsc ? read_tsc() : now_ns();
  }
  bool recorded() const noexcept { return kind != TACTUS_CLOCK_NONE; }
  const char* name() const noexcept {
    return kind == TACTUS_CLOCK_TSC ? "tsc" : kind == TACTUS_CLOCK_NS ? "ns" : "none";
  }
  static std::uint64_t now_ns() noexcept {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(t.tv_nsec);
  }
};

// In a loop that waits for another thread.
inline void cpu_pause() noexcept {
#if TACTUS_HAS_TSC
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// The clock kind that suits a kernel clocksource of this name.
tactus_clock clock_for_source(std::string_view clocksource) noexcept;

// Found out, and the counter's rate measured (0.2 ms), at the first call.
const tick_clock& process_clock() noexcept;

// Milliseconds, a few ms coarse, always without a system call. For aging.
inline std::uint32_t coarse_ms() noexcept {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  return static_cast<std::uint32_t>(t.tv_sec) * 1000u + static_cast<std::uint32_t>(t.tv_nsec / 1'000'000);
}

}  // namespace tactus::detail

#endif
