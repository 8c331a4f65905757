// SPDX-License-Identifier: Apache-2.0
// Taskflow in the pool benchmark (4.x: task groups). Its loops are graphs, made anew for every call as a
// program with changing ranges makes them.
#include <taskflow/algorithm/for_each.hpp>
#include <taskflow/algorithm/reduce.hpp>
#include <taskflow/taskflow.hpp>

#include "contestant.h"
#include "jobs.h"
#include "posting_pool.h"

namespace tactus::bench {
namespace {

class taskflow_entry : public contestant {
 public:
  explicit taskflow_entry(unsigned workers) : executor_(workers) {}
  void spawn(unsigned n) override {
    for (unsigned i = 0; i < n; ++i) executor_.silent_async([] {});
    executor_.wait_for_all();
  }
  long fork_join(fork_job job, int n) override {
    return executor_.async([this, job, n] { return run_fork_job(job, n, [this] { return group(executor_); }); }).get();
  }
  void loop(std::vector<int>& out) override {
    tf::Taskflow flow;
    flow.for_each_index(std::size_t{0}, out.size(), std::size_t{1},
                        [&](std::size_t i) { out[i] = 2 * static_cast<int>(i); });
    executor_.run(flow).wait();
  }
  double reduce(const std::vector<double>& data) override {
    double sum = 0;
    tf::Taskflow flow;
    flow.reduce(data.begin(), data.end(), sum, std::plus<>());
    executor_.run(flow).wait();
    return sum;
  }
  void each(std::size_t n, const indexed_body& body) override {
    tf::Taskflow flow;
    flow.for_each_index(std::size_t{0}, n, std::size_t{1}, [&](std::size_t i) { body.call(body.context, i); });
    executor_.run(flow).wait();
  }
  void post(void (*fn)(void*), void* argument, bool) override {
    executor_.silent_async([fn, argument] { fn(argument); });
  }

 private:
  struct group {
    explicit group(tf::Executor& executor) : tasks(executor.task_group()) {}
    tf::TaskGroup tasks;
    template <class F>
    void run(F&& fn) { tasks.silent_async(std::forward<F>(fn)); }
    void wait() { tasks.corun(); }
  };
  tf::Executor executor_;
};

}  // namespace

contestant_kind taskflow_contestant() {
  return {"Taskflow", [](unsigned workers) { return std::make_unique<taskflow_entry>(workers); }};
}

}  // namespace tactus::bench
