// SPDX-License-Identifier: Apache-2.0
// The benchmark's statistics against known values, and its frame: interleaving, JSON shape.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "bench.h"
#include "report.h"
#include "statistics.h"

using namespace tactus::bench;

TEST_CASE("the interval's rank is the one of the binomial tables") {
  // Two-sided 95 % for the median, from the tables: n -> the rank (from 1) of the lower limit.
  const std::pair<std::size_t, std::size_t> table[] = {{6, 1}, {7, 1}, {8, 1}, {9, 2}, {10, 2}, {15, 4}, {20, 6}, {25, 8}, {50, 18}, {100, 40}};
  for (const auto& [n, rank] : table) CHECK(interval_rank(n) + 1 == rank);
  for (std::size_t n = 1; n < 6; ++n) CHECK(interval_rank(n) == 0);
}

TEST_CASE("median and limits of given samples") {
  const estimate one = median_of({3});
  CHECK(one.median == 3);
  CHECK(one.lo == 3);
  CHECK(one.hi == 3);
  CHECK(median_of({4, 1, 3, 2}).median == 2.5);
  std::vector<double> twenty;
  for (int i = 20; i > 0; --i) twenty.push_back(i);
  const estimate e = median_of(twenty);
  CHECK(e.median == 10.5);
  CHECK(e.lo == 6);
  CHECK(e.hi == 15);
  CHECK(quantile_of(twenty, 0) == 1);
  CHECK(quantile_of(twenty, 1) == 20);
  CHECK(quantile_of({10, 20}, 0.25) == doctest::Approx(12.5));
}

TEST_CASE("no samples, or samples that are no numbers, are refused") {
  CHECK_THROWS_AS(median_of({}), std::invalid_argument);
  CHECK_THROWS_AS(median_of({1, std::nan("")}), std::invalid_argument);
  CHECK_THROWS_AS(quantile_of({std::numeric_limits<double>::infinity()}, 0.5), std::invalid_argument);
}

TEST_CASE("the interval covers the true median about as often as it says") {
  std::mt19937_64 random(42);
  std::exponential_distribution<double> skewed(1.0);
  const double truth = std::log(2.0);
  int covered = 0;
  constexpr int k_trials = 4000;
  for (int t = 0; t < k_trials; ++t) {
    std::vector<double> samples(15);
    for (double& s : samples) s = skewed(random);
    const estimate e = median_of(samples);
    covered += e.lo <= truth && truth <= e.hi;
  }
  const double share = static_cast<double>(covered) / k_trials;
  CHECK(share > 0.95);  // order statistics are discrete: for 15 samples it is 96.5 %
  CHECK(share < 0.98);
}

TEST_CASE("arms are interleaved: each once per repetition, in changing order, the warm-up not counted") {
  std::string calls;
  settings set;
  const row r = interleave(set, "row", "ns",
                           {{"tactus", [&] { calls += 't'; return 1.0; }},
                            {"peer", [&] { calls += 'p'; return 2.0; }},
                            {"other", [&] { calls += 'o'; return 3.0; }}},
                           12);
  CHECK(r.tactus == std::vector<double>(12, 1.0));
  REQUIRE(r.peers.size() == 2);
  CHECK(r.peers[0].first == "peer");
  CHECK(r.peers[1].second == std::vector<double>(12, 3.0));
  REQUIRE(calls.size() == 3 * 13);
  std::set<std::string> orders;
  for (std::size_t at = 3; at < calls.size(); at += 3) {
    std::string one = calls.substr(at, 3);
    orders.insert(one);
    std::sort(one.begin(), one.end());
    CHECK(one == "opt");
  }
  CHECK(orders.size() > 2);
  CHECK_THROWS_AS(interleave(set, "row", "ns", {{"peer", [] { return 1.0; }}}, 1), std::logic_error);
}

TEST_CASE("JSON has the promised shape and nothing else") {
  result res;
  res.rows.push_back({"a", "ns", {3, 1, 2}, {{"x", {5, 6, 7}}, {"y", {8}}}, 4.0});
  res.notes.push_back("a note");
  const auto json = to_json(res);
  CHECK(json.size() == 2);
  CHECK(json.at("machine").at("cpus").get<int>() >= 1);
  REQUIRE(json.at("rows").size() == 1);
  const auto& r = json.at("rows")[0];
  CHECK(r.dump() == R"({"name":"a","unit":"ns","tactus":{"median":2.0,"lo":1.0,"hi":3.0},)"
                    R"("peers":{"x":{"median":6.0,"lo":5.0,"hi":7.0},"y":{"median":8.0,"lo":8.0,"hi":8.0}}})");
  const auto raw = to_raw_json("b", settings{}, res);
  CHECK(raw.at("rows")[0].at("samples").at("tactus") == std::vector<double>{3, 1, 2});
  CHECK(raw.at("rows")[0].at("target") == 4.0);
  CHECK(raw.at("notes")[0] == "a note");
}
