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
// Old rings are kept until the deque goes, since a thief may still read them.
#ifndef TACTUS_SRC_DEQUE_H
#define TACTUS_SRC_DEQUE_H

#include <tactus/task.hpp>

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
    const std::int64_t bottom = bottom_.load(std::memory_order_relaxed);
    ring* r = ring_.load(std::memory_order_relaxed);
    if (!r || bottom - top_seen_ > r->mask) [[unlikely]] {
      top_seen_ = top_.load(std::memory_order_acquire);
      if (!r || bottom - top_seen_ > r->mask) r = grow(r, bottom);
    }
    r->cells[bottom & r->mask].store(t, std::memory_order_relaxed);
    bottom_.store(bottom + 1, std::memory_order_release);
  }

  // Owner only; newest first. Null when empty.
  task* pop() noexcept {
    std::int64_t bottom = bottom_.load(std::memory_order_relaxed);
    if (top_.load(std::memory_order_relaxed) >= bottom) return nullptr;  // top only grows
    --bottom;
    ring* r = ring_.load(std::memory_order_relaxed);
    bottom_.store(bottom, std::memory_order_seq_cst);
    std::int64_t top = top_.load(std::memory_order_seq_cst);
    if (top < bottom) return r->cells[bottom & r->mask].load(std::memory_order_relaxed);
    task* t = nullptr;
    if (top == bottom) {  // the last one: whoever moves top has it
      t = r->cells[bottom & r->mask].load(std::memory_order_relaxed);
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

  ring* grow(ring* old, std::int64_t bottom) {
    rings_.push_back(std::make_unique<ring>(old ? (old->mask + 1) * 2 : k_first_ring));
    ring* bigger = rings_.back().get();
    if (old)
      for (std::int64_t i = top_seen_; i < bottom; ++i)
        bigger->cells[i & bigger->mask].store(old->cells[i & old->mask].load(std::memory_order_relaxed),
                                              std::memory_order_relaxed);
    ring_.store(bigger, std::memory_order_release);
    return bigger;
  }

  alignas(64) std::atomic<std::int64_t> top_{0};
  alignas(64) std::atomic<std::int64_t> bottom_{0};
  std::int64_t top_seen_ = 0;  // owner: top is at least this
  std::atomic<ring*> ring_{nullptr};
  std::vector<std::unique_ptr<ring>> rings_;  // owner
};

}  // namespace tactus::detail

#endif
