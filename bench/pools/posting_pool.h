// SPDX-License-Identifier: Apache-2.0
// What pools have in common that can only post: no fork-join, no loops, no wait for all. A counter tells
// when n tasks have run, and the caller sleeps on it. Pool: constructible from a number of threads;
// Post{}(pool, f) posts.
#pragma once

#include <atomic>

#include "contestant.h"

namespace tactus::bench {

// Counts down to zero; who waits sleeps. Lives on the waiter's stack, hence safe_: nobody touches it after that.
class countdown {
 public:
  explicit countdown(unsigned n) : left_(n) {}
  void done() {
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      over_.store(true, std::memory_order_release);
      over_.notify_all();
      safe_.store(true, std::memory_order_release);
    }
  }
  void wait() {
    over_.wait(false, std::memory_order_acquire);
    while (!safe_.load(std::memory_order_acquire)) {
    }
  }

 private:
  std::atomic<unsigned> left_;
  std::atomic<bool> over_{false}, safe_{false};
};

template <class Pool, class Post>
class posting_entry : public contestant {
 public:
  explicit posting_entry(unsigned workers) : workers_(workers), pool_(workers) {}
  void spawn(unsigned n) override {
    countdown left(n);
    for (unsigned i = 0; i < n; ++i) Post{}(pool_, [&left] { left.done(); });
    left.wait();
  }
  bool can_fork() const override { return false; }
  long fork_join(fork_job, int) override { return 0; }
  bool can_loop() const override { return false; }
  void loop(std::vector<int>&) override {}
  double reduce(const std::vector<double>& data) override {
    const std::size_t parts = workers_ * std::size_t{4};
    std::vector<double> sums(parts);
    countdown left(static_cast<unsigned>(parts));
    for (std::size_t p = 0; p < parts; ++p)
      Post{}(pool_, [&, p] {
        double sum = 0;
        for (std::size_t i = data.size() * p / parts; i < data.size() * (p + 1) / parts; ++i) sum += data[i];
        sums[p] = sum;
        left.done();
      });
    left.wait();
    double sum = 0;
    for (const double s : sums) sum += s;
    return sum;
  }
  void each(std::size_t n, const indexed_body& body) override {
    countdown left(static_cast<unsigned>(n));
    for (std::size_t i = 0; i < n; ++i)
      Post{}(pool_, [&left, &body, i] {
        body.call(body.context, i);
        left.done();
      });
    left.wait();
  }
  void post(void (*fn)(void*), void* argument, bool) override {
    Post{}(pool_, [fn, argument] { fn(argument); });
  }

 private:
  unsigned workers_;
  Pool pool_;
};

}  // namespace tactus::bench
