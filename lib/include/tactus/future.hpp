// SPDX-License-Identifier: Apache-2.0
//
// future<T>: the result of pool.submit(). Light: the state is the task node
// itself, nothing more is allocated.
//
// Relies on task.hpp. Does not chain yet (then, when_all come later) and is not
// shared: one thread waits for it.
#ifndef TACTUS_FUTURE_HPP
#define TACTUS_FUTURE_HPP

#include "task.hpp"

#include <chrono>
#include <stdexcept>

namespace tactus {

// What get() throws for a task that a shutdown(cancel) removed from the queue.
class cancelled : public std::runtime_error {
 public:
  cancelled() : std::runtime_error("task cancelled: the pool was shut down before it started") {}
};

namespace detail {
// Returns when the task has ended. A worker runs other tasks meanwhile; any
// other thread sleeps.
void wait_for_task(task& t);
bool wait_for_task_until(task& t, std::chrono::steady_clock::time_point until);
[[noreturn]] void throw_no_state();
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

 private:
  void reset() noexcept {
    if (task_) detail::drop_reference(std::exchange(task_, nullptr));
  }
  detail::task* task_ = nullptr;
};

}  // namespace tactus

#endif
