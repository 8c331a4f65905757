// SPDX-License-Identifier: Apache-2.0
//
// What the library keeps per thread: its cache of task nodes, its parker, and
// which worker it is, if it is one.
//
// Trivially constructed, so that access costs no guard; what must be given back
// when the thread ends is given back by a second thread_local that is touched
// only on the slow paths (task_memory.cpp).
#ifndef TACTUS_SRC_THREAD_STATE_H
#define TACTUS_SRC_THREAD_STATE_H

#include <tactus/task.hpp>

namespace tactus::detail {

struct worker;

struct thread_state {
  task_link* free_nodes = nullptr;
  unsigned nr_free_nodes = 0;
  unsigned shard = 0;            // which external counter shard; set with parker
  worker* self = nullptr;        // null in threads that are no workers
  parker* sleep = nullptr;       // use thread_parker()
  const void* helping = nullptr; // the pool whose task a thread that is no worker runs
};

extern constinit thread_local thread_state t_state;

// The calling thread's parker. Parkers are never freed (a thread that wakes
// another may touch its parker after that thread has ended); they are reused.
parker* thread_parker();

// fork(): hold the cache's lock over it, so that the child finds it whole.
void task_memory_before_fork() noexcept;
void task_memory_after_fork() noexcept;

}  // namespace tactus::detail

#endif
