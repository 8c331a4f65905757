// SPDX-License-Identifier: Apache-2.0
// What the simulator's tests share: small machines and loads from text, and means over seeds.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>

#include "sim/policy/policy.h"

namespace tactus::sim::test {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr bool k_slow_build = true;
#else
inline constexpr bool k_slow_build = false;
#endif

inline machine equal_cpus(unsigned n) {
  return parse_machine("equal", fmt::format("[[cpus]]\ncores_per_cache = {}\n", n));
}
inline machine unequal_cpus(unsigned fast, unsigned slow, double ratio) {
  return parse_machine("unequal", fmt::format("[[cpus]]\ncores_per_cache = {}\n[[cpus]]\njoined = true\ncores_per_cache = {}\n"
                                              "type = \"slow\"\nspeed = {}\n", fast, slow, ratio));
}
// Independent tasks of one class that come at random; every task has a worker of its own, so that all
// queueing is the scheduler's. work: what stands in {} of a distribution.
inline workload queue_of(const std::string& work, double load) {
  return parse_workload("queue", fmt::format("[[pool]]\nname = \"pool\"\nworkers = 600\nspares = 0\nsteals = false\n"
                                             "[[class]]\nname = \"job\"\nwork = {{{}}}\n"
                                             "[[flow]]\narrivals = {{kind = \"poisson\", load = {}}}\n[[flow.stage]]\nclass = \"job\"\n",
                                             work, load));
}

struct mean_and_error {
  double mean = 0, error = 0;  // error: standard error of the mean
};
// Time mean of tasks present over independent runs.
inline mean_and_error cost_over_seeds(const machine& m, const workload& w, const std::string& policy_name, double seconds,
                                      unsigned seeds) {
  double sum = 0, squares = 0;
  for (unsigned i = 1; i <= seeds; ++i) {
    simulation_options o;
    o.seed = i;
    simulation s(m, w, o);
    policy_settings settings;
    settings.seed = i;
    const auto p = make_policy(policy_name, settings);
    p->attach(s);
    s.run_until(static_cast<std::uint64_t>(seconds * 1e8));
    s.start_window();
    s.run_until(static_cast<std::uint64_t>(seconds * 1.1e9));
    const double c = s.window().cost;
    sum += c;
    squares += c * c;
  }
  const double mean = sum / seeds;
  return {mean, std::sqrt((squares / seeds - mean * mean) / (seeds - 1))};
}

}  // namespace tactus::sim::test
