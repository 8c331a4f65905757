// SPDX-License-Identifier: Apache-2.0
//
// The slower half of tag_writer: class changes, clock reads, publishing.
#include "tag_writer.h"

#include <algorithm>
#include <limits>

namespace tactus::detail {

void tag_writer::init(tactus_tag_page* page, const tick_clock& clock) noexcept {
  clock_ = clock;
  merge_ticks_ = static_cast<std::uint64_t>(k_merge_us * clock.ticks_per_us);
  page_ = page;
  put(page_->clock, static_cast<std::uint32_t>(clock_.kind));
  head_ = __atomic_load_n(&page->head, __ATOMIC_RELAXED);
  offered_.store(page, std::memory_order_relaxed);
  active_.store(page, std::memory_order_release);
}

void tag_writer::begin_other(std::uint64_t tag) noexcept {
  if (offered_.load(std::memory_order_relaxed) != page_) [[unlikely]]
    take_offer();
  const unsigned next = tactus_tag_class(tag);
  if (next != open_class_ || !started_) {
    // The last stretch belongs to the old class: to tasks whose end was not
    // read, or to a task that is suspended.
    if (started_ && (open_count_ != read_count_ || partial_)) account(clock_.read());
    close_record();
    open_class_ = next;
    open_ticks_ = classes_[next].carry_ticks;
    classes_[next].carry_ticks = 0;
    credit_ = tasks_per_read(next);
    if (!started_) {
      start_ = clock_.read();
      started_ = true;
    }
  }
  tag_ = tag;
  put(page_->tag, tag);
}

void tag_writer::end_read(unsigned flags, std::uint64_t deadline) noexcept {
  const std::uint64_t now = clock_.read();
  auto& c = classes_[open_class_];
  if (deadline) {
    flags |= TACTUS_RECORD_DEADLINE;
    // an untrusted counter does not decide who is late
    if ((clock_.recorded() ? now : tick_clock::now_ns()) > deadline) {
      flags |= TACTUS_RECORD_MISSED;
      c.missed.store(c.missed.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
  }
  if (flags & TACTUS_RECORD_FAILED)
    c.failed.store(c.failed.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);

  const unsigned unread = open_count_ - read_count_;  // this task among them
  std::uint64_t ticks = now - start_;
  if (!partial_) learn_mean(unread > 1 ? ticks / unread : ticks);
  partial_ = false;
  if (flags != open_flags_ && open_count_ > 1) {
    // Flags hold for every task of a record: those before this one go alone,
    // with their mean share of the stretch.
    const std::uint64_t earlier = ticks / unread * (unread - 1);
    open_ticks_ += earlier;
    ticks -= earlier;
    --open_count_;
    publish(now - ticks);
    open_count_ = 1;
  }
  open_flags_ = flags;
  open_ticks_ += ticks;
  start_ = now;
  read_count_ = open_count_;
  credit_ = tasks_per_read(open_class_);
  if (open_ticks_ >= merge_ticks_ ||
      open_count_ > std::numeric_limits<std::uint16_t>::max() - 2 * k_max_tasks_per_read)
    publish(now);
}

// Ends the stretch between start_ and now.
void tag_writer::account(std::uint64_t now) noexcept {
  const std::uint64_t ticks = now - start_;
  if (const unsigned unread = open_count_ - read_count_; unread && !partial_) learn_mean(ticks / unread);
  open_ticks_ += ticks;
  start_ = now;
  read_count_ = open_count_;
  partial_ = false;
}

void tag_writer::learn_mean(std::uint64_t ticks) noexcept {
  auto& mean = classes_[open_class_].mean_ticks;
  mean = mean ? mean - mean / 8 + ticks / 8 : ticks;
}

// A class's tasks share a read of the clock as long as about half a record's
// worth of time passes between two reads.
int tag_writer::tasks_per_read(unsigned local_class) const noexcept {
  const std::uint64_t mean = classes_[local_class].mean_ticks;
  const std::uint64_t budget = merge_ticks_ / 2;
  if (mean == 0 || mean >= budget) return 1;
  if (mean * k_max_tasks_per_read <= budget) return k_max_tasks_per_read;
  return static_cast<int>(budget / mean);
}

void tag_writer::close_record() noexcept {
  if (open_count_) publish(start_);
  classes_[open_class_].carry_ticks += open_ticks_;
  open_ticks_ = 0;
}

// The open record goes into the ring, or into the folds when the ring is full.
// What is left of its ticks (less than a unit) stays for the next.
void tag_writer::publish(std::uint64_t end_ticks) noexcept {
  if (offered_.load(std::memory_order_relaxed) != page_) [[unlikely]]
    take_offer();
  std::uint64_t units = 0;
  if (clock_.recorded()) {
    units = open_ticks_ >> TACTUS_RUN_UNIT_TICKS_LOG2;
    open_ticks_ &= (1u << TACTUS_RUN_UNIT_TICKS_LOG2) - 1;
    auto& c = classes_[open_class_];
    c.run_units.store(c.run_units.load(std::memory_order_relaxed) + units, std::memory_order_relaxed);
  } else {
    open_ticks_ = 0;
    end_ticks = 0;
  }
  // Acquire: the kernel has read a cell before it lets go of it by moving tail.
  const std::uint32_t tail = __atomic_load_n(&page_->tail, __ATOMIC_ACQUIRE);
  if (head_ - tail >= TACTUS_RING_RECORDS) {
    tactus_fold& fold = page_->fold[open_class_];
    put(fold.run_units, fold.run_units + units);
    put(fold.count, fold.count + open_count_);
    if (open_flags_ & TACTUS_RECORD_MISSED) put(fold.missed, fold.missed + open_count_);
    __atomic_store_n(&page_->folded_classes, page_->folded_classes | (1ull << open_class_), __ATOMIC_RELEASE);
  } else {
    tactus_record& record = page_->ring[head_ % TACTUS_RING_RECORDS];
    put(record.end_ticks, static_cast<__u64>(end_ticks));
    put(record.run_units, static_cast<__u32>(std::min<std::uint64_t>(units, std::numeric_limits<__u32>::max())));
    put(record.count, static_cast<__u16>(open_count_));
    put(record.local_class, static_cast<__u8>(open_class_));
    put(record.flags, static_cast<__u8>(open_flags_));
    __atomic_store_n(&page_->head, ++head_, __ATOMIC_RELEASE);
  }
  open_count_ = 0;
  read_count_ = 0;
  open_flags_ = 0;
}

void tag_writer::gap() noexcept {
  if (started_ && (open_count_ != read_count_ || partial_)) account(clock_.read());
  started_ = false;
  partial_ = false;
  tag_ = 0;  // the page's tag stays until park(): the worker still runs
}

void tag_writer::park() noexcept {
  gap();
  close_record();
  if (offered_.load(std::memory_order_relaxed) != page_) take_offer();
  put(page_->tag, static_cast<__u64>(0));
}

// Only at a task boundary and by the worker, so that nothing is written to the
// old page afterwards.
void tag_writer::take_offer() noexcept {
  tactus_tag_page* page = offered_.load(std::memory_order_acquire);
  put(page_->tag, static_cast<__u64>(0));
  copy_counters(page);
  put(page->clock, static_cast<std::uint32_t>(clock_.kind));
  put(page->weight_submitted, static_cast<__u64>(weight_submitted_));
  put(page->weight_finished, static_cast<__u64>(weight_finished_));
  put(page->tag, static_cast<__u64>(tag_));
  head_ = __atomic_load_n(&page->head, __ATOMIC_RELAXED);
  page_ = page;
  active_.store(page, std::memory_order_release);
}

void tag_writer::copy_counters(tactus_tag_page* page) const noexcept {
  for (unsigned i = 0; i < TACTUS_MAX_LOCAL_CLASSES; ++i) {
    put(page->submitted[i], static_cast<__u32>(classes_[i].submitted.load(std::memory_order_relaxed)));
    put(page->finished[i], static_cast<__u32>(classes_[i].finished.load(std::memory_order_relaxed)));
  }
}

void tag_writer::after_fork(tactus_tag_page* page) noexcept {
  page_ = page;
  head_ = __atomic_load_n(&page->head, __ATOMIC_RELAXED);
  offered_.store(page, std::memory_order_relaxed);
  active_.store(page, std::memory_order_relaxed);
}

}  // namespace tactus::detail
