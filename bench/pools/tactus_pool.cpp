// SPDX-License-Identifier: Apache-2.0
// libtactus in the pool benchmark. Never registers with an agent: this is about the library alone.
#include <tactus/tactus.hpp>

#include "contestant.h"

namespace tactus::bench {
namespace {

class tactus_entry : public contestant {
 public:
  explicit tactus_entry(unsigned workers)
      : class_("bench"), pool_(options(workers)) {}
  void spawn(unsigned n) override {
    for (unsigned i = 0; i < n; ++i) pool_.detach(class_, [] {});
    pool_.wait();
  }
  long fib(int n) override {
    return pool_.submit(class_, [this, n] { return fork(n); }).get();
  }
  void loop(std::vector<int>& out) override {
    pool_.parallel_for(std::size_t{0}, out.size(), [&](std::size_t i) { out[i] = 2 * static_cast<int>(i); }, class_);
  }
  void post(void (*fn)(void*), void* argument) override {
    pool_.detach(class_, [fn, argument] { fn(argument); });
  }

 private:
  static pool_options options(unsigned workers) {
    pool_options out;
    out.name = "bench";
    out.workers = workers;
    out.register_with_agent = false;
    return out;
  }
  long fork(int n) {
    if (n < 2) return n;
    long left = 0;
    task_group group(pool_, class_);
    group.run([&] { left = fork(n - 1); });
    const long right = fork(n - 2);
    group.wait();
    return left + right;
  }
  task_class class_;
  pool pool_;
};

}  // namespace

contestant_kind tactus_contestant() {
  return {"tactus", [](unsigned workers) { return std::make_unique<tactus_entry>(workers); }};
}

}  // namespace tactus::bench
