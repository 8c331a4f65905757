// SPDX-License-Identifier: Apache-2.0
//
// The solver on processes small enough to check by hand.
#include "solve/process.h"

#include <doctest/doctest.h>

using namespace tactus::sim;

namespace {

// M/M/1 with at most n jobs.
process birth_death(double arrivals, int n) {
  process p;
  for (int i = 0; i <= n; ++i) {
    p.add_state({.jobs = static_cast<double>(i)});
    if (i < n) p.add_transition(arrivals, i + 1);
    if (i > 0) p.add_transition(1, i - 1, 0);
  }
  return p;
}

}  // namespace

TEST_CASE("a chain without choices has its stationary mean") {
  CHECK(evaluate(birth_death(0.5, 60), {}).cost == doctest::Approx(1).epsilon(1e-7));
  const auto found = minimise(birth_death(0.8, 120));
  CHECK(found.value.converged);
  CHECK(found.value.cost == doctest::Approx(4).epsilon(1e-6));
}

TEST_CASE("the minimum takes the cheaper way, through nodes that lead to nodes") {
  // From state 0 to a dear state (cost 3) or a cheap one (cost 1), each left at rate 1.
  process p;
  question inner, outer;
  outer.waiting = 1;
  const target second = p.add_node(inner);
  p.add_choice(TACTUS_HOLD, 1);
  p.add_choice(0, 2);
  const target first = p.add_node(outer);
  p.add_choice(TACTUS_HOLD, 1);
  p.add_choice(0, second);
  p.add_state({.jobs = 0});
  p.add_transition(1, first);
  p.add_state({.jobs = 3});
  p.add_transition(1, 0);
  p.add_state({.jobs = 1});
  p.add_transition(1, 0);
  const auto o = minimise(p);
  CHECK(o.value.cost == doctest::Approx(0.5));
  CHECK(o.best[0] == 1);
  CHECK(o.best[1] == 1);
  // Half the time the outer choice, then always the inner: 1/2 dear, 1/2 cheap.
  const auto mixed = evaluate(p, [](const question& k, std::span<const choice>, std::span<double> w) {
    w[0] = k.waiting ? 3 : 0;
    w[1] = k.waiting ? 3 : 1;
  });
  CHECK(mixed.cost == doctest::Approx(1).epsilon(1e-7));
}
