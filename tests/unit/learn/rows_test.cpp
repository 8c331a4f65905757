// SPDX-License-Identifier: Apache-2.0
//
// Rows: exact quantisation, their place in the situations, and the invariant
// that without lag the ratio is 1.
#include "agent/learn/rows.h"
#include "agent/learn/step.h"
#include "systems.h"

#include <array>
#include <cmath>
#include <doctest/doctest.h>
#include <random>

using namespace tactus::learn;
using namespace tactus::learn::test;

TEST_CASE("quantised rows sum to 65535 exactly and each mass is within a unit")
{
	std::mt19937_64 random(1);
	std::uniform_real_distribution<double> uniform;
	for (int trial = 0; trial < 2000; ++trial) {
		int const nr_places = 1 + int(random() % 64);
		std::vector<double> p(std::size_t(nr_places) + 1);
		double sum = 0;
		for (double& x : p)
			sum += x = std::pow(uniform(random), 1 + trial % 9);
		tactus_row row{};
		quantise(p, row.cdf);
		unsigned total = tactus_row_mass(row.cdf, TACTUS_HOLD);
		for (int i = 0; i < TACTUS_MAX_PLACES; ++i) {
			REQUIRE((i == 0 || row.cdf[i] >= row.cdf[i - 1]));
			unsigned const mass = tactus_row_mass(row.cdf, unsigned(i));
			total += mass;
			double const wanted = i < nr_places ? p[i] / sum * TACTUS_CDF_ONE : 0;
			REQUIRE(std::abs(mass - wanted) <= 1.0);
		}
		REQUIRE(total == TACTUS_CDF_ONE);
		REQUIRE(std::abs(tactus_row_mass(row.cdf, TACTUS_HOLD) - p.back() / sum * TACTUS_CDF_ONE) <= 1.0);
	}
}

TEST_CASE("a row restricted to the near actions has the floor among them, however little they have together")
{
	std::vector<float> const z{9, 0, -4}; // a busy fast place has nearly all; an idle slow one; hold
	std::vector<std::uint8_t> const near{0, 1, 1};
	std::vector<double> p(3);
	double const e = 0.01;
	row_distribution(z, near, e, p);
	CHECK(p[0] + p[1] + p[2] == doctest::Approx(1).epsilon(1e-12));
	double const s = 1 / (1 + std::exp(-4.0));
	CHECK(p[1] / (p[1] + p[2]) == doctest::Approx((1 - e) * s + e / 2).epsilon(1e-9));
	CHECK(p[1] + p[2] > e * 2 / 3); // nor is the group ever left out
	std::vector<std::uint8_t> const all(3, 1);
	row_distribution(z, all, 0.3, p);
	CHECK(p[2] == doctest::Approx(0.7 * std::exp(-13.0) / (1 + std::exp(-9.0) + std::exp(-13.0)) + 0.1).epsilon(1e-6));
}

TEST_CASE("quantise bears what is no probability")
{
	tactus_row row{};
	std::vector<double> p{std::nan(""), -1, 0.5, INFINITY, 0.5};
	quantise(p, row.cdf);
	CHECK(tactus_row_mass(row.cdf, 0) == 0);
	CHECK(tactus_row_mass(row.cdf, 1) == 0);
	CHECK(tactus_row_mass(row.cdf, 2) == 32768);
	CHECK(tactus_row_mass(row.cdf, TACTUS_HOLD) == 32767);
	quantise(std::vector<double>(4, 0.0), row.cdf);
	CHECK(row.cdf[63] == 0); // no mass on any place
}

TEST_CASE("the distance of rows is 0 for equal ones and grows with the difference")
{
	tactus_row a{}, b{}, c{};
	quantise(std::vector<double>{0.5, 0.3, 0.2}, a.cdf);
	quantise(std::vector<double>{0.4, 0.3, 0.3}, b.cdf);
	quantise(std::vector<double>{0.1, 0.1, 0.8}, c.cdf);
	CHECK(row_kl(a.cdf, a.cdf, 2) == 0);
	CHECK(row_kl(a.cdf, b.cdf, 2) == doctest::Approx(0.5 * std::log(0.5 / 0.4) + 0.2 * std::log(0.2 / 0.3)).epsilon(1e-3));
	CHECK(row_kl(a.cdf, c.cdf, 2) > row_kl(a.cdf, b.cdf, 2));
}

TEST_CASE("compiled rows: every situation of the slots in use, floor kept, absent tiers share")
{
	learner_config config;
	learner_set learner(config);
	auto inputs = two_classes().inputs(3);
	inputs->classes[2].confidence = 0.5f;
	inputs->classes[2].slice_10us = 123;
	row_table bank;
	struct counting final : table_sink {
		using table_sink::table_sink;
		int puts = 0;
		void put(unsigned slot, unsigned situation, tactus_row const& row) override
		{
			++puts;
			CHECK((slot == 1 || slot == 2));
			CHECK(row.version_begin == 0);
			CHECK(row.version_end == 0);
			table_sink::put(slot, situation, row);
		}
	} sink(bank);
	learner.compile(inputs, sink);
	CHECK(sink.puts == 2 * TACTUS_NR_SITUATIONS);
	CHECK(bank.row(2, 5).confidence == 32768);
	CHECK(bank.row(2, 5).slice_10us == 123);
	CHECK(bank.row(1, 5).confidence == 65535);
	for (unsigned s = 0; s < TACTUS_NR_SITUATIONS; ++s) {
		tactus_row const& row = bank.row(1, s);
		auto const p = learner.distribution(*inputs, 1, s & 0x73);
		for (unsigned a : {0u, 1u}) {
			CHECK(tactus_row_mass(row.cdf, a) / 65535.0 == doctest::Approx(p[a]).epsilon(1e-3));
		}
		CHECK(tactus_row_mass(row.cdf, TACTUS_HOLD) / 65535.0 == doctest::Approx(p[2]).epsilon(2e-3));
	}
	// Clone of the fallback: an idle place when there is one, hardly ever hold.
	CHECK(tactus_row_mass(bank.row(1, 0b01).cdf, 0) > 0.6 * 65535);
	CHECK(tactus_row_mass(bank.row(1, 0b10).cdf, 1) > 0.6 * 65535);
	CHECK(tactus_row_mass(bank.row(1, 0b00).cdf, TACTUS_HOLD) < 0.15 * 65535);
	CHECK_THROWS_AS(learner.compile(std::make_shared<policy_inputs>(), sink), std::invalid_argument);
}

TEST_CASE("rows explore while the learner learns, and follow the best actions while it stands still")
{
	auto const row_of = [](double power, bool learning) {
		learner_config config;
		config.still_power = power;
		learner_set learner(config);
		learner.set_learning(learning);
		row_table const bank = rows_of(learner, fast_and_slow());
		std::array<double, 3> mass{};
		for (unsigned a : {0u, 1u})
			mass[a] = tactus_row_mass(bank.row(1, k_fast_idle).cdf, a) / 65535.0;
		mass[2] = tactus_row_mass(bank.row(1, k_fast_idle).cdf, TACTUS_HOLD) / 65535.0;
		return mass;
	};
	auto const odds = [](std::array<double, 3> const& m) { return m[0] / (m[1] + m[2]); };
	auto const plain = row_of(1, false);
	std::array<double, 3> expected{};
	for (unsigned a = 0; a < 3; ++a)
		expected[a] = std::pow(plain[a], 3);
	auto const sharper = row_of(3, false);
	CHECK(odds(sharper) == doctest::Approx(odds(expected)).epsilon(0.03));
	CHECK(odds(row_of(10, true)) < odds(plain)); // has the floor, and does not read the power
	CHECK(row_of(10, true) == row_of(3, true));
}

TEST_CASE("without lag the ratio of every decision drawn from a row is 1 to within quantisation")
{
	learner_config config;
	weights<float> theta;
	initial_weights(9, theta.data());
	std::mt19937_64 random(2);
	for (int i = 0; i < k_nr_weights; ++i) // a policy with strong preferences
		theta[i] += 0.3f * float(int(random() % 2001) - 1000) / 1000;
	oracle_system const system(system_spec{.speeds = {1, 0.5, 0.25}});
	auto const inputs = system.inputs(1);
	auto contexts = std::make_shared<version_contexts>();
	contexts->version = 1;
	contexts->slot[1] = encode(*inputs, 1, config);
	batch b;
	b.contexts.push_back(&contexts->slot[1]);
	for (unsigned s = 0; s < TACTUS_NR_SITUATIONS; ++s)
		b.add(0, s);
	evaluation<float> pi;
	pi.forward(theta.data(), b, config.layer_norm);

	for (int trial = 0; trial < 3000; ++trial) {
		unsigned const s = unsigned(random() % TACTUS_NR_SITUATIONS);
		std::vector<float> z(pi.place_logits(int(s)).begin(), pi.place_logits(int(s)).end());
		z.push_back(pi.hold_logit(int(s)));
		std::vector<double> p(4);
		std::vector<std::uint8_t> near;
		near_actions(contexts->slot[1], s, near);
		row_distribution(z, near, config.floor, p);
		tactus_row row{};
		quantise(p, row.cdf);
		std::uint64_t const legal = 1 + random() % 7;
		bool const hold_legal = random() % 2;
		tactus_choice c{};
		tactus_sample(row.cdf, 3, legal, hold_legal, std::uint32_t(random()), &c);
		REQUIRE(c.den > 0);
		segment data;
		step_k k;
		k.inputs = contexts;
		k.slot = 1;
		k.situation = std::uint8_t(s);
		k.legal = legal;
		k.hold_legal = hold_legal;
		k.action = std::uint8_t(c.action);
		k.policy_term = true;
		k.mu = float(double(c.num) / c.den);
		data.steps = {k, k};
		step_report report;
		weights<float> gradient = weights<float>::Zero();
		learner_step<float>().gradient(config, {1e-3, 0.01, 0}, theta.data(), nullptr, 1, data, gradient.data(), report);
		// relative error of numerator and denominator, each a unit per mass
		double const tolerance = 2.0 / c.num + 4.0 / c.den + 1e-4;
		REQUIRE(std::abs(report.sum_ratio - 1) < tolerance);
	}
}
