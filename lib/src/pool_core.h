// SPDX-License-Identifier: Apache-2.0
//
// The shared state of one pool: workers, inboxes, who is idle, counters, pages.
//
// WAKE-UPS CANNOT BE LOST. A producer makes a task visible, then looks for an
// idle worker; a worker announces that it is idle, then looks for tasks once
// more, then sleeps:
//     producer:  (1) task visible   [barrier]  (2) read idle bits, searching_
//     worker:    (3) set idle bit   [barrier]  (4) read all queues, (5) sleep
// With a full barrier on both sides, (2) sees (3) or (4) sees (1). In the first
// case the producer claims the worker: clears its bit (one producer succeeds),
// leaves it a task or just wakes it; the notification is kept by the parker if
// it comes before (5). In the second the worker takes its bit back and goes on.
// A producer that saw a searching worker instead need not wake anybody: a
// searcher stops counting as one only after (3), so its (4) comes after (2),
// hence after (1). A searcher that finds a task while it is the last one wakes
// another worker if more is visible, and so does a worker that is woken with a
// task in its hands, and a searcher that falls asleep without having looked for
// all priorities; so parallelism is not lost either.
//
// The barrier of a worker that pushes to its own deque is free while nobody
// sleeps: fences_ says whether those who push pass one themselves. A worker that
// falls asleep while they do not turns that on and pays for both sides, once, by
// membarrier(PRIVATE_EXPEDITED), which puts a full barrier on every running thread
// of the process; as it interrupts their CPUs, it must not be the price of every
// sleep. Who has pushed k_fenced_pushes times in a row with nobody idle turns it
// off, and if somebody is idle after that turns it on again, passes a membarrier
// and wakes for what is visible.
//     producer P: (1) push  (2) read fences_, fence if true  (3) read idle bits
//     idler I:    (a) set idle bit  (b) read fences_: true: fence; false: set it,
//                 membarrier  (c) read all queues
// - P read true: both have a fence, (3) sees (a) or (c) sees (1).
// - P read false and I too: I's membarrier is after (a) and before (c). (1) and (2)
//   before it: (c) sees (1). (3) after it: (3) sees (a), or P read true.
// - P read false, I true. Either some T turned it off after (b), hence after (a):
//   T sees that I is idle, and after its membarrier (1) is visible to it, or (2) saw
//   true. Or some J, falling asleep too or a T, turned it on after (2) and before
//   (b): it passes a membarrier before it looks, so it finds (1), or (2) is later
//   and saw true; and who finds a task wakes another if more is visible.
// An urgent push always fences, so spares, who take nothing else, need no more than
// a fence of their own. Without membarrier fences_ is always true.
// A worker that finds, after (3) and after it stopped counting as a searcher, that
// all others are idle needs no barrier: none of them runs that could have
// pushed, and one that is woken later sees this one idle and nobody searching.
// tests/unit/lib/wake_model_test.cpp goes through every interleaving of this, on
// store buffers as x86 has them, and shows what each part is needed for.
#ifndef TACTUS_SRC_POOL_CORE_H
#define TACTUS_SRC_POOL_CORE_H

#include "class_table.h"
#include "cpu_map.h"
#include "inbox.h"
#include "pages.h"
#include "selector.h"
#include "watch.h"
#include "worker.h"

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string>

namespace tactus::detail {

class memory_watch;
class registration;
class timer_queue;

// What a thread that is no worker has in a pool: counters, and one queue per
// class, which it alone pushes to and workers take from in batches. A thread
// gets one at its first submission and gives it back when it ends; what is
// queued then stays for the workers, and counters go on for the next owner.
// Exact; the pool page has a copy of the counters while it is shared.
struct alignas(64) guest {
  std::array<std::atomic<deque*>, TACTUS_MAX_LOCAL_CLASSES> queues{};  // made at first use
  std::array<std::atomic<std::uint64_t>, TACTUS_MAX_LOCAL_CLASSES> submitted{};
  std::array<std::atomic<std::uint64_t>, TACTUS_MAX_LOCAL_CLASSES> finished{};
  std::array<std::atomic<std::uint64_t>, TACTUS_MAX_LOCAL_CLASSES> missed{};
  std::array<std::atomic<std::uint64_t>, TACTUS_MAX_LOCAL_CLASSES> failed{};
  std::array<std::atomic<std::uint64_t>, TACTUS_MAX_LOCAL_CLASSES> run_units{};
  std::atomic<bool> taken{false};
  bool shared = false;  // the one for all threads that found none free: no queues

  ~guest() {
    for (auto& q : queues) delete q.load(std::memory_order_relaxed);
  }
  void add(std::atomic<std::uint64_t>& counter, std::uint64_t n) noexcept {
    if (shared)
      counter.fetch_add(n, std::memory_order_release);
    else  // release: see pool_core::quiescent()
      counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_release);
  }
};

class pool_core {
 public:
  explicit pool_core(const pool_options& options);
  ~pool_core();

  // Producers.
  void submit_from_worker(worker& w, task* t, const class_entry& e);
  void keep_and_wake(worker& w, task* t, const class_entry& e);  // into its own deque
  void submit_from_outside(task* t, const class_entry& e);
  void stamp(task* t, const class_entry& e);  // what enqueue() writes into a task
  void stamp_deadline(task* t, const class_entry& e) const noexcept;
  // In two steps, for continuations: count it, later make it visible.
  void announce(const class_entry& e) noexcept;
  void place_announced(task* t, const class_entry& e) noexcept;
  void place_from_worker(worker& w, task* t, const class_entry& e);
  bool called_from_task() const noexcept;
  void wake_for(std::size_t count, const class_entry& e) noexcept;  // that many visible tasks
  void submit_bulk(task* first, task* last, std::size_t count, const class_entry& e);

  // Waiting.
  void wait();
  void wait_for(const wait_condition& condition);  // by whichever thread calls
  static void sleep_until_done(const wait_condition& condition);
  // What was ever counted under a class's number; not consistent across counters, but that equal
  // `submitted` and `finished` mean that nothing was outstanding at some moment meanwhile.
  class_counts count(unsigned local_class) const noexcept;
  bool quiescent() const noexcept;                 // everything submitted has finished
  void notify_if_quiescent() noexcept;             // REQUIRES: waiters_ was seen non-zero
  bool has_waiters() const noexcept { return waiters_.load(std::memory_order_seq_cst) != 0; }
  void shutdown(stop_mode mode);
  unsigned resize(unsigned nr);  // 0: as the CPU budget says

  // Completion of a task that has run (or was dropped); releases it.
  void finish(task* t, std::exception_ptr* error) noexcept;  // error: null = none
  void keep_error(std::exception_ptr error) noexcept;  // of a detached task; before it is counted
  void drop(task* t) noexcept;  // destroys the callable, finishes it as cancelled
  // By a thread that is no worker. When it has done with helping it says so:
  // what it ran last may have been the last of all. waiters: how many of
  // waiters_ are the caller.
  void execute_outside(task* t) noexcept;
  void help_is_over(unsigned waiters = 0) noexcept;

  // Idle workers.
  void set_idle(worker& w) noexcept;
  bool all_idle() const noexcept;           // spares too; false also where that is not known
  bool unset_idle(worker& w) noexcept;      // false: claimed by a waker
  // Is a worker besides w awake and running? One that was started or woken may wait for a CPU for ms,
  // behind the thread that woke it: until it has run, it does not count. REQUIRES: w is awake.
  bool another_runs(const worker& w) const noexcept;
  // By the pool's selection rule, for a task of this class. Null: none sleeps.
  worker* claim_idle(bool spare, unsigned local_class = 0) noexcept;
  worker* claim_for(const class_entry& e) noexcept {  // whom to wake for a task; null: nobody
    return e.priority >= k_first_urgent || may_wake() ? claim_sleeping(e) : nullptr;
  }
  void hand_over(worker& w, task* t, std::uint64_t next_tag) noexcept;
  bool may_wake() const noexcept {
    return nr_idle_.load(std::memory_order_seq_cst) != 0 && searching_.load(std::memory_order_seq_cst) == 0;
  }
  unsigned nr_idle() const noexcept { return nr_idle_.load(std::memory_order_relaxed); }
  void start_searching() noexcept { searching_.fetch_add(1, std::memory_order_seq_cst); }
  // Wakes one idle worker if there is one and anything is visible to do.
  void wake_for_visible_work() noexcept;
  // A full barrier against light_barrier() of every other thread.
  void heavy_barrier() noexcept;
  // By `w`, after pushes of this priority to its own deques.
  void light_barrier(worker& w, unsigned priority) noexcept {
    std::atomic_signal_fence(std::memory_order_seq_cst);  // the compiler must not read before the push
    if (priority < k_first_urgent && !fences_.load(std::memory_order_relaxed)) [[likely]] {
      std::atomic_signal_fence(std::memory_order_seq_cst);  // nor (3) before this; heavy_barrier() does the rest
      return;
    }
    full_barrier();
    if (nr_idle_.load(std::memory_order_relaxed) != 0)
      w.nr_fenced_pushes_ = 0;
    else if (++w.nr_fenced_pushes_ >= k_fenced_pushes) [[unlikely]]
      stop_fences(w);
  }
  void full_barrier() noexcept {
#ifdef __SANITIZE_THREAD__  // understands accesses, not fences
    barrier_word_.fetch_add(1, std::memory_order_seq_cst);
#else
    std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
  }
  // Anything of this priority or a higher one in a queue?
  bool work_visible(unsigned lowest) const noexcept;

  // Shared queues.
  void place_shared(task* t, const class_entry& e) noexcept;  // hands over, or queues and wakes
  void push_shared(task* t, unsigned local_class) noexcept { push_shared(t, t, local_class); }
  void push_shared(task* first, task* last, unsigned local_class) noexcept;  // linked by `next`
  // Takes up to `most` tasks of a class from the queues of guests and the inbox,
  // oldest first, from one of them, which takes turns; where: whose turn it is.
  unsigned take(unsigned local_class, task** out, unsigned most, unsigned& where) noexcept;
  std::uint64_t ready_classes() const noexcept { return ready_.load(std::memory_order_seq_cst); }
  std::uint64_t classes_from(unsigned lowest) const noexcept {  // of priority >= lowest
    std::uint64_t all = 0;
    for (unsigned p = lowest; p < k_priorities; ++p) all |= classes.of_priority(p);
    return all;
  }
  // Clears a class's ready bit if there is nothing of it.
  void settle_ready(unsigned local_class) noexcept;
  task* take_for_outside() noexcept;

  // Configuration; constant after construction.
  pool_options options;
  unsigned nr_workers = 0, nr_spares = 0;  // threads; of nr_workers, the first active_workers() take tasks
  std::uint64_t look_around_ticks = 0;     // at least so long in search(); 0: k_search_rounds
  std::uint64_t heartbeat_ticks = 0;       // fork_join.hpp
  unsigned active_workers() const noexcept { return active_workers_.load(std::memory_order_relaxed); }
  unsigned nr_threads() const noexcept { return nr_workers + nr_spares; }
  class_table classes;
  tick_clock clock;
  const cpu_map& cpus;  // read before the first wake-up
  std::unique_ptr<worker[]> workers;
  std::array<inbox, TACTUS_MAX_LOCAL_CLASSES> inboxes;
  std::atomic<const tactus_route_table*> routes{nullptr};
  page_region pages;
  // Where external counters are copied to; null while nobody looks.
  std::atomic<tactus_pool_page*> shared_pool_page{nullptr};
  std::unique_ptr<registration> agent;
  std::unique_ptr<memory_watch> memory;

  enum class state_kind : std::uint32_t { running, draining, stopped, forked };
  state_kind state() const noexcept { return state_.load(std::memory_order_acquire); }
  // shutdown(cancel): tasks that have not started are not run any more.
  bool drops_tasks() const noexcept { return drops_tasks_.load(std::memory_order_relaxed); }
  // Memory is short: memory_watch.h.
  bool under_pressure() const noexcept { return under_pressure_.load(std::memory_order_relaxed); }

  alignas(64) std::atomic<std::uint64_t> ready_{0};  // bit c: an inbox or a guest's queue of class c may not be empty
  // Bit i: workers[i].slot was given an urgent task and may still have it. A hint: a running worker
  // looks there between two tasks, since the one that was woken may wait long for a CPU.
  std::atomic<std::uint64_t> urgent_slots_{0};
  alignas(64) std::atomic<std::uint32_t> nr_idle_{0};  // workers, not spares
  std::atomic<std::uint32_t> searching_{0};
  std::atomic<std::uint32_t> nr_idle_spares_{0};
  std::atomic<std::uint32_t> waiters_{0};
  std::atomic<bool> napping_{false};  // worker::nap()
  std::atomic<std::uint64_t> nr_spare_wakeups_{0};
  std::array<std::atomic<std::uint64_t>, k_selection_reasons> nr_selections_{};
  std::atomic<unsigned> active_workers_{0};
  std::atomic<std::uint32_t> rest_epoch_{0};  // futex of workers that rest

  // Made at first use. Throws pool_stopped, std::system_error.
  std::shared_ptr<timer_queue> timers();

  static constexpr unsigned k_guests = 16;
  const std::uint64_t id;                    // never used twice in a process
  std::array<guest, k_guests + 1> guests;    // the last is shared
  std::atomic<unsigned> nr_guests_{0};       // those before have been used
  guest& my_guest() {
    const guest_ref& latest = t_state.guests[0];
    return latest.pool_id == id ? *latest.place : find_guest();
  }

  // fork(): every pool of the process.
  void before_fork();
  void after_fork();
  void after_fork_in_child() noexcept;

 private:
  // True when a spare should be woken for a task of this priority: all workers
  // are busy, one of them with something less urgent.
  bool wants_spare(unsigned priority) const noexcept;
  // A worker has put a task into its own deque: wakes somebody for the oldest.
  void place_here(worker& w, task* t, const class_entry& e);
  void wake_for_own(worker& w, const class_entry& e) noexcept;
  void stop_fences(worker& w) noexcept;
  selection select_idle(std::span<candidate> candidates, unsigned local_class) const noexcept;
  guest& find_guest();
  worker* claim_sleeping(const class_entry& e) noexcept;
  // Into the calling thread's own queue of the class; false: it has none, or there is no memory for a
  // larger one, and those from `first` on are left.
  bool push_to_own_queue(task*& first, task* last, unsigned local_class) noexcept;
  // There is a task of the class, with this priority, that the bits do not show yet.
  void make_ready(unsigned local_class, unsigned priority) noexcept;
  bool nothing_of(unsigned local_class) const noexcept;
  bool anything_ready(unsigned lowest) const noexcept;  // a ready bit may be a little out of date
  void count_external_submit(guest& g, const class_entry& e, std::uint64_t count = 1) noexcept;
  void count_external_finish(guest& g, unsigned local, unsigned weight) noexcept;
  void start_threads();
  void stop_threads() noexcept;
  void run_leftovers() noexcept;
  void wait_quiescent(bool help);

  std::atomic<state_kind> state_{state_kind::running};
  std::atomic<bool> drops_tasks_{false};
  std::atomic<bool> under_pressure_{false};
  static constexpr unsigned k_fenced_pushes = 4096;
  bool have_membarrier_ = false;
  alignas(64) std::atomic<bool> fences_{true};          // those who push to their own deques fence
  alignas(64) std::atomic<std::uint32_t> barrier_word_{0};  // full_barrier() under thread sanitizers
  std::array<std::atomic<std::uint64_t>, TACTUS_MAX_WORKERS / 64> idle_{};  // spares too
  mutable std::atomic<std::uint32_t> quiescence_checks_{0};
  std::atomic<std::uint32_t> quiet_epoch_{0};  // futex of wait()
  void stop_timers() noexcept;

  std::mutex stop_lock_;
  std::mutex resize_lock_;
  std::mutex timers_lock_;
  bool timers_stopped_ = false;           // under timers_lock_
  std::shared_ptr<timer_queue> timers_;  // under timers_lock_
  std::mutex error_lock_;
  std::exception_ptr first_error_;  // of a detached task; under error_lock_
};

inline void pool_core::stamp(task* t, const class_entry& e) {
  t->weight = e.weight;
  if (e.deadline_ns) [[unlikely]] {
    stamp_deadline(t, e);
  } else {
    t->tag = e.tag;
    t->deadline_ticks = 0;
  }
  if (e.watched) [[unlikely]] watch_task(*this, *t, e);
}

// The end of a promised task: its result or exception is stored.
void end_promised(task* t, bool failed) noexcept;

// Pools alive in this process, for fork().
void remember_pool(pool_core& core);
void forget_pool(pool_core& core) noexcept;

}  // namespace tactus::detail

#endif
