// SPDX-License-Identifier: Apache-2.0
//
// Pools for tests: a given number of workers, no agent, no spares.
#ifndef TACTUS_TESTS_POOLS_H
#define TACTUS_TESTS_POOLS_H

#include <tactus/tactus.hpp>

namespace tactus::test {

inline pool_options quiet(unsigned workers = 2) {
  pool_options o;
  o.workers = workers;
  o.spares = 0;
  o.register_with_agent = false;
  o.watch_memory = false;
  return o;
}

// Holds all workers of a pool until it is released or goes.
class blocker {
 public:
  explicit blocker(pool& p) {
    for (unsigned i = 0; i < p.workers(); ++i)
      p.detach([this] {
        ++blocked_;
        blocked_.notify_all();
        go_.wait(false);
        --blocked_;
        blocked_.notify_all();
      });
    for (unsigned n = blocked_; n < p.workers(); n = blocked_) blocked_.wait(n);
  }
  ~blocker() {
    release();
    for (unsigned n = blocked_; n > 0; n = blocked_) blocked_.wait(n);
  }
  void release() {
    go_ = true;
    go_.notify_all();
  }

 private:
  std::atomic<bool> go_{false};
  std::atomic<unsigned> blocked_{0};
};

}  // namespace tactus::test

#endif
