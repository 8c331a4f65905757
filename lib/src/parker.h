// SPDX-License-Identifier: Apache-2.0
//
// What one thread sleeps on, and the futex calls under it.
//
// States of the word: empty -> sleeping -> notified -> empty (by the sleeper),
//                     empty -> notified -> empty (no system call at all).
// A notification given before park() is kept, so it cannot be lost; park() may
// also return for an older one, so callers check their condition in a loop.
// Relies on the Linux futex. Does not count notifications: two are as one.
#ifndef TACTUS_SRC_PARKER_H
#define TACTUS_SRC_PARKER_H

#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>
#include <ctime>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tactus::detail {

inline void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                       const timespec* relative = nullptr) noexcept {
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAIT_PRIVATE, expected, relative, nullptr, 0);
}
inline void futex_wake(std::atomic<std::uint32_t>& word, int count) noexcept {
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

struct alignas(64) parker {
  // Owner. Acquires what the notifier released.
  void park() noexcept {
    for (;;) {
      std::uint32_t seen = k_notified;
      if (word_.compare_exchange_strong(seen, k_empty, std::memory_order_seq_cst)) return;
      if (seen == k_empty &&
          !word_.compare_exchange_strong(seen, k_sleeping, std::memory_order_seq_cst))
        continue;
      futex_wait(word_, k_sleeping);
    }
  }

  // As park(); false when `until` came first.
  bool park_until(std::chrono::steady_clock::time_point until) noexcept {
    for (;;) {
      std::uint32_t seen = k_notified;
      if (word_.compare_exchange_strong(seen, k_empty, std::memory_order_seq_cst)) return true;
      const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(
          until - std::chrono::steady_clock::now()).count();
      if (left <= 0) {
        // from sleeping back to empty, unless a notification came meanwhile
        return word_.exchange(k_empty, std::memory_order_seq_cst) == k_notified;
      }
      if (seen == k_empty &&
          !word_.compare_exchange_strong(seen, k_sleeping, std::memory_order_seq_cst))
        continue;
      const timespec relative{static_cast<time_t>(left / 1'000'000'000), static_cast<long>(left % 1'000'000'000)};
      futex_wait(word_, k_sleeping, &relative);
    }
  }

  // Any thread. One system call when the owner sleeps, none otherwise.
  void unpark() noexcept {
    if (word_.exchange(k_notified, std::memory_order_seq_cst) == k_sleeping) futex_wake(word_, 1);
  }

 private:
  static constexpr std::uint32_t k_empty = 0, k_notified = 1, k_sleeping = 2;
  std::atomic<std::uint32_t> word_{k_empty};
};

}  // namespace tactus::detail

#endif
