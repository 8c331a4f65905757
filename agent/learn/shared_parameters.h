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
	void set(float const* theta, float const* g)
	{
		for (int i = 0; i < k_nr_weights; ++i) {
			theta_[i].store(theta[i], std::memory_order_relaxed);
			g_[i].store(g ? g[i] : 0, std::memory_order_relaxed);
		}
	}

	// g <- decay g + (1-decay) d^2;  theta <- theta - lr d / sqrt(g + epsilon)
	// In chunks, so that the arithmetic between the atomic accesses vectorises.
	void apply(float const* d, double learning_rate, double decay, double epsilon)
	{
		constexpr int chunk = 256;
		float theta[chunk], g[chunk];
		float const keep = float(decay), eps = float(epsilon), lr = float(learning_rate);
		for (int at = 0; at < k_nr_weights; at += chunk) {
			int const n = std::min(chunk, k_nr_weights - at);
			for (int i = 0; i < n; ++i) {
				theta[i] = theta_[at + i].load(std::memory_order_relaxed);
				g[i] = g_[at + i].load(std::memory_order_relaxed);
			}
			for (int i = 0; i < n; ++i) {
				float const di = d[at + i];
				g[i] = keep * g[i] + (1 - keep) * di * di;
				theta[i] -= lr * di / std::sqrt(g[i] + eps);
			}
			for (int i = 0; i < n; ++i) {
				theta_[at + i].store(theta[i], std::memory_order_relaxed);
				g_[at + i].store(g[i], std::memory_order_relaxed);
			}
		}
	}

private:
	static void copy(std::atomic<float> const* from, float* to)
	{
		for (int i = 0; i < k_nr_weights; ++i)
			to[i] = from[i].load(std::memory_order_relaxed);
	}

	std::unique_ptr<std::atomic<float>[]> theta_, g_;
};

} // namespace tactus::learn
