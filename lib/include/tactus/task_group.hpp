// SPDX-License-Identifier: Apache-2.0
//
// task_group: fork-join. Tasks run() in it, wait() returns when all have ended.
//
//     tactus::task_group group(pool);
//     group.run([&] { left = f(a); });
//     right = f(b);
//     group.wait();
//
// Relies on pool.hpp. Tasks of a group may run() more tasks in it; wait() is for
// the thread that made the group.
#ifndef TACTUS_TASK_GROUP_HPP
#define TACTUS_TASK_GROUP_HPP

#include "pool.hpp"

namespace tactus {
namespace detail {

// Counts a group's tasks. The owner (the thread that made it) counts without
// atomic operations; others add to two atomic words. The group is done when
//   started_here + started_elsewhere == ended_here + ended_elsewhere
// read in the order: ended_elsewhere (acquire), started_elsewhere; a task that
// starts another in the group has not ended yet, so no start can be missed.
class join_counter {
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

}  // namespace detail

// Thread-safety: run() from its owner and from tasks of the group; wait() from
// the owner (the thread that made it) only.
class task_group {
 public:
  explicit task_group(pool& p, std::source_location where = std::source_location::current())
      : core_(p.core()), entry_(detail::bind_site(core_, where, 0)) {}
  task_group(pool& p, const task_class& cls) : core_(p.core()), entry_(detail::bind_class(core_, cls)) {}
  ~task_group() { join_.wait(core_); }

  template <detail::Task F>
  void run(F&& fn) {
    detail::task* t = detail::make_task(std::forward<F>(fn), detail::task_kind::grouped);
    t->join = &join_;
    detail::enqueue(core_, t, entry_);
  }

  // Returns when every task of the group has ended; runs tasks meanwhile.
  // Throws the first exception that one of them ended with.
  void wait() {
    join_.wait(core_);
    join_.rethrow();
  }

 private:
  detail::pool_core& core_;
  const detail::class_entry& entry_;
  detail::join_counter join_;
};

}  // namespace tactus

#endif
