// SPDX-License-Identifier: Apache-2.0
//
// A worker: one thread of a pool, its deques, its tag page and the slot in which
// a waker leaves it a task.
//
// States, and who moves a worker between them:
//   running    runs tasks from next_task()
//   searching  found nothing; looks at the others' queues for a few us (only
//              workers that are no spares)
//   idle       its bit in pool_core::idle_ is set; sleeps on `sleep`
//   resting    the pool was made smaller: sleeps on pool_core::rest_epoch_
//   claimed    a waker cleared the bit: it now owns `slot` and next_tag, fills
//              them, sets `delivered` and wakes the worker
// A worker that wants to leave `idle` by itself clears its own bit; if that bit
// is gone already it is claimed and waits for `delivered`.
#ifndef TACTUS_SRC_WORKER_H
#define TACTUS_SRC_WORKER_H

#include "deque.h"
#include "parker.h"
#include "tag_writer.h"
#include "victim_order.h"

#include <tactus/pool.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <pthread.h>

namespace tactus::detail {

class pool_core;

inline constexpr unsigned k_priorities = 4;
inline constexpr unsigned k_first_urgent = 2;  // priorities from here on are urgent

// What a wait waits for, as the waiting loop sees it. Two pointers to functions,
// so that the loop is compiled once.
struct wait_condition {
  bool (*done)(const void* object);
  // Announces that `p` is about to sleep: who completes it wakes p. Null takes
  // that back. Harmless when already complete.
  void (*announce)(void* object, parker* p);
  void* object;
  unsigned lowest_priority;   // tasks below it need not be run to complete this
  bool outside_may_help;      // may a thread that is no worker run tasks meanwhile?
};

struct alignas(64) worker {
  // set before the thread starts
  pool_core* core = nullptr;
  unsigned index = 0;
  bool spare = false;
  pthread_t thread{};
  bool started = false;  // thread is valid and not joined

  // what others touch
  alignas(64) std::atomic<task*> slot{nullptr};
  std::atomic<bool> delivered{false};
  std::atomic<int> tid{0};
  std::atomic<int> seen_on{-1};         // the CPU on which it ran out of work last
  std::atomic<bool> rests{false};       // takes no tasks: the pool was made smaller; pool_core::resize()
  std::atomic<int> woken_from{-1};      // the CPU on which its last waker ran; -1: it has left that since
  std::atomic<int> last_cpu{-1};        // idle: where it ran last; else where its waker ran. See spread.h
  std::atomic<std::uint8_t> levels{0};  // bit p: deques[p] may hold tasks; set by the worker
  parker sleep;
  std::array<deque, k_priorities> deques;

  tag_writer tags;

  // the worker's own
  std::uint32_t random = 1;
  std::uint32_t last_mixed_ms = 0;
  unsigned nr_false_alarms = 0;  // times in a row that sleep_idle() did not sleep
  std::array<std::uint32_t, k_priorities> deque_since_ms{};  // last served; see select()
  std::uint64_t batch_ticks_ = 0;  // how much work to take from a queue at once
  std::uint64_t awake_since_ = 0;
  std::uint64_t idle_since_ = 0;
  std::array<std::uint64_t, 2> idle_ticks_{~0ull, ~0ull};  // how long it was without a task the last two times
  victim_order victims_;
  unsigned nr_fenced_pushes_ = 0;  // in a row, with nobody idle: pool_core::light_barrier()
  unsigned next_guest_ = 0;        // whose turn it is: pool_core::take()
  unsigned nr_quick_picks_ = 0;    // since the last select()
  std::atomic<std::uint64_t> nr_parked{0};
  std::atomic<std::uint64_t> nr_stolen{0};

  // Thread body.
  void run();

  // Runs t on this worker, with its tag and completion.
  void execute(task* t);
  // Runs tasks until `condition` is done; called from inside a task.
  void help(const wait_condition& condition);
  // Runs tasks from the top of its own deque until `join` is done (true) or the
  // deque is empty or something more urgent waits (false); from inside a task.
  bool run_own(const join_counter& join);
  // Puts a task of this worker's own into its deque (no wake-up).
  void keep(task* t) {
    const unsigned priority = tactus_tag_priority(t->tag);
    const std::uint8_t seen = levels.load(std::memory_order_relaxed);
    if (!(seen & (1u << priority)))
      levels.store(static_cast<std::uint8_t>(seen | (1u << priority)), std::memory_order_release);
    deques[priority].push(t);
  }

  // The next task without waiting: own deques and inboxes by priority and age,
  // none below `lowest`. Null when there is none.
  task* next_task(unsigned lowest);

 private:
  // An urgent task left for a worker that has not started yet, if it suits this place. Null: none.
  task* take_urgent_slot(unsigned lowest);
  void drop(task* t);                              // instead of running it
  void failed(task* t, std::exception_ptr error);  // it ended by an exception
  // Whom to steal from first, by where the others were seen last.
  void arrange_victims() noexcept;
  // A task of another worker's deques or slot.
  task* steal(unsigned lowest, bool slots);
  task* steal_from(worker& victim, unsigned lowest, bool slots);
  task* steal_slot(worker& victim, unsigned lowest);
  // Looks around for a while; null when there seems to be nothing or when
  // `condition` is done. Then the worker still counts as searching (unless it is
  // a spare): sleep_idle() or stop_searching() must follow.
  task* search(const wait_condition* condition, unsigned lowest);
  void stop_searching() noexcept;
  void leave_while_awake(int cpu) noexcept;  // for another CPU; counts as searching before and after
  // Looks around for longer than search(); null: nothing came, or it need not.
  task* linger();
  // Short sleeps before the long one; null: nothing came, and the worker counts as searching.
  task* nap();
  // Sleeps until it is to take tasks again, or the pool stops.
  void rest() noexcept;
  // Sleeps until a task is handed over (returned), or woken without one, or
  // `condition` (may be null) is done, or the pool stops.
  task* sleep_idle(const wait_condition* condition, unsigned lowest);
  task* select(std::uint64_t ready, unsigned own_levels);
  task* pop_level(unsigned priority);
  task* pop_inbox(unsigned local_class);
  unsigned lowest_to_take() const noexcept { return spare ? k_first_urgent : 0; }
  static void bump(std::atomic<std::uint64_t>& counter) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
};

}  // namespace tactus::detail

#endif
