// SPDX-License-Identifier: Apache-2.0
//
// How many CPUs this process may use (affinity mask, hence cpusets too). Cgroup
// quotas are not looked at.
#ifndef TACTUS_SRC_AFFINITY_H
#define TACTUS_SRC_AFFINITY_H

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <thread>

namespace tactus::detail {

inline unsigned allowed_cpus() noexcept {
  for (int cpus = 1024; cpus <= 65536; cpus *= 2) {
    cpu_set_t* set = CPU_ALLOC(cpus);
    if (!set) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(cpus);
    const int rc = sched_getaffinity(0, bytes, set);
    const int error = errno;
    const int count = rc == 0 ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (count > 0) return static_cast<unsigned>(count);
    if (error != EINVAL) break;  // EINVAL: the kernel's mask is larger
  }
  return std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace tactus::detail

#endif
