// SPDX-License-Identifier: Apache-2.0
//
// Raw machine numbers to the 32 floats of the networks. Pure functions only.
#include "agent/sense/state.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace tactus::sense {
namespace {

constexpr std::array<state_slot, k_nr_state> k_slots = {{
    {"utilisation_mean", field::core_utilisation, "busy share of the CPUs, mean"},
    {"utilisation_max", field::core_utilisation, ".. of the busiest CPU"},
    {"utilisation_min", field::core_utilisation, ".. of the idlest CPU"},
    {"utilisation_spread", field::core_utilisation, "twice the standard deviation over CPUs"},
    {"node_utilisation_max", field::node_utilisation, "busy share of the busiest NUMA node"},
    {"node_utilisation_spread", field::node_utilisation, "busiest minus idlest node"},
    {"load_balance", field::load_balance, "1 - coefficient of variation of the busy shares"},
    {"frequency_mean", field::frequency_scaling, "current / maximum frequency, mean over CPUs"},
    {"frequency_min", field::frequency_scaling, ".. of the slowest CPU"},
    {"interrupt_mean", field::interrupt_load, "share of time in interrupts, mean over CPUs"},
    {"interrupt_max", field::interrupt_load, ".. of the CPU with most"},
    {"steal", field::core_utilisation, "share of time taken by the hypervisor"},
    {"iowait", field::core_utilisation, "share of time idle with I/O outstanding"},
    {"background", field::background_load, "busy share of what Tactus does not manage"},
    {"managed", field::background_load, "busy share of managed workers"},
    {"cpu_pressure", field::memory_pressure, "PSI cpu, some, 10 s"},
    {"memory_pressure_some", field::memory_pressure, "PSI memory, some, 10 s"},
    {"memory_pressure_full", field::memory_pressure, "PSI memory, full, 10 s"},
    {"io_pressure", field::memory_pressure, "PSI io, some, 10 s"},
    {"memory_used", field::memory_pressure, "1 - available / total, or current / limit of the cgroup"},
    {"memory_level", field::memory_pressure, "level 0 to 4 of the memory pressure, / 4"},
    {"swap_used", field::memory_pressure, "used share of swap"},
    {"memory_bandwidth", field::memory_bandwidth, "bytes/s over the highest rate seen (4 GB/s at least)"},
    {"l1_miss_rate", field::l1_miss_rate, "misses / loads of the first-level data cache"},
    {"l2_miss_rate", field::l2_miss_rate, "last-level loads / first-level misses"},
    {"l3_miss_rate", field::l3_miss_rate, "misses / loads of the last-level cache"},
    {"numa_remote", field::numa_cross_traffic, "share of page allocations off the local node"},
    {"temperature", field::cpu_temperature, "CPU sensor nearest to critical: 25 C = 0, critical = 1"},
    {"throttling", field::thermal_throttling, "1: throttle counters rose, or the frequency is capped below base"},
    {"power_policy", field::power_state, "0 saving .. 1 performance; halved on battery"},
    {"load_average", field::queue_depths, "x / (1 + x), x = 1-minute load per CPU"},
    {"queue_depth", field::queue_depths, "x / (1 + x), x = managed workers waiting per CPU"},
}};

constexpr double k_cool_c = 25.0;  // maps to 0

// Writes one value: a number that is not finite is treated as absent, since
// telling the network "absent" is honest and any made-up number is not.
struct writer {
  learn::machine_state out{};

  void set(state_index index, double value) {
    if (!std::isfinite(value)) return;
    out.value[index] = static_cast<float>(std::clamp(value, 0.0, 1.0));
    out.present |= 1u << index;
  }
  void set(state_index index, const std::optional<double> &value) {
    if (value) set(index, *value);
  }
};

struct summary {
  double mean = 0, max = 0, min = 0, deviation = 0;
};

summary summarise(const std::vector<double> &values) {
  summary s;
  if (values.empty()) return s;
  s.max = s.min = values.front();
  double sum = 0;
  for (double v : values) {
    sum += v;
    s.max = std::max(s.max, v);
    s.min = std::min(s.min, v);
  }
  const double n = static_cast<double>(values.size());
  s.mean = sum / n;
  double squares = 0;
  for (double v : values) squares += (v - s.mean) * (v - s.mean);
  s.deviation = std::sqrt(squares / n);
  return s;
}

// x in [0,inf) to [0,1), steepest where it matters (few waiters per CPU).
double squash(double x) {
  if (std::isnan(x)) return x;  // absent, see writer
  if (x <= 0) return 0;
  return std::isinf(x) ? 1.0 : x / (1.0 + x);
}

void encode_cpus(const raw_state &raw, writer &w, double *busy_mean) {
  std::vector<double> busy, interrupt;
  struct {
    double sum = 0;
    unsigned cpus = 0;
  } nodes[k_max_nodes];
  double steal = 0, iowait = 0;
  for (const cpu_shares &cpu : raw.cpus) {
    if (!cpu.present || !std::isfinite(cpu.busy)) continue;
    const double share = std::clamp(cpu.busy, 0.0, 1.0);
    busy.push_back(share);
    interrupt.push_back(cpu.interrupt);
    steal += cpu.steal;
    iowait += cpu.iowait;
    if (cpu.node >= 0 && cpu.node < static_cast<int>(k_max_nodes)) {
      nodes[cpu.node].sum += share;
      nodes[cpu.node].cpus += 1;
    }
  }
  *busy_mean = std::nan("");
  if (busy.empty()) return;
  const double n = static_cast<double>(busy.size());
  const summary b = summarise(busy);
  *busy_mean = b.mean;
  w.set(k_utilisation_mean, b.mean);
  w.set(k_utilisation_max, b.max);
  w.set(k_utilisation_min, b.min);
  w.set(k_utilisation_spread, 2 * b.deviation);
  // An idle machine is in balance: the ratio means nothing there.
  w.set(k_load_balance, b.mean > 1e-3 ? 1.0 - b.deviation / b.mean : 1.0);
  const summary i = summarise(interrupt);
  w.set(k_interrupt_mean, i.mean);
  w.set(k_interrupt_max, i.max);
  w.set(k_steal, steal / n);
  w.set(k_iowait, iowait / n);
  std::vector<double> per_node;
  for (const auto &node : nodes)
    if (node.cpus) per_node.push_back(node.sum / node.cpus);
  if (!per_node.empty()) {
    const summary s = summarise(per_node);
    w.set(k_node_utilisation_max, s.max);
    w.set(k_node_utilisation_spread, s.max - s.min);
  }
}

}  // namespace

const std::array<state_slot, k_nr_state> &state_slots() { return k_slots; }

const char *state_name(unsigned index) { return index < k_slots.size() ? k_slots[index].name : "?"; }

unsigned memory_level(const pressure &memory) {
  if (memory.full_avg10 >= 20 || memory.some_avg10 >= 40) return 4;
  if (memory.full_avg10 >= 5 || memory.some_avg10 >= 15) return 3;
  if (memory.some_avg10 >= 5) return 2;
  return memory.some_avg10 >= 1 ? 1 : 0;
}

std::optional<double> power_policy(const power_state &power) {
  static const std::map<std::string, double> k_preference = {
      {"performance", 1.0}, {"balance_performance", 0.75}, {"default", 0.5}, {"balance_power", 0.25}, {"power", 0.0}};
  static const std::map<std::string, double> k_governor = {
      {"performance", 1.0}, {"schedutil", 0.5}, {"ondemand", 0.5}, {"conservative", 0.4}, {"powersave", 0.0}};
  static const std::map<std::string, double> k_profile = {{"performance", 1.0}, {"balanced-performance", 0.75},
                                                          {"balanced", 0.5},    {"quiet", 0.25},
                                                          {"cool", 0.25},       {"low-power", 0.0}};
  double sum = 0;
  unsigned count = 0;
  const auto add = [&](const auto &table, const std::string &key) {
    const auto it = table.find(key);
    if (it == table.end()) return false;
    sum += it->second;
    ++count;
    return true;
  };
  // With an energy preference the governor's name says little: "powersave" of
  // intel_pstate and amd_pstate is their ordinary, dynamic mode.
  if (!add(k_preference, power.energy_preference)) add(k_governor, power.governor);
  add(k_profile, power.platform_profile);
  if (!count) return power.on_battery ? std::optional<double>(*power.on_battery ? 0.25 : 0.75) : std::nullopt;
  const double value = sum / count;
  return power.on_battery.value_or(false) ? value * 0.5 : value;
}

learn::machine_state encode(const raw_state &raw) {
  writer w;
  double busy_mean = 0;
  encode_cpus(raw, w, &busy_mean);

  std::vector<double> ratios;
  for (double r : raw.frequency_ratio)
    if (std::isfinite(r)) ratios.push_back(std::clamp(r, 0.0, 1.0));
  if (!ratios.empty()) {
    const summary f = summarise(ratios);
    w.set(k_frequency_mean, f.mean);
    w.set(k_frequency_min, f.min);
  }
  if (raw.managed_share) {
    w.set(k_managed, *raw.managed_share);
    w.set(k_background, busy_mean - *raw.managed_share);
  }
  if (raw.cpu_pressure) w.set(k_cpu_pressure, raw.cpu_pressure->some_avg10 / 100);
  if (raw.memory_pressure) {
    w.set(k_memory_pressure_some, raw.memory_pressure->psi.some_avg10 / 100);
    w.set(k_memory_pressure_full, raw.memory_pressure->psi.full_avg10 / 100);
    w.set(k_memory_level, raw.memory_pressure->level / 4.0);
  }
  if (raw.io_pressure) w.set(k_io_pressure, raw.io_pressure->some_avg10 / 100);
  w.set(k_memory_used, raw.memory_used);
  w.set(k_swap_used, raw.swap_used);
  w.set(k_memory_bandwidth, raw.memory_bandwidth);
  w.set(k_l1_miss_rate, raw.l1_miss_rate);
  w.set(k_l2_miss_rate, raw.l2_miss_rate);
  w.set(k_l3_miss_rate, raw.l3_miss_rate);
  w.set(k_numa_remote, raw.numa_remote);
  if (raw.temperature_c) {
    double critical = raw.critical_temperature_c.value_or(k_default_critical_c);
    if (!(critical > k_cool_c)) critical = k_default_critical_c;
    w.set(k_temperature, (*raw.temperature_c - k_cool_c) / (critical - k_cool_c));
  }
  if (raw.throttling) w.set(k_throttling, *raw.throttling ? 1.0 : 0.0);
  if (raw.power) w.set(k_power_policy, power_policy(*raw.power));
  const auto online = std::count_if(raw.cpus.begin(), raw.cpus.end(), [](const cpu_shares &c) { return c.present; });
  if (online > 0) {
    const double n = static_cast<double>(online);
    if (raw.load_average) w.set(k_load_average, squash(*raw.load_average / n));
    if (raw.waiting_workers) w.set(k_queue_depth, squash(*raw.waiting_workers / n));
  }
  return w.out;
}

}  // namespace tactus::sense
