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
// atomic operations, others in one atomic word; the sum is what is outstanding,
// exactly: a task that starts another in the group has not ended yet.
class join_counter {
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
void fork(pool_core& core, task* t, const class_entry& entry);

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
    detail::fork(core_, t, entry_);
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
