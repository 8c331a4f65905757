// SPDX-License-Identifier: Apache-2.0
// The sampler over trees of fixture files, and over this machine.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <random>
#include <thread>

#include "agent/sense/files.h"
#include "agent/sense/sense.h"
#include "fixture_tree.h"

using namespace tactus::sense;
using tactus::learn::machine_state;
using tactus::test::fixture_tree;

namespace {

bool has(const machine_state &s, unsigned index) { return s.present >> index & 1; }

// user nice system idle iowait irq softirq steal
std::string stat_line(unsigned cpu, const std::vector<int> &fields) {
  std::string line = "cpu" + std::to_string(cpu);
  for (int f : fields) line += " " + std::to_string(f);
  return line + " 0 0\n";
}

const char *const k_pressure =
    "some avg10=12.50 avg60=3.00 avg300=1.00 total=123\n"
    "full avg10=2.50 avg60=1.00 avg300=0.10 total=45\n";

}  // namespace

TEST_CASE("a bare machine: only /proc/stat, all else absent") {
  fixture_tree tree;
  tree.put("proc/stat", "cpu 0 0 0 0\n" + stat_line(0, {100, 0, 50, 850, 0, 0, 0, 0}));
  sampler s({tree.root(), ""});
  CHECK(s.sample().present == 0);  // shares are rates: none after one sample
  CHECK(s.per_cpu_load().empty());
  tree.put("proc/stat", "cpu 0 0 0 0\n" + stat_line(0, {120, 0, 60, 920, 0, 0, 0, 0}));
  const machine_state state = s.sample();
  CHECK(state.value[k_utilisation_mean] == doctest::Approx(0.30));
  CHECK(has(state, k_steal));
  for (unsigned absent :
       {k_frequency_mean, k_background, k_managed, k_cpu_pressure, k_memory_pressure_some, k_io_pressure, k_memory_used,
        k_swap_used, k_memory_bandwidth, k_l1_miss_rate, k_l2_miss_rate, k_l3_miss_rate, k_numa_remote, k_temperature,
        k_throttling, k_power_policy, k_load_average, k_queue_depth, k_node_utilisation_max})
    CHECK_FALSE(has(state, absent));
  REQUIRE(s.per_cpu_load().size() == 1);
  CHECK(s.per_cpu_load()[0] == doctest::Approx(0.30));
}

TEST_CASE("no files at all: nothing present, nothing thrown") {
  fixture_tree tree;
  sampler s({tree.root(), ""});
  CHECK(s.sample().present == 0);
  CHECK(s.sample().present == 0);
}

TEST_CASE("a full machine: each source is read from its own file") {
  fixture_tree tree;
  const auto stat = [&](int step) {
    tree.put("proc/stat",
             "cpu 1 2 3 4\n" +
                 stat_line(0, {50 * step, 0, 10 * step, 20 * step, 10 * step, 4 * step, 4 * step, 2 * step}) +
                 stat_line(1, {0, 0, 0, 100 * step, 0, 0, 0, 0}) +
                 stat_line(3, {20 * step, 0, 0, 80 * step, 0, 0, 0, 0}) + "intr 5 6\nctxt 1\n");
  };
  stat(1);
  tree.put("sys/devices/system/node/node0/cpulist", "0-1\n");
  tree.put("sys/devices/system/node/node1/cpulist", "2-3\n");
  tree.put("sys/devices/system/node/node0/numastat", "numa_hit 9\nlocal_node 1000\nother_node 100\n");
  tree.put("sys/devices/system/node/node1/numastat", "numa_hit 9\nlocal_node 1000\nother_node 100\n");
  for (const char *cpu : {"cpu0", "cpu1", "cpu3"}) {
    const std::string dir = std::string("sys/devices/system/cpu/") + cpu;
    tree.put(dir + "/cpufreq/cpuinfo_max_freq", "4000000\n");
    tree.put(dir + "/cpufreq/scaling_cur_freq", cpu[3] == '1' ? "1000000\n" : "4000000\n");
    tree.put(dir + "/cpufreq/scaling_max_freq", "4000000\n");
    tree.put(dir + "/cpufreq/base_frequency", "2500000\n");
    tree.put(dir + "/cpufreq/scaling_governor", "performance\n");
    tree.put(dir + "/thermal_throttle/core_throttle_count", "7\n");
  }
  for (const char *what : {"cpu", "memory", "io"}) tree.put(std::string("proc/pressure/") + what, k_pressure);
  tree.put("proc/meminfo",
           "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\n"
           "SwapTotal: 400 kB\nSwapFree: 100 kB\n");
  tree.put("proc/loadavg", "3.00 2.00 1.00 1/100 999\n");
  tree.put("sys/class/thermal/thermal_zone0/type", "acpitz\n");
  tree.put("sys/class/thermal/thermal_zone0/temp", "99000\n");  // no CPU sensor
  tree.put("sys/class/thermal/thermal_zone1/type", "x86_pkg_temp\n");
  tree.put("sys/class/thermal/thermal_zone1/temp", "57500\n");
  tree.put("sys/class/thermal/thermal_zone1/trip_point_0_type", "passive\n");
  tree.put("sys/class/thermal/thermal_zone1/trip_point_0_temp", "80000\n");
  tree.put("sys/class/thermal/thermal_zone1/trip_point_1_type", "critical\n");
  tree.put("sys/class/thermal/thermal_zone1/trip_point_1_temp", "90000\n");
  tree.put("sys/fs/resctrl/mon_data/mon_L3_00/mbm_total_bytes", "1000\n");
  tree.put("sys/class/power_supply/AC/type", "Mains\n");
  tree.put("sys/class/power_supply/AC/online", "0\n");

  sampler s({tree.root(), ""});
  s.sample({10.0, 0});
  stat(2);
  tree.put("sys/devices/system/node/node1/numastat", "numa_hit 9\nlocal_node 1060\nother_node 140\n");
  tree.put("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "8\n");
  const machine_state state = s.sample({10.3, 6});

  // CPU 0: 68 of 100 busy; CPU 1: 0; CPU 3: 20 of 100
  CHECK(state.value[k_utilisation_mean] == doctest::Approx((0.68 + 0 + 0.2) / 3));
  CHECK(state.value[k_utilisation_max] == doctest::Approx(0.68));
  CHECK(state.value[k_interrupt_max] == doctest::Approx(0.08));
  CHECK(state.value[k_steal] == doctest::Approx(0.02 / 3));
  CHECK(state.value[k_iowait] == doctest::Approx(0.1 / 3));
  CHECK(state.value[k_node_utilisation_max] == doctest::Approx(0.34));
  CHECK(state.value[k_node_utilisation_spread] == doctest::Approx(0.14));
  // 0.3 s of the 3 s of CPU time that passed, at 100 ticks a second
  CHECK(state.value[k_managed] == doctest::Approx(0.1));
  CHECK(state.value[k_background] == doctest::Approx(0.88 / 3 - 0.1));
  CHECK(state.value[k_frequency_mean] == doctest::Approx(0.75));
  CHECK(state.value[k_frequency_min] == doctest::Approx(0.25));
  CHECK(state.value[k_cpu_pressure] == doctest::Approx(0.125));
  CHECK(state.value[k_memory_pressure_full] == doctest::Approx(0.025));
  CHECK(state.value[k_memory_level] == doctest::Approx(0.5));
  CHECK(state.value[k_memory_used] == doctest::Approx(0.75));
  CHECK(state.value[k_swap_used] == doctest::Approx(0.75));
  CHECK(state.value[k_numa_remote] == doctest::Approx(0.4));
  CHECK(state.value[k_temperature] == doctest::Approx(0.5));
  CHECK(state.value[k_throttling] == 1.f);
  CHECK(state.value[k_power_policy] == doctest::Approx(0.5));  // performance, on battery
  CHECK(state.value[k_load_average] == doctest::Approx(0.5));
  CHECK(state.value[k_queue_depth] == doctest::Approx(2.0 / 3));
  CHECK(has(state, k_memory_bandwidth));
  CHECK_FALSE(has(state, k_l1_miss_rate));
  REQUIRE(s.per_cpu_load().size() == 4);
  CHECK(s.per_cpu_load()[2] == 0.f);  // CPU 2 is offline
  CHECK(s.per_cpu_load()[0] == doctest::Approx(0.68));

  // No throttle counter rose since: not throttling now.
  stat(3);
  CHECK(s.sample({10.3, 6}).value[k_throttling] == 0.f);
}

TEST_CASE("a frequency cap below the base frequency counts as throttling") {
  fixture_tree tree;
  const std::string dir = "sys/devices/system/cpu/cpu0/cpufreq/";
  tree.put(dir + "cpuinfo_max_freq", "4000000\n");
  tree.put(dir + "scaling_max_freq", "2000000\n");
  tree.put(dir + "base_frequency", "2500000\n");
  sampler s({tree.root(), ""});
  CHECK(s.sample().value[k_throttling] == 1.f);
}

TEST_CASE("the pressure of the cgroup comes before that of the machine") {
  fixture_tree tree;
  tree.put("proc/pressure/memory", k_pressure);
  tree.put("proc/pressure/cpu", k_pressure);
  tree.put("sys/fs/cgroup/pools/memory.pressure",
           "some avg10=50.00 avg60=0.00 avg300=0.00 total=1\n"
           "full avg10=0.00 avg60=0.00 avg300=0.00 total=1\n");
  sampler s({tree.root(), "/pools"});
  const machine_state state = s.sample();
  CHECK(state.value[k_memory_pressure_some] == doctest::Approx(0.5));
  CHECK(state.value[k_memory_level] == 1.f);
  REQUIRE(s.last().memory_pressure.has_value());
  CHECK(s.last().memory_pressure->from_cgroup);
  CHECK(state.value[k_cpu_pressure] == doctest::Approx(0.125));  // the machine's, no such file
}

TEST_CASE("calls closer than the kernel's accounting repeat the shares") {
  fixture_tree tree;
  tree.put("proc/stat", stat_line(0, {0, 0, 0, 100, 0, 0, 0, 0}));
  sampler s({tree.root(), ""});
  s.sample();
  tree.put("proc/stat", stat_line(0, {50, 0, 0, 150, 0, 0, 0, 0}));
  CHECK(s.sample().value[k_utilisation_mean] == doctest::Approx(0.5));
  tree.put("proc/stat", stat_line(0, {51, 0, 0, 150, 0, 0, 0, 0}));  // one tick later
  CHECK(s.sample().value[k_utilisation_mean] == doctest::Approx(0.5));
  tree.put("proc/stat", stat_line(0, {60, 0, 0, 150, 0, 0, 0, 0}));
  CHECK(s.sample().value[k_utilisation_mean] == doctest::Approx(1.0));
}

TEST_CASE("512 CPUs that come and go do not confuse the shares") {
  fixture_tree tree;
  std::string before, after;
  for (unsigned cpu = 0; cpu < 512; ++cpu) {
    if (cpu != 7) before += stat_line(cpu, {0, 0, 0, 100, 0, 0, 0, 0});
    if (cpu != 8) after += stat_line(cpu, {int(cpu % 2) * 100, 0, 0, 200, 0, 0, 0, 0});
  }
  tree.put("proc/stat", before);
  sampler s({tree.root(), ""});
  s.sample();
  tree.put("proc/stat", after);
  const machine_state state = s.sample();
  CHECK(state.value[k_utilisation_max] == doctest::Approx(0.5));
  CHECK(state.value[k_utilisation_min] == 0.f);
  REQUIRE(s.per_cpu_load().size() == 512);
  CHECK_FALSE(s.last().cpus[7].present);
  CHECK_FALSE(s.last().cpus[8].present);
  CHECK(s.last().cpus[9].present);
}

TEST_CASE("garbled files of every kind give no crash and no number outside [0,1]") {
  fixture_tree tree;
  std::mt19937 random(11);
  const char *const files[] = {"proc/stat",
                               "proc/pressure/cpu",
                               "proc/pressure/memory",
                               "proc/meminfo",
                               "proc/loadavg",
                               "sys/devices/system/node/node0/cpulist",
                               "sys/devices/system/node/node0/numastat",
                               "sys/devices/system/node/node1/numastat",
                               "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq",
                               "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq",
                               "sys/class/thermal/thermal_zone0/temp"};
  const std::string pieces[] = {"cpu0 ",
                                "-1 ",
                                "9999999999999999999999 ",
                                "nan ",
                                "some avg10=",
                                "full ",
                                "1e400",
                                "\n",
                                "MemTotal: ",
                                "MemAvailable: ",
                                "0-",
                                "4294967295",
                                "local_node ",
                                "other_node ",
                                "12 ",
                                "\0x",
                                "cpu1023 ",
                                "cpu5000 ",
                                "0 0 0 0 "};
  tree.put("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n");
  for (int round = 0; round < 150; ++round) {
    for (const char *file : files) {
      std::string text;
      for (unsigned n = random() % 30; n; --n) text += pieces[random() % std::size(pieces)];
      tree.put(file, text);
    }
    sampler s({tree.root(), ""});
    for (int again = 0; again < 2; ++again)
      for (float v : s.sample({double(again), 3}).value) {
        REQUIRE(std::isfinite(v));
        REQUIRE(v >= 0.f);
        REQUIRE(v <= 1.f);
      }
  }
}

TEST_CASE("CPU lists") {
  CHECK(parse_cpu_list("0-3,8,10-11\n", 1024) == std::vector<unsigned>{0, 1, 2, 3, 8, 10, 11});
  CHECK(parse_cpu_list("", 1024).empty());
  CHECK(parse_cpu_list("5-2", 1024).empty());
  CHECK(parse_cpu_list("0-4294967295", 4) == std::vector<unsigned>{0, 1, 2, 3});
  CHECK(parse_cpu_list("1,99999999999", 8) == std::vector<unsigned>{1});
}

TEST_CASE("this machine: one busy thread shows in the shares") {
  sampler s;
  s.sample();
  std::atomic<bool> stop{false};
  std::jthread busy([&] {
    while (!stop)
      ;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  stop = true;
  const machine_state state = s.sample();
  REQUIRE(has(state, k_utilisation_max));
  CHECK(state.value[k_utilisation_max] > 0.3f);
  CHECK(has(state, k_memory_used));
  CHECK(state.value[k_memory_used] > 0.f);
}
