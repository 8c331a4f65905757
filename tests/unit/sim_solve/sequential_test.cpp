// SPDX-License-Identifier: Apache-2.0
//
// The sequential test of two arms: few false alarms however often it is looked at, and power.
#include "agent/models/sequential_test.h"

#include <doctest/doctest.h>
#include <random>

using tactus::agent::sequential_test;

TEST_CASE("equal arms looked at 500 times are called different in at most 5 % of 1000 runs; looking naively, in many") {
  std::mt19937_64 random(7);
  std::normal_distribution<double> noise(0, 2);
  int alarms = 0, naive = 0;
  for (int run = 0; run < 1000; ++run) {
    sequential_test test(2, 0.5, 0.05);
    bool naively = false;
    double sum = 0;
    for (int n = 1; n <= 500; ++n) {
      const double d = noise(random);
      test.add(d);
      sum += d;
      naively = naively || std::abs(sum) > 1.96 * 2 * std::sqrt(double(n));
    }
    alarms += test.decided();
    naive += naively;
  }
  CHECK(alarms <= 50);
  CHECK(naive > 300);  // what it is for
}

TEST_CASE("an effect as large as the one worth detecting is found, with its sign") {
  std::mt19937_64 random(8);
  std::normal_distribution<double> noise(-0.5, 2);
  int found = 0;
  for (int run = 0; run < 100; ++run) {
    sequential_test test(2, 0.5, 0.05);
    for (int n = 0; n < 500; ++n) test.add(noise(random));
    found += test.decided() && test.mean() < 0;
  }
  CHECK(found >= 95);
}
