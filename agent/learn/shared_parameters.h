// SPDX-License-Identifier: Apache-2.0
//
// The one parameter set that all learners share, and its RMSProp state
// (Hogwild: no lock; every weight is a relaxed atomic, so a race loses at most
// one learner's share of one weight's step and is no data race). Whoever needs
// weights that belong together copies a snapshot; a snapshot taken while others
// write mixes weights at most a few updates apart, which is the gradient lag
// that docs/learning.md measures as harmless.
#pragma once

#include "network.h"

#include <atomic>
#include <cmath>
#include <memory>

namespace tactus::learn {

// Thread-safety: all by any thread.
class shared_parameters {
public:
	shared_parameters() : theta_(new std::atomic<float>[k_nr_weights]), g_(new std::atomic<float>[k_nr_weights])
	{
		for (int i = 0; i < k_nr_weights; ++i) {
			theta_[i].store(0, std::memory_order_relaxed);
			g_[i].store(0, std::memory_order_relaxed);
		}
	}

	void snapshot(float* theta) const { copy(theta_.get(), theta); }
	void snapshot_squares(float* g) const { copy(g_.get(), g); }
	std::uint64_t steps() const { return steps_.load(std::memory_order_relaxed); }
	// g null: all 0, and steps must be 0.
	void set(float const* theta, float const* g, std::uint64_t steps = 0)
	{
		steps_.store(steps, std::memory_order_relaxed);
		for (int i = 0; i < k_nr_weights; ++i) {
			theta_[i].store(theta[i], std::memory_order_relaxed);
			g_[i].store(g ? g[i] : 0, std::memory_order_relaxed);
		}
	}

	// g <- decay g + (1-decay) d^2;  theta <- theta - lr d / sqrt(g / (1 - decay^t) + epsilon)
	// t: steps since g was 0; without the correction for that start the first
	// steps are 1/sqrt(1-decay), ten times, too long.
	// Weights before `first` and their g stay as they are.
	// In chunks, so that the arithmetic between the atomic accesses vectorises; a chunk
	// is one input's column of the trunk's weights. Where d is 0, as for the inputs that
	// are 0, only g decays: the same result for a tenth of the arithmetic.
	void apply(float const* d, double learning_rate, double decay, double epsilon, int first = 0)
	{
		constexpr int chunk = k_trunk;
		float theta[chunk], g[chunk];
		auto const t = double(steps_.fetch_add(1, std::memory_order_relaxed) + 1);
		float const unbias = float(1 / (1 - std::pow(decay, t)));
		float const keep = float(decay), eps = float(epsilon), lr = float(learning_rate);
		for (int at = first; at < k_nr_weights; at += chunk) {
			int const n = std::min(chunk, k_nr_weights - at);
			if (all_zero(d + at, n)) {
				for (int i = 0; i < n; ++i)
					g_[at + i].store(keep * g_[at + i].load(std::memory_order_relaxed), std::memory_order_relaxed);
				continue;
			}
			for (int i = 0; i < n; ++i) {
				theta[i] = theta_[at + i].load(std::memory_order_relaxed);
				g[i] = g_[at + i].load(std::memory_order_relaxed);
			}
			for (int i = 0; i < n; ++i) {
				float const di = d[at + i];
				g[i] = keep * g[i] + (1 - keep) * di * di;
				theta[i] -= lr * di / std::sqrt(unbias * g[i] + eps);
			}
			for (int i = 0; i < n; ++i) {
				theta_[at + i].store(theta[i], std::memory_order_relaxed);
				g_[at + i].store(g[i], std::memory_order_relaxed);
			}
		}
	}

private:
	static bool all_zero(float const* d, int n)
	{
		bool zero = true;
		for (int i = 0; i < n; ++i)
			zero &= d[i] == 0;
		return zero;
	}

	static void copy(std::atomic<float> const* from, float* to)
	{
		for (int i = 0; i < k_nr_weights; ++i)
			to[i] = from[i].load(std::memory_order_relaxed);
	}

	std::unique_ptr<std::atomic<float>[]> theta_, g_;
	std::atomic<std::uint64_t> steps_{0};
};

} // namespace tactus::learn
