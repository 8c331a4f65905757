// SPDX-License-Identifier: Apache-2.0
//
// Changing the number of workers that take tasks. The threads stay; those that
// are too many rest once they have finished the task they are in.
#include "pool_core.h"

#include <algorithm>

namespace tactus::detail {

unsigned pool_core::resize(unsigned nr) {
  if (nr == 0) nr = workers_for(read_cpu_budget(), options.rounding);
  nr = std::clamp(nr, 1u, nr_workers);
  std::lock_guard guard(resize_lock_);
  if (state() == state_kind::forked) return nr;
  active_workers_.store(nr, std::memory_order_relaxed);
  for (unsigned i = 0; i < nr_workers; ++i) workers[i].rests.store(i >= nr, std::memory_order_seq_cst);
  rest_epoch_.fetch_add(1, std::memory_order_seq_cst);
  futex_wake(rest_epoch_, INT_MAX);
  // So that nobody leaves a task to one that sleeps: it wakes up and rests.
  for (unsigned i = nr; i < nr_workers; ++i)
    if (unset_idle(workers[i])) hand_over(workers[i], nullptr, 0);
  return nr;
}

// What a waker that chose this worker had in mind goes to another one. Not idle
// meanwhile, so nobody leaves a task here; its own deques are stolen from.
void worker::rest() noexcept {
  tags.park();
  core->wake_for_visible_work();
  for (;;) {
    const std::uint32_t epoch = core->rest_epoch_.load(std::memory_order_seq_cst);
    if (!rests.load(std::memory_order_seq_cst) || core->state() >= pool_core::state_kind::stopped) return;
    futex_wait(core->rest_epoch_, epoch);
  }
}

}  // namespace tactus::detail
