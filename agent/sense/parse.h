// SPDX-License-Identifier: Apache-2.0
//
// Parsers of the kernel's text files, pure functions of the text: any bytes give
// a result, nothing is thrown, no number that comes out is infinite or no number.
// What a text does not say is empty. Reading the files is files.h's part.
#ifndef TACTUS_AGENT_SENSE_PARSE_H
#define TACTUS_AGENT_SENSE_PARSE_H

#include <optional>
#include <string_view>
#include <vector>

#include "agent/sense/state.h"

namespace tactus::sense {

/// One cpuN line of /proc/stat, in ticks since boot.
struct cpu_ticks {
  bool present = false;
  double user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0;

  double total() const { return user + nice + system + idle + iowait + irq + softirq + steal; }
};

/// By CPU id, below TACTUS_MAX_CPUS. A line that is cut before "idle" is left out.
std::vector<cpu_ticks> parse_stat(std::string_view text);

/// What of the time between two lines of a CPU went where. Counters that step
/// back a little (iowait, steal) count as standing still.
cpu_shares shares_between(const cpu_ticks &before, const cpu_ticks &now);

/// A file of /proc/pressure, or *.pressure of a cgroup; nothing without a "some" line.
std::optional<pressure> parse_pressure(std::string_view text);

/// Used shares of /proc/meminfo. No swap at all is absent, not "0 used".
struct memory_use {
  std::optional<double> memory, swap;
};
memory_use parse_meminfo(std::string_view text);

/// Page allocations of one node's numastat, cumulative.
struct numa_counts {
  double local = 0, other = 0;
};
std::optional<numa_counts> parse_numastat(std::string_view text);

}  // namespace tactus::sense

#endif
