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

#include "join_counter.hpp"
#include "pool.hpp"

namespace tactus {
// Thread-safety: run() from its owner and from tasks of the group; wait() from
// the owner (the thread that made it) only.
class task_group {
 public:
  explicit task_group(pool& p, std::source_location where = std::source_location::current())
      : pool_(p), core_(p.core()), entry_(detail::bind_site(core_, where, 0)) {}
  task_group(pool& p, const task_class& cls)
      : pool_(p), core_(p.core()), entry_(detail::bind_class(core_, cls)) {}
  ~task_group() { join_.wait(core_); }

  template <detail::Task F>
  void run(F&& fn) {
    detail::task* t = detail::make_task(detail::with_token_quietly(std::forward<F>(fn), pool_.stop_source()),
                                        detail::task_kind::grouped);
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
  pool& pool_;
  detail::pool_core& core_;
  const detail::class_entry& entry_;
  detail::join_counter join_;
};

}  // namespace tactus

#endif
