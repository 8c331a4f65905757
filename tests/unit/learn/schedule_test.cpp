// SPDX-License-Identifier: Apache-2.0
//
// What changes over time: rate, entropy, prior; and the rate that follows the rows.
#include "agent/learn/schedule.h"

#include <doctest/doctest.h>

using namespace tactus::learn;

TEST_CASE("schedules run from start to end over decisions")
{
	learner_config c;
	c.learning_rate_start = 4e-3, c.learning_rate_end = 1e-3, c.learning_rate_decisions = 1000;
	c.entropy_start = 0.1, c.entropy_end = 0, c.entropy_decisions = 100;
	c.prior_start = 0.5, c.prior_half_life = 10;
	CHECK(schedule_at(c, 0).learning_rate == doctest::Approx(4e-3));
	CHECK(schedule_at(c, 500).learning_rate == doctest::Approx(2.5e-3));
	CHECK(schedule_at(c, 1e6).learning_rate == doctest::Approx(1e-3));
	CHECK(schedule_at(c, 50).h == doctest::Approx(0.05));
	CHECK(schedule_at(c, 10).kappa == doctest::Approx(0.25));
	CHECK(schedule_at(c, 1e6).kappa == 0);
}

TEST_CASE("the rate along half a cosine: as fast at first and last as the line is in the middle")
{
	learner_config c;
	c.learning_rate_start = 4e-3, c.learning_rate_end = 1e-3, c.learning_rate_decisions = 1000;
	c.learning_rate_shape = cosine;
	CHECK(schedule_at(c, 0).learning_rate == doctest::Approx(4e-3));
	CHECK(schedule_at(c, 500).learning_rate == doctest::Approx(2.5e-3));
	CHECK(schedule_at(c, 250).learning_rate == doctest::Approx(4e-3 - 3e-3 * 0.1464466).epsilon(1e-6));
	CHECK(schedule_at(c, 1e6).learning_rate == doctest::Approx(1e-3));
}

TEST_CASE("the adapted rate falls while rows change too much, rises while too little, and has bounds")
{
	double const target = 0.01;
	CHECK(adapted_rate(1, 0.03, target) == doctest::Approx(1 / 1.5));
	CHECK(adapted_rate(1, 0.004, target) == doctest::Approx(1.5));
	CHECK(adapted_rate(1, 0.012, target) == 1);
	CHECK(adapted_rate(1, 0.03, 0) == 1);
	double factor = 1;
	for (int i = 0; i < 50; ++i)
		factor = adapted_rate(factor, 1, target);
	CHECK(factor == doctest::Approx(0.1));
	for (int i = 0; i < 50; ++i)
		factor = adapted_rate(factor, 0, target);
	CHECK(factor == doctest::Approx(10));
}
