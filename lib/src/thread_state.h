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

// Up to k_magazine_nodes free nodes, as an array: taking one does not touch it,
// so the cache misses of nodes that another CPU used last overlap.
inline constexpr unsigned k_magazine_nodes = 64;
struct magazine {
  magazine* next = nullptr;
  unsigned count = 0;
  unsigned capacity = k_magazine_nodes;
  task* nodes[k_magazine_nodes];
};
// Stands for "none": neither nodes nor room.
inline constinit magazine no_magazine{.next = nullptr, .count = 0, .capacity = 0, .nodes = {}};

struct thread_state {
  magazine* loaded = &no_magazine;
  magazine* other = &no_magazine;  // full or empty, so that one thread does not
                                     // go to the exchange at every change of direction
  unsigned shard = 0;            // which external counter shard; set with parker
  worker* self = nullptr;        // null in threads that are no workers
  parker* sleep = nullptr;       // use thread_parker()
  const void* helping = nullptr; // the pool whose task a thread that is no worker runs
};

extern constinit thread_local thread_state t_state;

// The slow halves of the two below: fill an empty magazine (throws
// std::bad_alloc), make room in a full one (false: no memory).
void refill_nodes(thread_state& ts);
bool make_room_for_nodes(thread_state& ts) noexcept;

inline task* take_node() {
  thread_state& ts = t_state;
  if (ts.loaded->count == 0) [[unlikely]]
    refill_nodes(ts);
  magazine& m = *ts.loaded;
  task* t = m.nodes[--m.count];
  // The node after the next is on its way while this one is used.
  if (m.count > 1) __builtin_prefetch(m.nodes[m.count - 2], 1);
  return t;
}

inline void give_node(task* t) noexcept {
  thread_state& ts = t_state;
  if (ts.loaded->count == ts.loaded->capacity) [[unlikely]] {
    if (!make_room_for_nodes(ts)) return;  // the node is lost, nothing else
  }
  ts.loaded->nodes[ts.loaded->count++] = t;
}

// The calling thread's parker. Parkers are never freed (a thread that wakes
// another may touch its parker after that thread has ended); they are reused.
parker* thread_parker();

// fork(): hold the cache's lock over it, so that the child finds it whole.
void task_memory_before_fork() noexcept;
void task_memory_after_fork() noexcept;

}  // namespace tactus::detail

#endif
