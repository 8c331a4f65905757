// SPDX-License-Identifier: Apache-2.0
//
// The handle of pool::every(). The timer thread is started by the first timer of
// a pool and sleeps until the next is due.
//
//     tactus::timer beat = pool.every(10ms, [&] { sample(); });
//     ...
//     beat.cancel();   // or let it go out of scope
#ifndef TACTUS_TIMER_HPP
#define TACTUS_TIMER_HPP

#include "submission.hpp"

namespace tactus {

// Thread-safety: one thread at a time. Destroying the handle cancels the timer
// and waits for a call that runs now (unless the handle dies inside that very
// call), so that what the callable refers to may go next.
class [[nodiscard]] timer {
 public:
  timer() noexcept = default;
  explicit timer(std::shared_ptr<detail::periodic> p) noexcept : periodic_(std::move(p)) {}
  timer(timer&&) noexcept = default;
  timer& operator=(timer&& other) noexcept {
    if (this != &other) {
      stop();
      periodic_ = std::move(other.periodic_);
    }
    return *this;
  }
  ~timer() { stop(); }

  // No call starts after this returns; one that runs goes on. More than once is fine.
  void cancel() noexcept {
    if (periodic_) detail::cancel_periodic(*periodic_, false);
  }
  // Lets the timer run on without a handle, until the pool is shut down.
  void detach() noexcept { periodic_.reset(); }
  // False after cancel(), after a call that threw, after the pool's shutdown, and in a child of fork(), where
  // the parent's calls are not made and nothing is waited for.
  bool active() const noexcept { return periodic_ && detail::periodic_active(*periodic_); }

 private:
  void stop() noexcept {
    if (periodic_) detail::cancel_periodic(*periodic_, true);
  }
  std::shared_ptr<detail::periodic> periodic_;
};

}  // namespace tactus

#endif
