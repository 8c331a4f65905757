// SPDX-License-Identifier: Apache-2.0
//
// Fixture trees of machines that have what the one at hand lacks. Each writes the
// files of one moment; `step` moves its counters on. What the machine does in a
// step stands beside each, so that tests can say what must come out.
#ifndef TACTUS_TESTS_MACHINES_H
#define TACTUS_TESTS_MACHINES_H

#include <string>
#include <vector>

#include "agent/sense/sense.h"
#include "fixture_tree.h"

namespace tactus::test {

// Options for a tree. No source rests between samples, so that a test need not wait.
inline sense::sampler_options of(const fixture_tree &tree, const std::string &cgroup = "") {
  sense::sampler_options options;
  options.root = tree.root();
  options.cgroup = cgroup;
  options.time_share = 0;
  return options;
}

// user nice system idle iowait irq softirq steal
inline std::string stat_line(unsigned cpu, const std::vector<int> &fields) {
  std::string line = "cpu" + std::to_string(cpu);
  for (int f : fields) line += " " + std::to_string(f);
  return line + " 0 0\n";
}

inline const char *const k_pressure =
    "some avg10=12.50 avg60=3.00 avg300=1.00 total=123\n"
    "full avg10=2.50 avg60=1.00 avg300=0.10 total=45\n";

// 2 fast and 2 slow CPUs, on battery: each fast CPU is 60 % busy, the slow ones idle.
inline void laptop(const fixture_tree &tree, int step) {
  std::string stat = "cpu 0 0 0 0\n";
  for (unsigned cpu = 0; cpu < 4; ++cpu) {
    const bool fast = cpu < 2;
    stat += stat_line(cpu, fast ? std::vector<int>{50 * step, 0, 10 * step, 40 * step, 0, 0, 0, 0}
                                : std::vector<int>{0, 0, 0, 100 * step, 0, 0, 0, 0});
    const std::string freq = "sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/cpufreq/";
    tree.put(freq + "cpuinfo_max_freq", fast ? "4800000\n" : "3600000\n");
    tree.put(freq + "scaling_cur_freq", fast ? "2400000\n" : "1800000\n");
    tree.put(freq + "scaling_max_freq", fast ? "4800000\n" : "3600000\n");
    tree.put(freq + "base_frequency", "2100000\n");
    tree.put(freq + "scaling_governor", "powersave\n");
    tree.put(freq + "energy_performance_preference", "balance_power\n");
    tree.put("sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/thermal_throttle/core_throttle_count",
             std::to_string(cpu == 1 ? 4294967295u - 1 + static_cast<unsigned>(step) : 3u) + "\n");
  }
  tree.put("proc/stat", stat + "intr 5 6\nctxt 1\n");
  tree.put("proc/loadavg", "1.00 2.00 1.00 1/100 999\n");
  tree.put("proc/meminfo", "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n");
  tree.put("sys/class/thermal/thermal_zone0/type", "acpitz\n");
  tree.put("sys/class/thermal/thermal_zone0/temp", "99000\n");  // no CPU sensor
  tree.put("sys/class/thermal/thermal_zone1/type", "x86_pkg_temp\n");
  tree.put("sys/class/thermal/thermal_zone1/temp", "57500\n");
  tree.put("sys/class/thermal/thermal_zone1/trip_point_0_type", "critical\n");
  tree.put("sys/class/thermal/thermal_zone1/trip_point_0_temp", "90000\n");
  tree.put("sys/class/hwmon/hwmon3/name", "coretemp\n");
  tree.put("sys/class/hwmon/hwmon3/temp2_input", "60000\n");  // 45 below its critical point: not the nearest
  tree.put("sys/class/hwmon/hwmon3/temp2_crit", "105000\n");
  tree.put("sys/firmware/acpi/platform_profile", "balanced\n");
  tree.put("sys/class/power_supply/BAT0/type", "Battery\n");
  tree.put("sys/class/power_supply/BAT0/status", "Discharging\n");
  tree.put("sys/class/power_supply/mouse/type", "Battery\n");
  tree.put("sys/class/power_supply/mouse/scope", "Device\n");
  tree.put("sys/class/power_supply/mouse/status", "Full\n");
}

// Two nodes of 2 CPUs: node 0 is 50 % busy, node 1 10 %; a quarter of node 1's pages come from
// node 0, none of the others'; 2 GB/s through each cache, at one second a step.
inline void server(const fixture_tree &tree, int step) {
  std::string stat = "cpu 0 0 0 0\n";
  for (unsigned cpu = 0; cpu < 4; ++cpu)
    stat += stat_line(cpu, cpu < 2 ? std::vector<int>{30 * step, 0, 10 * step, 50 * step, 0, 4 * step, 6 * step, 0}
                                   : std::vector<int>{10 * step, 0, 0, 90 * step, 0, 0, 0, 0});
  tree.put("proc/stat", stat);
  tree.put("proc/loadavg", "4.00 2.00 1.00 1/100 999\n");
  tree.put("proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 400 kB\nSwapTotal: 400 kB\nSwapFree: 100 kB\n");
  for (const char *what : {"cpu", "memory", "io"}) tree.put(std::string("proc/pressure/") + what, k_pressure);
  tree.put("sys/devices/system/node/node0/cpulist", "0-1\n");
  tree.put("sys/devices/system/node/node1/cpulist", "2-3\n");
  const auto numastat = [](int local, int other) {
    return "numa_hit 9\nlocal_node " + std::to_string(local) + "\nother_node " + std::to_string(other) + "\n";
  };
  tree.put("sys/devices/system/node/node0/numastat", numastat(1000, 100));
  tree.put("sys/devices/system/node/node1/numastat", numastat(1000 + 60 * step, 100 + 20 * step));
  for (const char *cache : {"mon_L3_00", "mon_L3_01"})
    tree.put(std::string("sys/fs/resctrl/mon_data/") + cache + "/mbm_total_bytes",
             std::to_string(2'000'000'000ll * step) + "\n");
}

// A container with a group of its own, a quarter of whose memory is used, under pressure.
inline void container(const fixture_tree &tree) {
  tree.put("proc/pressure/memory", k_pressure);
  tree.put("proc/pressure/cpu", k_pressure);
  tree.put("proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 400 kB\nSwapTotal: 400 kB\nSwapFree: 100 kB\n");
  tree.put("sys/fs/cgroup/pools/memory.pressure",
           "some avg10=50.00 avg60=0.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1\n");
  tree.put("sys/fs/cgroup/pools/memory.current", "268435456\n");
  tree.put("sys/fs/cgroup/pools/memory.max", "1073741824\n");
  tree.put("sys/fs/cgroup/pools/memory.swap.current", "0\n");
  tree.put("sys/fs/cgroup/pools/memory.swap.max", "max\n");
}

// Every CPU has cpufreq and throttle files, and is busy by its number's parity.
inline void big_machine(const fixture_tree &tree, unsigned cpus, int step) {
  std::string stat = "cpu 0 0 0 0\n";
  for (unsigned cpu = 0; cpu < cpus; ++cpu) {
    stat += stat_line(cpu, {int(cpu % 2) * 50 * step, 0, 0, int(2 - cpu % 2) * 50 * step, 0, 0, 0, 0});
    if (step > 1) continue;
    const std::string dir = "sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/";
    tree.put(dir + "cpufreq/cpuinfo_max_freq", "4000000\n");
    tree.put(dir + "cpufreq/scaling_cur_freq", "3000000\n");
    tree.put(dir + "thermal_throttle/core_throttle_count", "1\n");
  }
  tree.put("proc/stat", stat + "intr 5 6\n");
}

// All files that the sources above read at a sample.
inline std::vector<std::string> files_of(const fixture_tree &tree) {
  std::vector<std::string> files;
  for (const auto &entry : std::filesystem::recursive_directory_iterator(tree.root()))
    if (entry.is_regular_file()) files.push_back(std::filesystem::relative(entry.path(), tree.root()).string());
  return files;
}

}  // namespace tactus::test

#endif
