// SPDX-License-Identifier: Apache-2.0
// What the files of tactus-bench pool share: clocks, work of a known length, and who measures which rows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench.h"
#include "pools/contestant.h"

namespace tactus::bench {

struct pool_setting {
  const settings& set;
  std::vector<contestant_kind> kinds;  // ours first; without serial
  unsigned workers;
};

std::int64_t process_cpu_ns();
// Of the threads that live, with the caller's or without.
std::int64_t threads_cpu_ns(bool with_own);
void sleep_ns(std::int64_t ns);
// Until the threads of the arm before use no CPU time any more (some spin on for milliseconds).
void settle();

// About `us` microseconds of arithmetic; always the same number of instructions, so that a thread that
// loses its CPU has to make up for it.
void work(double us);

// REQUIRES (memory): no thread but the caller's has been started in this process; it forks.
void add_memory_rows(const pool_setting& with, result& out);
void add_latency_rows(const pool_setting& with, result& out);  // wake-up, idle, burst, priorities

}  // namespace tactus::bench
