// SPDX-License-Identifier: Apache-2.0
//
// future<T>: the result of pool.submit(). Light: the state is the task node
// itself, nothing more is allocated.
//
// It chains (then() here; when_all and when_any in chain.hpp) and is not shared:
// one thread waits for it, or one continuation.
#ifndef TACTUS_FUTURE_HPP
#define TACTUS_FUTURE_HPP

#include "errors.hpp"
#include "submission.hpp"
#include "task.hpp"

#include <chrono>

namespace tactus {

template <class T>
class future;

namespace detail {
// Returns when the task has ended. A worker runs other tasks meanwhile; any
// other thread sleeps.
TACTUS_API void wait_for_task(task& t);
TACTUS_API bool wait_for_task_until(task& t, std::chrono::steady_clock::time_point until);
[[noreturn]] TACTUS_API void throw_no_state();

// What F makes of the result of a future<T>: called with the value, or else with
// the ready future itself (to see exceptions too).
template <class F, class T>
struct takes_value : std::bool_constant<std::invocable<F, T>> {};
template <class F>
struct takes_value<F, void> : std::bool_constant<std::invocable<F>> {};
template <class F, class T>
decltype(auto) continue_with(F& fn, future<T>& ready) {
  if constexpr (!takes_value<F, T>::value) {
    return std::invoke(std::move(fn), std::move(ready));
  } else if constexpr (std::is_void_v<T>) {
    ready.get();
    return std::invoke(std::move(fn));
  } else {
    return std::invoke(std::move(fn), ready.get());
  }
}
template <class F, class T>
using then_result = decltype(continue_with(std::declval<std::decay_t<F>&>(), std::declval<future<T>&>()));

template <class F, class T>
concept Continuation = (takes_value<std::decay_t<F>, T>::value || std::invocable<std::decay_t<F>, future<T>>) &&
                       std::move_constructible<std::decay_t<F>>;

struct future_access;
}  // namespace detail

// Thread-safety: one thread at a time. Destroying it does not wait.
template <class T>
class [[nodiscard]] future {

 public:
  future() noexcept = default;
  explicit future(detail::task* t) noexcept : task_(t) {}  // takes over one reference
  future(future&& other) noexcept : task_(std::exchange(other.task_, nullptr)) {}
  future& operator=(future&& other) noexcept {
    if (this != &other) {
      reset();
      task_ = std::exchange(other.task_, nullptr);
    }
    return *this;
  }
  ~future() { reset(); }

  bool valid() const noexcept { return task_ != nullptr; }

  // True when get() will not wait. REQUIRES: valid().
  bool ready() const noexcept { return task_->state.load(std::memory_order_acquire) >= detail::k_done; }

  // Waits until the task has ended; a worker that waits runs other tasks.
  void wait() const {
    if (!task_) detail::throw_no_state();
    if (!ready()) detail::wait_for_task(*task_);
  }

  // As wait(), but gives up after `limit`; true when the task has ended. Sleeps
  // also on a worker, since a task taken meanwhile could outlast the limit.
  template <class Rep, class Period>
  bool wait_for(std::chrono::duration<Rep, Period> limit) const {
    if (!task_) detail::throw_no_state();
    return ready() || detail::wait_for_task_until(*task_, std::chrono::steady_clock::now() + limit);
  }

  // The result, or the exception the task ended with (`cancelled` when it was
  // dropped). Once: afterwards valid() is false.
  T get() {
    wait();
    struct releaser {  // the result is moved out before the node goes
      future* self;
      ~releaser() { self->reset(); }
    } guard{this};
    if (task_->state.load(std::memory_order_acquire) == detail::k_failed)
      std::rethrow_exception(std::move(*detail::stored<std::exception_ptr>(*task_)));
    if constexpr (std::is_void_v<T>)
      return;
    else if constexpr (std::is_reference_v<T>)
      return static_cast<T>(**detail::stored<detail::result_storage<T>>(*task_));
    else
      return std::move(*detail::stored<detail::result_storage<T>>(*task_));
  }

  // When this task has ended, runs fn with its result as a task of the same pool
  // and returns that task's future. An fn that takes the value is not called
  // when this task failed: the exception goes on to the returned future. An fn
  // that takes a future<T> is called in both cases, with this one, ready.
  // Consumes this future. pool::wait() waits for the continuation too.
  // REQUIRES: valid(); the pool is alive. Throws std::bad_alloc.
  template <detail::Continuation<T> F>
  future<detail::then_result<F, T>> then(const task_class& cls, F&& fn) &&;
  template <detail::Continuation<T> F>
  future<detail::then_result<F, T>> then(F&& fn, std::source_location where = std::source_location::current()) &&;

 private:
  friend struct detail::future_access;
  void reset() noexcept {
    if (task_) detail::drop_reference(std::exchange(task_, nullptr));
  }
  detail::task* task_ = nullptr;
};

}  // namespace tactus

#endif
