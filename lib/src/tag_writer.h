// SPDX-License-Identifier: Apache-2.0
//
// tag_writer: what a worker tells the kernel about its tasks, through its tag
// page (abi/tag_page.h): the tag before a task, a completion record after it.
// One per worker, used by that worker alone, but for offer() and the readers.
//
// Costs: one read of the counter per task at most; consecutive short tasks of
// one class merge into one record and share a read (at least every 64th reads).
// No system call (the clock is chosen so), lock or allocation on this path.
//
// Time is accounted in stretches. `start_` is where the current stretch began:
// the end of the last task when the next follows at once, else a fresh read. A
// stretch ends when the clock is read, and belongs to the open record's class.
// States:
//   idle      started_ = false; nothing open but perhaps a record to publish
//   running   a task of class open_class_ runs since start_ (at the latest)
//   between   as running, but open_count_ counts tasks that have ended
//   nested    suspend(): a task waits and others run inside it; its own part of
//             the time goes to its class (open record, or carry while others run)
#ifndef TACTUS_SRC_TAG_WRITER_H
#define TACTUS_SRC_TAG_WRITER_H

#include "clock.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace tactus::detail {

// A worker's exact counts; the page has copies. Written by the worker alone.
struct alignas(64) class_counters {
  std::atomic<std::uint64_t> submitted{0};
  std::atomic<std::uint64_t> finished{0};
  std::atomic<std::uint64_t> missed{0};
  std::atomic<std::uint64_t> failed{0};
  std::atomic<std::uint64_t> run_units{0};  // of 16 ticks
  std::uint64_t carry_ticks = 0;            // run so far by tasks that have not ended
  std::uint64_t mean_ticks = 0;             // moving average of a task's run time
  std::uint64_t weight = 0;                 // of one task, as last seen
};

class tag_writer {
 public:
  // page: where to write first; both must outlive the writer.
  void init(tactus_tag_page* page, const tick_clock& clock) noexcept;

  // Before a task runs. tag: tactus_tag_make(), never 0.
  void begin(std::uint64_t tag) noexcept {
    if (tag == tag_) return;
    if ((tag & 0xffff) != open_class_ || !started_) return begin_other(tag);
    tag_ = tag;  // same class, other deadline
    put(page_->tag, tag);
  }

  // After the task that begin() announced. weight: its class's. flags: only
  // TACTUS_RECORD_FAILED. deadline: in ticks of the clock, ns where the clock is
  // not recorded; 0 = none.
  void end(unsigned weight, unsigned flags = 0, std::uint64_t deadline = 0) noexcept {
    auto& finished = classes_[open_class_].finished;
    // Release: who sees the count sees what the task did (pool::wait()).
    finished.store(finished.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    const unsigned count = ++open_count_;
    if ((deadline | flags | open_flags_) == 0 && count < read_at_) [[likely]]
      return;
    end_read(weight, flags, deadline);
  }

  // A task was submitted by this worker.
  void submitted(unsigned local_class, unsigned weight) noexcept {
    auto& c = classes_[local_class];
    const std::uint64_t n = c.submitted.load(std::memory_order_relaxed) + 1;
    // Release: see pool_core::quiescent().
    c.submitted.store(n, std::memory_order_release);
    put(page_->submitted[local_class], static_cast<std::uint32_t>(n));
    put(page_->weight_submitted, page_->weight_submitted + weight);
  }

  // A task ended without having run (it was cancelled).
  void count_finished(unsigned local_class, unsigned weight) noexcept {
    auto& c = classes_[local_class];
    const std::uint64_t n = c.finished.load(std::memory_order_relaxed) + 1;
    c.finished.store(n, std::memory_order_release);
    put(page_->finished[local_class], static_cast<std::uint32_t>(n));
    put(page_->weight_finished, page_->weight_finished + weight);
  }

  // The task that runs is about to wait, and may run others inside; resume()
  // with the same tag() when it goes on.
  void suspend() noexcept { partial_ = true; }
  void resume(std::uint64_t tag) noexcept {
    if (tag) begin(tag);
    partial_ = false;
  }

  // There is no next task at once: what follows is not run time.
  void gap() noexcept;
  // gap(), and the worker is about to sleep: everything is published, tag = 0.
  void park() noexcept;

  // Tasks of the class last begun are so short that several share a read of the clock.
  bool short_tasks() const noexcept { return read_at_ - read_count_ > 1; }
  // The tag last begun; 0 after gap().
  std::uint64_t tag() const noexcept { return tag_; }
  std::uint64_t mean_ticks(unsigned local_class) const noexcept { return classes_[local_class].mean_ticks; }

  // Any thread: write to this page from the next task boundary on. Counters go
  // on from their values; the ring goes on from the page's own head.
  void offer(tactus_tag_page* page) noexcept { offered_.store(page, std::memory_order_seq_cst); }
  tactus_tag_page* offered() const noexcept { return offered_.load(std::memory_order_acquire); }
  // Any thread: the page written to since the last boundary.
  tactus_tag_page* active() const noexcept { return active_.load(std::memory_order_acquire); }
  // Any thread: copies the counters into a page nobody reads yet.
  void copy_counters(tactus_tag_page* page) const noexcept;
  // In the child of fork(), by its only thread.
  void after_fork(tactus_tag_page* page) noexcept;

  // Any thread.
  const class_counters& counters(unsigned local_class) const noexcept { return classes_[local_class]; }

  static constexpr unsigned k_merge_us = 20;        // a record of this much is published
  static constexpr int k_max_tasks_per_read_log2 = 6;

 private:
  using word [[gnu::may_alias]] = std::uint64_t;
  template <class T>
  static void put(T& word, std::type_identity_t<T> value) noexcept { __atomic_store_n(&word, value, __ATOMIC_RELAXED); }

  void begin_other(std::uint64_t tag) noexcept;
  void begin_unusual(std::uint64_t tag) noexcept;
  void end_read(unsigned weight, unsigned flags, std::uint64_t deadline) noexcept;
  void end_unusual(unsigned weight, unsigned flags, std::uint64_t deadline) noexcept;
  bool ordinary() const noexcept;
  std::uint64_t split_record(std::uint64_t now, std::uint64_t ticks, unsigned flags, std::uint64_t deadline) noexcept;
  void account(std::uint64_t now) noexcept;
  static void learn_mean(class_counters& c, std::uint64_t ticks, unsigned tasks) noexcept;
  static std::uint64_t divide(std::uint64_t a, unsigned b) noexcept;
  unsigned tasks_per_read(const class_counters& c) const noexcept;
  bool ring_has_room() const noexcept;
  void publish(std::uint64_t end_ticks, std::uint64_t ticks) noexcept;
  void count_record(std::uint64_t ticks) noexcept;
  void write_record(std::uint64_t end_ticks, std::uint64_t ticks) noexcept;
  void fold(std::uint64_t ticks) noexcept;
  void close_record() noexcept;
  void take_offer() noexcept;

  // what begin() and end() touch, together
  std::uint64_t tag_ = 0;
  tactus_tag_page* page_ = nullptr;
  unsigned open_class_ = 0;
  unsigned open_flags_ = 0;
  unsigned open_count_ = 0;  // tasks in the open record
  unsigned read_at_ = 1;     // open_count_ at which the clock is read again
  unsigned read_count_ = 0;  // of open_count_, those whose time is accounted
  bool started_ = false;
  bool partial_ = false;     // a suspended task has run since start_
  bool recorded_ = false;    // times go into records
  bool plain_ = false;       // .. and the clock is the time-stamp counter
  std::uint64_t start_ = 0;
  std::uint64_t open_ticks_ = 0;
  std::uint64_t merge_ticks_ = 0;
  tick_clock clock_;
  std::atomic<tactus_tag_page*> offered_{nullptr};
  std::atomic<tactus_tag_page*> active_{nullptr};
  std::array<class_counters, TACTUS_MAX_LOCAL_CLASSES> classes_;
};

}  // namespace tactus::detail

#endif
