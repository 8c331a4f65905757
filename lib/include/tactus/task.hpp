// SPDX-License-Identifier: Apache-2.0
//
// The task node: one callable with 64 bytes of storage inside, what the pool
// must know to run it, and, for submit(), the state of its future.
//
// Nodes come from a cache per thread and go back to it, so that submitting
// allocates nothing in steady state. A callable that is larger than 64 bytes,
// over-aligned, or may throw when moved lives on the heap behind a pointer.
// Everything here is detail: use pool.hpp.
#ifndef TACTUS_TASK_HPP
#define TACTUS_TASK_HPP

#include "export.h"

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace tactus::detail {

struct task;
struct parker;      // what a thread sleeps on
struct watch;       // observer and missed deadlines; src/watch.h
class join_counter; // what a task_group or a loop waits for
class pool_core;

inline constexpr std::size_t k_inline_bytes = 64;

enum class task_op : std::uint8_t {
  run,          // call the callable, then destroy it
  drop,         // destroy the callable without calling it
  drop_result,  // destroy the result that nobody fetched
};

// called: a continuation that runs where its predecessor ended, not as a task.
enum class task_kind : std::uint8_t { detached, grouped, promised, called };

// States of a promised task; the value of task::state.
//   pending -> waited (one waiter sleeps) -> done | failed
//   pending -> chained (a continuation waits) -> done | failed
//   pending -> done | failed
inline constexpr std::uint32_t k_pending = 0, k_waited = 1, k_chained = 2, k_done = 3, k_failed = 4;

// In flags: not submitted at once, but when another task, of any priority, has
// ended, or a time has come. Whoever waits for it does not look at its tag.
inline constexpr std::uint8_t k_depends = 1;
// In flags: was put aside once under memory pressure, and is not again.
inline constexpr std::uint8_t k_was_deferred = 2;

struct task_link {
  std::atomic<task_link*> next{nullptr};  // queue or free list
};

// Two cache lines: the first is what the pool reads, the second the callable.
struct alignas(64) task : task_link {
  void (*invoke)(task&, task_op) = nullptr;
  union {
    join_counter* join = nullptr;        // kind grouped
    pool_core* home;                     // kind promised: where continuations run
  };
  std::uint64_t tag = 0;                 // abi/tag_page.h
  std::uint64_t deadline_ticks = 0;      // in the pool's clock, 0 = none
  union {                                // kind promised
    parker* waiter = nullptr;            // valid in state waited
    task* continuation;                  // valid in state chained
  };
  std::atomic<std::uint32_t> state{k_pending};
  std::atomic<std::uint8_t> references{0};  // kind promised: the pool's and the future's
  task_kind kind = task_kind::detached;
  std::uint8_t weight = 1;
  std::uint8_t flags = 0;                   // k_depends, k_was_deferred
  watch* watched = nullptr;              // who looks on; valid while class_entry::watched
  alignas(64) std::byte storage[k_inline_bytes];
};
static_assert(sizeof(task) == 128);

struct worker;
struct guest;

// Up to k_magazine_nodes free nodes, as an array: taking one does not touch it,
// so the cache misses of nodes that another CPU used last overlap.
inline constexpr unsigned k_magazine_nodes = 64;
struct magazine {
  magazine* next = nullptr;
  unsigned count = 0;
  unsigned capacity = k_magazine_nodes;
  task* nodes[k_magazine_nodes];
};
// Stands for "none": neither nodes nor room.
inline constinit magazine no_magazine{.next = nullptr, .count = 0, .capacity = 0, .nodes = {}};

// The place of a thread that is no worker in a pool that it submits to.
struct guest_ref {
  std::uint64_t pool_id = 0;  // never used twice, so one of a pool that is gone matches none
  guest* place = nullptr;
};

struct deferred_fork;  // fork_join.hpp
// A thread's forks that are no tasks yet, and when it looks at the clock for them.
struct fork_list {
  deferred_fork* oldest = nullptr;
  deferred_fork* newest = nullptr;
  std::uint32_t looks_in = 1;  // forks until the next look
  std::uint32_t stride = 1;    // forks between two looks
  std::uint64_t looked = 0;    // ticks of the pool's clock
  std::uint64_t beat = 0;      // the last one, likewise
};

// What the library keeps per thread. Trivially constructed, so that access costs
// no guard; in the block of thread storage that needs no call to be found.
struct thread_state {
  magazine* loaded = &no_magazine;
  magazine* other = &no_magazine;  // full or empty, so that one thread does not
                                   // go to the exchange at every change of direction
  worker* self = nullptr;          // null in threads that are no workers
  parker* sleep = nullptr;         // use thread_parker()
  const void* helping = nullptr;   // the pool whose task a thread that is no worker runs
  guest_ref guests[4];             // the latest first
  fork_list forks;
};
TACTUS_API extern constinit thread_local thread_state t_state [[gnu::tls_model("initial-exec")]];

// The calling thread's parker. Parkers are never freed (a thread that wakes
// another may touch its parker after that thread has ended); they are reused.
TACTUS_API parker* make_thread_parker();
inline parker* thread_parker() {
  parker* p = t_state.sleep;
  return p ? p : make_thread_parker();
}

// The slow halves of the two below: fill an empty magazine (throws
// std::bad_alloc), make room in a full one (false: no memory).
TACTUS_API void refill_nodes(thread_state& ts);
TACTUS_API bool make_room_for_nodes(thread_state& ts) noexcept;

// For writing: the node comes from a CPU that has read or written it last.
inline void prefetch_node(const task* t) noexcept {
#if defined(__x86_64__)
  asm volatile("prefetchw %0" : : "m"(*reinterpret_cast<const char*>(t)));
#else
  __builtin_prefetch(t, 1);
#endif
}

// Never null; throws std::bad_alloc. Any thread.
inline task* allocate_task() {
  thread_state& ts = t_state;
  if (ts.loaded->count == 0) [[unlikely]]
    refill_nodes(ts);
  magazine& m = *ts.loaded;
  const unsigned left = --m.count;
  if (left >= 4) prefetch_node(m.nodes[left - 4]);
  return m.nodes[left];
}
inline void release_task(task* t) noexcept {
  thread_state& ts = t_state;
  if (ts.loaded->count == ts.loaded->capacity) [[unlikely]] {
    if (!make_room_for_nodes(ts)) return;  // the node is lost, nothing else
  }
  ts.loaded->nodes[ts.loaded->count++] = t;
}
// Drops one of the two references of a promised task.
TACTUS_API void drop_reference(task* t) noexcept;

template <class T>
inline constexpr bool fits_inline =
    sizeof(T) <= k_inline_bytes && alignof(T) <= 64 && std::is_nothrow_move_constructible_v<T>;

template <class T>
T* stored(task& t) noexcept {
  if constexpr (fits_inline<T>)
    return std::launder(reinterpret_cast<T*>(t.storage));
  else
    return *std::launder(reinterpret_cast<T**>(t.storage));
}

template <class T, class... Args>
void store(task& t, Args&&... args) {
  if constexpr (fits_inline<T>)
    ::new (static_cast<void*>(t.storage)) T(std::forward<Args>(args)...);
  else
    ::new (static_cast<void*>(t.storage)) T*(new T(std::forward<Args>(args)...));
}

template <class T>
void destroy_stored(task& t) noexcept {
  if constexpr (fits_inline<T>)
    stored<T>(t)->~T();
  else
    delete stored<T>(t);
}

// Destroys a stored callable when its scope ends, also by an exception.
template <class T>
struct stored_guard {
  task& owner;
  ~stored_guard() { destroy_stored<T>(owner); }
};

template <class F>
void invoke_plain(task& t, task_op op) {
  stored_guard<F> guard{t};
  if (op == task_op::run) std::invoke(std::move(*stored<F>(t)));
}

struct nothing {};  // the stored result of a callable that returns void

template <class R>
using result_storage = std::conditional_t<
    std::is_void_v<R>, nothing,
    std::conditional_t<std::is_reference_v<R>, std::remove_reference_t<R>*, std::remove_cv_t<R>>>;

// The result takes the place of the callable, which is moved out first.
template <class F, class R>
void invoke_promised(task& t, task_op op) {
  using kept = result_storage<R>;
  if (op == task_op::drop_result) {
    if (t.state.load(std::memory_order_relaxed) == k_failed)
      destroy_stored<std::exception_ptr>(t);
    else
      destroy_stored<kept>(t);
    return;
  }
  auto call = [&](F& fn) {
    if (op != task_op::run) return;
    if constexpr (std::is_void_v<R>) {
      std::invoke(std::move(fn));
      store<kept>(t);
    } else if constexpr (std::is_reference_v<R>) {
      store<kept>(t, std::addressof(std::invoke(std::move(fn))));
    } else {
      store<kept>(t, std::invoke(std::move(fn)));
    }
  };
  if constexpr (fits_inline<F>) {
    F local(std::move(*stored<F>(t)));
    destroy_stored<F>(t);
    call(local);
  } else {
    std::unique_ptr<F> local(stored<F>(t));
    call(*local);
  }
}

template <class F>
concept Task = (std::invocable<std::decay_t<F>> || std::invocable<std::decay_t<F>, std::stop_token>) &&
               std::move_constructible<std::decay_t<F>>;

template <class F>
task* make_task(F&& fn, task_kind kind) {
  using T = std::decay_t<F>;
  task* t = allocate_task();
  try {
    store<T>(*t, std::forward<F>(fn));
  } catch (...) {
    release_task(t);
    throw;
  }
  t->invoke = &invoke_plain<T>;
  t->kind = kind;
  t->flags = 0;
  return t;
}

template <class F>
task* make_promised_task(F&& fn) {
  using T = std::decay_t<F>;
  using R = std::invoke_result_t<T>;
  task* t = make_task(std::forward<F>(fn), task_kind::promised);
  t->invoke = &invoke_promised<T, R>;
  t->state.store(k_pending, std::memory_order_relaxed);
  t->references.store(2, std::memory_order_relaxed);
  return t;
}

}  // namespace tactus::detail

#endif
