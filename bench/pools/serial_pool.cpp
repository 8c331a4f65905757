// SPDX-License-Identifier: Apache-2.0
// No pool at all: every job in the calling thread. What parallelism has to be better than.
#include "bench.h"
#include "contestant.h"
#include "jobs.h"

namespace tactus::bench {
namespace {

struct call_at_once {
  template <class F>
  void run(F&& fn) { fn(); }
  void wait() {}
};

[[gnu::noinline]] void empty_task() { asm volatile(""); }

class serial_entry : public contestant {
 public:
  void spawn(unsigned n) override {
    for (unsigned i = 0; i < n; ++i) empty_task();
  }
  long fork_join(fork_job job, int n) override {
    return run_fork_job(job, n, [] { return call_at_once{}; });
  }
  void loop(std::vector<int>& out) override {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = 2 * static_cast<int>(i);
    keep(out.data());
  }
  double reduce(const std::vector<double>& data) override {
    double sum = 0;
    for (const double d : data) sum += d;
    return sum;
  }
  void each(std::size_t n, const indexed_body& body) override {
    for (std::size_t i = 0; i < n; ++i) body.call(body.context, i);
  }
  bool can_post() const override { return false; }
  void post(void (*)(void*), void*, bool) override {}
};

}  // namespace

contestant_kind serial_contestant() {
  return {"serial", [](unsigned) { return std::make_unique<serial_entry>(); }};
}

}  // namespace tactus::bench
