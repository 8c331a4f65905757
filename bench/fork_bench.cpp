// SPDX-License-Identifier: Apache-2.0
// tactus-bench fork: what a fork costs by fork_join (heartbeat promotion), by task_group and by
// parallel_invoke, and what the heartbeat adds: the same tree with beats and without.
#include <fmt/format.h>

#include <stdexcept>
#include <tactus/tactus.hpp>

#include "bench.h"

namespace tactus::bench {
namespace {

constexpr int k_n = 27;
constexpr long k_result = 196418, k_forks = 317810;  // fib(27), calls with n >= 2

long serial(int n) { return n < 2 ? n : serial(n - 1) + serial(n - 2); }
long by_fork_join(pool& p, const task_class& c, int n) {
  if (n < 2) return n;
  long a = 0, b = 0;
  fork_join(p, c, [&] { a = by_fork_join(p, c, n - 1); }, [&] { b = by_fork_join(p, c, n - 2); });
  return a + b;
}
long by_group(pool& p, const task_class& c, int n) {
  if (n < 2) return n;
  long a = 0;
  task_group group(p, c);
  group.run([&] { a = by_group(p, c, n - 1); });
  const long b = by_group(p, c, n - 2);
  group.wait();
  return a + b;
}
long by_invoke(pool& p, const task_class& c, int n) {
  if (n < 2) return n;
  long a = 0, b = 0;
  p.parallel_invoke(c, [&] { a = by_invoke(p, c, n - 1); }, [&] { b = by_invoke(p, c, n - 2); });
  return a + b;
}

arm arm_of(const char* name, unsigned workers, std::chrono::microseconds beat, long (*fib)(pool&, const task_class&, int)) {
  return {name, [=] {
            pool p({.workers = workers, .spares = 0, .register_with_agent = false, .heartbeat = beat, .watch_memory = false});
            const task_class c("fork");
            std::int64_t took = 0;
            p.submit(c, [&] {
               const std::int64_t begin = now_ns();
               if (fib(p, c, k_n) != k_result) throw std::runtime_error("a wrong result");
               took = now_ns() - begin;
             }).get();
            return static_cast<double>(took) / k_forks;
          }};
}

result run(const settings& set) {
  using std::chrono::microseconds;
  result out;
  for (const unsigned workers : {1u, 2u}) {
    std::vector<arm> arms = {arm_of("tactus", workers, microseconds(100), by_fork_join),
                             arm_of("task_group", workers, microseconds(100), by_group),
                             arm_of("parallel_invoke", workers, microseconds(100), by_invoke),
                             {"serial", [] {
                                const std::int64_t begin = now_ns();
                                if (serial(k_n) != k_result) throw std::runtime_error("a wrong result");
                                return static_cast<double>(now_ns() - begin) / k_forks;
                              }}};
    if (workers == 1)
      arms.push_back(arm_of("fork_join, no beat", workers, std::chrono::hours(1), by_fork_join));
    out.rows.push_back(interleave(set, fmt::format("fib({}) by fork_join, {} worker{}, per fork", k_n, workers, workers == 1 ? "" : "s"),
                                  "ns", arms, set.repetitions(25, 5)));
  }
  return out;
}

const registration fork_rows{"fork", "fork_join with heartbeat promotion beside task_group and parallel_invoke", run, false};

}  // namespace
}  // namespace tactus::bench
