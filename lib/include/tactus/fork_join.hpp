// SPDX-License-Identifier: Apache-2.0
//
// fork_join: two callables, the second of which becomes a task only when it is worth it.
//
//     long fib(tactus::pool& p, int n) {
//       if (n < 2) return n;
//       long a, b;
//       tactus::fork_join(p, [&] { a = fib(p, n - 1); }, [&] { b = fib(p, n - 2); });
//       return a + b;
//     }
//
// Heartbeat scheduling (Acar, Charguéraud, Guatto, Rainey, Sieczkowski, PLDI 2018): a
// fork is a note on the caller's stack, which costs no task, no counter and no
// atomic operation. Every pool_options::heartbeat the thread makes the oldest of its
// notes a task that others may take; the rest it runs itself. So however small the
// pieces are, the cost of parallelism is bounded by one task per beat.
// The clock is looked at in calls of fork_join: a callable that runs long without
// forking promotes nothing meanwhile. For few large pieces use task_group or
// parallel_invoke, whose tasks can be taken at once.
#ifndef TACTUS_FORK_JOIN_HPP
#define TACTUS_FORK_JOIN_HPP

#include "join_counter.hpp"
#include "pool.hpp"

namespace tactus {
namespace detail {

// A fork that is no task yet; on the stack of the thread that made it, and used by it alone.
struct deferred_fork {
  pool_core& core;
  const task_class* cls;              // null: the call site
  std::source_location where;
  void (*run)(void* callable);
  void* callable;
  deferred_fork* older = nullptr;
  deferred_fork* newer = nullptr;
  bool promoted = false;              // then `join` exists
  union {
    join_counter join;
  };

  deferred_fork(pool& p, const task_class* c, std::source_location w, void (*r)(void*), void* f) noexcept
      : core(p.core()), cls(c), where(w), run(r), callable(f) {}
  deferred_fork(const deferred_fork&) = delete;
  deferred_fork& operator=(const deferred_fork&) = delete;
  ~deferred_fork() {
    if (promoted) join.~join_counter();
  }
};

// Looks at the clock, and promotes the oldest fork of this thread if a beat is over.
TACTUS_API void heartbeat(deferred_fork& latest) noexcept;

inline void defer_fork(deferred_fork& f) noexcept {
  fork_list& list = t_state.forks;
  f.older = list.newest;
  if (list.newest)
    list.newest->newer = &f;
  else
    list.oldest = &f, list.looks_in = 1;
  list.newest = &f;
  if (--list.looks_in == 0) [[unlikely]]
    heartbeat(f);
}
// REQUIRES: not promoted; then f is the newest.
inline void take_back_fork(deferred_fork& f) noexcept {
  fork_list& list = t_state.forks;
  list.newest = f.older;
  if (f.older)
    f.older->newer = nullptr;
  else
    list.oldest = nullptr;
}

template <class A, class B>
void run_fork_join(pool& p, const task_class* cls, const std::source_location& where, A& a, B& b) {
  deferred_fork f(p, cls, where, [](void* fn) { static_cast<void>(std::invoke(*static_cast<B*>(fn))); },
                  const_cast<void*>(static_cast<const volatile void*>(std::addressof(b))));
  defer_fork(f);
  std::exception_ptr error;
  try {
    static_cast<void>(std::invoke(a));
  } catch (...) {
    error = std::current_exception();
  }
  if (!f.promoted) [[likely]] {
    take_back_fork(f);
    if (!error) {
      static_cast<void>(std::invoke(b));
      return;
    }
    try {
      static_cast<void>(std::invoke(b));
    } catch (...) {  // the first one counts
    }
    std::rethrow_exception(std::move(error));
  }
  if (error) f.join.keep(std::move(error));
  f.join.wait(f.core);
  f.join.rethrow();
}

}  // namespace detail

// Runs a() and b() and returns when both have ended; throws the first exception. b
// may run before, after or beside a, in this thread or in a worker; neither may wait
// for the other. What was promoted counts as a task of the class, the rest as part of
// the task that the caller is in. From any thread.
template <std::invocable A, std::invocable B>
void fork_join(pool& p, A&& a, B&& b, std::source_location where = std::source_location::current()) {
  detail::run_fork_join(p, nullptr, where, a, b);
}
template <std::invocable A, std::invocable B>
void fork_join(pool& p, const task_class& cls, A&& a, B&& b) {
  detail::run_fork_join(p, &cls, {}, a, b);
}

}  // namespace tactus

#endif
