// SPDX-License-Identifier: Apache-2.0
//
// The templates behind pool::submit_bulk and detach_bulk; what they do is said in
// pool.hpp, which includes this. The tasks of one call share one copy of the
// callable; they are linked to a list, so that the pool is told once.
#ifndef TACTUS_BULK_HPP
#define TACTUS_BULK_HPP

#include "pool.hpp"

#include <algorithm>

namespace tactus {
namespace detail {

// What the tasks of one bulk submission share; goes with the last of them.
template <class F>
struct bulk_state {
  std::atomic<std::size_t> left;
  F fn;
  task* promise;  // null: detached
  std::atomic<bool> failed{false};
  std::exception_ptr error{};

  void fail(std::exception_ptr e) noexcept {
    if (!failed.exchange(true, std::memory_order_relaxed)) error = std::move(e);  // read by the last release()
  }
  void release(std::size_t n = 1) noexcept {
    if (left.fetch_sub(n, std::memory_order_acq_rel) != n) return;
    if (promise) {
      if (!error) store<nothing>(*promise);
      complete(promise, std::move(error));
    }
    delete this;
  }
};

template <class F>
struct bulk_item {
  bulk_state<F>* state;
  std::size_t index;

  bulk_item(bulk_state<F>* s, std::size_t i) noexcept : state(s), index(i) {}
  bulk_item(bulk_item&& other) noexcept : state(std::exchange(other.state, nullptr)), index(other.index) {}
  ~bulk_item() {
    if (!state) return;  // moved from, or has run
    if (state->promise) state->fail(std::make_exception_ptr(cancelled()));
    state->release();
  }
  void operator()() {
    struct releaser {
      bulk_state<F>* s;
      ~releaser() { s->release(); }
    } guard{std::exchange(state, nullptr)};
    if (!guard.s->promise) {
      std::invoke(guard.s->fn, index);
      return;
    }
    std::exception_ptr error;
    try {
      std::invoke(guard.s->fn, index);
    } catch (...) {
      error = std::current_exception();
    }
    if (error) guard.s->fail(std::move(error));
  }
};

}  // namespace detail

template <class F>
future<void> pool::bulk_to(const detail::class_entry& entry, std::size_t count, F&& fn, bool promised) {
  using T = std::decay_t<F>;
  static_assert(std::invocable<T&, std::size_t>, "a bulk task takes its index: fn(std::size_t)");
  future<void> result;
  detail::task* promise = nullptr;
  if (promised) {
    promise = detail::make_promise<void>(core_);
    result = future<void>(promise);
  }
  if (count == 0) {
    if (promise) {
      detail::store<detail::nothing>(*promise);
      detail::complete(promise, nullptr);
    }
    return result;
  }
  detail::bulk_state<T>* state = nullptr;
  try {
    state = new detail::bulk_state<T>{.left = count, .fn = std::forward<F>(fn), .promise = promise};
  } catch (...) {
    if (promise) detail::complete(promise, std::current_exception());
    throw;
  }
  // In lists of some hundred, so that the first run while the last are made.
  constexpr std::size_t k_list = 256;
  std::size_t made = 0;
  while (made < count) {
    detail::task *first = nullptr, *last = nullptr;
    const std::size_t begin = made, end = std::min(count, made + k_list);
    try {
      for (; made < end; ++made) {
        detail::task* t = detail::make_task(detail::bulk_item<T>(state, made), detail::task_kind::detached);
        t->next.store(nullptr, std::memory_order_relaxed);
        if (last)
          last->next.store(t, std::memory_order_relaxed);
        else
          first = t;
        last = t;
      }
    } catch (...) {
      // The item that could not be stored has given its share back itself.
      ++made;
      while (first)
        detail::discard(std::exchange(first, static_cast<detail::task*>(first->next.load(std::memory_order_relaxed))));
      if (made < count) state->release(count - made);
      throw;
    }
    try {
      detail::enqueue_bulk(*core_, first, last, made - begin, entry);
    } catch (...) {  // refused, and discarded
      if (made < count) state->release(count - made);
      throw;
    }
  }
  return result;
}

template <class F>
future<void> pool::submit_bulk(const task_class& cls, std::size_t count, F&& fn) {
  return bulk_to(detail::bind_class(*core_, cls), count, std::forward<F>(fn), true);
}
template <class F>
future<void> pool::submit_bulk(std::size_t count, F&& fn, site where) {
  return bulk_to(detail::bind_site(*core_, where, 0), count, std::forward<F>(fn), true);
}
template <class F>
void pool::detach_bulk(const task_class& cls, std::size_t count, F&& fn) {
  static_cast<void>(bulk_to(detail::bind_class(*core_, cls), count, std::forward<F>(fn), false));
}
template <class F>
void pool::detach_bulk(std::size_t count, F&& fn, site where) {
  static_cast<void>(bulk_to(detail::bind_site(*core_, where, 0), count, std::forward<F>(fn), false));
}

}  // namespace tactus

#endif
