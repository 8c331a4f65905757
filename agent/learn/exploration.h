// SPDX-License-Identifier: Apache-2.0
//
// How the policy tries what it does not think best: one interface for the ways
// to make a row of the actor's logits, for how much of it is exploration, and
// for the entropy bonus of the loss. Pure; a value, free of data races.
//
//   sampling        row = softmax with a floor e (rows.h); the default
//   epsilon_greedy  row = 1 - e on the best action, e spread over all, each
//                   within near and within far actions (rows.h)
//   argmax          the odds of the softmax raised to still_power, no floor: the
//                   best action, and likes of it share; for serving, since from
//                   rows that try nothing nothing is learned about other actions.
//                   All kinds are this while learning is off
//
//   e  = max(floor, explore_start explore_decay^updates), of a class with
//        deadlines at most floor_deadline
//   h  = weight of the entropy: schedule.h
//
// The learner's ratio is pi / mu with pi the softmax with floor e in all three,
// so other rows than sampled ones are behaviour that V-trace corrects for.
#pragma once

#include "config.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

namespace tactus::learn {

class exploration {
public:
	explicit exploration(learner_config const& config) : config_(config) {} // which must outlive it

	// e after so many updates of the weights. Here, since every decision calls it.
	double share(std::uint64_t updates, bool deadline) const
	{
		double e = config_.floor;
		if (config_.explore_start > e) // else no power is needed to know
			e = std::max(e, config_.explore_start * std::pow(config_.explore_decay, double(updates)));
		return deadline ? std::min(e, config_.floor_deadline) : e;
	}

	// The row of logits z (hold last), near as in rows.h; sums to 1. exploring:
	// false while learning is off.
	void distribution(std::span<float const> z, std::span<std::uint8_t const> near, double e, bool exploring,
			  std::span<double> probability) const;

private:
	learner_config const& config_;
};

} // namespace tactus::learn
