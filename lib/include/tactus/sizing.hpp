// SPDX-License-Identifier: Apache-2.0
//
// How many workers this process should have: the CPUs of its affinity mask and
// cpuset, and the CPU time its cgroups grant it (quota of cgroup v1 and v2).
//
//     tactus::cpu_budget b = tactus::read_cpu_budget();   // 64 CPUs, quota 1.5
//     unsigned n = tactus::workers_for(b);                // 2
//
// A pool does this itself at its start, and again at pool::resize(). Thread-safe.
// Does not look at the load of the machine or at cgroup weights (cpu.weight):
// these say who goes first, not how much there is.
#ifndef TACTUS_SIZING_HPP
#define TACTUS_SIZING_HPP

#include "export.h"

namespace tactus {

struct cpu_budget {
  unsigned cpus = 1;  // in the affinity mask and in the cpuset
  double quota = 0;   // CPUs' worth of time per period, by the tightest cgroup above us; 0 = no limit
};

// What becomes of half a CPU. Always at least one worker, never more than `cpus`.
//   quota              0.5   1   1.2   1.5   2.7
//   quota_rounding::nearest  1   1   1     2     3    within half a CPU of the quota
//   quota_rounding::down     1   1   1     1     2    never throttled while all workers run
//   quota_rounding::up       1   1   2     2     3    the whole quota is used, in bursts
// More workers than quota means that the kernel stops all of them for the rest
// of each period (usually 100 ms) once the quota is used up.
enum class quota_rounding { nearest, down, up };

// Reads the affinity mask of the calling thread, /proc/self/cgroup, mountinfo
// and the cgroup files (some 50 us). What cannot be read sets no limit.
TACTUS_API cpu_budget read_cpu_budget();

TACTUS_API unsigned workers_for(const cpu_budget& budget, quota_rounding rounding = quota_rounding::nearest) noexcept;

}  // namespace tactus

#endif
