// SPDX-License-Identifier: Apache-2.0
//
// The terms of reward.h.
#include "reward.h"

#include <algorithm>
#include <cmath>

namespace tactus::learn {
namespace {

struct term_of_config {
	char const* name;
	double learner_config::*weight;
	double seed; // its weight in the seed's reward
};

constexpr std::array<term_of_config, k_nr_reward_terms> k_terms{{
	{"efficiency", &learner_config::reward_efficiency, 10},
	{"utilisation", &learner_config::reward_utilisation, 2},
	{"cache", &learner_config::reward_cache, 3},
	{"cross_node", &learner_config::reward_cross_node, 1},
	{"thermal", &learner_config::reward_thermal, 0.5},
	{"deadline", &learner_config::reward_deadline, 5},
}};

double share(double x)
{
	return std::isnan(x) ? x : std::clamp(x, 0.0, 1.0);
}

// Value of a term with its sign; NaN where its source is absent.
double value_of(int term, task_outcome const& t)
{
	switch (term) {
	case efficiency_term:
		return t.expected_ns > 0 && t.actual_ns > 0 ? std::min(2.0, t.expected_ns / t.actual_ns) : task_outcome::unknown;
	case utilisation_term:
		return share(t.utilisation);
	case cache_term:
		return 1 - share(t.miss_rate);
	case cross_node_term:
		return -share(t.cross_node);
	case thermal_term:
		return -share(t.heat);
	default:
		return t.urgent_in_time ? 1 : 0; // tags and records always tell
	}
}

} // namespace

char const* reward_term_name(int term)
{
	return term >= 0 && term < k_nr_reward_terms ? k_terms[std::size_t(term)].name : "?";
}

bool reward_weights::has_terms() const
{
	return std::any_of(term.begin(), term.end(), [](double w) { return w != 0; });
}

reward_weights rewards_of(learner_config const& config)
{
	reward_weights w;
	w.cost = config.reward_cost;
	for (std::size_t t = 0; t < k_terms.size(); ++t)
		w.term[t] = config.*k_terms[t].weight;
	return w;
}

void set_reward_preset(learner_config& config, std::string const& preset)
{
	if (preset != "cost" && preset != "seed")
		throw config_error("learner: reward = \"" + preset + "\" is no preset; there are cost and seed");
	bool const seed = preset == "seed";
	config.reward_cost = seed ? 0 : 1;
	for (auto const& t : k_terms)
		config.*t.weight = seed ? t.seed : 0;
}

task_reward reward_of(reward_weights const& weights, task_outcome const& task)
{
	task_reward out;
	double all = 0, there = 0;
	for (int t = 0; t < k_nr_reward_terms; ++t) {
		double const w = weights.term[std::size_t(t)];
		all += w;
		double const value = value_of(t, task);
		if (w == 0 || !std::isfinite(value))
			continue;
		there += w;
		out.present |= 1u << t;
		out.term[std::size_t(t)] = w * value;
	}
	if (there > 0)
		out.renormalised = all / there;
	for (double& term : out.term) {
		term *= out.renormalised;
		out.total += term;
	}
	return out;
}

} // namespace tactus::learn
