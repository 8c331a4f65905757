// SPDX-License-Identifier: Apache-2.0
//
// isolated_group: a task_group whose wait() runs tasks of this group only.
//
//     std::lock_guard guard(cache_lock);          // an unrelated task that takes the same
//     tactus::isolated_group group(pool);         // lock must not run in this thread now
//     for (auto& part : parts) group.run([&] { fill(part); });
//     group.wait();
//
// A worker in task_group::wait(), future::get() or parallel_for() may run any other
// task meanwhile. That is what keeps it busy, and wrong where the waiting task
// holds a lock or has state in thread-locals. Here it runs what the group has not
// started yet and then sleeps until the rest has ended: a worker less meanwhile.
// Cannot deadlock by itself: the waiting thread can run every task that nobody
// has started. Costs a lock and two tasks per run(); tasks that the waiting thread
// runs count as part of the task that waits.
#ifndef TACTUS_ISOLATED_GROUP_HPP
#define TACTUS_ISOLATED_GROUP_HPP

#include "pool.hpp"

namespace tactus {

namespace detail {

class isolated_state;
TACTUS_API std::shared_ptr<isolated_state> make_isolated_state();
// Takes over t (kind called); offers it to the pool.
TACTUS_API void isolated_run(const std::shared_ptr<isolated_state>& state, pool_core& core,
                             const class_entry& entry, task* t);
TACTUS_API void isolated_wait(isolated_state& state) noexcept;
TACTUS_API void isolated_rethrow(isolated_state& state);

}  // namespace detail

// Thread-safety: run() from its owner and from tasks of the group; wait() from the
// owner only.
class isolated_group {
 public:
  explicit isolated_group(pool& p, std::source_location where = std::source_location::current())
      : pool_(p), entry_(detail::bind_site(p.core(), where, 0)) {}
  isolated_group(pool& p, const task_class& cls) : pool_(p), entry_(detail::bind_class(p.core(), cls)) {}
  isolated_group(const isolated_group&) = delete;
  isolated_group& operator=(const isolated_group&) = delete;
  ~isolated_group() { detail::isolated_wait(*state_); }

  // Throws pool_stopped, std::bad_alloc.
  template <detail::Task F>
  void run(F&& fn) {
    detail::isolated_run(state_, pool_.core(), entry_,
                         detail::make_task(detail::with_token_quietly(std::forward<F>(fn), pool_.stop_source()),
                                           detail::task_kind::called));
  }

  // Returns when every task of the group has ended; throws the first exception
  // that one of them ended with.
  void wait() {
    detail::isolated_wait(*state_);
    detail::isolated_rethrow(*state_);
  }

 private:
  pool& pool_;
  const detail::class_entry& entry_;
  std::shared_ptr<detail::isolated_state> state_ = detail::make_isolated_state();
};

}  // namespace tactus

#endif
