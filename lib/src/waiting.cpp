// SPDX-License-Identifier: Apache-2.0
//
// Everything that waits: futures, groups, pool::wait(), shutdown.
#include "pool_core.h"
#include "memory_watch.h"
#include "registration.h"
#include "thread_state.h"

#include <tactus/task_group.hpp>

#include <stdexcept>
#include <system_error>

namespace tactus {
namespace detail {

// --- joins -----------------------------------------------------------------

void join_counter::keep(std::exception_ptr e) noexcept {
  int none = 0;
  if (!error_state_.compare_exchange_strong(none, 1, std::memory_order_relaxed)) return;
  error_ = std::move(e);
  error_state_.store(2, std::memory_order_release);
}

void join_counter::rethrow_kept() {
  // Every task has ended, so a store that began is complete.
  if (error_state_.load(std::memory_order_acquire) != 2) return;
  std::exception_ptr e = std::exchange(error_, nullptr);
  error_state_.store(0, std::memory_order_relaxed);
  std::rethrow_exception(std::move(e));
}

void join_counter::announce(parker* p) noexcept {
  if (p)
    elsewhere_.fetch_or(k_sleeping, std::memory_order_seq_cst);
  else
    elsewhere_.fetch_and(~k_sleeping, std::memory_order_seq_cst);
}

void join_counter::ended_elsewhere() noexcept {
  parker* owner = parker_;  // the counter may be gone after the next line
  if (elsewhere_.fetch_sub(k_one, std::memory_order_seq_cst) & k_sleeping) owner->unpark();
}

void join_counter::wait_for_others(pool_core& core) {
  // The usual case: what was started is on top of the caller's own deque.
  if (worker* w = t_state.self; w && w->core == &core && w->run_own(*this)) return;
  core.wait_for({[](const void* o) { return static_cast<const join_counter*>(o)->done(); },
                 [](void* o, parker* p) { static_cast<join_counter*>(o)->announce(p); }, this,
                 lowest_priority(), true});
}

// --- futures ---------------------------------------------------------------

namespace {

bool task_done(const void* t) {
  return static_cast<const task*>(t)->state.load(std::memory_order_acquire) >= k_done;
}

void announce_at_task(void* object, parker* p) {
  task& t = *static_cast<task*>(object);
  std::uint32_t expected = p ? k_pending : k_waited;
  if (p) t.waiter = p;  // published by the exchange below
  t.state.compare_exchange_strong(expected, p ? k_waited : k_pending, std::memory_order_seq_cst);
}

}  // namespace

void wait_for_task(task& t) {
  // What it depends on may be less urgent than itself.
  const std::uint8_t flags = std::atomic_ref(t.flags).load(std::memory_order_relaxed);  // memory_watch sets one
  const unsigned lowest = flags & k_depends ? 0 : tactus_tag_priority(t.tag);
  const wait_condition condition{&task_done, &announce_at_task, &t, lowest, false};
  if (worker* w = t_state.self)
    w->core->wait_for(condition);
  else
    pool_core::sleep_until_done(condition);
}

bool wait_for_task_until(task& t, std::chrono::steady_clock::time_point until) {
  parker* p = thread_parker();
  announce_at_task(&t, p);
  while (!task_done(&t) && p->park_until(until)) {
  }
  announce_at_task(&t, nullptr);
  return task_done(&t);
}

void throw_no_state() {
  throw std::logic_error("this future has no task: it was moved from, or its result was fetched already");
}

// --- the pool --------------------------------------------------------------

void pool_core::sleep_until_done(const wait_condition& condition) {
  parker* p = thread_parker();
  condition.announce(condition.object, p);
  while (!condition.done(condition.object)) p->park();
  condition.announce(condition.object, nullptr);
}

void pool_core::wait_for(const wait_condition& condition) {
  if (worker* w = t_state.self; w && w->core == this) {
    w->help(condition);
    return;
  }
  if (condition.outside_may_help && options.outside_threads_help) {
    while (!condition.done(condition.object)) {
      task* t = take_for_outside();
      if (!t) break;  // what is left runs on the workers
      execute_outside(t);
    }
    help_is_over();
  }
  if (!condition.done(condition.object)) sleep_until_done(condition);
}

// In order: all `finished` (acquire), then all `submitted`. A task is counted as
// submitted before it can run, so equal sums mean that at the moment between the
// two passes nothing was outstanding. The read-modify-write at the top orders
// this check after those of other workers that finished tasks before theirs:
// of two workers that finish the last two tasks, the second to check sees both.
bool pool_core::quiescent() const noexcept {
  quiescence_checks_.fetch_add(1, std::memory_order_seq_cst);
  const unsigned nr_classes = classes.size();
  std::uint64_t finished = 0, submitted = 0;
  for (unsigned c = 0; c < nr_classes; ++c) {
    for (unsigned i = 0; i < nr_threads(); ++i)
      finished += workers[i].tags.counters(c).finished.load(std::memory_order_acquire);
    for (unsigned i = 0; i <= k_guests; ++i) finished += guests[i].finished[c].load(std::memory_order_acquire);
  }
  for (unsigned c = 0; c < nr_classes; ++c) {
    for (unsigned i = 0; i < nr_threads(); ++i)
      submitted += workers[i].tags.counters(c).submitted.load(std::memory_order_acquire);
    for (unsigned i = 0; i <= k_guests; ++i) submitted += guests[i].submitted[c].load(std::memory_order_acquire);
  }
  // A class added meanwhile may have tasks that were not counted.
  return finished == submitted && classes.size() == nr_classes;
}

void pool_core::notify_if_quiescent() noexcept {
  if (!quiescent()) return;
  quiet_epoch_.fetch_add(1, std::memory_order_seq_cst);
  futex_wake(quiet_epoch_, INT_MAX);
}

// The waiter counts itself, then checks; a worker that runs out of tasks passes
// a barrier, then reads the number of waiters: one of them sees the other.
void pool_core::wait_quiescent(bool help) {
  waiters_.fetch_add(1, std::memory_order_seq_cst);
  for (;;) {
    const std::uint32_t epoch = quiet_epoch_.load(std::memory_order_seq_cst);
    if (help) {
      if (task* t = take_for_outside()) {
        execute_outside(t);
        continue;
      }
    }
    if (quiescent()) break;
    futex_wait(quiet_epoch_, epoch);
  }
  waiters_.fetch_sub(1, std::memory_order_seq_cst);
  if (help) help_is_over();  // other waiters may be waiting for what this one ran
}

bool pool_core::called_from_task() const noexcept {
  return (t_state.self && t_state.self->core == this) || t_state.helping == this;
}

void pool_core::wait() {
  if (called_from_task())
    throw std::logic_error("pool::wait() called from a task of the same pool would wait for itself; "
                           "use a task_group or a future");
  if (state() != state_kind::forked) wait_quiescent(options.outside_threads_help);
  std::exception_ptr error;
  {
    std::lock_guard guard(error_lock_);
    error = std::exchange(first_error_, nullptr);
  }
  if (error) std::rethrow_exception(std::move(error));
}

void pool_core::shutdown(stop_mode mode) {
  if (called_from_task())
    throw std::logic_error("pool::shutdown() called from a task of the same pool would wait for itself");
  if (state() == state_kind::forked) return;
  stop_timers();
  std::lock_guard guard(stop_lock_);
  if (state() == state_kind::stopped) return;
  memory->stop();
  if (mode == stop_mode::cancel) drops_tasks_.store(true, std::memory_order_relaxed);
  state_.store(state_kind::draining, std::memory_order_seq_cst);
  wait_quiescent(options.outside_threads_help || mode == stop_mode::cancel);
  stop_threads();
  agent->stop();
  run_leftovers();
}

// What was submitted while the pool stopped. Any thread; each task goes to one.
void pool_core::run_leftovers() noexcept {
  while (task* t = take_for_outside()) execute_outside(t);
  help_is_over();
}

// --- threads ---------------------------------------------------------------

void pool_core::start_threads() {
  for (unsigned i = 0; i < nr_threads(); ++i) {
    worker& w = workers[i];
    const int error = pthread_create(&w.thread, nullptr, [](void* p) -> void* {
      worker& self = *static_cast<worker*>(p);
      const pool_core& core = *self.core;
      t_state.self = &self;
      t_state.sleep = &self.sleep;
      const unsigned number = self.spare ? self.index - core.nr_workers : self.index;
      std::string name = core.options.name.substr(0, 10) + (self.spare ? "/s" : "/") + std::to_string(number);
      name.resize(std::min<std::size_t>(name.size(), 15));
      pthread_setname_np(pthread_self(), name.c_str());
      self.tid.store(static_cast<int>(syscall(SYS_gettid)), std::memory_order_release);
      self.run();
      return nullptr;
    }, &w);
    if (error) throw std::system_error(error, std::generic_category(), "cannot start a worker of pool \"" + options.name + "\"");
    w.started = true;
  }
}

void pool_core::stop_threads() noexcept {
  state_.store(state_kind::stopped, std::memory_order_seq_cst);
  rest_epoch_.fetch_add(1, std::memory_order_seq_cst);
  futex_wake(rest_epoch_, INT_MAX);
  full_barrier();
  // A worker that is not idle now sees the state before it sleeps.
  while (worker* w = claim_idle(false)) hand_over(*w, nullptr, 0);
  while (worker* w = claim_idle(true)) hand_over(*w, nullptr, 0);
  for (unsigned i = 0; i < nr_threads(); ++i)
    if (std::exchange(workers[i].started, false)) pthread_join(workers[i].thread, nullptr);
}

}  // namespace detail
}  // namespace tactus
