// SPDX-License-Identifier: Apache-2.0
// The sampler over trees of fixture files, and over this machine.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <random>
#include <thread>

#include "agent/sense/files.h"
#include "agent/sense/sense.h"
#include "fixture_tree.h"
#include "machines.h"

using namespace tactus::sense;
using tactus::learn::machine_state;
using namespace tactus::test;

namespace {

bool has(const machine_state &s, unsigned index) { return s.present >> index & 1; }

}  // namespace

TEST_CASE("a bare machine: only /proc/stat, all else absent") {
  fixture_tree tree;
  tree.put("proc/stat", "cpu 0 0 0 0\n" + stat_line(0, {100, 0, 50, 850, 0, 0, 0, 0}));
  sampler s(of(tree));
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
  sampler s(of(tree));
  CHECK(s.sample().present == 0);
  CHECK(s.sample().present == 0);
}

TEST_CASE("a laptop: hybrid CPUs, cpufreq, throttling, a sensor near its limit, on battery") {
  fixture_tree tree;
  laptop(tree, 1);
  sampler s(of(tree));
  s.sample();
  laptop(tree, 2);  // the throttle counter of CPU 1 wraps from 2^32 - 1 to 0
  const machine_state state = s.sample();
  CHECK(state.value[k_utilisation_mean] == doctest::Approx(0.3));
  CHECK(state.value[k_utilisation_max] == doctest::Approx(0.6));
  CHECK(state.value[k_utilisation_min] == 0.f);
  CHECK(state.value[k_utilisation_spread] == doctest::Approx(0.6));
  CHECK(state.value[k_load_balance] == 0.f);
  CHECK(state.value[k_frequency_mean] == doctest::Approx(0.5));
  CHECK(state.value[k_temperature] == doctest::Approx(0.5));
  CHECK(*s.last().critical_temperature_c == 90);
  CHECK(state.value[k_throttling] == 1.f);
  CHECK(state.value[k_power_policy] == doctest::Approx((0.25 + 0.5) / 2 * 0.5));  // balance_power, balanced, on battery
  CHECK(state.value[k_memory_used] == doctest::Approx(0.75));
  for (unsigned absent : {k_swap_used, k_numa_remote, k_memory_bandwidth, k_node_utilisation_max, k_l1_miss_rate,
                          k_cpu_pressure, k_managed})
    CHECK_FALSE(has(state, absent));
  // No throttle counter rose since: not throttling now.
  CHECK(s.sample().value[k_throttling] == 0.f);
}

TEST_CASE("a laptop on mains is not on battery, whatever its battery says") {
  fixture_tree tree;
  laptop(tree, 1);
  tree.put("sys/class/power_supply/AC/type", "Mains\n");
  tree.put("sys/class/power_supply/AC/online", "1\n");
  sampler s(of(tree));
  CHECK(s.sample().value[k_power_policy] == doctest::Approx((0.25 + 0.5) / 2));
  tree.put("sys/class/power_supply/AC/online", "0\n");
  CHECK(s.sample().value[k_power_policy] == doctest::Approx((0.25 + 0.5) / 4));
}

TEST_CASE("a server of two nodes: numastat, resctrl, pressure") {
  fixture_tree tree;
  double now = 100;
  sampler_options options = of(tree);
  options.clock = [&] { return now; };
  server(tree, 1);
  sampler s(options);
  s.sample({10.0, 0});
  server(tree, 2);
  now += 1;
  const machine_state state = s.sample({10.2, 6});
  CHECK(state.value[k_utilisation_mean] == doctest::Approx(0.3));
  CHECK(state.value[k_node_utilisation_max] == doctest::Approx(0.5));
  CHECK(state.value[k_node_utilisation_spread] == doctest::Approx(0.4));
  CHECK(state.value[k_interrupt_max] == doctest::Approx(0.1));
  CHECK(state.value[k_interrupt_mean] == doctest::Approx(0.05));
  // 0.2 s of the 4 s of CPU time that passed, at 100 ticks a second
  CHECK(state.value[k_managed] == doctest::Approx(0.05));
  CHECK(state.value[k_background] == doctest::Approx(0.25));
  CHECK(state.value[k_cpu_pressure] == doctest::Approx(0.125));
  CHECK(state.value[k_memory_pressure_full] == doctest::Approx(0.025));
  CHECK(state.value[k_memory_level] == doctest::Approx(0.5));
  CHECK(state.value[k_memory_used] == doctest::Approx(0.6));
  CHECK(state.value[k_swap_used] == doctest::Approx(0.75));
  CHECK(state.value[k_numa_remote] == doctest::Approx(0.25));
  CHECK(state.value[k_memory_bandwidth] == doctest::Approx(1.0));  // 4 GB/s, the highest yet
  CHECK(state.value[k_load_average] == doctest::Approx(0.5));
  CHECK(state.value[k_queue_depth] == doctest::Approx(0.6));
  now += 2;
  server(tree, 3);
  CHECK(s.sample({10.2, 6}).value[k_memory_bandwidth] == doctest::Approx(0.5));
}

TEST_CASE("one node is no NUMA machine, and a cache without bandwidth counter says nothing") {
  fixture_tree tree;
  server(tree, 1);
  tree.remove("sys/devices/system/node/node1");
  for (const char *cache : {"mon_L3_00", "mon_L3_01"})
    tree.put(std::string("sys/fs/resctrl/mon_data/") + cache + "/mbm_total_bytes", "Unavailable\n");
  sampler s(of(tree));
  s.sample();
  const machine_state state = s.sample();
  CHECK_FALSE(has(state, k_numa_remote));
  CHECK_FALSE(has(state, k_memory_bandwidth));
}

TEST_CASE("the memory of the cgroup comes before that of the machine; no limit, no share of its own") {
  fixture_tree tree;
  container(tree);
  sampler s(of(tree, "/pools"));
  const machine_state state = s.sample();
  CHECK(state.value[k_memory_pressure_some] == doctest::Approx(0.5));
  CHECK(state.value[k_memory_level] == 1.f);
  REQUIRE(s.last().memory_pressure.has_value());
  CHECK(s.last().memory_pressure->from_cgroup);
  CHECK(state.value[k_cpu_pressure] == doctest::Approx(0.125));  // the machine's, no such file
  CHECK(state.value[k_memory_used] == doctest::Approx(0.25));
  CHECK(state.value[k_swap_used] == doctest::Approx(0.75));
  sampler machine(of(tree));
  CHECK(machine.sample().value[k_memory_used] == doctest::Approx(0.6));
  CHECK_FALSE(machine.last().memory_pressure->from_cgroup);
}

TEST_CASE("files that vanish are absent at the next sample, and back with the files") {
  fixture_tree tree;
  laptop(tree, 1);
  server(tree, 1);
  sampler s(of(tree));
  s.sample({1, 1});
  laptop(tree, 2);
  server(tree, 2);
  const std::uint32_t before = s.sample({1.1, 1}).present;
  CHECK(before != 0);
  for (const char *dir : {"proc", "sys"}) tree.remove(dir);
  CHECK(s.sample({1.2, 1}).present == 0);
  laptop(tree, 3);
  server(tree, 3);
  s.sample({1.3, 1});  // counters begin anew
  laptop(tree, 4);
  server(tree, 4);
  CHECK(s.sample({1.4, 1}).present == before);
}

TEST_CASE("numbers that make no sense are absent, not clamped to something") {
  fixture_tree tree;
  laptop(tree, 1);
  for (unsigned cpu = 0; cpu < 4; ++cpu)
    tree.put("sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/cpufreq/scaling_cur_freq", cpu % 2 ? "<unknown>\n" : "-5\n");
  tree.put("sys/class/thermal/thermal_zone1/temp", "99999999\n");
  tree.put("sys/class/hwmon/hwmon3/temp2_input", "-273000\n");
  tree.put("proc/loadavg", "nan 1 1\n");
  tree.put("proc/meminfo", "MemTotal: 1000 kB\nMemAvail");
  sampler s(of(tree));
  const machine_state state = s.sample();
  for (unsigned absent : {k_frequency_mean, k_frequency_min, k_temperature, k_load_average, k_memory_used})
    CHECK_FALSE(has(state, absent));
}

TEST_CASE("a source that is slow to read is read more rarely, the others are not") {
  fixture_tree tree;
  laptop(tree, 1);
  double now = 0;
  sampler_options options = of(tree);
  options.time_share = 0.01;
  // Each source is asked for the time before and after: every reading takes a millisecond here.
  options.clock = [&] { return now += 0.001; };
  sampler s(options);
  s.sample();
  tree.put("proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 900 kB\n");
  now += 0.05;
  CHECK(s.sample().value[k_memory_used] == doctest::Approx(0.75));  // resting: as it was
  now += 0.1;
  CHECK(s.sample().value[k_memory_used] == doctest::Approx(0.1));
  for (const source_report &r : s.sources()) CHECK(r.samples == 2);
}

TEST_CASE("a frequency cap below the base frequency counts as throttling") {
  fixture_tree tree;
  const std::string dir = "sys/devices/system/cpu/cpu0/cpufreq/";
  tree.put(dir + "cpuinfo_max_freq", "4000000\n");
  tree.put(dir + "scaling_max_freq", "2000000\n");
  tree.put(dir + "base_frequency", "2500000\n");
  sampler s(of(tree));
  CHECK(s.sample().value[k_throttling] == 1.f);
}

TEST_CASE("calls closer than the kernel's accounting repeat the shares") {
  fixture_tree tree;
  tree.put("proc/stat", stat_line(0, {0, 0, 0, 100, 0, 0, 0, 0}));
  sampler s(of(tree));
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
  sampler s(of(tree));
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

TEST_CASE("1024 CPUs: a sample reads a bounded number of files, and all CPUs in turn") {
  fixture_tree tree;
  big_machine(tree, 1024, 1);
  sampler s(of(tree));
  s.sample();
  big_machine(tree, 1024, 2);
  const machine_state state = s.sample();
  CHECK(state.value[k_utilisation_mean] == doctest::Approx(0.25));
  CHECK(s.per_cpu_load().size() == 1024);
  const auto known = [&] {
    return std::count_if(s.last().frequency_ratio.begin(), s.last().frequency_ratio.end(), [](double r) { return std::isfinite(r); });
  };
  CHECK(known() == 128);
  for (int i = 0; i < 14; ++i) s.sample();
  CHECK(known() == 1024);
  double whole_us = 0;
  for (const source_report &r : s.sources()) whole_us += r.took_us;
  MESSAGE("a sample of 1024 CPUs (files of a fixture): " << whole_us << " us");
}

TEST_CASE("garbled files of every kind give no crash and no number outside [0,1]") {
  fixture_tree tree;
  laptop(tree, 1);
  server(tree, 1);
  container(tree);
  const std::vector<std::string> files = files_of(tree);
  REQUIRE(files.size() > 50);
  std::mt19937 random(11);
  const std::string pieces[] = {"cpu0 ", "-1 ", "9999999999999999999999 ", "nan ", "some avg10=", "full ", "1e400", "\n",
                                "MemTotal: ", "MemAvailable: ", "0-", "4294967295", "local_node ", "other_node ", "12 ",
                                "\0x", "cpu1023 ", "cpu5000 ", "0 0 0 0 ", "Discharging", "max", "inf"};
  for (int round = 0; round < 30; ++round) {
    for (const std::string &file : files) {
      if (random() % 3 == 0) continue;  // keeps what it has
      std::string text;
      for (unsigned n = random() % 12; n; --n) text += pieces[random() % std::size(pieces)];
      tree.put(file, text);
    }
    sampler s(of(tree, "pools"));
    for (int again = 0; again < 2; ++again)
      for (float v : s.sample({double(again), 3}).value) {
        REQUIRE(std::isfinite(v));
        REQUIRE(v >= 0.f);
        REQUIRE(v <= 1.f);
      }
    if (round % 10 == 9) {
      laptop(tree, round);
      server(tree, round);
      container(tree);
    }
  }
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
  double whole_us = 0;
  for (const source_report &r : s.sources()) whole_us += r.took_us;
  MESSAGE("a sample of this machine: " << whole_us << " us");
  REQUIRE(has(state, k_utilisation_max));
  CHECK(state.value[k_utilisation_max] > 0.3f);
  CHECK(has(state, k_memory_used));
  CHECK(state.value[k_memory_used] > 0.f);
}
