// SPDX-License-Identifier: Apache-2.0
// encode(): raw numbers to the networks' input.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <string>

#include "agent/sense/state.h"

using namespace tactus::sense;
using tactus::learn::machine_state;

namespace {

bool has(const machine_state &s, unsigned index) { return s.present >> index & 1; }

raw_state full_machine() {
  raw_state raw;
  raw.cpus = {{true, 0.5, 0.1, 0.02, 0.1, 0},
              {true, 0.9, 0.3, 0.04, 0.0, 0},
              {true, 0.1, 0.0, 0.00, 0.2, 1},
              {false, 0, 0, 0, 0, -1},
              {true, 0.3, 0.0, 0.02, 0.1, 1}};
  raw.frequency_ratio = {0.5, 1.0, std::nan(""), 0.75};
  raw.managed_share = 0.25;
  raw.cpu_pressure = pressure{20, 0, 0, 0, 0, 0};
  raw.memory_pressure = memory_pressure_info{{10, 0, 0, 4, 0, 0}, 2, false};
  raw.io_pressure = pressure{40, 0, 0, 0, 0, 0};
  raw.memory_used = 0.6;
  raw.swap_used = 0.1;
  raw.memory_bandwidth = 0.3;
  raw.l1_miss_rate = 0.01;
  raw.l2_miss_rate = 0.02;
  raw.l3_miss_rate = 0.03;
  raw.numa_remote = 0.2;
  raw.temperature_c = 62.5;
  raw.critical_temperature_c = 100;
  raw.throttling = true;
  raw.power = power_state{"powersave", "balance_performance", "", std::nullopt};
  raw.load_average = 4;
  raw.waiting_workers = 12;
  return raw;
}

}  // namespace

TEST_CASE("a full machine encodes to the numbers worked out by hand") {
  const machine_state s = encode(full_machine());
  CHECK(s.present == 0xffffffffu);
  CHECK(s.value[k_utilisation_mean] == doctest::Approx(0.45));
  CHECK(s.value[k_utilisation_max] == doctest::Approx(0.9));
  CHECK(s.value[k_utilisation_min] == doctest::Approx(0.1));
  // deviations .05 .45 -.35 -.15: variance .35/4, twice its root
  CHECK(s.value[k_utilisation_spread] == doctest::Approx(2 * std::sqrt(0.35 / 4)));
  CHECK(s.value[k_load_balance] == doctest::Approx(1 - std::sqrt(0.35 / 4) / 0.45));
  CHECK(s.value[k_node_utilisation_max] == doctest::Approx(0.7));
  CHECK(s.value[k_node_utilisation_spread] == doctest::Approx(0.5));
  CHECK(s.value[k_frequency_mean] == doctest::Approx(0.75));
  CHECK(s.value[k_frequency_min] == doctest::Approx(0.5));
  CHECK(s.value[k_interrupt_mean] == doctest::Approx(0.1));
  CHECK(s.value[k_interrupt_max] == doctest::Approx(0.3));
  CHECK(s.value[k_steal] == doctest::Approx(0.02));
  CHECK(s.value[k_iowait] == doctest::Approx(0.1));
  CHECK(s.value[k_managed] == doctest::Approx(0.25));
  CHECK(s.value[k_background] == doctest::Approx(0.20));
  CHECK(s.value[k_cpu_pressure] == doctest::Approx(0.2));
  CHECK(s.value[k_memory_pressure_some] == doctest::Approx(0.1));
  CHECK(s.value[k_memory_pressure_full] == doctest::Approx(0.04));
  CHECK(s.value[k_memory_level] == doctest::Approx(0.5));
  CHECK(s.value[k_temperature] == doctest::Approx(0.5));
  CHECK(s.value[k_throttling] == 1.f);
  CHECK(s.value[k_power_policy] == doctest::Approx(0.75));
  CHECK(s.value[k_load_average] == doctest::Approx(0.5));
  CHECK(s.value[k_queue_depth] == doctest::Approx(0.75));
}

TEST_CASE("nothing known encodes to nothing present") {
  const machine_state s = encode({});
  CHECK(s.present == 0);
  for (float v : s.value) CHECK(v == 0.f);
}

TEST_CASE("a value that is no number is absent, not zero") {
  raw_state raw = full_machine();
  raw.memory_used = std::nan("");
  raw.temperature_c = std::numeric_limits<double>::infinity();
  raw.load_average = std::nan("");
  const machine_state s = encode(raw);
  CHECK_FALSE(has(s, k_memory_used));
  CHECK_FALSE(has(s, k_temperature));
  CHECK_FALSE(has(s, k_load_average));
  CHECK(has(s, k_swap_used));
}

TEST_CASE("any input gives finite values within [0,1], and is encoded the same twice") {
  std::mt19937_64 random(7);
  const double odd[] = {0,
                        -0.0,
                        1,
                        -1,
                        1e300,
                        -1e300,
                        1e-310,
                        0.5,
                        100,
                        std::nan(""),
                        std::numeric_limits<double>::infinity(),
                        -std::numeric_limits<double>::infinity()};
  const auto any = [&] { return odd[random() % std::size(odd)]; };
  const auto maybe = [&](std::optional<double> &o) { o = random() % 4 ? std::optional<double>(any()) : std::nullopt; };
  for (int round = 0; round < 20000; ++round) {
    raw_state raw;
    raw.cpus.resize(random() % 6);
    for (cpu_shares &c : raw.cpus) c = {random() % 3 != 0, any(), any(), any(), any(), int(random() % 3) - 1};
    raw.frequency_ratio.resize(random() % 4);
    for (double &r : raw.frequency_ratio) r = any();
    maybe(raw.managed_share);
    raw.cpu_pressure = pressure{any(), any(), any(), any(), any(), any()};
    raw.memory_pressure =
        memory_pressure_info{{any(), any(), any(), any(), any(), any()}, unsigned(random() % 9), false};
    maybe(raw.memory_used);
    maybe(raw.memory_bandwidth);
    maybe(raw.l1_miss_rate);
    maybe(raw.numa_remote);
    maybe(raw.temperature_c);
    maybe(raw.critical_temperature_c);
    maybe(raw.load_average);
    maybe(raw.waiting_workers);
    const machine_state s = encode(raw), again = encode(raw);
    REQUIRE(s.present == again.present);
    for (unsigned i = 0; i < k_nr_state; ++i) {
      REQUIRE(std::isfinite(s.value[i]));
      REQUIRE(s.value[i] >= 0.f);
      REQUIRE(s.value[i] <= 1.f);
      REQUIRE(s.value[i] == again.value[i]);
      if (!has(s, i)) REQUIRE(s.value[i] == 0.f);
    }
  }
}

TEST_CASE("every index has a name of its own") {
  std::set<std::string> names;
  for (unsigned i = 0; i < k_nr_state; ++i) names.insert(state_name(i));
  CHECK(names.size() == k_nr_state);
  CHECK(std::string(state_name(k_nr_state)) == "?");
  CHECK(std::string(state_name(k_queue_depth)) == "queue_depth");
  CHECK(std::string(state_name(k_background)) == "background");
  CHECK(std::string(state_name(k_temperature)) == "temperature");
}

TEST_CASE("levels of memory pressure rise with the stall time") {
  CHECK(memory_level({0.5, 0, 0, 0, 0, 0}) == 0);
  CHECK(memory_level({2, 0, 0, 0, 0, 0}) == 1);
  CHECK(memory_level({7, 0, 0, 0, 0, 0}) == 2);
  CHECK(memory_level({20, 0, 0, 0, 0, 0}) == 3);
  CHECK(memory_level({7, 0, 0, 6, 0, 0}) == 3);
  CHECK(memory_level({50, 0, 0, 0, 0, 0}) == 4);
  CHECK(memory_level({30, 0, 0, 25, 0, 0}) == 4);
}

TEST_CASE("power policy prefers the energy preference over the governor's name") {
  CHECK(*power_policy({"powersave", "performance", "", {}}) == 1.0);
  CHECK(*power_policy({"powersave", "", "", {}}) == 0.0);
  CHECK(*power_policy({"performance", "", "low-power", {}}) == 0.5);
  CHECK(*power_policy({"performance", "", "", true}) == 0.5);
  CHECK(*power_policy({"", "", "", true}) == 0.25);
  CHECK_FALSE(power_policy({"somethingelse", "", "", {}}).has_value());
  CHECK_FALSE(power_policy({}).has_value());
}
