// SPDX-License-Identifier: Apache-2.0
//
// Every instruction set of this machine against the network in double and against
// the scalar one, the approximation of tanh, and the choice among them.
#include "agent/learn/inference.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <doctest/doctest.h>
#include <limits>
#include <random>

using namespace tactus::learn;

namespace {

context random_context(std::mt19937_64& random, int nr_places)
{
	std::uniform_real_distribution<float> uniform;
	policy_inputs in;
	in.nr_places = nr_places;
	in.state.present = std::uint32_t(random());
	for (float& v : in.state.value)
		v = uniform(random);
	class_inputs& c = in.classes[0];
	c.weight = 3;
	c.deadline = random() % 2;
	c.task.present = std::uint32_t(random());
	for (float& v : c.task.value)
		v = uniform(random);
	for (int p = 0; p < nr_places; ++p) {
		c.tier[p] = std::uint8_t(random() % TACTUS_MAX_TIERS);
		for (float& v : c.place[p])
			v = uniform(random);
	}
	return encode(in, 0, {});
}

weights<float> random_weights(std::mt19937_64& random)
{
	weights<float> theta;
	initial_weights(random(), theta.data());
	for (float& w : theta) // outputs and bilinear term off zero, some units saturated
		w += 0.5f * float(int(random() % 2001) - 1000) / 1000;
	return theta;
}

// Largest difference of a and b, relative to 1 + |b|.
double difference(std::span<float const> a, std::span<double const> b)
{
	double worst = 0;
	for (std::size_t i = 0; i < a.size(); ++i)
		worst = std::max(worst, std::isfinite(a[i]) ? std::abs(double(a[i]) - b[i]) / (1 + std::abs(b[i])) : 1e9);
	return worst;
}

std::vector<std::uint8_t> all_situations()
{
	std::vector<std::uint8_t> out(TACTUS_NR_SITUATIONS);
	for (unsigned s = 0; s < TACTUS_NR_SITUATIONS; ++s)
		out[s] = std::uint8_t(s);
	return out;
}

} // namespace

TEST_CASE("every instruction set gives the network's logits, one by one and by the class")
{
	std::mt19937_64 random(4);
	auto const situations = all_situations();
	for (bool layer_norm : {false, true})
		for (int nr_places : {1, 2, 4, 5, 16, 64}) {
			weights<float> const theta = random_weights(random);
			weights<double> const theta_d = theta.cast<double>();
			context const c = random_context(random, nr_places);
			batch b;
			b.contexts.push_back(&c);
			for (unsigned s : situations)
				b.add(0, s);
			evaluation<double> reference;
			reference.forward(theta_d.data(), b, layer_norm);
			std::vector<double> expected;
			for (int i = 0; i < b.size(); ++i) {
				auto const places = reference.place_logits(i);
				expected.insert(expected.end(), places.begin(), places.end());
				expected.push_back(reference.hold_logit(i));
			}
			for (instruction_set which : instruction_sets()) {
				INFO(name_of(which) << ", " << nr_places << " places, layer_norm " << layer_norm);
				inference pi(which);
				pi.set_weights(theta.data(), layer_norm);
				pi.set_context(c);
				std::vector<float> by_class(expected.size()), single(expected.size());
				pi.logits(situations, by_class);
				std::size_t const width = std::size_t(nr_places) + 1;
				for (unsigned s : situations)
					pi.decide(c, s, std::span(single).subspan(s * width, width));
				CHECK(difference(by_class, expected) < k_inference_tolerance);
				CHECK(difference(single, expected) < k_inference_tolerance);
				std::vector<float> again(expected.size());
				pi.logits(situations, again);
				CHECK(again == by_class);
			}
		}
}

TEST_CASE("every instruction set encodes as the definition says, bit for bit, also what is no number")
{
	std::mt19937_64 random(8);
	std::uniform_real_distribution<float> uniform(-0.5f, 1.5f);
	float const odd[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
			     -std::numeric_limits<float>::infinity()};
	for (int nr_places : {1, 2, 3, 5, 64})
		for (bool with_odd : {false, true}) {
			std::vector<float> state(k_state_size), task(k_task_size), place(std::size_t(k_max_places) * k_place_size);
			for (auto* values : {&state, &task, &place})
				for (float& v : *values)
					v = with_odd && random() % 4 == 0 ? odd[random() % 3] : uniform(random);
			unsigned const state_present = unsigned(random()), task_present = unsigned(random());
			std::vector<float> expected_x, expected_task;
			unsigned expected_present[2] = {};
			auto marked = [&](std::vector<float> const& values, unsigned present, unsigned& counts) {
				std::vector<float> marks;
				for (std::size_t i = 0; i < values.size(); ++i) {
					bool const there = (present >> i & 1) && std::isfinite(values[i]);
					expected_x.push_back(there ? std::clamp(values[i], 0.0f, 1.0f) * k_context_scale : 0);
					marks.push_back(there ? 0 : k_context_scale);
					counts |= unsigned(there) << i;
				}
				expected_x.insert(expected_x.end(), marks.begin(), marks.end());
			};
			marked(state, state_present, expected_present[0]);
			marked(task, task_present, expected_present[1]);
			for (int i = 0; i < k_task_size; ++i)
				expected_task.push_back(expected_present[1] >> i & 1 ? std::clamp(task[std::size_t(i)], 0.0f, 1.0f) : 0);
			for (instruction_set which : instruction_sets()) {
				INFO(name_of(which) << ", " << nr_places << " places, odd " << with_odd);
				std::vector<float> x(k_context), t(k_task_size), p(std::size_t(nr_places) * k_place_size + 1, -7);
				auto const present = kernels_of(which).encode(
					{state.data(), task.data(), place.data(), state_present, task_present, nr_places}, x.data(), t.data(), p.data());
				CHECK(x == expected_x);
				CHECK(t == expected_task);
				CHECK((present & 0xffffffff) == expected_present[0]);
				CHECK((present >> 32) == expected_present[1]);
				for (std::size_t i = 0; i + 1 < p.size(); ++i)
					CHECK(p[i] == (std::isnan(place[i]) ? 0 : std::clamp(place[i], 0.0f, 1.0f)));
				CHECK(p.back() == -7); // nothing written beyond
			}
		}
}

TEST_CASE("tanh: within 1e-5, odd, bounded, monotone, and finite for everything")
{
	constexpr int n = 1 << 16;
	std::vector<float> x;
	for (int i = 0; i < n; ++i)
		x.push_back(-12.0f + 24.0f * float(i) / n);
	for (float small : {1e-30f, 1e-10f, 1e-4f, 1e-3f, 0.01f})
		x.insert(x.end(), {-small, small});
	x.insert(x.end(), {0.0f, 1e30f, -1e30f, std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(), -0.0f});
	REQUIRE(x.size() % 16 == 0);
	for (instruction_set which : instruction_sets()) {
		INFO(name_of(which));
		std::vector<float> y = x, minus = x, nan(16, std::numeric_limits<float>::quiet_NaN());
		for (float& v : minus)
			v = -v;
		kernel::table const& k = kernels_of(which);
		k.tanh(y.data(), int(y.size()));
		k.tanh(minus.data(), int(minus.size()));
		k.tanh(nan.data(), int(nan.size()));
		double worst = 0, falls = 0;
		bool odd = true, bounded = true;
		for (std::size_t i = 0; i < x.size(); ++i) {
			worst = std::max(worst, std::abs(double(y[i]) - std::tanh(double(x[i]))));
			odd &= y[i] == -minus[i];
			bounded &= std::abs(y[i]) <= 1;
			if (i > 0 && i < n)
				falls = std::max(falls, double(y[i - 1]) - double(y[i]));
		}
		CHECK(worst < 1e-5);
		CHECK(odd);
		CHECK(bounded);
		CHECK(falls < 5e-7); // rounding
		for (float v : nan)
			CHECK(std::abs(v) <= 1);
	}
}

TEST_CASE("the environment forces an instruction set, and one that is not there is refused")
{
	char const* const before = std::getenv("TACTUS_INSTRUCTIONS");
	std::string const keep = before ? before : "";
	for (instruction_set which : instruction_sets()) {
		setenv("TACTUS_INSTRUCTIONS", std::string(name_of(which)).c_str(), 1);
		CHECK(chosen_instruction_set() == which);
	}
	setenv("TACTUS_INSTRUCTIONS", "abacus", 1);
	CHECK_THROWS_AS(chosen_instruction_set(), config_error);
	unsetenv("TACTUS_INSTRUCTIONS");
	CHECK(chosen_instruction_set() == instruction_sets().back());
	if (before)
		setenv("TACTUS_INSTRUCTIONS", keep.c_str(), 1);
}
