// SPDX-License-Identifier: Apache-2.0
//
// join_counter: what task_group and parallel_invoke wait for. Detail.
#ifndef TACTUS_JOIN_COUNTER_HPP
#define TACTUS_JOIN_COUNTER_HPP

#include "submission.hpp"

namespace tactus::detail {

// Counts a group's tasks. The owner (the thread that made it) counts without
// atomic operations; others add to two atomic words. The group is done when
//   started_here + started_elsewhere == ended_here + ended_elsewhere
// read in the order: ended_elsewhere (acquire), started_elsewhere; a task that
// starts another in the group has not ended yet, so no start can be missed.
class TACTUS_API join_counter {
 public:
  join_counter() noexcept;
  join_counter(const join_counter&) = delete;
  join_counter& operator=(const join_counter&) = delete;

  void task_started(unsigned priority) noexcept;
  // The counter may be gone when this returns.
  void task_ended() noexcept;
  void keep(std::exception_ptr e) noexcept;  // the first one counts

  // The least urgent priority among the tasks started so far.
  unsigned lowest_priority() const noexcept { return lowest_.load(std::memory_order_relaxed); }

  // Owner only.
  bool done() const noexcept {
    const std::uint64_t ended = ended_elsewhere_.load(std::memory_order_acquire) & ~k_sleeping;
    return started_here_ + started_elsewhere_.load(std::memory_order_relaxed) == ended_here_ + ended;
  }
  void announce(parker* p) noexcept;  // see wait_condition
  void wait(pool_core& core);  // helps; does not throw what tasks threw
  void rethrow();

 private:
  // Set in ended_elsewhere_ while the owner sleeps: who ends a task then wakes it.
  static constexpr std::uint64_t k_sleeping = 1ull << 63;
  void* owner_;     // identity of the thread that made it
  parker* parker_;  // what that thread sleeps on; never freed
  std::uint64_t started_here_ = 0;
  std::uint64_t ended_here_ = 0;
  std::atomic<std::uint64_t> started_elsewhere_{0};
  std::atomic<std::uint64_t> ended_elsewhere_{0};
  std::atomic<std::uint8_t> lowest_{3};
  std::atomic<int> error_state_{0};  // 0 none, 1 being stored, 2 stored
  std::exception_ptr error_;
};

}  // namespace tactus::detail

#endif
