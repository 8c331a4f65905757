// SPDX-License-Identifier: Apache-2.0
//
// The thread's state (task.hpp) as the library's own files need it besides.
#ifndef TACTUS_SRC_THREAD_STATE_H
#define TACTUS_SRC_THREAD_STATE_H

#include <tactus/task.hpp>

namespace tactus::detail {

// What must be given back when the calling thread ends will be.
void arm_thread_end();

// A thread's place in a pool, if that pool still lives (fork.cpp has the list).
void give_back_guest(const guest_ref& ref) noexcept;

// fork(): hold the cache's lock over it, so that the child finds it whole.
void task_memory_before_fork() noexcept;
void task_memory_after_fork() noexcept;

}  // namespace tactus::detail

#endif
