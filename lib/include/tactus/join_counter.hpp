// SPDX-License-Identifier: Apache-2.0
//
// join_counter: what task_group and parallel_invoke wait for. Detail.
#ifndef TACTUS_JOIN_COUNTER_HPP
#define TACTUS_JOIN_COUNTER_HPP

#include "submission.hpp"

#include <cstdint>

namespace tactus::detail {

// Counts a group's tasks. The owner (the thread that made it) counts without
// atomic operations, others in one atomic word; the sum is what is outstanding,
// exactly: a task that starts another in the group has not ended yet.
class TACTUS_API join_counter {
 public:
  join_counter() : owner_(&t_state), parker_(thread_parker()) {}
  join_counter(const join_counter&) = delete;
  join_counter& operator=(const join_counter&) = delete;

  void task_started(unsigned priority) noexcept {
    if (priority < lowest_.load(std::memory_order_relaxed)) [[unlikely]]
      lowest_.store(static_cast<std::uint8_t>(priority), std::memory_order_relaxed);
    if (owner_ == &t_state)
      here_ += k_one;
    else
      elsewhere_.fetch_add(k_one, std::memory_order_relaxed);
  }
  // The counter may be gone when this returns.
  void task_ended() noexcept {
    if (owner_ == &t_state)
      here_ -= k_one;
    else
      ended_elsewhere();
  }
  void keep(std::exception_ptr e) noexcept;  // the first one counts

  // The least urgent priority among the tasks started so far.
  unsigned lowest_priority() const noexcept { return lowest_.load(std::memory_order_relaxed); }

  // Owner only.
  bool done() const noexcept {
    return here_ + (elsewhere_.load(std::memory_order_acquire) & ~k_sleeping) == 0;
  }
  void announce(parker* p) noexcept;  // see wait_condition
  void wait(pool_core& core) {        // helps; does not throw what tasks threw
    if (!done()) wait_for_others(core);
  }
  void rethrow() {
    if (error_state_.load(std::memory_order_acquire) != 0) [[unlikely]]
      rethrow_kept();
  }

 private:
  // Bit 0 of elsewhere_ is set while the owner sleeps: who ends a task wakes it.
  static constexpr std::uint64_t k_sleeping = 1, k_one = 2;
  void ended_elsewhere() noexcept;
  void wait_for_others(pool_core& core);
  void rethrow_kept();

  const void* owner_;         // identity of the thread that made it
  parker* parker_;            // what that thread sleeps on; never freed
  std::uint64_t here_ = 0;    // started less ended, k_one each, modulo 2^64
  std::atomic<std::uint64_t> elsewhere_{0};
  std::atomic<std::uint8_t> lowest_{3};
  std::atomic<int> error_state_{0};  // 0 none, 1 being stored, 2 stored
  std::exception_ptr error_;
};

// enqueue() for a task of a group: short where a worker forks tasks of the class it runs.
TACTUS_API void fork(pool_core& core, task* t, const class_entry& entry);

}  // namespace tactus::detail

#endif
