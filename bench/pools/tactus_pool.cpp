// SPDX-License-Identifier: Apache-2.0
// libtactus in the pool benchmark. Never registers with an agent: this is about the library alone.
#include <tactus/tactus.hpp>

#include "contestant.h"
#include "jobs.h"

namespace tactus::bench {
namespace {

class tactus_entry : public contestant {
 public:
  explicit tactus_entry(unsigned workers)
      : class_("bench"), urgent_("urgent", {.priority = 3}), pool_(options(workers)) {}
  void spawn(unsigned n) override {
    for (unsigned i = 0; i < n; ++i) pool_.detach(class_, [] {});
    pool_.wait();
  }
  long fork_join(fork_job job, int n) override {
    return pool_.submit(class_, [=, this] { return run_fork_job(job, n, [this] { return task_group(pool_, class_); }); })
        .get();
  }
  void loop(std::vector<int>& out) override {
    pool_.parallel_for(std::size_t{0}, out.size(), [&](std::size_t i) { out[i] = 2 * static_cast<int>(i); });
  }
  double reduce(const std::vector<double>& data) override {
    std::atomic<double> sum{0};
    pool_.parallel_for(std::size_t{0}, data.size(), [&](std::size_t from, std::size_t to) {
      double part = 0;
      for (std::size_t i = from; i < to; ++i) part += data[i];
      sum.fetch_add(part, std::memory_order_relaxed);
    });
    return sum;
  }
  void each(std::size_t n, const indexed_body& body) override {
    pool_.parallel_for(std::size_t{0}, n, [&](std::size_t i) { body.call(body.context, i); });
  }
  void post(void (*fn)(void*), void* argument, bool urgent) override {
    pool_.detach(urgent ? urgent_ : class_, [fn, argument] { fn(argument); });
  }

 private:
  static pool_options options(unsigned workers) {
    pool_options out;
    out.name = "bench";
    out.workers = workers;
    out.register_with_agent = false;
    return out;
  }
  task_class class_, urgent_;
  pool pool_;
};

}  // namespace

contestant_kind tactus_contestant() {
  return {"tactus", [](unsigned workers) { return std::make_unique<tactus_entry>(workers); }};
}

}  // namespace tactus::bench
