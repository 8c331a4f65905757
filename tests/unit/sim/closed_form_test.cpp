// SPDX-License-Identifier: Apache-2.0
// The simulator against closed forms (LEARNING.md 8.2): mean numbers of jobs in M/M/k, M/G/1 and two
// unequal servers under fast-first greedy, within 3 standard errors, through the scheduler's own
// queues: held worker, moment (b), dispatch.
#include "tests/unit/sim/support.h"

using namespace tactus::sim;
using namespace tactus::sim::test;

namespace {

constexpr unsigned k_seeds = k_slow_build ? 6 : 12;
// With 6 seeds the standard error is itself so uncertain that 3 of them say little: 5.5 are as far out
// by Student's t with 5 degrees of freedom as 3 by the normal distribution.
constexpr double k_errors = k_slow_build ? 5.5 : 3;

void check(const machine& m, const std::string& work, double load, double exact) {
  const double seconds = (k_slow_build ? 2.0 : 20.0) / static_cast<double>(m.cpus.size());
  const mean_and_error e = cost_over_seeds(m, queue_of(work, load), "fastest-first", seconds, k_seeds);
  INFO(m.cpus.size() << " CPUs, load " << load << ", {" << work << "}: " << e.mean << " +- " << e.error << ", exact " << exact);
  CHECK(std::abs(e.mean - exact) < k_errors * e.error);
  CHECK(e.error < 0.2 * exact);
}

const std::string k_exponential = "kind = \"exponential\", mean_us = 100";

}  // namespace

TEST_CASE("M/M/k costs what Erlang's formula says") {
  check(equal_cpus(2), k_exponential, 0.5, 1.333333);
  check(equal_cpus(2), k_exponential, 0.7, 2.745098);
  check(equal_cpus(4), k_exponential, 0.7, 3.800193);
  check(equal_cpus(4), k_exponential, 0.9, 10.689779);
  check(equal_cpus(8), k_exponential, 0.9, 13.513797);
  check(equal_cpus(16), k_exponential, 0.9, 19.722091);
}

TEST_CASE("M/G/1 costs what Pollaczek and Khinchine say") {
  check(equal_cpus(1), "kind = \"fixed\", mean_us = 100", 0.7, 1.51667);
  check(equal_cpus(1), k_exponential, 0.7, 2.33333);
  check(equal_cpus(1), "kind = \"hyperexponential\", mean_us = 100, cv2 = 4", 0.7, 4.78333);
}

TEST_CASE("fast-first greedy on two unequal servers costs what the birth-death chain says") {
  check(unequal_cpus(1, 1, 0.5), k_exponential, 0.5, 1.30435);
  check(unequal_cpus(1, 1, 0.25), k_exponential, 0.5, 1.37255);
  check(unequal_cpus(1, 1, 0.25), k_exponential, 0.7, 2.81804);
  check(unequal_cpus(1, 1, 0.1), k_exponential, 0.5, 1.56284);
}

TEST_CASE("the best threshold beats greedy on two unequal servers by as much as the exact solution says") {
  const machine m = unequal_cpus(1, 1, 0.25);
  const workload w = queue_of(k_exponential, 0.5);
  const double seconds = k_slow_build ? 1 : 10;
  const mean_and_error two = cost_over_seeds(m, w, "threshold:2", seconds, k_seeds);
  INFO(two.mean << " +- " << two.error);
  CHECK(std::abs(two.mean - 1.29168) < k_errors * two.error);
}
