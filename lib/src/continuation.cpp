// SPDX-License-Identifier: Apache-2.0
//
// Continuations: tasks that are submitted by whoever ends their predecessor.
//
// A continuation counts as submitted from then() on, not from when it becomes
// runnable: else pool::wait() could see everything finished between the end of
// the predecessor and the submission of what follows it.
#include "pool_core.h"
#include "thread_state.h"

#include <tactus/submission.hpp>

namespace tactus::detail {
namespace {

// Where there is no pool to run it: in the thread that got here.
void run_here(task* t) noexcept {
  std::exception_ptr error;
  try {
    t->invoke(*t, task_op::run);
  } catch (...) {
    error = std::current_exception();
  }
  complete(t, std::move(error));
}

void fire(task* next) noexcept {
  if (next->kind == task_kind::called) {
    next->invoke(*next, task_op::run);
    release_task(next);
  } else if (next->home) {
    next->home->place_announced(next, next->home->classes.entry(tactus_tag_class(next->tag)));
  } else {
    run_here(next);
  }
}

}  // namespace

void when_ended(task& of, task* next) noexcept {
  if (of.state.load(std::memory_order_acquire) >= k_done) {  // its end may still be reading `waiter`
    fire(next);
    return;
  }
  std::uint32_t expected = k_pending;
  of.continuation = next;  // published by the exchange; only the future's owner writes here
  if (!of.state.compare_exchange_strong(expected, k_chained, std::memory_order_seq_cst)) fire(next);
}

bool take_back(task& of, task* next) noexcept {
  std::uint32_t expected = k_chained;
  if (!of.state.compare_exchange_strong(expected, k_pending, std::memory_order_seq_cst)) return false;
  next->invoke(*next, task_op::drop);
  release_task(next);
  return true;
}

void prepare_continuation(task* next, pool_core* home, const class_entry* entry) {
  next->home = home;
  next->flags = k_depends;
  next->tag = entry ? entry->tag : 0;
  if (home) home->announce(*entry);
}

void complete(task* t, std::exception_ptr error) noexcept {
  const bool failed = error != nullptr;
  if (failed) store<std::exception_ptr>(*t, std::move(error));
  end_promised(t, failed);
}

void complete_dropped(task* t, std::exception_ptr error) noexcept {
  t->invoke(*t, task_op::drop);
  complete(t, std::move(error));
}

void end_promised(task* t, bool failed) noexcept {
  const std::uint32_t before = t->state.exchange(failed ? k_failed : k_done, std::memory_order_seq_cst);
  if (before == k_waited)
    t->waiter->unpark();  // t lives: we hold a reference
  else if (before == k_chained) [[unlikely]]
    fire(t->continuation);
  drop_reference(t);
}

void pool_core::announce(const class_entry& e) noexcept {
  worker* w = t_state.self;
  if (w && w->core == this)
    w->tags.submitted(e.local, e.weight);
  else
    count_external_submit(my_guest(), e);
}

void pool_core::place_announced(task* t, const class_entry& e) noexcept {
  stamp(t, e);
  worker* w = t_state.self;
  if (w && w->core == this) {
    place_from_worker(*w, t, e);
    return;
  }
  if (state() == state_kind::forked) {
    execute_outside(t);
    return;
  }
  place_shared(t, e);
  if (state_.load(std::memory_order_seq_cst) == state_kind::stopped) [[unlikely]]
    run_leftovers();
}

}  // namespace tactus::detail
