// SPDX-License-Identifier: Apache-2.0
//
// The one parameter set that all learners share, and its RMSProp state
// (Hogwild: no lock; every two weights are a relaxed atomic, so a race loses at most
// one learner's share of two weights' step and is no data race). Whoever needs
// weights that belong together copies a snapshot; a snapshot taken while others
// write mixes weights at most a few updates apart, which is the gradient lag
// that docs/learning.md measures as harmless.
#pragma once

#include "network.h"

#include <atomic>
#include <cstdint>
#include <memory>

namespace tactus::learn {

// Thread-safety: all by any thread.
class shared_parameters {
public:
	shared_parameters(); // all 0

	void snapshot(float* theta) const;
	void snapshot_squares(float* g) const;
	std::uint64_t steps() const { return steps_.load(std::memory_order_relaxed); }
	// g null: all 0, and steps must be 0.
	void set(float const* theta, float const* g, std::uint64_t steps = 0);

	// g <- decay g + (1-decay) d^2;  theta <- theta - lr d / sqrt(g / (1 - decay^t) + epsilon)
	// t: steps since g was 0; without the correction for that start the first
	// steps are 1/sqrt(1-decay), ten times, too long.
	// Weights before `first` and their g stay as they are.
	void apply(float const* d, double learning_rate, double decay, double epsilon, int first = 0);

private:
	using pair = std::atomic<std::uint64_t>; // two floats: half as many accesses

	std::unique_ptr<pair[]> theta_, g_;
	std::atomic<std::uint64_t> steps_{0};
};

} // namespace tactus::learn
