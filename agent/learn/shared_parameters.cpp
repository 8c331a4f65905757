// SPDX-License-Identifier: Apache-2.0
//
// The shared RMSProp of shared_parameters.h. Out of the header, so that whoever
// uses it has it compiled with the learner's options: where sqrt must keep errno, a
// compiler does not vectorise the step below.
#include "shared_parameters.h"

#include <algorithm>
#include <cmath>

namespace tactus::learn {
namespace {

constexpr auto k_relaxed = std::memory_order_relaxed;

// Weights stepped at a time: between the atomic accesses the arithmetic is on plain
// floats and vectorises. One input's column of the trunk's weights.
constexpr int k_chunk = k_trunk;

void load(std::atomic<float> const* from, float* to, int n)
{
	for (int i = 0; i < n; ++i)
		to[i] = from[i].load(k_relaxed);
}

void store(float const* from, std::atomic<float>* to, int n)
{
	for (int i = 0; i < n; ++i)
		to[i].store(from[i], k_relaxed);
}

bool all_zero(float const* d, int n)
{
	bool zero = true;
	for (int i = 0; i < n; ++i)
		zero &= d[i] == 0;
	return zero;
}

} // namespace

shared_parameters::shared_parameters()
	: theta_(new std::atomic<float>[k_nr_weights]), g_(new std::atomic<float>[k_nr_weights])
{
	for (int i = 0; i < k_nr_weights; ++i) {
		theta_[i].store(0, k_relaxed);
		g_[i].store(0, k_relaxed);
	}
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
	steps_.store(steps, k_relaxed);
	store(theta, theta_.get(), k_nr_weights);
	for (int i = 0; i < k_nr_weights; ++i)
		g_[i].store(g ? g[i] : 0, k_relaxed);
}

// Where d is 0 throughout a chunk, as for the inputs that are 0, only g decays: the
// same result for a tenth of the arithmetic.
void shared_parameters::apply(float const* d, double learning_rate, double decay, double epsilon, int first)
{
	float theta[k_chunk], g[k_chunk];
	auto const t = double(steps_.fetch_add(1, k_relaxed) + 1);
	float const unbias = float(1 / (1 - std::pow(decay, t)));
	float const keep = float(decay), eps = float(epsilon), lr = float(learning_rate);
	for (int at = first; at < k_nr_weights; at += k_chunk) {
		int const n = std::min(k_chunk, k_nr_weights - at);
		load(g_.get() + at, g, n);
		if (all_zero(d + at, n)) {
			for (int i = 0; i < n; ++i)
				g[i] *= keep;
			store(g, g_.get() + at, n);
			continue;
		}
		load(theta_.get() + at, theta, n);
		for (int i = 0; i < n; ++i) {
			float const di = d[at + i];
			g[i] = keep * g[i] + (1 - keep) * di * di;
			theta[i] -= lr * di / std::sqrt(unbias * g[i] + eps);
		}
		store(theta, theta_.get() + at, n);
		store(g, g_.get() + at, n);
	}
}

} // namespace tactus::learn
