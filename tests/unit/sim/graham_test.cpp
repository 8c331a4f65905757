// SPDX-License-Identifier: Apache-2.0
// Graham's bound as a property: a batch of independent jobs, whatever their sizes, ends under any
// work-conserving policy within (2 - 1/m) of max(sum / m, longest), a lower bound of the optimum.
#include <algorithm>

#include "tests/unit/sim/support.h"

using namespace tactus::sim;
using namespace tactus::sim::test;

namespace {

// Time until a list of jobs (in us), all there at once, is done.
double makespan_us(unsigned cpus, const std::vector<unsigned>& jobs, const std::string& policy_name, std::uint64_t seed) {
  workload w = queue_of("kind = \"fixed\", mean_us = 1", 0.5);
  w.pools[0].workers = static_cast<unsigned>(jobs.size());
  w.flows[0].arrivals.how = arrival_spec::kind::listed;
  for (const unsigned j : jobs) w.flows[0].tasks.push_back({1000, j * 1000ull, 0});
  const machine m = equal_cpus(cpus);
  simulation_options o;
  o.seed = seed;
  simulation s(m, w, o);
  const auto p = make_policy(policy_name, {});
  p->attach(s);
  s.start_window();
  std::uint64_t t = 1000;
  while (!s.finished()) s.run_until(t += 1000);
  return static_cast<double>(t - 1000) / 1000;
}

double bound_us(unsigned cpus, const std::vector<unsigned>& jobs) {
  double sum = 0, longest = 0;
  for (const unsigned j : jobs) {
    sum += j;
    longest = std::max<double>(longest, j);
  }
  return (2 - 1.0 / cpus) * std::max(sum / cpus, longest);
}

}  // namespace

TEST_CASE("any work-conserving policy ends a batch within Graham's bound") {
  random_stream random(7, stream::rule, 0);
  for (int round = 0; round < (k_slow_build ? 20 : 200); ++round) {
    const unsigned cpus = 1 + random.below(8);
    std::vector<unsigned> jobs(1 + random.below(40));
    for (unsigned& j : jobs) j = 1 + random.below(random.below(4) == 0 ? 3000 : 300);
    for (const char* name : {"fallback", "fastest-first", "random"}) {
      const double took = makespan_us(cpus, jobs, name, static_cast<std::uint64_t>(round) + 1);
      INFO(name << ", " << cpus << " CPUs, " << jobs.size() << " jobs: " << took);
      // "random" queues behind busy CPUs, but idle CPUs take from queues unless a row says hold,
      // and these never do.
      CHECK(took <= bound_us(cpus, jobs) + 3);
    }
  }
}

TEST_CASE("Graham's bound is reached by its worst list") {
  // m(m-1) jobs of 1, then one of m: first come, first served needs 2m - 1, the optimum m.
  for (const unsigned m : {2u, 3u, 4u, 8u}) {
    std::vector<unsigned> jobs(m * (m - 1), 100);
    jobs.push_back(100 * m);
    CHECK(makespan_us(m, jobs, "fastest-first", 1) == doctest::Approx(100.0 * (2 * m - 1)).epsilon(0.02));
  }
}
