// SPDX-License-Identifier: Apache-2.0
// BS::thread_pool (5.x) in the pool benchmark: the light one, and one with priorities for single tasks.
#include <BS_thread_pool.hpp>

#include "contestant.h"
#include "posting_pool.h"

namespace tactus::bench {
namespace {

class bs_entry : public contestant {
 public:
  explicit bs_entry(unsigned workers) : workers_(workers), pool_(workers) {}
  void spawn(unsigned n) override {
    for (unsigned i = 0; i < n; ++i) pool_.detach_task([] {});
    pool_.wait();
  }
  bool can_fork() const override { return false; }
  long fork_join(fork_job, int) override { return 0; }
  void loop(std::vector<int>& out) override {
    pool_.detach_loop(std::size_t{0}, out.size(), [&](std::size_t i) { out[i] = 2 * static_cast<int>(i); });
    pool_.wait();
  }
  double reduce(const std::vector<double>& data) override {
    auto parts = pool_.submit_blocks(std::size_t{0}, data.size(), [&](std::size_t from, std::size_t to) {
      double sum = 0;
      for (std::size_t i = from; i < to; ++i) sum += data[i];
      return sum;
    });
    double sum = 0;
    for (const double s : parts.get()) sum += s;
    return sum;
  }
  void each(std::size_t n, const indexed_body& body) override {
    pool_.detach_loop(std::size_t{0}, n, [&](std::size_t i) { body.call(body.context, i); }, n);
    pool_.wait();
  }
  void post(void (*fn)(void*), void* argument, bool urgent) override {
    pool_.detach_task([fn, argument] { fn(argument); }, urgent ? BS::pr::highest : BS::pr::normal);
  }

 private:
  unsigned workers_;
  BS::priority_thread_pool pool_;
};

}  // namespace

contestant_kind bs_contestant() {
  return {"BS::thread_pool", [](unsigned workers) { return std::make_unique<bs_entry>(workers); }};
}

}  // namespace tactus::bench
