// SPDX-License-Identifier: Apache-2.0
// tactus-bench sim: how fast the simulator runs, on one core.
//
// An event here is a call of one of the scheduler's ops or of its timer (select_cpu, enqueue, dispatch,
// running, stopping, tick). Rows of figures: millions of them per second of CPU time, and ns per event;
// the load is exponential tasks of 100 us, 0.7 of what the machine can do, a worker for each, so that
// every task passes through the scheduler. Policies: the fallback, and rows drawn at random.
// Inverse of the target: 3 M events per s on 4 CPUs are 333 ns per event; at 1024 CPUs at most 3 times
// what 4 cost.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <memory>

#include "bench.h"
#include "sim/policy/policy.h"

namespace tactus::bench {
namespace {

constexpr double k_target_ns = 1e9 / 3e6;

double cpu_ns() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

struct world {
  sim::machine machine;
  sim::workload load;
  std::unique_ptr<sim::policy> policy;
  std::unique_ptr<sim::simulation> simulation;
};

// Warm: queues, heaps and free lists have their size.
std::shared_ptr<world> make_world(sim::machine machine, const std::string& policy, std::uint64_t seed) {
  auto w = std::make_shared<world>();
  w->machine = std::move(machine);
  const std::size_t workers = std::max<std::size_t>(64, 4 * w->machine.cpus.size());
  w->load = sim::parse_workload("queue", fmt::format("[[pool]]\nname = \"pool\"\nworkers = {}\nspares = 0\nsteals = false\n"
                                                     "[[class]]\nname = \"job\"\nwork = {{kind = \"exponential\", mean_us = 100}}\n"
                                                     "[[flow]]\narrivals = {{kind = \"poisson\", load = 0.7}}\n[[flow.stage]]\nclass = \"job\"\n",
                                                     workers));
  sim::simulation_options options;
  options.seed = seed;
  w->simulation = std::make_unique<sim::simulation>(w->machine, w->load, options);
  w->policy = sim::make_policy(policy, {});
  w->policy->attach(*w->simulation);
  w->simulation->run_until(20'000'000);
  return w;
}

double ns_per_event(world& w, std::uint64_t events) {
  w.simulation->start_window();
  const double step_ns = 1e6;
  const double begin = cpu_ns();
  while (w.simulation->window().ops < events)
    w.simulation->run_until(w.simulation->now_ns() + static_cast<std::uint64_t>(step_ns));
  const double passed = cpu_ns() - begin;
  return passed / static_cast<double>(w.simulation->window().ops);
}

result run(const settings& set) {
  result out;
  const unsigned reps = set.repetitions(21, 7);
  const std::uint64_t events = set.quick ? 100'000 : 300'000;
  sim::machine four = sim::parse_machine("four", "[[cpus]]\ncores_per_cache = 4\n[costs]\nwake_us = 3\nswitch_us = 1\nmigrate_cache_us = 10\n");
  double cost[2] = {};
  for (const char* policy : {"fallback", "random"})
    for (const unsigned cpus : {4u, 1024u}) {
      const auto w = make_world(cpus == 4 ? four : sim::load_machine("big-1024"), policy, set.seed);
      out.rows.push_back(interleave(set, fmt::format("{} CPUs, {}", cpus, policy), "ns per event",
                                    {{"tactus", [w, events] { return ns_per_event(*w, events); }}}, reps));
      std::vector<double> sorted = out.rows.back().tactus;
      std::sort(sorted.begin(), sorted.end());
      double& mine = cost[cpus == 4 ? 0 : 1];
      mine = sorted[sorted.size() / 2];
      out.rows.back().target = cpus == 4 ? k_target_ns : 3 * cost[0];
      out.notes.push_back(fmt::format("{} CPUs, {}: {:.2f} M scheduling events per s of one core", cpus, policy, 1e3 / mine));
    }
  return out;
}

const registration sim_speed{"sim", "ns per simulated scheduling event, on 4 and on 1024 CPUs", run};

}  // namespace
}  // namespace tactus::bench
