// SPDX-License-Identifier: Apache-2.0
//
// The slower half of tag_writer: class changes, clock reads, publishing. Written
// for few stores: a record costs about fifteen, and the read of the counter.
#include "tag_writer.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace tactus::detail {

namespace {
constexpr std::uint64_t k_unit_ticks = 1u << TACTUS_RUN_UNIT_TICKS_LOG2;
// A record counts its tasks in 16 bits; the clock is read every 64 at least.
constexpr unsigned k_most_tasks = std::numeric_limits<std::uint16_t>::max() - 128;
}  // namespace

static_assert(std::endian::native == std::endian::little, "records are written as whole words");

void tag_writer::init(tactus_tag_page* page, const tick_clock& clock) noexcept {
  clock_ = clock;
  recorded_ = clock.recorded();
  plain_ = recorded_ && clock.reads_tsc;
  merge_ticks_ = static_cast<std::uint64_t>(k_merge_us * clock.ticks_per_us);
  page_ = page;
  put(page_->clock, static_cast<std::uint32_t>(clock_.kind));
  offered_.store(page, std::memory_order_relaxed);
  active_.store(page, std::memory_order_release);
}

// Ends the stretch between start_ and now.
inline void tag_writer::account(std::uint64_t now) noexcept {
  const std::uint64_t ticks = now - start_;
  if (partial_) [[unlikely]]
    partial_ = false;
  else
    learn_mean(classes_[open_class_], ticks, open_count_ - read_count_);
  open_ticks_ += ticks;
  start_ = now;
  read_count_ = open_count_;
}

// `tasks` tasks took `ticks` together. Without a branch on the value, which is
// noise, and without a division where there is nothing to divide.
inline void tag_writer::learn_mean(class_counters& c, std::uint64_t ticks, unsigned tasks) noexcept {
  if (tasks != 1) ticks = divide(ticks, tasks);
  const std::uint64_t mean = c.mean_ticks;
  c.mean_ticks = (mean ? mean - mean / 8 + ticks / 8 : ticks) + 1;
}

[[gnu::noinline]] std::uint64_t tag_writer::divide(std::uint64_t a, unsigned b) noexcept { return b ? a / b : a; }

// A class's tasks share a read of the clock as long as about half a record's
// worth of time passes between two reads: a power of two, up to 64. A class
// that is new is read at every task.
inline unsigned tag_writer::tasks_per_read(const class_counters& c) const noexcept {
  const std::uint64_t mean = c.mean_ticks, budget = merge_ticks_ / 2;
  if (mean >= budget || mean == 0) return 1;
  if (mean <= budget >> k_max_tasks_per_read_log2) return 1u << k_max_tasks_per_read_log2;
  return std::bit_floor(static_cast<unsigned>(budget / mean));
}

inline bool tag_writer::ring_has_room() const noexcept {
  // Acquire: the kernel has read a cell before it lets go of it by moving tail.
  return page_->head - __atomic_load_n(&page_->tail, __ATOMIC_ACQUIRE) < TACTUS_RING_RECORDS;
}

// The open record goes into the ring, or into the folds when the ring is full.
// ticks: its run time. What is left of it (less than a unit) goes to the next.
void tag_writer::publish(std::uint64_t end_ticks, std::uint64_t ticks) noexcept {
  if (offered_.load(std::memory_order_relaxed) != page_) [[unlikely]]
    take_offer();
  if (!recorded_) end_ticks = ticks = 0;
  if (ring_has_room())
    write_record(end_ticks, ticks);
  else
    fold(ticks);
  open_flags_ = 0;
}

// What record and fold have in common.
[[gnu::always_inline]] inline void tag_writer::count_record(std::uint64_t ticks) noexcept {
  auto& c = classes_[open_class_];
  c.run_units.store(c.run_units.load(std::memory_order_relaxed) + (ticks >> TACTUS_RUN_UNIT_TICKS_LOG2),
                    std::memory_order_relaxed);
  put(page_->finished[open_class_], static_cast<std::uint32_t>(c.finished.load(std::memory_order_relaxed)));
  put(page_->weight_finished, page_->weight_finished + c.weight * open_count_);
  open_ticks_ = ticks & (k_unit_ticks - 1);
}

// REQUIRES: ring_has_room(), and no offer is pending.
[[gnu::always_inline]] inline void tag_writer::write_record(std::uint64_t end_ticks, std::uint64_t ticks) noexcept {
  count_record(ticks);
  // struct tactus_record as two words
  const std::uint32_t head = page_->head;
  auto* record = reinterpret_cast<word*>(&page_->ring[head % TACTUS_RING_RECORDS]);
  const std::uint64_t units =
      std::min<std::uint64_t>(ticks >> TACTUS_RUN_UNIT_TICKS_LOG2, std::numeric_limits<__u32>::max());
  put(record[0], end_ticks);
  put(record[1], units | std::uint64_t{open_count_} << 32 | std::uint64_t{open_class_} << 48 |
                     std::uint64_t{open_flags_} << 56);
  __atomic_store_n(&page_->head, head + 1, __ATOMIC_RELEASE);
  open_count_ = 0;
  read_count_ = 0;
}

[[gnu::noinline]] void tag_writer::fold(std::uint64_t ticks) noexcept {
  tactus_fold& into = page_->fold[open_class_];
  put(into.run_units, into.run_units + (ticks >> TACTUS_RUN_UNIT_TICKS_LOG2));
  put(into.count, into.count + open_count_);
  if (open_flags_ & TACTUS_RECORD_MISSED) put(into.missed, into.missed + open_count_);
  __atomic_store_n(&page_->folded_classes, page_->folded_classes | (1ull << open_class_), __ATOMIC_RELEASE);
  count_record(ticks);
  open_count_ = 0;
  read_count_ = 0;
}

void tag_writer::close_record() noexcept {
  if (open_count_) {
    publish(start_, open_ticks_);
  } else if (open_ticks_ >= k_unit_ticks) {  // of a suspended task
    classes_[open_class_].carry_ticks += open_ticks_;
    open_ticks_ = 0;
  }
}

// Nothing is out of the ordinary: exactly one task since the clock was read, no
// flags, nobody suspended, no page to change to, room in the ring. Then the two
// functions below make no calls, which is a third of their time.
[[gnu::always_inline]] inline bool tag_writer::ordinary() const noexcept {
  return plain_ && open_count_ - read_count_ == 1 && !partial_ && open_flags_ == 0 &&
         offered_.load(std::memory_order_relaxed) == page_ && ring_has_room();
}

void tag_writer::begin_other(std::uint64_t tag) noexcept {
  auto& next = classes_[tactus_tag_class(tag)];
  if (!started_ || next.carry_ticks || !ordinary()) return begin_unusual(tag);
  const std::uint64_t now = read_tsc();
  const std::uint64_t ticks = now - start_;
  learn_mean(classes_[open_class_], ticks, 1);
  start_ = now;
  write_record(now, open_ticks_ + ticks);
  open_class_ = tactus_tag_class(tag);
  read_at_ = tasks_per_read(next);
  tag_ = tag;
  put(page_->tag, tag);
}

void tag_writer::begin_unusual(std::uint64_t tag) noexcept {
  const unsigned next = tactus_tag_class(tag);
  if (next != open_class_ || !started_) {
    // The last stretch belongs to the old class: to tasks whose end was not
    // read, or to a task that is suspended.
    if (started_ && (open_count_ != read_count_ || partial_)) account(clock_.read());
    close_record();
    open_class_ = next;
    auto& c = classes_[next];
    read_at_ = tasks_per_read(c);
    open_ticks_ += std::exchange(c.carry_ticks, 0);
    if (!started_) {
      start_ = clock_.read();
      started_ = true;
    }
  }
  if (offered_.load(std::memory_order_relaxed) != page_) [[unlikely]]
    take_offer();
  tag_ = tag;
  put(page_->tag, tag);
}

void tag_writer::end_read(unsigned weight, unsigned flags, std::uint64_t deadline) noexcept {
  auto& c = classes_[open_class_];
  if ((deadline | flags | (c.weight ^ weight)) != 0 || !ordinary()) return end_unusual(weight, flags, deadline);
  const std::uint64_t now = read_tsc();
  std::uint64_t ticks = now - start_;
  start_ = now;
  learn_mean(c, ticks, 1);
  ticks += open_ticks_;
  unsigned read_at = tasks_per_read(c);
  if (ticks >= merge_ticks_) {
    write_record(now, ticks);
  } else {
    open_ticks_ = ticks;
    read_count_ = open_count_;
    read_at += open_count_;
  }
  if (read_at_ != read_at) read_at_ = read_at;
}

void tag_writer::end_unusual(unsigned weight, unsigned flags, std::uint64_t deadline) noexcept {
  const std::uint64_t now = clock_.read();
  auto& c = classes_[open_class_];
  c.weight = weight;
  std::uint64_t ticks = now - start_;
  start_ = now;
  if (partial_)
    partial_ = false;
  else
    learn_mean(c, ticks, open_count_ - read_count_);
  if (deadline | flags | open_flags_) ticks = split_record(now, ticks, flags, deadline);
  open_ticks_ += ticks;
  if (open_ticks_ >= merge_ticks_ || open_count_ > k_most_tasks)
    publish(now, open_ticks_);
  else
    read_count_ = open_count_;
  read_at_ = open_count_ + tasks_per_read(c);
}

// The task that just ended has flags. They hold for every task of a record: if
// those before it in the open one have others, they go alone, with their mean
// share of the stretch. Returns what is left of it.
std::uint64_t tag_writer::split_record(std::uint64_t now, std::uint64_t ticks, unsigned flags,
                                                         std::uint64_t deadline) noexcept {
  auto& c = classes_[open_class_];
  if (deadline) {
    flags |= TACTUS_RECORD_DEADLINE;
    // an untrusted counter does not decide who is late
    if ((recorded_ ? now : tick_clock::now_ns()) > deadline) {
      flags |= TACTUS_RECORD_MISSED;
      c.missed.store(c.missed.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
  }
  if (flags & TACTUS_RECORD_FAILED)
    c.failed.store(c.failed.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (flags != open_flags_ && open_count_ > 1) {
    const unsigned unread = open_count_ - read_count_;
    const std::uint64_t earlier = unread > 1 ? ticks / unread * (unread - 1) : 0;
    ticks -= earlier;
    --open_count_;
    publish(now - ticks, open_ticks_ + earlier);
    open_count_ = 1;
  }
  open_flags_ = flags;
  return ticks;
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
[[gnu::noinline]] void tag_writer::take_offer() noexcept {
  tactus_tag_page* page = offered_.load(std::memory_order_acquire);
  put(page->weight_submitted, page_->weight_submitted);
  put(page->weight_finished, page_->weight_finished);
  put(page_->tag, static_cast<__u64>(0));
  copy_counters(page);
  put(page->clock, static_cast<std::uint32_t>(clock_.kind));
  put(page->tag, static_cast<__u64>(tag_));
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
  offered_.store(page, std::memory_order_relaxed);
  active_.store(page, std::memory_order_relaxed);
}

}  // namespace tactus::detail
