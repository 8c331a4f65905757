// SPDX-License-Identifier: Apache-2.0
//
// Held-out validation: estimates against a process whose true values are known, and what the learner
// holds out.
#include "agent/learn/validation.h"

#include "systems.h"

#include <cmath>
#include <cstdlib>
#include <doctest/doctest.h>
#include <filesystem>
#include <unistd.h>

using namespace tactus::learn;
using namespace tactus::learn::test;

namespace {

// A chain of two states and two actions: action a in state s leads to state 1 with chance move[s][a]
// and earns reward[s][a]; segments of 4 decisions from a random state, ended by value 0.
struct chain {
	static constexpr int n = 4;
	static constexpr double g = 0.9;
	double move[2][2] = {{0.2, 0.7}, {0.6, 0.3}};
	double reward[2][2] = {{-1, -0.2}, {-2, -3}};
	double behaviour[2] = {0.5, 0.6}; // chance of action 1
	double target[2] = {0.7, 0.3};

	// Of k decisions to come, under a policy: exactly.
	double value(double const (&policy)[2], int state, int k) const
	{
		if (k == 0)
			return 0;
		double v = 0;
		for (int a : {0, 1}) {
			double const p = a ? policy[state] : 1 - policy[state];
			double const next = move[state][a] * value(policy, 1, k - 1) + (1 - move[state][a]) * value(policy, 0, k - 1);
			v += p * (reward[state][a] + g * next);
		}
		return v;
	}

	// One segment by behaviour, seen under target; the critic is off by `error`.
	segment_value draw(std::mt19937_64& random, double error) const
	{
		std::uniform_real_distribution<double> uniform;
		std::vector<double> r, discount(n, g), rho, v;
		int s = int(random() % 2);
		for (int k = 0; k < n; ++k) {
			v.push_back(value(target, s, n - k) * (1 + error));
			int const a = uniform(random) < behaviour[s];
			rho.push_back(a ? target[s] / behaviour[s] : (1 - target[s]) / (1 - behaviour[s]));
			r.push_back(reward[s][a]);
			s = uniform(random) < move[s][a];
		}
		v.push_back(0);
		return evaluate_segment(r, discount, rho, v);
	}

	double true_cost(double const (&policy)[2]) const
	{
		return -(value(policy, 0, n) + value(policy, 1, n)) / 2;
	}
};

learner_config quick()
{
	learner_config c;
	c.clone_steps = 50;
	c.held_out = 0.05;
	// Short segments and fast rates: policies differ, and there are many segments, within a few thousand decisions.
	c.segment_length = 16, c.trace_factor = 0.9;
	c.learning_rate_start = 7e-3, c.learning_rate_end = 5e-4, c.learning_rate_decisions = 200e3;
	c.entropy_start = 0.01, c.entropy_decisions = 50e3, c.gradient_clip = 0.5;
	return c;
}

void train(learner_set& learner, std::uint64_t decisions, std::uint64_t seed)
{
	learner.set_learning(false), learner.set_learning(true); // sequence numbers begin anew
	closed_loop loop(fast_and_slow(), learner, seed);
	while (loop.decisions() < decisions) {
		loop.publish();
		loop.run_decisions(std::min<std::uint64_t>(128, decisions - loop.decisions()));
	}
}

std::vector<double> policy_of(learner_set const& learner)
{
	return learner.distribution(*fast_and_slow().inputs(1), 1, 3);
}

} // namespace

TEST_CASE("on a process whose values are known SNIPS and DR come out at the truth, with any critic")
{
	chain const c;
	double const truth = c.true_cost(c.target);
	REQUIRE(std::abs(truth - c.true_cost(c.behaviour)) > 0.2); // there is something to tell apart
	for (double error : {0.0, 0.5, -1.0}) {
		std::mt19937_64 random(7);
		std::vector<segment_value> values;
		for (int i = 0; i < 40000; ++i)
			values.push_back(c.draw(random, error));
		policy_estimate const e = estimate(values);
		INFO("critic off by " << error);
		CHECK(e.judged);
		CHECK(std::abs(e.dr - truth) < 4 * e.dr_error);
		CHECK(std::abs(e.snips - truth) < 0.1);
		CHECK(e.effective_segments > 0.2 * 40000);
		CHECK(e.effective_segments < 0.9 * 40000);
	}
}

TEST_CASE("DR varies less than SNIPS, and says truly by how much it varies")
{
	chain const c;
	double const truth = c.true_cost(c.target);
	std::mt19937_64 random(8);
	double snips = 0, dr = 0, covered = 0;
	int const batches = 400;
	for (int b = 0; b < batches; ++b) {
		std::vector<segment_value> values;
		for (int i = 0; i < 100; ++i)
			values.push_back(c.draw(random, 0.05));
		policy_estimate const e = estimate(values);
		snips += (e.snips - truth) * (e.snips - truth);
		dr += (e.dr - truth) * (e.dr - truth);
		covered += std::abs(e.dr - truth) < 1.96 * e.dr_error;
	}
	CHECK(dr < 0.8 * snips);
	CHECK(covered / batches > 0.9);
	CHECK(covered / batches < 0.99);
}

TEST_CASE("the value of a segment by its definition")
{
	std::vector<double> const r{1, -2, 0.5}, g{0.9, 0.8, 0.7}, rho{2, 0.5, 1.5}, v{0.3, -0.4, 0.6, 5};
	segment_value const s = evaluate_segment(r, g, rho, v);
	CHECK(s.weight == doctest::Approx(1.5));
	CHECK(s.sampled == doctest::Approx(1 + 0.9 * (-2) + 0.9 * 0.8 * 0.5 + 0.9 * 0.8 * 0.7 * 5));
	// DR as a sum: V(x_0) + sum_k (prod_{i<=k} rho_i) (prod_{i<k} g_i) (r_k + g_k V(x_{k+1}) - V(x_k))
	double sum = v[0], ratios = 1, discount = 1;
	for (int k = 0; k < 3; ++k) {
		ratios *= rho[k];
		sum += ratios * discount * (r[k] + g[k] * v[k + 1] - v[k]);
		discount *= g[k];
	}
	CHECK(s.robust == doctest::Approx(sum));
}

TEST_CASE("few effective segments are not judged: too few there are, or one that outweighs the rest")
{
	std::vector<segment_value> values(19);
	CHECK_FALSE(estimate(values).judged);
	values.resize(40);
	policy_estimate e = estimate(values);
	CHECK(e.judged);
	CHECK(e.effective_segments == doctest::Approx(40));
	values[7].weight = 50;
	e = estimate(values);
	CHECK_FALSE(e.judged);
	CHECK(e.effective_segments == doctest::Approx(89.0 * 89 / (39 + 2500)));
	values.assign(1000, {});
	for (int i = 0; i < 1000; ++i)
		values[std::size_t(i)].weight = i % 10 ? 1e-3 : 1;
	e = estimate(values);
	CHECK(e.effective_segments > 20); // but of a thousand
	CHECK_FALSE(e.judged);
	values.assign(40, {});
	values[0].robust = std::nan("");
	CHECK_FALSE(estimate(values).judged);
}

TEST_CASE("held out are whole segments, evenly spread, as many as the share says, always the same")
{
	int held = 0, longest = 0, run = 0;
	for (std::uint64_t n = 0; n < 10000; ++n) {
		run = is_held_out(n, 0.05) ? 0 : run + 1;
		held += run == 0;
		longest = std::max(longest, run);
		CHECK_FALSE(is_held_out(n, 0));
	}
	CHECK(held == 500);
	CHECK(longest <= 20);

	learner_config c = quick();
	c.held_out = 0.25;
	learner_set learner(c);
	train(learner, 8000, 1);
	auto const s = learner.stats();
	// 8000 decisions make 499 or 500 segments of 16, a quarter held out.
	CHECK(s.held_out >= 124);
	CHECK(s.held_out <= 125);
	CHECK(s.decisions_trained >= 16 * 373);
	CHECK(s.decisions_trained <= 16 * 376);
	CHECK(s.updates * 16 == s.decisions_trained);
	CHECK(learner.validate().segments == int(s.held_out));
	CHECK(learner.validate(s.held_out - 5).segments == 5);
	CHECK(learner.validate(s.held_out).segments == 0);
}

TEST_CASE("what is kept is bounded, and outlives its versions")
{
	learner_config c = quick();
	c.held_out = 0.5;
	c.kept_versions = 2;
	learner_set learner(c);
	train(learner, 12000, 1);
	REQUIRE(learner.stats().held_out > 300);
	auto const r = learner.validate();
	CHECK(r.segments == 256);
	CHECK(r.last == learner.stats().held_out);
	CHECK(r.current.effective_segments > 0);
}

TEST_CASE("the same weights differ by nothing; a start far from what was learned since is not judged")
{
	learner_config c = quick();
	c.held_out = 0.2;
	learner_set learner(c);
	train(learner, 4000, 1);
	learner.set_champion();
	auto r = learner.validate();
	CHECK(r.segments > 40);
	CHECK(r.difference == 0);
	CHECK(r.difference_error == 0);
	CHECK(r.current.dr == r.champion.dr);

	learner_set other(c); // its champion is the clone it started from
	train(other, 30000, 2);
	r = other.validate();
	CHECK(r.current.judged);
	CHECK(r.current.effective_segments > 50);
	CHECK_FALSE(r.champion.judged);
	CHECK(r.difference != 0);
}

TEST_CASE("the champion's weights come back as they were, from memory and from a file")
{
	learner_set learner(quick());
	train(learner, 2000, 1);
	learner.set_champion();
	auto const champion = policy_of(learner);
	std::string const file = (std::filesystem::temp_directory_path() / ("tactus-champion-" + std::to_string(getpid()))).string();
	learner.save(file);
	train(learner, 4000, 2);
	auto const later = policy_of(learner);
	CHECK(later != champion);
	learner.restore_champion();
	CHECK(policy_of(learner) == champion);
	CHECK(learner.validate().segments == 0); // what was held out before says nothing of what follows
	train(learner, 2000, 3);
	CHECK(policy_of(learner) != champion); // learning goes on
	CHECK(learner.validate().segments > 0);

	learner_set other(quick());
	other.load_champion(file);
	CHECK(policy_of(other) != champion);
	other.restore_champion();
	CHECK(policy_of(other) == champion);
	std::filesystem::remove(file);
}
