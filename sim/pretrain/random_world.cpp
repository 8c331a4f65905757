// SPDX-License-Identifier: Apache-2.0
#include "sim/pretrain/random_world.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/pretrain/dice.h"

namespace tactus::sim {
namespace {

machine make_machine(std::uint64_t number, dice& d) {
  machine m;
  m.name = fmt::format("world {}", number);
  m.types = {"cpu"};
  const unsigned n = d.one_of({2u, 3u, 4u, 4u, 4u, 6u, 8u, 8u, 12u, 16u});
  const unsigned levels = d.chance(0.25) ? 1 : d.chance(0.7) ? 2 : 3;
  double speed[3] = {1, d.log_between(0.15, 0.85), d.log_between(0.15, 0.85)};
  const bool stated = d.chance(0.5);     // the kernel knows the capacities
  const bool throttled = d.chance(0.5);  // by bandwidth periods instead of a lower clock
  const double top = throttled ? d.between(0.6, 1) : 1;
  for (unsigned i = 0; i < n; ++i) {
    cpu_spec c;
    c.core = i;
    const double s = speed[i == 0 ? 0 : d.below(levels)];
    if (stated) c.capacity = std::max(1u, static_cast<unsigned>(std::lround(1024 * s)));
    if (throttled && !stated) {
      c.period_ns = 5'000'000;
      c.quota_ns = static_cast<std::uint64_t>(5e6 * s * top);
    } else {
      c.speed = s;
    }
    m.cpus.push_back(c);
  }
  // From hardware to an emulated machine.
  m.costs.wake_ns = static_cast<std::uint64_t>(d.log_between(3e3, 1e5));
  m.costs.switch_ns = static_cast<std::uint64_t>(d.log_between(1e3, 1e5));
  m.costs.migrate_cache_ns = static_cast<std::uint64_t>(d.log_between(5e3, 6e4));
  m.costs.migrate_node_ns = m.costs.migrate_far_ns = m.costs.migrate_cache_ns;
  if (d.chance(0.5)) {
    neighbour_spec other;
    other.threads_per_cpu = d.between(0.1, 0.8);
    other.run_ns = static_cast<std::uint64_t>(d.log_between(1e5, 3e6));
    other.sleep_ns = static_cast<std::uint64_t>(static_cast<double>(other.run_ns) * d.between(3, 20));
    m.neighbours.push_back(other);
  }
  return m;
}

distribution make_work(double mean_ns, dice& d) {
  switch (d.below(4)) {
    case 0: return distribution::exponential(mean_ns);
    case 1: return distribution::lognormal(mean_ns, d.log_between(0.01, 4));
    default: return distribution::lognormal(mean_ns, d.log_between(0.005, 0.3));
  }
}

workload make_load(std::uint64_t number, const machine& m, dice& d) {
  workload w;
  w.name = fmt::format("world {}", number);
  w.pools.push_back({.name = "pool"});
  const double usable = usable_speed(m), cpus = static_cast<double>(m.cpus.size());
  const unsigned nr_classes = 2 + d.below(4);
  const double scale_ns = d.log_between(1e5, 2e6);
  double share[5] = {}, all = 0;
  for (unsigned c = 0; c < nr_classes; ++c) all += share[c] = d.between(0.2, 1);
  const double load = d.between(0.08, 0.85);
  for (unsigned c = 0; c < nr_classes; ++c) {
    const double work_ns = scale_ns * d.log_between(0.4, 2.5);
    const double mine = load * share[c] / all;  // of the machine
    task_class_spec k;
    k.name = fmt::format("class{}", c);
    k.priority = d.below(4);
    k.weight = d.chance(0.6) ? 1u << k.priority >> (k.priority > 2 ? 1 : 0) : d.one_of({1u, 2u, 4u, 8u});
    k.work = make_work(work_ns, d);
    k.footprint = d.between(0, 1);
    k.most_pending = 256;
    flow_spec f;
    f.name = k.name;
    if (d.chance(0.6)) f.driver_ns = static_cast<std::uint64_t>(d.log_between(5e3, 1e5));
    stage_spec stage;
    stage.task_class = c;
    stage.tasks = d.chance(0.4) ? 1 : 1 + d.below(4);
    const double gap_ns = work_ns * stage.tasks / (mine * usable);
    if (k.priority == 3 && d.chance(0.8)) k.deadline_ns = static_cast<std::uint64_t>(std::max(gap_ns, 4 * work_ns));
    if (k.priority == 0 && d.chance(0.6)) {
      f.arrivals.how = arrival_spec::kind::closed;
      f.arrivals.in_flight = std::max(1.0, std::round(d.between(0.5, 1.5) * cpus));
      stage.tasks = 1;
      const double think_ns = f.arrivals.in_flight * work_ns / (mine * usable) - work_ns;
      f.arrivals.think = distribution::fixed(std::max(think_ns, work_ns));
    } else {
      f.arrivals.how = d.one_of({arrival_spec::kind::periodic, arrival_spec::kind::periodic, arrival_spec::kind::poisson,
                                 arrival_spec::kind::poisson, arrival_spec::kind::mmpp});
      f.arrivals.mean_gap_ns = gap_ns;
      f.arrivals.phase = d.between(0, 1);
      f.arrivals.burst_ns = 30 * scale_ns;
    }
    f.stages.push_back(stage);
    w.classes.push_back(std::move(k));
    w.flows.push_back(std::move(f));
  }
  return w;
}

}  // namespace

random_world make_random_world(std::uint64_t number) {
  if (is_game(number)) return make_random_game(number);
  dice d(number, 0x776f726c64);
  random_world world;
  world.on = make_machine(number, d);
  world.load = make_load(number, world.on, d);
  return world;
}

}  // namespace tactus::sim
