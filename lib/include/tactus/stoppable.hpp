// SPDX-License-Identifier: Apache-2.0
//
// Cooperative cancellation with std::stop_token.
//
//     std::stop_source stop;
//     auto f = pool.submit(tactus::stoppable(stop.get_token(), [](std::stop_token t) {
//       while (!t.stop_requested()) step();
//     }));
//     stop.request_stop();
//
// Works with everything that takes a task: submit, detach, task_group::run,
// parallel_for, after, every. A task that has not started when its token is
// stopped is not run: its future throws `cancelled`; a detached or grouped one is
// silently skipped, a timer given up at once. parallel_for skips the iterations
// not begun and throws `cancelled`. What runs goes on until it looks at the token.
//
// A task that takes a std::stop_token without stoppable() gets the pool's, which
// is stopped by shutdown(stop_mode::cancel).
#ifndef TACTUS_STOPPABLE_HPP
#define TACTUS_STOPPABLE_HPP

#include "errors.hpp"

#include <concepts>
#include <functional>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace tactus {

// Thread-safety: as of the callable inside.
template <class F>
struct stoppable_task {
  std::stop_token token;
  F fn;

  void check() const {
    if (token.stop_requested()) throw cancelled("stop was requested");
  }
  decltype(auto) operator()()
    requires(std::invocable<F&> || std::invocable<F&, std::stop_token>)
  {
    check();
    return call();
  }
  decltype(auto) call() {
    if constexpr (std::invocable<F&>)
      return std::invoke(fn);
    else
      return std::invoke(fn, token);
  }
};

template <class F>
stoppable_task<std::decay_t<F>> stoppable(std::stop_token token, F&& fn) {
  return {std::move(token), std::forward<F>(fn)};
}

namespace detail {

template <class F>
inline constexpr bool is_stoppable = false;
template <class F>
inline constexpr bool is_stoppable<stoppable_task<F>> = true;

// A callable that takes a stop token becomes one that takes nothing.
template <class F>
decltype(auto) with_token(F&& fn, const std::stop_source& pool_stop) {
  using T = std::decay_t<F>;
  if constexpr (std::invocable<T>)
    return std::forward<F>(fn);
  else
    return [token = pool_stop.get_token(), fn = std::forward<F>(fn)]() mutable -> decltype(auto) {
      return std::invoke(std::move(fn), std::move(token));
    };
}

// As with_token, for tasks whose end nobody asks for: being stopped is no error.
template <class F>
decltype(auto) with_token_quietly(F&& fn, const std::stop_source& pool_stop) {
  if constexpr (is_stoppable<std::decay_t<F>>)
    return [inner = std::forward<F>(fn)]() mutable {
      if (!inner.token.stop_requested()) static_cast<void>(inner.call());
    };
  else
    return with_token(std::forward<F>(fn), pool_stop);
}

}  // namespace detail
}  // namespace tactus

#endif
