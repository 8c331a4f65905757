// SPDX-License-Identifier: Apache-2.0
//
// The whole loss through the whole network against central differences in
// double, and the encoding of inputs.
#include "agent/learn/clone.h"
#include "agent/learn/inference.h"
#include "agent/learn/step.h"

#include <cmath>
#include <doctest/doctest.h>
#include <limits>
#include <random>

using namespace tactus::learn;

namespace {

// Two versions of inputs with different numbers of places, random features.
std::shared_ptr<version_contexts const> random_contexts(std::mt19937_64& random, int nr_places, learner_config const& config)
{
	std::uniform_real_distribution<float> uniform;
	policy_inputs in;
	in.version = 1;
	in.nr_places = nr_places;
	in.state.present = 0x0f0f0f0f;
	for (float& v : in.state.value)
		v = uniform(random);
	auto out = std::make_shared<version_contexts>();
	out->version = 1;
	for (unsigned slot = 0; slot < 3; ++slot) {
		class_inputs& c = in.classes[slot];
		c.in_use = true;
		c.deadline = slot == 1;
		c.weight = float(slot + 1);
		c.task.present = 0x00ff;
		for (float& v : c.task.value)
			v = uniform(random);
		for (int p = 0; p < nr_places; ++p) {
			c.tier[p] = std::uint8_t(p % 4);
			for (float& v : c.place[p])
				v = uniform(random);
		}
		out->slot[slot] = encode(in, slot, config);
	}
	return out;
}

segment random_segment(std::mt19937_64& random, learner_config const& config, int n)
{
	std::uniform_real_distribution<float> uniform;
	auto const few = random_contexts(random, 3, config), many = random_contexts(random, 7, config);
	segment s;
	for (int k = 0; k <= n; ++k) {
		step_k step;
		step.inputs = k % 3 ? few : many;
		int const nr_places = k % 3 ? 3 : 7;
		step.slot = std::uint8_t(random() % 3);
		step.situation = std::uint8_t(random() % 2 ? 0x15 : random() % 128); // often the same
		step.legal = (random() % ((1u << nr_places) - 1)) + 1;
		step.hold_legal = random() % 2;
		step.policy_term = random() % 4 != 0;
		do
			step.action = std::uint8_t(random() % unsigned(nr_places));
		while (!(step.legal >> step.action & 1));
		if (step.hold_legal && random() % 3 == 0)
			step.action = TACTUS_HOLD;
		step.mu = 0.1f + 0.9f * uniform(random);
		step.r = uniform(random) - 0.5f;
		step.g = 0.8f + 0.2f * uniform(random);
		s.steps.push_back(step);
	}
	return s;
}

} // namespace

TEST_CASE("the gradient of the loss agrees with central differences in every layer")
{
	std::mt19937_64 random(7);
	learner_config config;
	SUBCASE("plain") {}
	SUBCASE("with layer normalisation") { config.layer_norm = 1; }
	config.floor = 0.05; // so that the floor's part of the gradient is seen
	schedule const now{1e-3, 0.02, 0.3};
	weights<float> start, other;
	initial_weights(3, start.data());
	initial_weights(4, other.data());
	for (int i = 0; i < k_nr_weights; ++i) { // outputs and bilinear term off zero
		start[i] += 0.1f * float(int(random() % 2001) - 1000) / 1000;
		other[i] += 0.1f * float(int(random() % 2001) - 1000) / 1000;
	}
	weights<double> theta = start.cast<double>();
	weights<double> const prior = other.cast<double>();
	segment const data = random_segment(random, config, 12);
	learner_step<double> step;
	step_report report;
	weights<double> gradient = weights<double>::Zero(), ignored;
	step.gradient(config, now, theta.data(), prior.data(), 0.7, data, gradient.data(), report);
	CHECK(report.policy_terms > 4);
	CHECK(report.held > 0);

	auto loss = [&] {
		ignored.setZero();
		return step.gradient(config, now, theta.data(), prior.data(), 0.7, data, ignored.data(), report, true);
	};
	for (block const& b : k_blocks) {
		double worst = 0, largest = 0;
		for (int trial = 0; trial < std::min(60, b.size()); ++trial) {
			int const i = b.offset + int(random() % unsigned(b.size()));
			double const keep = theta[i], eps = 1e-5;
			theta[i] = keep + eps;
			double const up = loss();
			theta[i] = keep - eps;
			double const down = loss();
			theta[i] = keep;
			double const numeric = (up - down) / (2 * eps);
			worst = std::max(worst, std::abs(numeric - gradient[i]) / std::max(1e-3, std::abs(numeric)));
			largest = std::max(largest, std::abs(numeric));
		}
		INFO(b.name);
		CHECK(worst < 1e-5);
		CHECK(largest > 1e-6); // every layer is reached
	}
}

TEST_CASE("float and double agree")
{
	std::mt19937_64 random(11);
	learner_config config;
	SUBCASE("plain") {}
	SUBCASE("with layer normalisation") { config.layer_norm = 1; }
	weights<float> theta;
	initial_weights(5, theta.data());
	weights<double> const theta_d = theta.cast<double>();
	segment const data = random_segment(random, config, 16);
	weights<float> f = weights<float>::Zero();
	weights<double> d = weights<double>::Zero();
	step_report report;
	schedule const now{1e-3, 0.01, 0};
	learner_step<float>().gradient(config, now, theta.data(), nullptr, 1, data, f.data(), report);
	learner_step<double>().gradient(config, now, theta_d.data(), nullptr, 1, data, d.data(), report);
	CHECK((f.cast<double>() - d).norm() < 1e-4 * d.norm());
}

TEST_CASE("the passes of every instruction set agree with those in double")
{
	std::mt19937_64 random(12);
	std::uniform_real_distribution<float> uniform(-1, 1);
	learner_config const config;
	auto const few = random_contexts(random, 3, config), many = random_contexts(random, 9, config);
	batch b; // two machine states, three classes each
	for (auto const& version : {few, many})
		for (std::size_t slot = 0; slot < 3; ++slot)
			b.contexts.push_back(&version->slot[slot]);
	for (int i = 0; i < 40; ++i)
		b.add(int(random() % 6), unsigned(random() % TACTUS_NR_SITUATIONS));
	weights<float> theta;
	initial_weights(5, theta.data());
	for (float& w : theta)
		w += 0.1f * uniform(random);
	weights<double> const theta_d = theta.cast<double>();
	for (bool layer_norm : {false, true}) {
		evaluation<double> reference;
		reference.forward(theta_d.data(), b, layer_norm);
		std::vector<float> derivatives(1000);
		for (float& d : derivatives)
			d = uniform(random);
		auto backward = [&](auto& pi, auto const& weights_now, auto& gradient) {
			pi.zero_gradients();
			std::size_t next = 0;
			for (int i = 0; i < b.size(); ++i) {
				for (auto& d : pi.d_place(i))
					d = derivatives[next++];
				pi.d_hold(i) = derivatives[next++];
				pi.d_value(i) = derivatives[next++];
			}
			gradient.setZero();
			pi.backward(weights_now.data(), gradient.data());
		};
		weights<double> expected;
		backward(reference, theta_d, expected);
		for (instruction_set which : instruction_sets()) {
			INFO(name_of(which) << ", layer_norm " << layer_norm);
			evaluation<float> pi(kernels_of(which).network);
			pi.forward(theta.data(), b, layer_norm);
			double worst = 0;
			for (int i = 0; i < b.size(); ++i) {
				for (int p = 0; p < pi.nr_places(i); ++p)
					worst = std::max(worst, std::abs(double(pi.place_logits(i)[std::size_t(p)]) - reference.place_logits(i)[std::size_t(p)]));
				worst = std::max(worst, std::abs(double(pi.hold_logit(i)) - reference.hold_logit(i)));
				worst = std::max(worst, std::abs(double(pi.value(i)) - reference.value(i)));
			}
			CHECK(worst < k_inference_tolerance);
			weights<float> gradient;
			backward(pi, theta, gradient);
			for (block const& x : k_blocks) {
				INFO(x.name);
				auto const e = expected.segment(x.offset, x.size());
				CHECK((gradient.segment(x.offset, x.size()).cast<double>() - e).norm() < 1e-4 * e.norm());
			}
		}
	}
}

TEST_CASE("layer normalisation brings the trunk's sums to mean 0 and variance 1 in each column")
{
	std::mt19937_64 random(13);
	learner_config config;
	auto const inputs = random_contexts(random, 3, config);
	batch b;
	for (int slot = 0; slot < 3; ++slot) {
		b.contexts.push_back(&inputs->slot[std::size_t(slot)]);
		for (unsigned situation : {0x00u, 0x15u, 0x7fu})
			b.add(slot, situation);
	}
	weights<float> start;
	initial_weights(6, start.data());
	weights<double> theta = start.cast<double>();
	view<b_trunk_b>(theta.data()).setConstant(0.3); // a mean to be taken off
	view<b_hold_z>(theta.data()).setZero();
	// The trunk before tanh, a column each: hold's logit reads one unit at a time.
	auto sums = [&](bool layer_norm) {
		Eigen::MatrixXd a(k_trunk, b.size());
		evaluation<double> pi;
		for (int unit = 0; unit < k_trunk; ++unit) {
			view<b_hold_h>(theta.data()).setZero();
			theta[k_blocks[b_hold_h].offset + unit] = 1;
			pi.forward(theta.data(), b, layer_norm);
			for (int i = 0; i < b.size(); ++i)
				a(unit, i) = std::atanh(pi.hold_logit(i) / k_hold_scale);
		}
		return a;
	};
	Eigen::MatrixXd const plain = sums(false), normalised = sums(true);
	for (int i = 0; i < b.size(); ++i) {
		Eigen::ArrayXd const centred = plain.col(i).array() - plain.col(i).mean();
		Eigen::ArrayXd const expected = centred / std::sqrt(centred.square().mean() + 1e-5);
		CHECK((normalised.col(i).array() - expected).abs().maxCoeff() < 1e-6);
		CHECK((plain.col(i).array() - expected).abs().maxCoeff() > 0.3);
	}
}

TEST_CASE("the encoding clamps, survives what is no number, and marks what is absent")
{
	learner_config config;
	policy_inputs in;
	in.nr_places = 2;
	float const nan = std::numeric_limits<float>::quiet_NaN();
	in.state.present = 0b111;
	in.state.value[0] = nan;
	in.state.value[1] = 7;
	in.state.value[2] = -1;
	in.state.value[3] = 0.5f; // absent: ignored
	class_inputs& c = in.classes[5];
	c.in_use = true;
	c.weight = nan;
	c.place[0][0] = nan;
	c.place[0][1] = std::numeric_limits<float>::infinity();
	c.tier[1] = 200;
	context const x = encode(in, 5, config);
	CHECK(x.x.allFinite());
	CHECK(x.task.allFinite());
	CHECK(x.place.allFinite());
	CHECK(x.x[0] == 0);
	CHECK(x.x[k_state_size + 0] == k_context_scale); // not a number: told as absent
	CHECK(x.x[1] == k_context_scale);
	CHECK(x.x[k_state_size + 1] == 0);
	CHECK(x.x[2] == 0);
	CHECK(x.x[3] == 0);
	CHECK(x.x[k_state_size + 3] == k_context_scale);
	CHECK(x.place(0, 0) == 0);
	CHECK(x.place(1, 0) == 1);
	CHECK(x.tier[1] == 3);
}

TEST_CASE("encoding into a context that held another class gives what a new one gets")
{
	policy_inputs in;
	context again;
	for (int nr_places : {3, 3, 17, 1}) {
		in.nr_places = nr_places;
		in.state.present = 0xf0f0f0f0u >> nr_places;
		in.classes[2].task.present = 0xff00u >> nr_places;
		for (int i = 0; i < k_state_size; ++i)
			in.state.value[std::size_t(i)] = float(nr_places) / float(20 + i);
		for (int p = 0; p < nr_places; ++p) {
			in.classes[2].place[std::size_t(p)].fill(float(p + 1) / 32);
			in.classes[2].tier[std::size_t(p)] = std::uint8_t((p + nr_places) % 4);
		}
		encode(in, 2, {}, again);
		context const fresh = encode(in, 2, {});
		REQUIRE(again.nr_places == nr_places);
		CHECK(again.state_present == in.state.present);
		CHECK(again.task_present == in.classes[2].task.present);
		CHECK(again.x == fresh.x);
		CHECK(again.task == fresh.task);
		REQUIRE(again.place.cols() == nr_places);
		CHECK(again.place == fresh.place);
		CHECK(again.tier == fresh.tier);
	}
}

TEST_CASE("the first policy is the fallback, within a few hundredths of a nat")
{
	learner_config config;
	weights<float> theta;
	initial_weights(config.seed, theta.data());
	SUBCASE("plain") {}
	SUBCASE("with layer normalisation") { config.layer_norm = 1; }
	double const kl = clone_fallback(config, theta.data());
	MESSAGE("mean KL(fallback || clone) = " << kl << " nats");
	CHECK(kl < 0.05);
	CHECK(theta.allFinite());
}
