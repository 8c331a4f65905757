// SPDX-License-Identifier: Apache-2.0
// The decision map in words.
#include <doctest/doctest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "agent/cli/explain.h"
#include "bpf/policy.h"

using namespace tactus::cli;

namespace {

std::vector<tactus_place> four_cpus() {
  std::vector<tactus_place> places(4);
  for (unsigned p = 0; p < 4; ++p) {
    places[p].nr_cpus = 1;
    places[p].first_cpu = static_cast<__u16>(p);
    places[p].cpus[0] = 1ull << p;
  }
  return places;
}

tactus_class_conf two_tiers(const char* name) {
  tactus_class_conf conf{};
  conf.in_use = 1;
  conf.tier[2] = conf.tier[3] = 1;
  std::strncpy(conf.name, name, sizeof(conf.name) - 1);
  return conf;
}

// Shares of the four places; what is missing to 1 is hold.
tactus_row row_of(double a, double b, double c, double d, double confidence = 1) {
  tactus_row row{};
  row.version_begin = row.version_end = 7;
  row.confidence = static_cast<__u16>(confidence * 65535);
  const double shares[4] = {a, b, c, d};
  double sum = 0;
  for (unsigned p = 0; p < TACTUS_MAX_PLACES; ++p) {
    if (p < 4) sum += shares[p];
    row.cdf[p] = static_cast<__u16>(sum * 65535 + 0.5);
  }
  return row;
}

std::vector<tactus_row> rows_filled_with(const tactus_row& row) { return std::vector<tactus_row>(TACTUS_NR_SITUATIONS, row); }

// Hold where the best tier is busy, another idle, and fewer than `below` wait.
std::vector<tactus_row> threshold_rows(int below) {
  auto rows = rows_filled_with(row_of(0.5, 0.43, 0.04, 0.03));
  for (unsigned step = 0; step < k_waiting_steps; ++step)
    if (static_cast<int>(k_step_from[step]) < below)
      rows[tactus_situation(2, static_cast<__s32>(k_step_from[step]))] = row_of(0.05, 0.043, 0.004, 0.003);
  return rows;
}

}  // namespace

TEST_CASE("a threshold policy is told as one sentence") {
  const auto e = explain_class(3, two_tiers("audio"), threshold_rows(3), four_cpus());
  CHECK(e.sentence == "93 % CPU 0-1, 7 % CPU 2-3; holds while fewer than 3 wait");
  CHECK(e.name == "audio");
  REQUIRE(e.holds_below.has_value());
  CHECK(*e.holds_below == 3);
  REQUIRE(e.hold.size() == k_waiting_steps);
  CHECK(e.hold[0] == doctest::Approx(0.9).epsilon(0.001));
  CHECK(e.hold[3] == doctest::Approx(0).epsilon(0.001));
  CHECK(e.confidence == doctest::Approx(1));
  CHECK(e.possible_rows == 32);  // two tiers: four idle sets, eight steps
  CHECK(e.valid_rows == 32);
}

TEST_CASE("the threshold follows the rows") {
  CHECK(*explain_class(1, two_tiers("a"), threshold_rows(1), four_cpus()).holds_below == 1);
  CHECK(*explain_class(1, two_tiers("a"), threshold_rows(8), four_cpus()).holds_below == 8);
  const auto always = explain_class(1, two_tiers("a"), threshold_rows(100), four_cpus());
  CHECK_FALSE(always.holds_below.has_value());
  CHECK(always.sentence.find("holds however many wait") != std::string::npos);
  const auto never = explain_class(1, two_tiers("a"), threshold_rows(0), four_cpus());
  CHECK(*never.holds_below == 0);
  CHECK(never.sentence == "93 % CPU 0-1, 7 % CPU 2-3; never holds");
  auto seldom = threshold_rows(0);
  seldom[tactus_situation(2, 0)] = row_of(0.4, 0.3, 0.1, 0.0);
  CHECK(explain_class(1, two_tiers("a"), seldom, four_cpus()).sentence.find("holds at most 20 % of the time") != std::string::npos);
}

TEST_CASE("shares leave hold out, and the larger tier comes first") {
  const auto e = explain_class(1, two_tiers("batch"), rows_filled_with(row_of(0.05, 0.05, 0.2, 0.2)), four_cpus());
  REQUIRE(e.tiers.size() == 2);
  CHECK(e.tiers[0].tier == 1);
  CHECK(e.tiers[0].cpus == "2-3");
  CHECK(e.tiers[0].share == doctest::Approx(0.8).epsilon(0.001));
  CHECK(e.place_share[2] == doctest::Approx(0.4).epsilon(0.001));
}

TEST_CASE("situations that cannot occur and rows that are torn do not count") {
  auto rows = rows_filled_with(row_of(1, 0, 0, 0));
  for (unsigned s = 0; s < TACTUS_NR_SITUATIONS; ++s)
    if (s & 12) rows[s] = row_of(0, 0, 0, 1);  // tiers 2 and 3 do not exist
  rows[tactus_situation(1, 0)].version_begin = 6;
  rows[tactus_situation(1, 1)].version_begin = rows[tactus_situation(1, 1)].version_end = 0;
  const auto e = explain_class(1, two_tiers("x"), rows, four_cpus());
  CHECK(e.valid_rows == 30);
  CHECK(e.place_share[0] == doctest::Approx(1));
  const auto none = explain_class(1, two_tiers("x"), rows_filled_with(tactus_row{}), four_cpus());
  CHECK(none.valid_rows == 0);
  CHECK(none.sentence == "no valid rows: placed by the fallback");
}

TEST_CASE("short queues weigh more than long ones") {
  auto rows = rows_filled_with(row_of(1, 0, 0, 0));
  for (unsigned idle = 0; idle < 4; ++idle)
    for (unsigned step = 4; step < 8; ++step)
      rows[tactus_situation(idle, static_cast<__s32>(k_step_from[step]))] = row_of(0, 0, 0, 1);
  const double total = 1 + 1 / 2. + 1 / 3. + 1 / 4. + 1 / 6. + 1 / 9. + 1 / 14. + 1 / 22.;
  const double shortly = 1 + 1 / 2. + 1 / 3. + 1 / 4.;
  const auto e = explain_class(1, two_tiers("x"), rows, four_cpus());
  CHECK(e.place_share[0] == doctest::Approx(shortly / total).epsilon(0.001));
}

TEST_CASE("one tier: nothing is said of holding") {
  tactus_class_conf conf{};
  conf.in_use = 1;
  const auto e = explain_class(0, conf, rows_filled_with(row_of(0.25, 0.25, 0.25, 0.25)), four_cpus());
  CHECK(e.hold.empty());
  CHECK(e.sentence == "100 % CPU 0-3");
  CHECK(e.name == "unknown");
  CHECK(class_name(9, conf) == "slot 9");
}

TEST_CASE("a hostile row gives no number outside [0,1] and no crash") {
  tactus_row row{};
  row.version_begin = row.version_end = 1;
  for (unsigned p = 0; p < TACTUS_MAX_PLACES; ++p) row.cdf[p] = static_cast<__u16>(p % 2 ? 0 : 65535);
  const auto e = explain_class(1, two_tiers("x"), rows_filled_with(row), four_cpus());
  for (double share : e.place_share) {
    CHECK(share >= 0);
    CHECK(share <= 1);
  }
  CHECK_FALSE(full_table(two_tiers("x"), rows_filled_with(row), four_cpus()).empty());
}

TEST_CASE("the full table and JSON have one entry for every possible situation") {
  const auto rows = threshold_rows(3);
  const std::string table = full_table(two_tiers("audio"), rows, four_cpus());
  CHECK(std::count(table.begin(), table.end(), '\n') == 33);
  CHECK(table.find("CPU 0 50 %") != std::string::npos);
  const auto situations = situations_json(two_tiers("audio"), rows, four_cpus());
  REQUIRE(situations.size() == 32);
  CHECK(situations[2]["idle_tiers"] == 2);
  CHECK(situations[2]["hold"].get<double>() == doctest::Approx(0.9).epsilon(0.001));
  const auto json = to_json(explain_class(3, two_tiers("audio"), rows, four_cpus()), four_cpus());
  CHECK(json["holds_below"] == 3);
  CHECK(json["tiers"][0]["cpus"] == "0-1");
  CHECK(json["hold"][3]["waiting"] == "3-4");
  CHECK(json["hold"][7]["waiting"] == "21+");
}

TEST_CASE("the steps named here are the steps of the scheduler") {
  for (unsigned step = 0; step < k_waiting_steps; ++step) {
    CHECK(tactus_waiting_step(static_cast<__s32>(k_step_from[step])) == step);
    if (step) CHECK(tactus_waiting_step(static_cast<__s32>(k_step_from[step]) - 1) == step - 1);
  }
}

TEST_CASE("lists of CPUs") {
  std::array<std::uint64_t, TACTUS_MAX_CPUS / 64> cpus{};
  CHECK(cpu_list(cpus) == "");
  cpus[0] = 0b1011;
  cpus[0] |= 1ull << 63;
  cpus[1] = 3;
  cpus[15] = 1ull << 63;
  CHECK(cpu_list(cpus) == "0-1,3,63-65,1023");
}
