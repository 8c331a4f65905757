// SPDX-License-Identifier: Apache-2.0
//
// watch: what stands between pool and task where somebody looks on, an observer
// or a policy for missed deadlines. It takes the place of task::invoke, so that
// the paths of tasks that nobody watches do not know of it.
#ifndef TACTUS_SRC_WATCH_H
#define TACTUS_SRC_WATCH_H

#include <tactus/submission.hpp>

#include <cstdint>

namespace tactus::detail {

struct watch {
  void (*invoke)(task&, task_op);  // the task's own
  pool_core* core;
  const class_entry* entry;
  std::uint64_t enqueued_ns;       // CLOCK_MONOTONIC
};

// REQUIRES: t is about to become visible. Without memory for it, t goes unwatched.
void watch_task(pool_core& core, task& t, const class_entry& e) noexcept;

}  // namespace tactus::detail

#endif
