// SPDX-License-Identifier: Apache-2.0
// The out-of-distribution score of the machine state.
#include "agent/publish/novelty.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

using namespace tactus::agent;
using tactus::learn::machine_state;

namespace {

machine_state state_of(std::mt19937& random, float mean, float spread, unsigned values = 8) {
  std::normal_distribution<float> noise(mean, spread);
  machine_state s;
  s.present = (1u << values) - 1;
  for (unsigned i = 0; i < values; i++) s.value[i] = noise(random);
  return s;
}

}  // namespace

TEST_CASE("ordinary samples score about 1 or less, one unlike them many times that") {
  std::mt19937 random(1);
  novelty n;
  for (int i = 0; i < 400; i++) n.observe(state_of(random, 0.5f, 0.2f));
  double ordinary = 0;
  for (int i = 0; i < 100; i++) ordinary += n.observe(state_of(random, 0.5f, 0.2f)) / 100;
  CHECK(ordinary > 0.7);
  CHECK(ordinary < 1.3);
  CHECK(n.observe(state_of(random, 1.5f, 0.0f)) > 4);
}

TEST_CASE("a small change of what never moved is no surprise, and little is known at first") {
  std::mt19937 random(2);
  novelty n;
  for (int i = 0; i < 49; i++) n.observe(state_of(random, 0.1f, 0.0f));
  CHECK(n.observe(state_of(random, 1.0f, 0.0f)) == 0);  // too early
  novelty m;
  for (int i = 0; i < 200; i++) m.observe(state_of(random, 0.1f, 0.0f));
  CHECK(m.observe(state_of(random, 0.2f, 0.0f)) < 1);
}

TEST_CASE("what lasts becomes ordinary, and absent values do not count") {
  std::mt19937 random(3);
  novelty n;
  for (int i = 0; i < 600; i++) n.observe(state_of(random, 0.1f, 0.05f));
  const double at_first = n.observe(state_of(random, 0.9f, 0.05f));
  CHECK(at_first > 3);
  for (int i = 0; i < 900; i++) n.observe(state_of(random, 0.9f, 0.05f));
  CHECK(n.observe(state_of(random, 0.9f, 0.05f)) < 1);
  machine_state gone;
  gone.value.fill(1e30f);
  CHECK(n.observe(gone) == 0);
  gone.present = ~0u;
  gone.value.fill(std::nanf(""));
  CHECK(n.observe(gone) == 0);
}
