// SPDX-License-Identifier: Apache-2.0
//
// Chase-Lev work-stealing deque of task pointers: the owner pushes and pops at
// the bottom, thieves take from the top.
//
// Follows Chase and Lev (SPAA 2005) in the C++ memory model, with sequentially
// consistent accesses where Le, Pop, Cohen and Zappa Nardelli (PPoPP 2013) have
// fences (thread sanitizers understand accesses, not fences). Why no task is
// taken twice or lost:
//  - the only contested case is one task left. pop() announces its claim
//    (bottom) before it reads top, steal() reads top before bottom; the four
//    accesses are in one total order, so of a pop and a steal that both want the
//    last task at least one sees the other and the exchange on top decides.
//  - a thief reads the cell before its exchange on top; the exchange fails if
//    anybody took that index meanwhile, and the owner overwrites a cell only
//    when top has passed it (push() grows the ring first).
//  - the ring of a pushed task is published before bottom (release), so a thief
//    that sees the new bottom sees a ring that holds the task.
// A deque whose owner never pops (push_shared()) may be taken from in batches: its
// only contested word is top, and the exchange on it decides.
// Old rings are kept until the deque goes, since a thief may still read them.
#ifndef TACTUS_SRC_DEQUE_H
#define TACTUS_SRC_DEQUE_H

#include <tactus/task.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace tactus::detail {

class deque {
 public:
  deque() = default;
  deque(const deque&) = delete;
  deque& operator=(const deque&) = delete;

  // Owner only. Throws std::bad_alloc when the ring must grow and cannot.
  void push(task* t) {
    const std::int64_t bottom = put(t);
    bottom_.store(bottom + 1, std::memory_order_release);
  }
  // The same, as a full barrier: what the owner reads next is not older.
  void push_shared(task* t) {
    const std::int64_t bottom = put(t);
    bottom_.store(bottom + 1, std::memory_order_seq_cst);
  }

  // Owner only; newest first. Null when empty.
  task* pop() noexcept {
    std::int64_t bottom = bottom_.load(std::memory_order_relaxed);
    if (top_.load(std::memory_order_relaxed) >= bottom) return nullptr;  // top only grows
    --bottom;
    bottom_.store(bottom, std::memory_order_seq_cst);
    std::int64_t top = top_.load(std::memory_order_seq_cst);
    if (top < bottom) [[likely]]
      return cells_[bottom & mask_].load(std::memory_order_relaxed);
    task* t = nullptr;
    if (top == bottom) {  // the last one: whoever moves top has it
      t = cells_[bottom & mask_].load(std::memory_order_relaxed);
      if (!top_.compare_exchange_strong(top, top + 1, std::memory_order_seq_cst, std::memory_order_relaxed))
        t = nullptr;
    }
    bottom_.store(bottom + 1, std::memory_order_relaxed);
    return t;
  }

  // Any thread; oldest first. Null when empty or when another thief was faster.
  task* steal() noexcept {
    std::int64_t top = top_.load(std::memory_order_seq_cst);
    const std::int64_t bottom = bottom_.load(std::memory_order_seq_cst);
    if (top >= bottom) return nullptr;
    const ring* r = ring_.load(std::memory_order_acquire);
    task* t = r->cells[top & r->mask].load(std::memory_order_relaxed);
    if (!top_.compare_exchange_strong(top, top + 1, std::memory_order_seq_cst, std::memory_order_relaxed))
      return nullptr;
    return t;
  }

  // Any thread; the oldest, up to `most` and about half of what is there; how many.
  // REQUIRES: the owner never pops.
  unsigned steal_some(task** out, unsigned most) noexcept {
    std::int64_t top = top_.load(std::memory_order_seq_cst);
    for (;;) {
      const std::int64_t there = bottom_.load(std::memory_order_seq_cst) - top;
      if (there <= 0) return 0;
      const std::int64_t n = std::min<std::int64_t>(most, (there + 1) / 2);
      const ring* r = ring_.load(std::memory_order_acquire);
      for (std::int64_t i = 0; i < n; ++i) out[i] = r->cells[(top + i) & r->mask].load(std::memory_order_relaxed);
      if (top_.compare_exchange_strong(top, top + n, std::memory_order_seq_cst)) return static_cast<unsigned>(n);
    }
  }

  // Any thread; exact only for the owner when no thief is at work.
  bool empty() const noexcept {
    return top_.load(std::memory_order_seq_cst) >= bottom_.load(std::memory_order_seq_cst);
  }

 private:
  struct ring {
    explicit ring(std::int64_t size) : mask(size - 1), cells(new std::atomic<task*>[size]) {}
    std::int64_t mask;
    std::unique_ptr<std::atomic<task*>[]> cells;
  };
  static constexpr std::int64_t k_first_ring = 256;

  // Into the cell at bottom, which is returned.
  std::int64_t put(task* t) {
    const std::int64_t bottom = bottom_.load(std::memory_order_relaxed);
    if (bottom - top_seen_ > mask_) [[unlikely]] {
      top_seen_ = top_.load(std::memory_order_acquire);
      if (bottom - top_seen_ > mask_) grow(bottom);
    }
    cells_[bottom & mask_].store(t, std::memory_order_relaxed);
    return bottom;
  }
  [[gnu::noinline]] void grow(std::int64_t bottom) {
    const ring* old = ring_.load(std::memory_order_relaxed);
    rings_.push_back(std::make_unique<ring>(old ? (old->mask + 1) * 2 : k_first_ring));
    ring* bigger = rings_.back().get();
    if (old)
      for (std::int64_t i = top_seen_; i < bottom; ++i)
        bigger->cells[i & bigger->mask].store(old->cells[i & old->mask].load(std::memory_order_relaxed),
                                              std::memory_order_relaxed);
    ring_.store(bigger, std::memory_order_release);
    cells_ = bigger->cells.get();
    mask_ = bigger->mask;
  }

  alignas(64) std::atomic<std::int64_t> top_{0};
  alignas(64) std::atomic<std::int64_t> bottom_{0};
  std::int64_t top_seen_ = 0;  // owner: top is at least this
  std::atomic<task*>* cells_ = nullptr;  // owner: of the ring
  std::int64_t mask_ = -1;
  std::atomic<ring*> ring_{nullptr};
  std::vector<std::unique_ptr<ring>> rings_;  // owner
};

}  // namespace tactus::detail

#endif
