// SPDX-License-Identifier: Apache-2.0
//
// Held-out validation: a share of whole segments is never learned from; on them
// it is estimated, from the logged probabilities mu, what a policy would have
// cost that did not make these decisions. The cost of a segment is minus its
// discounted centred reward (step.h), with the critic's value of the state that
// ends it; less is better, 0 is about what the machine costs on the average.
//
// For one segment of n decisions, rho_k = pi(a_k|x_k) / mu_k, unclipped:
//   w  = prod_k rho_k
//   G  = sum_k (prod_{i<k} g_i) r_k + (prod_k g_k) V(x_n)
//   D  = D_0,  D_k = V(x_k) + rho_k (r_k + g_k D_{k+1} - V(x_k)),  D_n = V(x_n)
// Over m segments:
//   SNIPS = -sum w G / sum w                 self-normalised importance sampling
//   DR    = -mean D                          doubly robust, with V for each Q(x, a)
//   ESS   = (sum w)^2 / sum w^2              how many segments of pi's own these are worth
// Both are right for any critic since mu is exact; D has the less variance the
// better the critic is. With few ESS neither is worth anything: `judged` says so.
// Sources: Swaminathan & Joachims 2015; Jiang & Li 2016.
#pragma once

#include "step.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace tactus::learn {

// Of one segment under one policy.
struct segment_value {
	double weight = 1; // w
	double sampled = 0; // G
	double robust = 0;  // D
};

// Spans of n; value of n + 1.
segment_value evaluate_segment(std::span<double const> r, std::span<double const> g, std::span<double const> rho,
			       std::span<double const> value);

// REQUIRES: at least one value. error: standard error of dr.
policy_estimate estimate(std::span<segment_value const> values);

// DR of a less DR of b on the same segments: < 0 where a is cheaper.
struct difference_estimate {
	double mean = 0, error = 0;
};
difference_estimate difference(std::span<segment_value const> a, std::span<segment_value const> b);

// Which segments are held out: the n-th (from 0) of a stream, evenly spread.
bool is_held_out(std::uint64_t n, double share);

// Held-out segments, the newest 256, each with its number (from 1). Thread-safe.
// A kept segment has copies of the contexts it uses, so that versions can go.
class held_out_segments {
public:
	void add(segment const& s);
	// Those with a higher number than `after`, oldest first; last: the highest number.
	std::vector<std::shared_ptr<segment const>> newer_than(std::uint64_t after, std::uint64_t& last) const;
	std::uint64_t last() const;
	void clear();

private:
	mutable std::mutex mutex_;
	std::vector<std::shared_ptr<segment const>> ring_;
	std::uint64_t count_ = 0, cleared_ = 0;
};

// The values of segments under the actor of theta, with V of critic (both
// k_nr_weights). Keeps buffers: one per thread.
class validator {
public:
	explicit validator(bool layer_norm) : layer_norm_(layer_norm) {}

	segment_value evaluate(float const* theta, float const* critic, segment const& s);

private:
	bool layer_norm_; // of the network
	evaluation<float> pi_, v_;
	batch batch_;
	std::vector<double> r_, g_, rho_, value_, row_;
	std::vector<float> z_;
	std::vector<std::uint8_t> near_;
};

} // namespace tactus::learn
