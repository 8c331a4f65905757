// SPDX-License-Identifier: Apache-2.0
//
// One thread is deterministic; every hyper-parameter does something; values out
// of range are refused.
#include "agent/learn/step.h"
#include "systems.h"

#include <cmath>
#include <doctest/doctest.h>
#include <functional>
#include <tuple>

using namespace tactus::learn;
using namespace tactus::learn::test;

namespace {

learner_config base()
{
	learner_config c;
	c.clone_steps = 20;
	return c;
}

// A fingerprint of policy and weights after a closed loop of some decisions;
// rows are compiled every 300 decisions, so that ratios differ from 1.
std::vector<double> outcome(learner_config const& config)
{
	learner_set learner(config);
	learner.start(0);
	auto const with_deadline = [](policy_inputs& in) { in.classes[2].deadline = true; };
	closed_loop loop(two_classes(), learner, 5);
	for (int i = 0; i < 10; ++i) {
		loop.publish(with_deadline);
		loop.run_decisions(300);
	}
	std::vector<double> out;
	auto const inputs = two_classes().inputs(1);
	with_deadline(*inputs);
	for (unsigned slot : {1u, 2u})
		for (unsigned s : {0u, 1u, 2u, 3u, 0x12u, 0x20u})
			for (double p : learner.distribution(*inputs, slot, s))
				out.push_back(p);
	auto const stats = learner.stats();
	for (layer_change const& l : stats.layers)
		out.push_back(l.norm);
	out.push_back(double(stats.updates));
	return out;
}

} // namespace

TEST_CASE("one thread is deterministic")
{
	CHECK(outcome(base()) == outcome(base()));
}

TEST_CASE("every hyper-parameter changes what is learned")
{
	auto const expected = outcome(base());
	std::vector<std::pair<char const*, std::function<void(learner_config&)>>> const changes{
		{"seed", [](auto& c) { c.seed = 2; }},
		{"segment_length", [](auto& c) { c.segment_length = 24; }},
		{"discount_beta", [](auto& c) { c.discount_beta = 0.2; }},
		{"service_time_ns", [](auto& c) { c.service_time_ns = 50e3; }},
		{"target", [](auto& c) { c.target = n_step; }},
		{"target", [](auto& c) { c.target = gae; }},
		{"weight_init", [](auto& c) { c.weight_init = he_init; }},
		{"weight_init", [](auto& c) { c.weight_init = orthogonal_init; }},
		{"layer_norm", [](auto& c) { c.layer_norm = 1; }},
		{"kl_target", [](auto& c) { c.kl_target = 1e-2; }},
		{"trace_factor", [](auto& c) { c.trace_factor = 0.8; }},
		{"ratio_clip", [](auto& c) { c.ratio_clip = 2; }},
		{"trace_clip", [](auto& c) { c.trace_clip = 0.5; }},
		{"value_weight", [](auto& c) { c.value_weight = 0.25; }},
		{"entropy_start", [](auto& c) { c.entropy_start = 0.02; }},
		{"entropy_end", [](auto& c) { c.entropy_end = 0.005; }},
		{"entropy_decisions", [](auto& c) { c.entropy_decisions = 1000; }},
		{"prior_start", [](auto& c) { c.prior_start = 0.5; }},
		{"prior_half_life", [](auto& c) { c.prior_half_life = 500; }},
		{"reward_cost", [](auto& c) { c.reward_cost = 0; }},
		// the weights of the other terms: reward_test.cpp
		{"reward_clip", [](auto& c) { c.reward_clip = 1; }},
		{"centring_step", [](auto& c) { c.centring_step = 1e-2; }},
		{"advantage_step", [](auto& c) { c.advantage_step = 0.1; }},
		{"max_cost_rate", [](auto& c) { c.max_cost_rate = 1; }},
		{"learning_rate_start", [](auto& c) { c.learning_rate_start = 1e-3; }},
		{"learning_rate_end", [](auto& c) { c.learning_rate_end = 4e-3; }},
		{"learning_rate_decisions", [](auto& c) { c.learning_rate_decisions = 2000; }},
		{"gradient_clip", [](auto& c) { c.gradient_clip = 0.5; }},
		{"rms_decay", [](auto& c) { c.rms_decay = 0.9; }},
		{"rms_epsilon", [](auto& c) { c.rms_epsilon = 1e-3; }},
		{"accumulate", [](auto& c) { c.accumulate = 2; }},
		{"floor", [](auto& c) { c.floor = 0.05; }},
		{"exploration", [](auto& c) { c.exploration = epsilon_greedy; }},
		{"exploration", [](auto& c) { c.exploration = argmax; }},
		{"explore_start", [](auto& c) { c.explore_start = 0.2; }},
		{"explore_decay", [](auto& c) { c.explore_start = 0.2, c.explore_decay = 0.9; }},
		{"held_out", [](auto& c) { c.held_out = 0.2; }},
		{"learning_rate_shape", [](auto& c) { c.learning_rate_shape = cosine; }},
		{"floor_deadline", [](auto& c) { c.floor_deadline = 0.0005; }},
		{"clone_smoothing", [](auto& c) { c.clone_smoothing = 0.6; }},
		{"clone_steps", [](auto& c) { c.clone_steps = 40; }},
		{"emulate_lag_updates", [](auto& c) { c.emulate_lag_updates = 5; }},
		{"use_ratio", [](auto& c) { c.use_ratio = false; }},
		// kept_versions and reorder_window: segments_test.cpp; queue_segments: its queue test;
		// transfer_updates: transfer_test.cpp; prior_bound, converged_kl and converged_publishes: below
	};
	for (auto const& [name, change] : changes) {
		learner_config c = base();
		change(c);
		INFO(name);
		CHECK(outcome(c) != expected);
	}
}

// kappa after 800 decisions, none of a row; at_bound: every other a release at the bound on holding.
double kappa_after(learner_config c, bool at_bound)
{
	c.segment_length = 4;
	c.prior_start = 0;
	learner_set learner(c);
	learner.start(0);
	closed_loop loop(two_classes(), learner, 5);
	loop.publish();
	std::uint64_t const n = 800;
	for (std::uint64_t i = 1; i <= n; ++i) {
		decision d;
		d.sequence = i;
		d.time_ns = 1'000'000 + i * 1000;
		d.area = 7'000'000 + i * 2000;
		d.version = 1;
		d.slot = 1;
		d.legal = 3;
		d.source = at_bound && i % 2 ? TACTUS_SOURCE_FORCED_BOUND : TACTUS_SOURCE_FALLBACK_MODE;
		learner.submit(d);
	}
	return learner.stats().prior_weight;
}

TEST_CASE("prior_bound: releases at the bound on holding bring the prior back")
{
	learner_config c = base();
	CHECK(kappa_after(c, false) == 0);
	double const once = kappa_after(c, true);
	CHECK(once == doctest::Approx(c.prior_bound * 0.49).epsilon(0.05));
	c.prior_bound *= 2;
	CHECK(kappa_after(c, true) == doctest::Approx(2 * once));
	c.prior_bound = 0;
	CHECK(kappa_after(c, true) == 0);
}

TEST_CASE("with and without layer normalisation rows, step, prior, clone and validation are of one network")
{
	for (int layer_norm : {0, 1}) {
		INFO("layer_norm " << layer_norm);
		learner_config c;
		c.layer_norm = layer_norm;
		c.held_out = 0.2;
		c.learning_rate_start = c.learning_rate_end = 0; // so that all of them have the same weights
		learner_set learner(c);
		closed_loop loop(fast_and_slow(), learner, 5);
		loop.publish();
		loop.run_decisions(12000);
		auto const stats = learner.stats();
		CHECK(std::abs(stats.mean_ratio - 1) < 2e-3);
		CHECK(stats.kl_prior < 1e-6);
		auto const report = learner.validate();
		REQUIRE(report.segments > 20);
		CHECK(report.current.effective_segments > 0.99 * report.segments);
		auto const inputs = fast_and_slow().inputs(1);
		auto const both_idle = learner.distribution(*inputs, 1, k_both_idle), fast_idle = learner.distribution(*inputs, 1, k_fast_idle);
		CHECK(std::abs(both_idle[0] - 0.46) < 0.12); // the fallback, smoothed
		CHECK(std::abs(both_idle[1] - 0.46) < 0.12);
		CHECK(fast_idle[0] > 0.8);
		tactus_row const& row = loop.rows().row(1, k_fast_idle);
		CHECK(std::abs(fast_idle[0] - double(row.cdf[0]) / TACTUS_CDF_ONE) < 1e-3);
	}
}

TEST_CASE("accumulated gradients make one update of so many segments")
{
	learner_config c = base();
	c.held_out = 0;
	c.accumulate = 4;
	learner_set learner(c);
	closed_loop loop(fast_and_slow(), learner, 5);
	loop.publish();
	while (learner.stats().decisions_trained < std::uint64_t(c.segment_length) * 40)
		loop.run_decisions(1);
	CHECK(learner.stats().updates == 10);
}

TEST_CASE("what counts as settled follows its bounds")
{
	for (auto const& [kl, publishes, settled] : {std::tuple{1.0, 5, true}, std::tuple{0.0, 5, false}, std::tuple{1.0, 50, false}}) {
		learner_config c = base();
		c.converged_kl = kl;
		c.converged_publishes = publishes;
		learner_set learner(c);
		for (std::uint32_t version = 1; version <= 10; ++version)
			rows_of(learner, fast_and_slow(), version);
		CHECK(learner.stats().converged == settled);
	}
}

TEST_CASE("values out of range are refused by name")
{
	std::vector<std::pair<std::string, std::function<void(learner_config&)>>> const bad{
		{"segment_length", [](auto& c) { c.segment_length = 0; }},
		{"discount_beta", [](auto& c) { c.discount_beta = -1; }},
		{"learning_rate_start", [](auto& c) { c.learning_rate_start = 2; }},
		{"rms_decay", [](auto& c) { c.rms_decay = 1; }},
		{"trace_clip", [](auto& c) { c.trace_clip = 2; }},
		{"layer_norm", [](auto& c) { c.layer_norm = 2; }},
		{"floor", [](auto& c) { c.floor = 1.5; }},
		{"clone_smoothing", [](auto& c) { c.clone_smoothing = std::nan(""); }},
		{"kept_versions", [](auto& c) { c.kept_versions = 0; }},
		{"queue_segments", [](auto& c) { c.queue_segments = 0; }},
		{"reorder_window", [](auto& c) { c.reorder_window = -1; }},
	};
	for (auto const& [name, change] : bad) {
		learner_config c;
		change(c);
		try {
			learner_set learner(c);
			FAIL("accepted: " << name);
		} catch (config_error const& e) {
			CHECK(std::string(e.what()).find(name) != std::string::npos);
		}
	}
}
