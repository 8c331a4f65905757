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

/// What stands at each index of machine_state::value. Append only: shipped
/// models depend on the order.
enum state_index : unsigned {
  k_utilisation_mean = 0,     ///< busy share of the CPUs, mean
  k_utilisation_max,          ///< .. of the busiest CPU
  k_utilisation_min,          ///< .. of the idlest CPU
  k_utilisation_spread,       ///< twice the standard deviation over CPUs
  k_node_utilisation_max,     ///< busy share of the busiest NUMA node
  k_node_utilisation_spread,  ///< busiest minus idlest node
  k_load_balance,             ///< 1 - coefficient of variation of the busy shares
  k_frequency_mean,           ///< current / maximum frequency, mean over CPUs
  k_frequency_min,            ///< .. of the slowest CPU
  k_interrupt_mean,           ///< irq + softirq share, mean
  k_interrupt_max,            ///< .. of the CPU with most
  k_steal,                    ///< share taken by the hypervisor
  k_iowait,                   ///< idle with I/O outstanding
  k_background,               ///< busy share of what Tactus does not manage
  k_managed,                  ///< busy share of managed workers
  k_cpu_pressure,             ///< PSI cpu, some, 10 s
  k_memory_pressure_some,     ///< PSI memory, some, 10 s
  k_memory_pressure_full,     ///< PSI memory, full, 10 s
  k_io_pressure,              ///< PSI io, some, 10 s
  k_memory_used,              ///< 1 - available / total
  k_memory_level,             ///< level 0..4 of memory pressure, / 4
  k_swap_used,                ///< used share of swap
  k_memory_bandwidth,         ///< resctrl bytes/s over the highest rate seen
  k_l1_miss_rate,             ///< absent unless a performance counter is given
  k_l2_miss_rate,             ///< .. as above
  k_l3_miss_rate,             ///< .. as above
  k_numa_remote,              ///< share of page allocations off the local node
  k_temperature,              ///< hottest CPU sensor: 25 C = 0, critical trip = 1
  k_throttling,               ///< 1: throttle counters rose or frequency is capped
  k_power_policy,             ///< 0 saving .. 1 performance
  k_load_average,             ///< x / (1 + x), x = 1-minute load per CPU
  k_queue_depth,              ///< x / (1 + x), x = managed workers waiting per CPU
  k_nr_state,
};
static_assert(int(k_nr_state) == learn::k_state_size, "the networks take this many floats");

/// Short name of an index, for logs and pages; "?" beyond the end.
const char *state_name(unsigned index);

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
