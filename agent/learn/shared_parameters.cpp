// SPDX-License-Identifier: Apache-2.0
//
// The shared RMSProp of shared_parameters.h. Between the atomic accesses the arithmetic
// is on plain floats, by the kernels of the chosen instruction set.
#include "shared_parameters.h"

#include "inference.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace tactus::learn {
namespace {

constexpr auto k_relaxed = std::memory_order_relaxed;

// Weights stepped at a time: one input's column of the trunk's weights.
constexpr int k_chunk = k_trunk;
static_assert(k_nr_weights % 2 == 0 && k_chunk % 2 == 0);

// A g below this is 0 beside epsilon; decaying further it would cost the time of denormal numbers.
constexpr float k_nothing = 1e-30f;

// n floats from or to the n / 2 atomics.
void load(std::atomic<std::uint64_t> const* from, float* to, int n)
{
	for (int i = 0; i < n / 2; ++i) {
		std::uint64_t const both = from[i].load(k_relaxed);
		std::memcpy(to + 2 * i, &both, sizeof both);
	}
}

void store(float const* from, std::atomic<std::uint64_t>* to, int n)
{
	for (int i = 0; i < n / 2; ++i) {
		std::uint64_t both;
		std::memcpy(&both, from + 2 * i, sizeof both);
		to[i].store(both, k_relaxed);
	}
}

bool all_zero(float const* d, int n)
{
	return std::all_of(d, d + n, [](float x) { return x == 0; });
}

} // namespace

shared_parameters::shared_parameters() : theta_(new pair[k_nr_weights / 2]()), g_(new pair[k_nr_weights / 2]())
{
}

void shared_parameters::snapshot(float* theta) const
{
	load(theta_.get(), theta, k_nr_weights);
}

void shared_parameters::snapshot_squares(float* g) const
{
	load(g_.get(), g, k_nr_weights);
}

void shared_parameters::set(float const* theta, float const* g, std::uint64_t steps)
{
	weights<float> const none = weights<float>::Zero();
	steps_.store(steps, k_relaxed);
	store(theta, theta_.get(), k_nr_weights);
	store(g ? g : none.data(), g_.get(), k_nr_weights);
}

// Where d is 0 throughout a chunk, as for the inputs that are 0, only g decays.
void shared_parameters::apply(float const* d, double learning_rate, double decay, double epsilon, int first)
{
	alignas(64) float theta[k_chunk], g[k_chunk];
	auto const t = double(steps_.fetch_add(1, k_relaxed) + 1);
	float const unbias = float(1 / (1 - std::pow(decay, t)));
	auto const rmsprop = chosen_kernels().network.rmsprop;
	for (int at = first; at < k_nr_weights; at += k_chunk) {
		int const n = std::min(k_chunk, k_nr_weights - at);
		pair* const theta_at = theta_.get() + at / 2;
		pair* const g_at = g_.get() + at / 2;
		load(g_at, g, n);
		if (all_zero(d + at, n)) {
			if (all_zero(g, n))
				continue;
			for (int i = 0; i < n; ++i)
				g[i] = g[i] < k_nothing ? 0 : g[i] * float(decay);
			store(g, g_at, n);
			continue;
		}
		load(theta_at, theta, n);
		rmsprop(theta, g, d + at, n, float(learning_rate), float(decay), unbias, float(epsilon));
		store(theta, theta_at, n);
		store(g, g_at, n);
	}
}

} // namespace tactus::learn
