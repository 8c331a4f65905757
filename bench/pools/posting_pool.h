// SPDX-License-Identifier: Apache-2.0
// What pools have in common that can only post: no fork-join, no loops, no wait for all; a counter
// tells when n tasks have run. Pool: constructible from a number of threads; post_to(pool, f) posts.
#pragma once

#include <atomic>
#include <thread>

#include "contestant.h"

namespace tactus::bench {

template <class Pool, class Post>
class posting_entry : public contestant {
 public:
  explicit posting_entry(unsigned workers) : pool_(workers) {}
  void spawn(unsigned n) override {
    left_.store(n);
    for (unsigned i = 0; i < n; ++i)
      Post{}(pool_, [this] { left_.fetch_sub(1, std::memory_order_release); });
    while (left_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
  }
  bool can_fork() const override { return false; }
  long fib(int) override { return 0; }
  bool can_loop() const override { return false; }
  void loop(std::vector<int>&) override {}
  void post(void (*fn)(void*), void* argument) override {
    Post{}(pool_, [fn, argument] { fn(argument); });
  }

 private:
  std::atomic<unsigned> left_{0};
  Pool pool_;
};

}  // namespace tactus::bench
