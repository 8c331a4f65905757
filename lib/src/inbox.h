// SPDX-License-Identifier: Apache-2.0
//
// Inbox: the first-in-first-out queue of one class, for tasks that come from
// threads that are no workers or that are not of their submitter's priority.
//
// An intrusive queue with one exchange per push (D. Vyukov's MPSC queue); pops
// are made by whoever holds try_lock(). A push is two steps, exchange of the
// tail and link of the predecessor; a pop between them sees the queue end there,
// although it is not empty. That is harmless: the pusher looks for somebody to
// wake after its second step.
#ifndef TACTUS_SRC_INBOX_H
#define TACTUS_SRC_INBOX_H

#include <tactus/task.hpp>

#include <atomic>
#include <cstdint>

namespace tactus::detail {

class inbox {
 public:
  inbox() noexcept : tail_(&stub_), head_(&stub_) {}
  inbox(const inbox&) = delete;
  inbox& operator=(const inbox&) = delete;

  // Any thread; never blocks.
  void push(task_link* t) noexcept { push(t, t); }
  // A list, linked by `next` from first to last.
  void push(task_link* first, task_link* last) noexcept {
    last->next.store(nullptr, std::memory_order_relaxed);
    task_link* before = tail_.exchange(last, std::memory_order_seq_cst);
    before->next.store(first, std::memory_order_release);
  }

  bool try_lock() noexcept {
    return !locked_.load(std::memory_order_relaxed) && !locked_.exchange(true, std::memory_order_acquire);
  }
  void unlock() noexcept { locked_.store(false, std::memory_order_release); }

  // REQUIRES: the lock. Null when empty, or when the next push is half done.
  task* pop() noexcept {
    task_link* head = head_.load(std::memory_order_relaxed);
    task_link* next = head->next.load(std::memory_order_acquire);
    if (head == &stub_) {
      if (!next) return nullptr;
      head_.store(head = next, std::memory_order_relaxed);
      next = next->next.load(std::memory_order_acquire);
    }
    if (!next) {  // head is the last, as far as can be seen: put the stub behind it
      if (tail_.load(std::memory_order_seq_cst) != head) return nullptr;
      push(&stub_);
      next = head->next.load(std::memory_order_acquire);
      if (!next) return nullptr;
    }
    head_.store(next, std::memory_order_release);
    return static_cast<task*>(head);
  }

  // Any thread. False also while a push is half done. Tail first: an element in
  // front of the stub at the tail has been popped when head is at the stub.
  bool empty() const noexcept {
    return tail_.load(std::memory_order_seq_cst) == &stub_ && head_.load(std::memory_order_acquire) == &stub_;
  }

  // When it was last served or became non-empty; coarse ms, for aging.
  std::atomic<std::uint32_t> since_ms{0};

 private:
  alignas(64) std::atomic<task_link*> tail_;
  alignas(64) std::atomic<task_link*> head_;  // written under the lock
  std::atomic<bool> locked_{false};
  task_link stub_;
};

}  // namespace tactus::detail

#endif
