// SPDX-License-Identifier: Apache-2.0
//
// How templates in the public headers hand tasks to the pool. All detail.
#ifndef TACTUS_SUBMISSION_HPP
#define TACTUS_SUBMISSION_HPP

#include "export.h"
#include "task.hpp"
#include "task_class.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <source_location>
#include <stop_token>

namespace tactus::detail {

// What a pool knows of one of its classes; its address lives as long as the pool.
struct class_entry {
  std::uint64_t tag = 0;          // class, priority, valid; no deadline
  std::uint64_t deadline_ns = 0;  // relative, 0 = none
  std::uint8_t local = 0;
  std::uint8_t priority = 1;
  std::uint8_t weight = 1;
  bool watched = false;  // an observer or a policy for missed deadlines looks at each task
  // Cost of one iteration of this class's loops, ticks / 16; 0 = not known yet.
  mutable std::atomic<std::uint32_t> loop_cost{0};
};

TACTUS_API const class_entry& bind_class(pool_core& core, const task_class& cls);
TACTUS_API const class_entry& bind_site(pool_core& core, const std::source_location& where, unsigned bucket);
TACTUS_API void enqueue(pool_core& core, task* t, const class_entry& entry);

// `count` detached tasks, linked by `next` from first to last, with one look for
// whom to wake. REQUIRES: count > 0.
TACTUS_API void enqueue_bulk(pool_core& core, task* first, task* last, std::size_t count, const class_entry& entry);
// Releases a task that was not enqueued and is not promised.
TACTUS_API void discard(task* t) noexcept;

// A loop as the pool sees it: body(context, from, to) for parts of [0, count).
struct loop_body {
  void (*body)(void* context, std::size_t from, std::size_t to);
  void* context;
};
TACTUS_API void run_loop(pool_core& core, const class_entry& entry, std::size_t count, const loop_body& body);
TACTUS_API unsigned size_bucket(std::size_t count) noexcept;

// Is the calling thread in a task of this pool?
TACTUS_API bool called_from_task_of(const pool_core& core) noexcept;

// --- continuations (chain.hpp) ---

// `of` has ended or will: then `next` runs (kind called) or is submitted to its
// home as a task of its class (kind promised). Takes over next.
TACTUS_API void when_ended(task& of, task* next) noexcept;
// Takes `next` back from a task that has not ended; false: too late.
TACTUS_API bool take_back(task& of, task* next) noexcept;
// Makes a promised node into one that when_ended() can submit, and counts it as
// submitted from now on, so that pool::wait() waits for it.
TACTUS_API void prepare_continuation(task* next, pool_core* home, const class_entry* entry);
// Ends a promised node: error null = its result is stored. Drops the pool's reference.
TACTUS_API void complete(task* t, std::exception_ptr error) noexcept;
// Destroys the callable of a promised node and ends it with an error.
TACTUS_API void complete_dropped(task* t, std::exception_ptr error) noexcept;

// A promised node that no pool runs: who made it stores the result and calls
// complete(). home: where then() on its future runs.
template <class R>
task* make_promise(pool_core* home) {
  task* t = allocate_task();
  t->invoke = [](task& self, task_op op) {
    if (op != task_op::drop_result) return;
    if (self.state.load(std::memory_order_relaxed) == k_failed)
      destroy_stored<std::exception_ptr>(self);
    else
      destroy_stored<result_storage<R>>(self);
  };
  t->kind = task_kind::promised;
  t->home = home;
  t->tag = 0;
  t->flags = k_depends;
  t->state.store(k_pending, std::memory_order_relaxed);
  t->references.store(2, std::memory_order_relaxed);
  return t;
}

// --- timers (timer.hpp) ---

struct periodic;
// Submits t (promised or detached) after `delay`. When `token` is stopped before, or the
// pool, it ends as cancelled; a detached one just goes.
TACTUS_API void enqueue_at(pool_core& core, task* t, const class_entry& entry,
                           std::chrono::nanoseconds delay, const std::stop_token& token);
// A timer that submits a call of `call(context)` every period, until it returns
// false; owns context.
TACTUS_API std::shared_ptr<periodic> start_periodic(pool_core& core, const class_entry& entry,
                                                    std::chrono::nanoseconds period, bool (*call)(void*),
                                                    std::shared_ptr<void> context);
TACTUS_API void cancel_periodic(periodic& p, bool wait_for_call) noexcept;
TACTUS_API bool periodic_active(const periodic& p) noexcept;

}  // namespace tactus::detail

#endif
