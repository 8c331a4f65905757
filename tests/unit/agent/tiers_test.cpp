// SPDX-License-Identifier: Apache-2.0
// Speeds from costs, tiers with hysteresis, confidence.
#include "agent/publish/tiers.h"

#include <doctest/doctest.h>

#include <random>

using namespace tactus::agent;

namespace {
using samples = std::vector<std::array<cost_sample, TACTUS_MAX_PLACES>>;
const std::vector<double> k_equal(4, 1024);
const std::vector<float> k_near(4, 0);
}  // namespace

TEST_CASE("speeds follow the measured cost, whatever the class's size") {
  samples s(2);
  for (int p = 0; p < 4; p++) {
    const double slow = p < 2 ? 1 : 3.5;
    s[0][p] = {100 * slow * 1e6, 100};
    s[1][p] = {100 * slow * 5e4, 100};
  }
  const auto e = estimate_speeds(s, k_equal);
  for (const auto& c : e) {
    CHECK(c.speed[0] == doctest::Approx(1).epsilon(0.02));
    CHECK(c.speed[2] == doctest::Approx(1 / 3.5).epsilon(0.15));
    CHECK(c.known[0] == doctest::Approx(100.0 / 120));
  }
}

TEST_CASE("a class that never ran at a place is guessed from the others there") {
  samples s(2);
  for (int p = 0; p < 4; p++) s[0][p] = {1000 * (p < 2 ? 1.0 : 4.0) * 1e6, 1000};
  s[1][0] = {50 * 2e6, 50};
  const auto e = estimate_speeds(s, k_equal);
  CHECK(e[1].speed[3] == doctest::Approx(0.25).epsilon(0.1));
  CHECK(e[1].known[3] == 0);
  CHECK(e[1].known[0] > 0.5);
}

TEST_CASE("nothing measured: the stated capacity decides; a class's own affinity overrides the rest") {
  const auto prior = estimate_speeds(samples(1), {1024, 512});
  CHECK(prior[0].speed[0] == doctest::Approx(1));
  CHECK(prior[0].speed[1] == doctest::Approx(0.5));
  samples s(3);
  for (int c = 0; c < 2; c++) {
    s[c][0] = {200 * 1e6, 200};
    s[c][1] = {200 * 2e6, 200};
  }
  s[2][0] = {200 * 2e6, 200};  // this one likes place 1
  s[2][1] = {200 * 1e6, 200};
  const auto e = estimate_speeds(s, {1024, 1024});
  CHECK(e[0].speed[1] < 0.7);
  CHECK(e[2].speed[0] < 0.7);
  CHECK(e[2].speed[1] == doctest::Approx(1));
}

TEST_CASE("hostile or odd numbers give speeds in (0, 1]") {
  std::mt19937 random(5);
  for (int round = 0; round < 200; round++) {
    samples s(3);
    for (auto& c : s) {
      for (auto& p : c) {
        p.run_ns = static_cast<double>(random()) * (random() % 4 == 0 ? 1e9 : 1e-6) * (random() % 5 != 0);
        p.tasks = static_cast<double>(random() % 300) * (random() % 3 != 0);
      }
    }
    for (const auto& e : estimate_speeds(s, k_equal)) {
      for (int p = 0; p < 4; p++) {
        CHECK(e.speed[p] >= 0);
        CHECK(e.speed[p] <= 1);
      }
    }
  }
}

TEST_CASE("tiers have bounds in octaves, and noise at a bound does not flutter") {
  speed_estimate e;
  std::array<std::uint8_t, TACTUS_MAX_PLACES> tier{};
  e.speed = {1.0f, 0.6f, 0.29f, 0.1f};
  assign_tiers(e, k_near, true, tier);
  CHECK(tier[0] == 0);
  CHECK(tier[1] == 1);
  CHECK(tier[2] == 2);
  CHECK(tier[3] == 3);
  e.speed = {1.0f, 0.78f, 0.29f, 0.1f};  // just above the bound of 0.76: stays
  assign_tiers(e, k_near, false, tier);
  CHECK(tier[1] == 1);
  e.speed = {1.0f, 0.90f, 0.29f, 0.1f};
  assign_tiers(e, k_near, false, tier);
  CHECK(tier[1] == 0);
  e.speed = {1.0f, 0.74f, 0.29f, 0.1f};  // just below: stays in 0
  assign_tiers(e, k_near, false, tier);
  CHECK(tier[1] == 0);
}

TEST_CASE("another NUMA node costs one tier, never more than the last") {
  speed_estimate e;
  std::array<std::uint8_t, TACTUS_MAX_PLACES> tier{};
  e.speed = {1.0f, 1.0f, 0.1f, 0.1f};
  assign_tiers(e, {0, 1, 0, 1}, true, tier);
  CHECK(tier[0] == 0);
  CHECK(tier[1] == 1);
  CHECK(tier[2] == 3);
  CHECK(tier[3] == 3);
}

TEST_CASE("confidence is 1 without evidence and falls with drift, a bad critic and a machine unlike before") {
  const auto of = [](double recent, double usual, double explained, std::uint64_t decisions, double novelty = 1) {
    return class_confidence({recent, usual, explained, decisions, novelty});
  };
  CHECK(of(0, 0, -100, 0) == 1);
  CHECK(of(1e6, 1.5e6, 0.5, 100000) == 1);
  CHECK(of(4e6, 1e6, 0.5, 100000) == doctest::Approx(0.5));
  CHECK(of(1e6, 1e6, -3, 100000) == doctest::Approx(0.5));
  CHECK(of(1e6, 1e6, -3, 100) == 1);  // too early to blame the critic
  CHECK(of(1e8, 1e6, -100, 100000) == 0);
  CHECK(of(1e6, 1e6, 0.5, 100000, 3) == doctest::Approx(0.75));
  CHECK(of(1e6, 1e6, 0.5, 100000, 100) == doctest::Approx(0.5));  // alone it does not end a policy
  CHECK(of(1e6, 1e6, 0.5, 100000, std::nan("")) == 1);
}
