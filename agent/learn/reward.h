// SPDX-License-Identifier: Apache-2.0
//
// The reward of one finished task, by term: what is added to the centred cost
// when its weights are not 0. Pure functions. The cost itself, the time integral
// of tasks present, is taken in segments.h; step.h has how both are centred.
//
// The default is the cost alone. The preset "seed" is the sum of terms alone that
// Tactus began with; its optimum is provably "always the fastest place" (docs/learning.md),
// so it is there for comparison. Mixtures are by weight.
#pragma once

#include "config.h"

#include <array>
#include <cstdint>
#include <limits>
#include <string>

namespace tactus::learn {

enum reward_term : int {
	efficiency_term,  // + expected / actual run time, clipped to [0, 2]
	utilisation_term, // + busy share of the place
	cache_term,	  // + 1 - miss rate of the last-level cache
	cross_node_term,  // - share of the task that ran off its home node
	thermal_term,	  // - heat: 0 cool, 1 critical or throttled
	deadline_term,	  // + 1 where an urgent task met its deadline
	k_nr_reward_terms
};
char const* reward_term_name(int term);

struct reward_weights {
	double cost = 1; // of the time integral of tasks present
	std::array<double, k_nr_reward_terms> term{};

	bool has_terms() const;
};

// The weights of a configuration.
reward_weights rewards_of(learner_config const& config);

// Sets all weights to those of a preset, "cost" or "seed". Throws config_error.
void set_reward_preset(learner_config& config, std::string const& preset);

// What is known of a task when it ends; NaN: there is no such source.
struct task_outcome {
	static constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
	double expected_ns = unknown; // mean run time of the class over all places, without wait
	double actual_ns = unknown;   // run time of this task, without wait
	double utilisation = unknown;
	double miss_rate = unknown;
	double cross_node = unknown;
	double heat = unknown;
	bool urgent_in_time = false; // of high priority, had a deadline, met it
};

// In points. A term is its weight, its sign and its value times `renormalised`:
// the sum of all weights over that of the terms whose source is there, so that a
// machine without a sensor is rewarded on the same scale. Absent terms are 0.
struct task_reward {
	std::array<double, k_nr_reward_terms> term{};
	std::uint32_t present = 0; // bit t: the source of term t is there and its weight is not 0
	double renormalised = 1;
	double total = 0; // the sum of the terms
};
task_reward reward_of(reward_weights const& weights, task_outcome const& task);

// What a mean service time of tasks present costs: beside the seed's weights, a task
// that ran as expected then earns about what its own run time costs.
inline constexpr double k_points_per_service = 10;

} // namespace tactus::learn
