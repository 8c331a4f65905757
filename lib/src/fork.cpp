// SPDX-License-Identifier: Apache-2.0
//
// fork(): the child has one thread and no workers, so its pools run every task
// in the call that submits it. Tasks that waited at the fork belong to the
// parent, which runs them; the child forgets them. A task that forks must end
// its child by exec or _exit.
#include "memory_watch.h"
#include "pool_core.h"
#include "registration.h"
#include "thread_state.h"

#include <algorithm>
#include <mutex>
#include <vector>

namespace tactus::detail {
namespace {

struct pool_list {
  std::mutex lock;
  std::vector<pool_core*> pools;
};

pool_list& list() {
  static pool_list* const instance = [] {
    auto* made = new pool_list;
    pthread_atfork(
        [] {
          list().lock.lock();
          for (pool_core* core : list().pools) core->before_fork();
          task_memory_before_fork();
        },
        [] {
          task_memory_after_fork();
          for (pool_core* core : list().pools) core->after_fork();
          list().lock.unlock();
        },
        [] {
          task_memory_after_fork();
          for (pool_core* core : list().pools) core->after_fork();
          for (pool_core* core : list().pools) core->after_fork_in_child();
          if (t_state.self) t_state.sleep = nullptr;  // the worker's, which this thread is no longer
          t_state.self = nullptr;
          list().lock.unlock();
        });
    return made;
  }();
  return *instance;
}

}  // namespace

void remember_pool(pool_core& core) {
  std::lock_guard guard(list().lock);
  list().pools.push_back(&core);
}

void forget_pool(pool_core& core) noexcept {
  std::lock_guard guard(list().lock);
  std::erase(list().pools, &core);
}

void give_back_guest(const guest_ref& ref) noexcept {
  if (!ref.place) return;
  std::lock_guard guard(list().lock);
  for (const pool_core* core : list().pools)
    if (core->id == ref.pool_id) ref.place->taken.store(false, std::memory_order_release);
}

// The locks that a child may need. Nobody takes another lock, runs a task or calls anybody with one of
// them held. The others (stop, resize, timers) are held for long; a forked pool returns before it takes them.
void pool_core::before_fork() {
  classes.before_fork();
  memory->before_fork();
  agent->before_fork();
  error_lock_.lock();
}

void pool_core::after_fork() {
  error_lock_.unlock();
  agent->after_fork();
  memory->after_fork();
  classes.after_fork();
}

void pool_core::after_fork_in_child() noexcept {
  state_.store(state_kind::forked, std::memory_order_relaxed);
  routes.store(nullptr, std::memory_order_relaxed);
  shared_pool_page.store(nullptr, std::memory_order_relaxed);
  agent->after_fork_in_child();
  // The timer thread is the parent's; joining it here would wait for ever.
  if (timers_) new std::shared_ptr<timer_queue>(std::move(timers_));
  for (unsigned i = 0; i < nr_threads(); ++i) workers[i].tags.after_fork(pages.private_page(i));
}

}  // namespace tactus::detail
