// SPDX-License-Identifier: Apache-2.0
// A machine as the simulator knows it: CPUs, what they share, how fast they are, what moving costs,
// and what happens to them by itself (throttling, steal, heat, hotplug, neighbours).
//
// Speed 1 is the reference: work is counted in ns at speed 1. What the simulated agent may know of
// a speed is only `capacity`, as the kernel's cpu_capacity; the rest it has to measure.
// Plain data; the file format stands in docs/simulator.md.
#pragma once

#include <tactus/abi/decision_map.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace tactus::sim {

// A machine or work load that cannot be read. what() names the file, the key and what to change.
class description_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct cpu_spec {
  unsigned core = 0, cache = 0, node = 0, socket = 0;  // CPUs of equal number share it
  unsigned type = 0;                                   // index into machine::types
  double speed = 1;
  unsigned capacity = 1024;  // 1..1024, what the kernel would state
  // CPU bandwidth control of the host: so much run time per period; 0: no limit.
  std::uint64_t quota_ns = 0, period_ns = 0;
  // Share of time, in bursts of this mean, in which the host runs somebody else.
  double steal_share = 0;
  std::uint64_t steal_burst_ns = 0;
};

struct machine_costs {
  std::uint64_t wake_ns = 0;     // from the kick of an idle CPU until it runs a thread
  std::uint64_t switch_ns = 0;   // another thread than before
  // A thread that goes on elsewhere in the middle of a task refills its working set. Times the
  // class's footprint.
  std::uint64_t migrate_core_ns = 0;   // same core
  std::uint64_t migrate_cache_ns = 0;  // same last-level cache
  std::uint64_t migrate_node_ns = 0;   // same NUMA node
  std::uint64_t migrate_far_ns = 0;    // another node
  double remote_memory_ratio = 1;      // access time of another node's memory over the own one's
};

// First-order heat of a socket: with all CPUs busy it tends to full_load_c, with all idle to idle_c.
// Above limit_c its CPUs run at capped_speed times their speed until they are hysteresis_c below.
struct machine_heat {
  bool present = false;
  double idle_c = 40, full_load_c = 95, limit_c = 90, hysteresis_c = 5, critical_c = 100;
  double capped_speed = 0.6;
  std::uint64_t tau_ns = 5'000'000'000;
};

// Something that happens to CPUs at a moment.
struct machine_event {
  enum class what { offline, online, speed } kind = what::speed;
  std::uint64_t at_ns = 0;
  std::vector<unsigned> cpus;
  double speed = 1;  // factor on the CPU's own, for `speed`
};

// Threads of others on the same machine: they run, sleep, and are scheduled as unmanaged threads.
struct neighbour_spec {
  double threads_per_cpu = 0;
  std::uint64_t run_ns = 0, sleep_ns = 0;  // means, exponential
  unsigned weight = 100;                   // of the scheduler, 100 = nice 0
};

struct machine {
  std::string name, what;
  std::vector<std::string> types;  // names of core types
  std::vector<cpu_spec> cpus;
  unsigned tick_hz = 250;
  double smt_speed = 1;  // of each of two siblings that are both busy
  machine_costs costs;
  machine_heat heat;
  std::vector<machine_event> events;
  std::vector<neighbour_spec> neighbours;
};

// "demo", a path that ends in .toml, or "host" (this machine, by hwloc).
machine load_machine(const std::string& name_or_path);
machine parse_machine(const std::string& name, const std::string& text);
machine host_machine();

// What the loader would write into the scheduler's maps: places, domains, distances.
struct machine_topology {
  unsigned nr_places = 0, nr_domains = 0;
  bool smt = false;
  std::vector<tactus_cpu> cpus;      // one per CPU of the machine
  std::vector<tactus_place> places;  // nr_places
  std::vector<std::uint32_t> domain_cpus;
};

// The rules of agent/sense/topology.h, over the CPUs that are online. Throws description_error when
// there is none.
machine_topology topology_of(const machine& m, const std::vector<bool>& online);
machine_topology topology_of(const machine& m);

// Sum of the CPUs' speeds, throttling and steal taken off: work in ns that it does per ns.
double usable_speed(const machine& m);

}  // namespace tactus::sim
