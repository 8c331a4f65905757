// SPDX-License-Identifier: Apache-2.0
//
// The reward of a task by term: bounds, each weight, renormalisation, presets; and
// that rewards reach what is learned.
#include "agent/learn/reward.h"
#include "agent/learn/segments.h"

#include <cmath>
#include <doctest/doctest.h>
#include <numeric>
#include <random>

using namespace tactus::learn;

namespace {

learner_config preset(char const* name)
{
	learner_config c;
	set_reward_preset(c, name);
	return c;
}

// Ran twice as long as expected, on a busy place, off its node, on a warm machine.
task_outcome slow_task()
{
	task_outcome t;
	t.expected_ns = 1e6;
	t.actual_ns = 2e6;
	t.utilisation = 0.75;
	t.miss_rate = 0.2;
	t.cross_node = 1;
	t.heat = 0.4;
	t.urgent_in_time = true;
	return t;
}

} // namespace

TEST_CASE("the seed's reward, term by term")
{
	auto const r = reward_of(rewards_of(preset("seed")), slow_task());
	CHECK(r.term[efficiency_term] == doctest::Approx(5));
	CHECK(r.term[utilisation_term] == doctest::Approx(1.5));
	CHECK(r.term[cache_term] == doctest::Approx(2.4));
	CHECK(r.term[cross_node_term] == doctest::Approx(-1));
	CHECK(r.term[thermal_term] == doctest::Approx(-0.2));
	CHECK(r.term[deadline_term] == doctest::Approx(5));
	CHECK(r.total == doctest::Approx(12.7));
	CHECK(r.present == 63);
}

TEST_CASE("the default is the cost alone: a task earns nothing")
{
	CHECK_FALSE(rewards_of(learner_config()).has_terms());
	CHECK(rewards_of(learner_config()).cost == 1);
	CHECK(reward_of(rewards_of(learner_config()), slow_task()).total == 0);
	CHECK(rewards_of(preset("cost")).term == rewards_of(learner_config()).term);
	CHECK(rewards_of(preset("seed")).cost == 0);
	learner_config c;
	CHECK_THROWS_AS(set_reward_preset(c, "profit"), config_error);
}

TEST_CASE("efficiency is clipped to twice the expected speed, and rises with it below")
{
	auto const w = rewards_of(preset("seed"));
	auto t = slow_task();
	double last = -1;
	for (double actual : {8e6, 4e6, 2e6, 1e6, 6e5}) {
		t.actual_ns = actual;
		double const now = reward_of(w, t).term[efficiency_term];
		CHECK(now > last);
		last = now;
	}
	t.actual_ns = 1e5;
	CHECK(reward_of(w, t).term[efficiency_term] == doctest::Approx(20));
	t.actual_ns = 1;
	CHECK(reward_of(w, t).term[efficiency_term] == doctest::Approx(20));
}

TEST_CASE("each weight moves its own term and the total")
{
	struct {
		double learner_config::*weight;
		int term;
	} const weights[] = {{&learner_config::reward_efficiency, efficiency_term},
			     {&learner_config::reward_utilisation, utilisation_term},
			     {&learner_config::reward_cache, cache_term},
			     {&learner_config::reward_cross_node, cross_node_term},
			     {&learner_config::reward_thermal, thermal_term},
			     {&learner_config::reward_deadline, deadline_term}};
	auto const before = reward_of(rewards_of(preset("seed")), slow_task());
	for (auto const& w : weights) {
		INFO(reward_term_name(w.term));
		learner_config c = preset("seed");
		c.*w.weight *= 2;
		auto const after = reward_of(rewards_of(c), slow_task());
		for (int t = 0; t < k_nr_reward_terms; ++t)
			CHECK(after.term[std::size_t(t)] == doctest::Approx((t == w.term ? 2 : 1) * before.term[std::size_t(t)]));
		CHECK(after.total == doctest::Approx(before.total + before.term[std::size_t(w.term)]));
	}
}

TEST_CASE("absent sources are dropped and the rest scaled to the same sum of weights")
{
	auto const w = rewards_of(preset("seed"));
	auto t = slow_task();
	t.miss_rate = t.heat = task_outcome::unknown;
	auto const r = reward_of(w, t);
	CHECK(r.term[cache_term] == 0);
	CHECK(r.term[thermal_term] == 0);
	CHECK(r.renormalised == doctest::Approx(21.5 / 18));
	CHECK(r.total == doctest::Approx((5 + 1.5 - 1 + 5) * 21.5 / 18));
	CHECK((r.present >> cache_term & 1) == 0);
	// a new class has no expectation yet: nothing is made of it
	t.expected_ns = 0;
	CHECK((reward_of(w, t).present >> efficiency_term & 1) == 0);
}

TEST_CASE("any outcome gives a finite sum of the terms within the bounds of the weights")
{
	double const odd[] = {0, -1, 1, 0.5, 1e300, -1e300, 1e-300, std::nan(""), INFINITY, -INFINITY};
	std::mt19937 random(3);
	auto const any = [&] { return odd[random() % std::size(odd)]; };
	auto const w = rewards_of(preset("seed"));
	double const all = std::accumulate(w.term.begin(), w.term.end(), 0.0);
	for (int i = 0; i < 20000; ++i) {
		auto const r = reward_of(w, {any(), any(), any(), any(), any(), any(), random() % 2 == 0});
		REQUIRE(std::isfinite(r.total));
		REQUIRE(r.total == doctest::Approx(std::accumulate(r.term.begin(), r.term.end(), 0.0)));
		REQUIRE(r.total <= 2 * all + 1e-9);
		REQUIRE(r.total >= -all - 1e-9);
	}
}

namespace {

// r of a segment in which the second of three intervals earned points.
std::vector<float> rewards_of_segment(learner_config config, double points)
{
	config.segment_length = 3;
	version_history history(4);
	history.add(std::make_shared<version_contexts>());
	domain_assembler assembler(config, history);
	std::vector<float> r;
	for (std::uint64_t i = 0; i <= 3; ++i) {
		decision d;
		d.sequence = i;
		d.time_ns = 1'000'000 + i * 1000;
		d.area = 7'000'000 + i * 2000;
		d.reward = i >= 2 ? points : 0;
		assembler.event(i, &d, 1000, [&](segment&& s) {
			for (int k = 0; k < s.n(); ++k)
				r.push_back(s.steps[std::size_t(k)].r);
		});
	}
	return r;
}

} // namespace

TEST_CASE("points that tasks earned raise the reward of their interval; the cost's weight scales the cost")
{
	learner_config config;
	auto const plain = rewards_of_segment(config, 0);
	auto const earned = rewards_of_segment(config, 10);
	auto const fined = rewards_of_segment(config, -10);
	REQUIRE(plain.size() == 3);
	CHECK(plain[1] == doctest::Approx(0).epsilon(1e-3)); // a constant rate of cost
	CHECK(earned[1] > plain[1]);
	CHECK(fined[1] < plain[1]);
	CHECK(earned[0] == plain[0]);
	config.reward_cost = 0;
	for (float r : rewards_of_segment(config, 0))
		CHECK(r == 0);
	CHECK(rewards_of_segment(config, 10)[1] > 0);
}
