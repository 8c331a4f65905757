// SPDX-License-Identifier: Apache-2.0
//
// Keeps the sleeping workers of a pool from all being on the CPU of who wakes them.
//
// The kernel wakes a thread on the CPU it last ran on if that is idle; if not, it looks
// for an idle CPU only while the machine is not busy, and balances at a tick at the
// earliest. So when every worker last ran on the CPU of a caller that goes on running,
// the caller's next few ms are as good as serial. Claiming a worker of another CPU first
// (pool_core::claim_idle()) helps where there is one; but it is for callers that go on
// running only: where the caller sleeps next, a worker on its CPU starts soonest. This provides for it: the last
// worker to fall asleep, if it was woken from its own CPU and all others sleep there too,
// moves to another one first. It pins nothing: the affinity mask is the same afterwards.
// The third case is a worker that was woken on its waker's CPU, and to which tasks come at short
// intervals. If it lingered there, it would do so in place of the one who is to submit; so it
// moves to another CPU before, at most once per wake-up.
// Neither moves where an agent publishes rows, since then the scheduler decides about CPUs.
#ifndef TACTUS_SRC_SPREAD_H
#define TACTUS_SRC_SPREAD_H

#include "pool_core.h"

#include <cstring>
#include <sched.h>

namespace tactus::detail {

// Set while the calling thread submits what it will take part in.
inline thread_local bool t_takes_part = false;
struct taking_part {
  taking_part() noexcept { t_takes_part = true; }
  ~taking_part() { t_takes_part = false; }
  taking_part(const taking_part&) = delete;
  taking_part& operator=(const taking_part&) = delete;
};
inline bool goes_on_running() noexcept { return t_takes_part || t_state.self; }

// Does every other worker sleep, and is `cpu`, the caller's, where they last ran and where w was woken
// from? By w, before it sleeps.
inline bool crowded(const worker& w, int cpu) noexcept {
  const pool_core& core = *w.core;
  const unsigned active = core.active_workers();
  if (w.spare || active < 2 || core.nr_idle() + 1 < active) return false;
  if (core.routes.load(std::memory_order_relaxed)) return false;
  for (unsigned i = 0; i < active; ++i)
    if (core.workers[i].last_cpu.load(std::memory_order_relaxed) != cpu) return false;
  return true;
}

// Was w woken from `cpu`, the caller's, and has not left it since? By w, before it lingers.
inline bool in_the_way(const worker& w, int cpu) noexcept {
  return w.woken_from.load(std::memory_order_relaxed) == cpu && !w.core->routes.load(std::memory_order_relaxed);
}

// The calling thread goes on on some other CPU that it may use, if there is one. Its mask is the same afterwards.
// All CPUs are asked for first, which the kernel cuts down to the cpuset: where that is what it was, it stays so,
// and the thread also gets CPUs that the cpuset is given or that are plugged in later. It is also what remains
// where the CPUs it might use have been taken away meanwhile.
inline void leave_cpu(int cpu) noexcept {
  cpu_set_t allowed;
  if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  cpu_set_t others = allowed;
  CPU_CLR(static_cast<unsigned>(cpu), &others);
  if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof others, &others) != 0) return;
  cpu_set_t all, now;
  std::memset(&all, 0xff, sizeof all);
  if (sched_setaffinity(0, sizeof all, &all) == 0 && sched_getaffinity(0, sizeof now, &now) == 0 && CPU_EQUAL(&now, &allowed))
    return;
  sched_setaffinity(0, sizeof allowed, &allowed);
}

}  // namespace tactus::detail

#endif
