// SPDX-License-Identifier: Apache-2.0
// Games on throttled machines: see random_world.h. Few fast and some slow CPUs, mostly slow because
// the host stops them for the rest of each period; an urgent class with short periods, a simulation
// and a search per frame, and loading in the background that takes what is left.
#include <fmt/format.h>

#include <algorithm>

#include "sim/pretrain/dice.h"
#include "sim/pretrain/random_world.h"

namespace tactus::sim {
namespace {

constexpr std::uint64_t k_game = 0x67616d65;

machine make_throttled(std::uint64_t number, dice& d) {
  machine m;
  m.name = fmt::format("world {}", number);
  m.types = {"cpu"};
  const unsigned n = d.one_of({2u, 3u, 4u, 4u, 4u, 4u, 6u, 8u}), fast = 1 + d.below(n - 1);
  const bool throttled = d.chance(0.8);  // else by a lower clock, as a hybrid's
  const double top = throttled ? d.between(0.5, 1) : 1;
  const double slow[] = {d.log_between(0.1, 0.6), d.log_between(0.1, 0.6)};
  const bool three = d.chance(0.2);
  for (unsigned i = 0; i < n; ++i) {
    cpu_spec c;
    c.core = i;
    const double s = i < fast ? top : slow[three ? i % 2 : 0] * top;
    if (throttled && s < 1) {
      c.period_ns = 5'000'000;
      c.quota_ns = static_cast<std::uint64_t>(5e6 * s);
    } else {
      c.speed = s;
    }
    m.cpus.push_back(c);
  }
  m.costs.wake_ns = static_cast<std::uint64_t>(d.log_between(5e3, 2e5));
  m.costs.switch_ns = static_cast<std::uint64_t>(d.log_between(5e3, 2e5));
  m.costs.migrate_cache_ns = static_cast<std::uint64_t>(d.log_between(1e4, 1e5));
  m.costs.migrate_node_ns = m.costs.migrate_far_ns = m.costs.migrate_cache_ns;
  neighbour_spec other;
  other.threads_per_cpu = d.between(0.1, 0.8);
  other.run_ns = static_cast<std::uint64_t>(d.log_between(3e5, 3e6));
  other.sleep_ns = static_cast<std::uint64_t>(static_cast<double>(other.run_ns) * d.between(3, 10));
  m.neighbours.push_back(other);
  return m;
}

// One class and its flow; work as a share of the period, per task.
void add_periodic(workload& w, dice& d, const char* name, unsigned priority, double period_ns, double share, double cv2,
                  unsigned tasks) {
  task_class_spec k;
  k.name = name;
  k.priority = priority;
  k.weight = d.chance(0.7) ? std::max(1u, 1u << priority >> 1) : d.one_of({1u, 2u, 4u, 8u});
  if (priority > 1) k.deadline_ns = static_cast<std::uint64_t>(period_ns);
  k.work = distribution::lognormal(period_ns * share, cv2);
  k.footprint = d.between(0, 1);
  k.most_pending = 256;
  flow_spec f;
  f.name = name;
  f.per_cpus = 4;
  f.driver_ns = static_cast<std::uint64_t>(d.log_between(2e4, 2e5));
  f.serial = priority == 2;
  f.arrivals.how = priority > 1 || d.chance(0.6) ? arrival_spec::kind::periodic : arrival_spec::kind::poisson;
  f.arrivals.mean_gap_ns = period_ns;
  f.arrivals.phase = d.between(0, 1);
  stage_spec stage;
  stage.task_class = static_cast<unsigned>(w.classes.size());
  stage.tasks = tasks;
  f.stages.push_back(stage);
  w.classes.push_back(std::move(k));
  w.flows.push_back(std::move(f));
}

void add_loading(workload& w, const machine& m, dice& d) {
  task_class_spec k;
  k.name = "loading";
  k.priority = 0;
  k.weight = 1;
  k.work = distribution::lognormal(d.log_between(3e5, 3e6), d.log_between(0.02, 1));
  k.memory = d.between(0, 0.5);
  k.most_pending = 256;
  flow_spec f;
  f.name = "loading";
  f.arrivals.how = arrival_spec::kind::closed;
  f.arrivals.in_flight = std::max(1.0, std::round(d.between(0.4, 1.6) * static_cast<double>(m.cpus.size())));
  f.arrivals.think = distribution::fixed(d.log_between(4e6, 4e7));
  stage_spec stage;
  stage.task_class = static_cast<unsigned>(w.classes.size());
  stage.tasks = 1;
  f.stages.push_back(stage);
  w.classes.push_back(std::move(k));
  w.flows.push_back(std::move(f));
}

}  // namespace

random_world make_random_game(std::uint64_t number) {
  dice d(number, k_game);
  random_world world;
  world.on = make_throttled(number, d);
  workload& w = world.load;
  w.name = fmt::format("world {}", number);
  w.pools.push_back({.name = "pool"});
  const double frame_ns = d.log_between(2e7, 1e8);
  add_periodic(w, d, "audio", 3, d.log_between(5e6, 4e7), d.between(0.03, 0.13), 0.02, 1 + d.below(3));
  if (d.chance(0.9)) add_periodic(w, d, "physics", 2, frame_ns, d.between(0.008, 0.04), d.log_between(0.01, 0.3), 1 + d.below(6));
  if (d.chance(0.9)) add_periodic(w, d, "path", 1, frame_ns * d.one_of({0.5, 1.0, 1.0}), d.between(0.008, 0.04), d.log_between(0.05, 3), 1 + d.below(4));
  if (w.classes.size() < 2 || d.chance(0.9)) add_loading(w, world.on, d);
  return world;
}

}  // namespace tactus::sim
