// SPDX-License-Identifier: Apache-2.0
//
// Many tasks at once: one counter update and one full barrier for the whole list
// from outside, one barrier from a worker; then as many sleepers are woken as there
// are tasks for.
#include "pool_core.h"
#include "thread_state.h"

#include <tactus/errors.hpp>

namespace tactus::detail {

void discard(task* t) noexcept {
  t->invoke(*t, task_op::drop);
  release_task(t);
}

void enqueue_bulk(pool_core& core, task* first, task* last, std::size_t count, const class_entry& e) {
  core.submit_bulk(first, last, count, e);
}

// Does not rely on a worker that searches, as a single task does: it takes one of
// them and wakes one more, and the rest would run one after the other.
void pool_core::wake_for(std::size_t count, const class_entry& e) noexcept {
  for (; count > 0 && nr_idle_.load(std::memory_order_relaxed) != 0; --count) {
    worker* idle = claim_idle(false, e.local);
    if (!idle) break;
    hand_over(*idle, nullptr, e.tag);
  }
  if (count > 0 && e.priority >= k_first_urgent)
    if (worker* spare = claim_for(e)) hand_over(*spare, nullptr, e.tag);
}

void pool_core::submit_bulk(task* first, task* last, std::size_t count, const class_entry& e) {
  const auto after = [](task* t) { return static_cast<task*>(t->next.load(std::memory_order_relaxed)); };
  worker* w = t_state.self;
  if (w && w->core == this && e.priority == tactus_tag_priority(w->tags.tag())) {
    for (task *t = first, *next; t; t = next) {
      next = after(t);
      stamp(t, e);
      w->tags.submitted(e.local, e.weight);
      w->keep(t);
    }
    light_barrier(*w, e.priority);
    wake_for(count, e);
    return;
  }
  const bool is_worker = w && w->core == this;
  const state_kind now = state();
  if (!is_worker && now != state_kind::running && now != state_kind::forked &&
      !(t_state.helping == this && now < state_kind::stopped)) {
    for (task *t = first, *next; t; t = next) {
      next = after(t);
      discard(t);
    }
    throw pool_stopped();
  }
  if (is_worker) {
    for (std::size_t i = 0; i < count; ++i) w->tags.submitted(e.local, e.weight);
  } else {
    count_external_submit(my_guest(), e, count);
  }
  for (task *t = first, *next; t; t = next) {
    next = after(t);
    stamp(t, e);
    if (now == state_kind::forked) execute_outside(t);
  }
  if (now == state_kind::forked) return;
  push_shared(first, last, e.local);
  wake_for(count, e);
  if (state_.load(std::memory_order_seq_cst) == state_kind::stopped) [[unlikely]]  // as in submit_from_outside()
    run_leftovers();
}

}  // namespace tactus::detail
