// SPDX-License-Identifier: Apache-2.0
//
// The counting half of join_counter (task_group.hpp), inline for the pool's own
// files: it is on the path of every fork and join.
#ifndef TACTUS_SRC_JOIN_H
#define TACTUS_SRC_JOIN_H

#include "parker.h"
#include "thread_state.h"

#include <tactus/task_group.hpp>

namespace tactus::detail {

inline void join_counter::task_started(unsigned priority) noexcept {
  if (priority < lowest_.load(std::memory_order_relaxed))
    lowest_.store(static_cast<std::uint8_t>(priority), std::memory_order_relaxed);
  if (owner_ == &t_state)
    ++started_here_;
  else
    started_elsewhere_.fetch_add(1, std::memory_order_relaxed);
}

inline void join_counter::task_ended() noexcept {
  if (owner_ == &t_state) {
    ++ended_here_;
    return;
  }
  parker* owner = parker_;  // the counter may be gone after the next line
  if (ended_elsewhere_.fetch_add(1, std::memory_order_seq_cst) & k_sleeping) owner->unpark();
}

}  // namespace tactus::detail

#endif
