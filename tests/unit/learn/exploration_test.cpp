// SPDX-License-Identifier: Apache-2.0
//
// The three ways of exploring, and how much of it there is over time.
#include "agent/learn/exploration.h"

#include "agent/learn/rows.h"
#include "systems.h"

#include <cmath>
#include <doctest/doctest.h>
#include <numeric>
#include <random>

using namespace tactus::learn;
using namespace tactus::learn::test;

namespace {

learner_config of_kind(exploration_kind kind)
{
	learner_config c;
	c.exploration = kind;
	return c;
}

std::vector<double> row_of(exploration_kind kind, std::vector<float> const& z, std::vector<std::uint8_t> const& near, double e,
			   bool exploring = true)
{
	learner_config const c = of_kind(kind);
	std::vector<double> out(z.size());
	exploration(c).distribution(z, near, e, exploring, out);
	return out;
}

} // namespace

TEST_CASE("the explored share falls by its factor with every update, to the floor; deadlines cap it")
{
	learner_config c;
	c.explore_start = 0.4;
	c.explore_decay = 0.995;
	c.floor = 0.02;
	c.floor_deadline = 0.005;
	exploration const x(c);
	CHECK(x.share(0, false) == doctest::Approx(0.4));
	CHECK(x.share(1, false) == doctest::Approx(0.398));
	CHECK(x.share(100, false) == doctest::Approx(0.4 * std::pow(0.995, 100)));
	CHECK(x.share(100000, false) == 0.02);
	CHECK(x.share(0, true) == 0.005);
	CHECK(x.share(100000, true) == 0.005);
	c.floor = 0.001;
	CHECK(x.share(100000, true) == 0.001); // a cap, not a floor
}

TEST_CASE("sampling is the softmax with its floor")
{
	std::vector<float> const z{1, 0, -1, 2};
	std::vector<std::uint8_t> const near{0, 1, 1, 1};
	std::vector<double> expected(4);
	row_distribution(z, near, 0.1, expected);
	CHECK(row_of(sampling, z, near, 0.1) == expected);
}

TEST_CASE("epsilon-greedy: of near and of far actions the best has 1 - e of their mass, e is spread evenly")
{
	std::vector<float> const z{1, 0.5, -1, 0.9, -3};
	std::vector<std::uint8_t> const near{0, 1, 1, 0, 1};
	double const e = 0.1;
	auto const p = row_of(epsilon_greedy, z, near, e);
	double const far = p[0] + p[3], close = p[1] + p[2] + p[4];
	CHECK(far + close == doctest::Approx(1));
	CHECK(p[0] / far == doctest::Approx(1 - e + e / 2));
	CHECK(p[3] / far == doctest::Approx(e / 2));
	CHECK(p[1] / close == doctest::Approx(1 - e + e / 3));
	CHECK(p[2] / close == doctest::Approx(e / 3));
	CHECK(p[4] / close == doctest::Approx(e / 3));
}

TEST_CASE("argmax: odds raised to a power, no floor; every kind is that while learning is off")
{
	std::vector<float> const z{1.0f, 0.8f, 0, 1.0f};
	std::vector<std::uint8_t> const near{1, 1, 1, 1};
	auto const p = row_of(argmax, z, near, 0.3); // e is no matter
	CHECK(p[0] == doctest::Approx(p[3]));	     // equals share
	CHECK(p[0] / p[1] == doctest::Approx(std::exp(2.0)).epsilon(1e-4));
	CHECK(p[2] < 1e-4);
	for (auto kind : {sampling, epsilon_greedy, argmax})
		CHECK(row_of(kind, z, near, 0.3, false) == p);
}

TEST_CASE("every kind gives a distribution, whatever the logits and groups")
{
	std::mt19937_64 random(3);
	std::normal_distribution<float> normal(0, 4);
	for (int trial = 0; trial < 600; ++trial) {
		std::vector<float> z(1 + random() % 9);
		std::vector<std::uint8_t> near(z.size());
		for (std::size_t i = 0; i < z.size(); ++i)
			z[i] = normal(random), near[i] = random() % 2;
		auto const p = row_of(exploration_kind(trial % 3), z, near, double(random() % 3) / 2);
		CHECK(std::accumulate(p.begin(), p.end(), 0.0) == doctest::Approx(1).epsilon(1e-9));
		for (double x : p)
			CHECK(x >= 0);
	}
}

TEST_CASE("compiled rows: exploration decays as the learner updates, of a deadline class it is capped from the first")
{
	learner_config config;
	config.clone_steps = 0;
	config.exploration = epsilon_greedy; // whose rows show e: the least of the near has e / |near|
	config.learning_rate_start = config.learning_rate_end = 0; // the actor stays; only e changes
	config.explore_start = 0.5;
	config.explore_decay = 0.99;
	config.floor_deadline = 0.004; // enough units of a row to be measured
	learner_set learner(config);
	closed_loop loop(two_classes(), learner, 5);
	auto const least = [&](unsigned slot) {
		loop.publish([](policy_inputs& in) { in.classes[2].deadline = true; });
		std::uint16_t const* cdf = loop.rows().row(slot, 3).cdf; // both places idle: all near
		return std::min({tactus_row_mass(cdf, 0), tactus_row_mass(cdf, 1), tactus_row_mass(cdf, TACTUS_HOLD)}) / 65535.0;
	};
	CHECK(learner.stats().exploration == 0.5);
	CHECK(least(1) == doctest::Approx(0.5 / 3).epsilon(1e-3));
	CHECK(least(2) == doctest::Approx(config.floor_deadline / 3).epsilon(0.02));
	while (learner.stats().updates < 100)
		loop.run_decisions(1);
	CHECK(learner.stats().exploration == doctest::Approx(0.5 * std::pow(0.99, double(learner.stats().updates))));
	CHECK(least(1) == doctest::Approx(learner.stats().exploration / 3).epsilon(1e-3));
	CHECK(least(2) == doctest::Approx(config.floor_deadline / 3).epsilon(0.02));
}
