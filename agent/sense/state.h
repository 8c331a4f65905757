// SPDX-License-Identifier: Apache-2.0
//
// The machine state as the networks see it: 32 numbers in [0,1] with a mark for
// each that says whether its source exists on this machine.
//
// Relies on: nothing but the struct machine_state of the learners' interface.
// Does not: read anything (sense.h does) nor guess a value whose source is absent.
//
// Values that exist once per CPU are pooled (mean, max, spread ...), so that the
// size does not depend on the machine. encode() is a pure function; any input,
// NaN and infinities included, gives numbers in [0,1].
#ifndef TACTUS_AGENT_SENSE_STATE_H
#define TACTUS_AGENT_SENSE_STATE_H

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/learn/api.h"

namespace tactus::sense {

/// The indices of machine_state::value; state_slots() says what each means. Shipped
/// models depend on the order.
enum state_index : unsigned {
  k_utilisation_mean = 0,
  k_utilisation_max,
  k_utilisation_min,
  k_utilisation_spread,
  k_node_utilisation_max,
  k_node_utilisation_spread,
  k_load_balance,
  k_frequency_mean,
  k_frequency_min,
  k_interrupt_mean,
  k_interrupt_max,
  k_steal,
  k_iowait,
  k_background,
  k_managed,
  k_cpu_pressure,
  k_memory_pressure_some,
  k_memory_pressure_full,
  k_io_pressure,
  k_memory_used,
  k_memory_level,
  k_swap_used,
  k_memory_bandwidth,
  k_l1_miss_rate,
  k_l2_miss_rate,
  k_l3_miss_rate,
  k_numa_remote,
  k_temperature,
  k_throttling,
  k_power_policy,
  k_load_average,
  k_queue_depth,
  k_nr_state,
};
static_assert(int(k_nr_state) == learn::k_state_size && learn::k_state_size == 32, "the networks take this many floats");
static_assert(k_nr_state <= 32, "one present bit each");

/// The fields of the machine state. Each comes from one provider (provider.h) and
/// stands at one or more indices.
enum class field : unsigned char {
  core_utilisation,
  node_utilisation,
  frequency_scaling,
  memory_pressure,
  memory_bandwidth,
  l1_miss_rate,
  l2_miss_rate,
  l3_miss_rate,
  numa_cross_traffic,
  queue_depths,
  load_balance,
  cpu_temperature,
  thermal_throttling,
  power_state,
  background_load,
  interrupt_load,
};
inline constexpr unsigned k_nr_fields = 16;

/// What stands at an index. docs/machine-state.md is this table for readers.
struct state_slot {
  const char *name;     ///< short, for logs and pages
  field of;
  const char *meaning;  ///< of the value, 0 to 1
};
const std::array<state_slot, k_nr_state> &state_slots();

/// state_slots()[index].name; "?" beyond the end.
const char *state_name(unsigned index);

inline constexpr unsigned k_max_nodes = 64;                // nodes beyond are left out
inline constexpr std::size_t k_files_per_sample = 64;      // of per-CPU files of a kind, to bound a sample's cost
inline constexpr double k_default_critical_c = 100.0;      // where no trip point is published

/// Shares of one CPU's time since the sample before, each in [0,1].
struct cpu_shares {
  bool present = false;  ///< has a line in /proc/stat (is online)
  double busy = 0;       ///< all but idle, iowait and steal
  double interrupt = 0;  ///< irq + softirq (a part of busy)
  double steal = 0;
  double iowait = 0;
  int node = -1;  ///< NUMA node, -1 unknown
};

/// PSI shares, in per cent (0..100), of the last 10, 60 and 300 s.
struct pressure {
  double some_avg10 = 0, some_avg60 = 0, some_avg300 = 0;
  double full_avg10 = 0, full_avg60 = 0, full_avg300 = 0;
};

/// Memory pressure with where it was read.
struct memory_pressure_info {
  pressure psi;
  unsigned level = 0;        ///< 0 none .. 4 severe
  bool from_cgroup = false;  ///< of the cgroup, not of the whole machine
};

/// What the power settings favour; absent parts are empty.
struct power_state {
  std::string governor;           ///< cpufreq governor of the first CPU that has one
  std::string energy_preference;  ///< energy_performance_preference
  std::string platform_profile;
  std::optional<bool> on_battery;
};

/// What was read from the machine, in its own units; an empty optional is an
/// absent source.
struct raw_state {
  std::vector<cpu_shares> cpus;         ///< by CPU id; empty before the second sample
  std::vector<double> frequency_ratio;  ///< current / max of the CPUs that say so
  std::optional<double> managed_share;  ///< of all CPU time, by managed workers
  std::optional<pressure> cpu_pressure;
  std::optional<memory_pressure_info> memory_pressure;
  std::optional<pressure> io_pressure;
  std::optional<double> memory_used, swap_used;
  std::optional<double> memory_bandwidth;  ///< share of the highest rate seen
  std::optional<double> l1_miss_rate, l2_miss_rate, l3_miss_rate;
  std::optional<double> numa_remote;
  std::optional<double> temperature_c, critical_temperature_c;
  std::optional<bool> throttling;
  std::optional<power_state> power;
  std::optional<double> load_average;
  std::optional<double> waiting_workers;  ///< managed workers waiting, whole machine
};

/// Level of memory pressure from PSI: 0 none, 4 severe.
unsigned memory_level(const pressure &memory);

/// 0 (saving) .. 1 (performance) of the settings that are there; nothing when
/// none is, or none is known.
std::optional<double> power_policy(const power_state &power);

/// Raw numbers to the networks' input. Pure; never NaN, always in [0,1]; the
/// value of an absent source is 0 and its present bit is clear.
learn::machine_state encode(const raw_state &raw);

}  // namespace tactus::sense

#endif
