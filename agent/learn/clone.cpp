// SPDX-License-Identifier: Apache-2.0
//
// Behaviour cloning of the fallback: see clone.h.
#include "clone.h"

#include "rows.h"
#include "shared_parameters.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace tactus::learn {
namespace {

constexpr int k_classes_per_batch = 16;
constexpr int k_situations_per_class = 8;

// A random machine state and class on 1 to 8 places in 1 to 4 tiers, faster
// tiers first; features spread over all of [0,1], sources absent at random.
void random_inputs(std::mt19937_64& random, policy_inputs& in)
{
	std::uniform_real_distribution<float> uniform;
	auto below = [&](int n) { return int(random() % unsigned(n)); };
	in.nr_places = 1 + below(8);
	in.state.present = std::uint32_t(random()) | (below(2) ? ~0u : 0u);
	for (float& v : in.state.value)
		v = uniform(random);
	class_inputs& c = in.classes[0];
	c.in_use = true;
	c.deadline = below(4) == 0;
	c.weight = float(1 << below(5));
	c.task.present = std::uint32_t(random());
	for (float& v : c.task.value)
		v = uniform(random);
	int const nr_tiers = std::min(1 + below(TACTUS_MAX_TIERS), in.nr_places);
	for (int p = 0; p < in.nr_places; ++p) {
		int const tier = p < nr_tiers ? p : below(nr_tiers); // none empty
		c.tier[p] = std::uint8_t(tier);
		for (float& v : c.place[p])
			v = uniform(random);
		c.place[p][k_place_speed] = tier == 0 ? 1 : uniform(random);
		c.place[p][k_place_tier] = float(tier) / 3;
		c.place[p][k_place_tier_best] = tier == 0;
		c.place[p][k_place_home_domain] = below(2);
	}
}

unsigned random_situation(std::mt19937_64& random, context const& c)
{
	unsigned existing = 0;
	for (int p = 0; p < c.nr_places; ++p)
		existing |= 1u << c.tier[p];
	unsigned const idle = random() % 4 ? unsigned(random()) & existing : 0;
	return idle | unsigned(random() % 8) << 4;
}

} // namespace

void fallback_distribution(context const& c, unsigned situation, double smoothing, std::span<double> out)
{
	int nr_idle = 0;
	for (int p = 0; p < c.nr_places; ++p)
		nr_idle += tier_idle(c, p, situation);
	double const background = (1 - smoothing) / (c.nr_places + 1);
	for (int p = 0; p < c.nr_places; ++p) {
		double const mass = nr_idle ? double(tier_idle(c, p, situation)) / nr_idle : 1.0 / c.nr_places;
		out[p] = smoothing * mass + background;
	}
	out[c.nr_places] = background;
}

double clone_fallback(learner_config const& config, float* theta)
{
	std::mt19937_64 random(config.seed ^ 0x9e3779b97f4a7c15ull);
	shared_parameters shared;
	shared.set(theta, nullptr);
	weights<float> gradient;
	evaluation<float> pi;
	batch b;
	std::array<context, k_classes_per_batch> contexts;
	policy_inputs in;
	std::vector<double> target(k_max_places + 1), s(k_max_places + 1);
	std::vector<float> z;
	std::vector<std::uint8_t> near;
	double tail_kl = 0;
	int tail_count = 0;

	for (int step = 0; step < config.clone_steps; ++step) {
		b.clear();
		for (auto& c : contexts) {
			random_inputs(random, in);
			c = encode(in, 0, config);
			b.contexts.push_back(&c);
			for (int i = 0; i < k_situations_per_class; ++i)
				b.add(int(b.contexts.size()) - 1, random_situation(random, c));
		}
		shared.snapshot(theta);
		pi.forward(theta, b, config.layer_norm);
		pi.zero_gradients();
		double kl = 0;
		int const n = b.size();
		for (int i = 0; i < n; ++i) {
			auto const places = pi.place_logits(i);
			z.assign(places.begin(), places.end());
			z.push_back(pi.hold_logit(i));
			std::span<double> const t(target.data(), z.size()), q(s.data(), z.size());
			fallback_distribution(*b.contexts[b.context_of[i]], b.situation[i], config.clone_smoothing, t);
			near.assign(z.size(), 1);
			row_distribution(z, near, 0, q);
			for (std::size_t a = 0; a < z.size(); ++a) {
				kl += t[a] > 0 ? t[a] * std::log(t[a] / q[a]) : 0;
				float const d = float((q[a] - t[a]) / n);
				(a + 1 < z.size() ? pi.d_place(i)[a] : pi.d_hold(i)) = d;
			}
		}
		gradient.setZero();
		pi.backward(theta, gradient.data());
		double const rate = 1e-2 * (1 - 0.95 * step / config.clone_steps);
		shared.apply(gradient.data(), rate, config.rms_decay, config.rms_epsilon);
		if (step * 10 >= config.clone_steps * 9) {
			tail_kl += kl / n;
			++tail_count;
		}
	}
	shared.snapshot(theta);
	return tail_count ? tail_kl / tail_count : 0;
}

} // namespace tactus::learn
