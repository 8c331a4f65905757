// SPDX-License-Identifier: Apache-2.0
//
// The system call membarrier: one thread's full barrier on behalf of all threads of the process.
#ifndef TACTUS_SRC_MEMBARRIER_H
#define TACTUS_SRC_MEMBARRIER_H

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tactus::detail {

inline int membarrier(int command) noexcept { return static_cast<int>(syscall(SYS_membarrier, command, 0, 0)); }

// Of this process, once. False: the kernel has no PRIVATE_EXPEDITED.
inline bool register_membarrier() noexcept {
  const int supported = membarrier(MEMBARRIER_CMD_QUERY);
  return supported > 0 && (supported & MEMBARRIER_CMD_PRIVATE_EXPEDITED) &&
         membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
}

}  // namespace tactus::detail

#endif
