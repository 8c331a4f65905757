// SPDX-License-Identifier: Apache-2.0
//
// heartbeat.h's implementation.
#include "agent/publish/heartbeat.h"

#include "agent/serve/clock.h"

#include <ctime>

namespace tactus::agent {

heartbeat::heartbeat() : thread_([this] { loop(); }) {}

heartbeat::~heartbeat() {
  ended_ = true;
  thread_.join();
}

void heartbeat::watch(tactus_control* control, std::function<std::uint64_t()> oldest_progress) {
  const std::lock_guard lock(mutex_);
  control_ = control;
  oldest_progress_ = std::move(oldest_progress);
}

void heartbeat::rest() {
  const std::lock_guard lock(mutex_);
  // A beat that stays would keep the kernel on rows that nobody renews.
  if (control_ != nullptr) __atomic_store_n(&control_->heartbeat_ns, 0ull, __ATOMIC_RELEASE);
  control_ = nullptr;
  oldest_progress_ = nullptr;
}

void heartbeat::loop() {
  timespec next{};
  ::clock_gettime(CLOCK_MONOTONIC, &next);
  while (!ended_.load()) {
    {
      const std::lock_guard lock(mutex_);
      if (control_ != nullptr) {
        const std::uint64_t now = now_ns();
        const std::uint64_t seen = oldest_progress_ ? oldest_progress_() : now;
        const bool stuck = now > seen && now - seen > k_wedged_ns;
        wedged_.store(stuck);
        if (!stuck) {
          __atomic_store_n(&control_->heartbeat_ns, static_cast<__u64>(now), __ATOMIC_RELEASE);
          beats_++;
        }
      }
    }
    next.tv_nsec += static_cast<long>(k_period_ns);
    if (next.tv_nsec >= 1'000'000'000) {
      next.tv_nsec -= 1'000'000'000;
      next.tv_sec++;
    }
    // After a stop (SIGSTOP, suspend) do not make up for the beats that were missed.
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec > next.tv_sec || (now.tv_sec == next.tv_sec && now.tv_nsec > next.tv_nsec)) {
      next = now;
      continue;
    }
    ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, nullptr);
  }
}

}  // namespace tactus::agent
