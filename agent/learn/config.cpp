// SPDX-License-Identifier: Apache-2.0
//
// The hyper-parameters by name, with their ranges. The ranges are what the algorithm can bear, not
// what is wise.
#include "config.h"

#include <cmath>
#include <cstdlib>
#include <variant>

namespace tactus::learn {
namespace {

struct field {
	char const* name;
	std::variant<double learner_config::*, int learner_config::*, bool learner_config::*> member;
	double low, high;
};

constexpr field k_fields[] = {
	{"segment_length", &learner_config::segment_length, 1, 1024},
	{"discount_beta", &learner_config::discount_beta, 0, 10},
	{"service_time_ns", &learner_config::service_time_ns, 0, 1e12},
	{"target", &learner_config::target, 0, 2},
	{"trace_factor", &learner_config::trace_factor, 0, 1},
	{"ratio_clip", &learner_config::ratio_clip, 0.01, 100},
	{"trace_clip", &learner_config::trace_clip, 0, 100},
	{"value_weight", &learner_config::value_weight, 0, 100},
	{"entropy_start", &learner_config::entropy_start, 0, 10},
	{"entropy_end", &learner_config::entropy_end, 0, 10},
	{"entropy_decisions", &learner_config::entropy_decisions, 1, 1e15},
	{"prior_start", &learner_config::prior_start, 0, 100},
	{"prior_half_life", &learner_config::prior_half_life, 1, 1e15},
	{"prior_bound", &learner_config::prior_bound, 0, 100},
	{"reward_clip", &learner_config::reward_clip, 0.1, 1e6},
	{"reward_cost", &learner_config::reward_cost, 0, 1e6},
	{"reward_efficiency", &learner_config::reward_efficiency, 0, 1e6},
	{"reward_utilisation", &learner_config::reward_utilisation, 0, 1e6},
	{"reward_cache", &learner_config::reward_cache, 0, 1e6},
	{"reward_cross_node", &learner_config::reward_cross_node, 0, 1e6},
	{"reward_thermal", &learner_config::reward_thermal, 0, 1e6},
	{"reward_deadline", &learner_config::reward_deadline, 0, 1e6},
	{"centring_step", &learner_config::centring_step, 1e-8, 1},
	{"advantage_step", &learner_config::advantage_step, 1e-6, 1},
	{"max_cost_rate", &learner_config::max_cost_rate, 1, 1e12},
	{"learning_rate_start", &learner_config::learning_rate_start, 0, 1},
	{"learning_rate_end", &learner_config::learning_rate_end, 0, 1},
	{"learning_rate_decisions", &learner_config::learning_rate_decisions, 1, 1e15},
	{"gradient_clip", &learner_config::gradient_clip, 1e-6, 1e6},
	{"learning_rate_shape", &learner_config::learning_rate_shape, 0, 1},
	{"kl_target", &learner_config::kl_target, 0, 10},
	{"weight_init", &learner_config::weight_init, 0, 2},
	{"layer_norm", &learner_config::layer_norm, 0, 1},
	{"converged_kl", &learner_config::converged_kl, 0, 10},
	{"converged_publishes", &learner_config::converged_publishes, 1, 1e6},
	{"transfer_updates", &learner_config::transfer_updates, 0, 1e9},
	{"rms_decay", &learner_config::rms_decay, 0, 0.999999},
	{"rms_epsilon", &learner_config::rms_epsilon, 1e-12, 1},
	{"accumulate", &learner_config::accumulate, 1, 1024},
	{"exploration", &learner_config::exploration, 0, 2},
	{"explore_start", &learner_config::explore_start, 0, 1},
	{"explore_decay", &learner_config::explore_decay, 0, 1},
	{"floor", &learner_config::floor, 0, 1},
	{"floor_deadline", &learner_config::floor_deadline, 0, 1},
	{"still_power", &learner_config::still_power, 1, 100},
	{"held_out", &learner_config::held_out, 0, 0.5},
	{"clone_smoothing", &learner_config::clone_smoothing, 0, 1},
	{"clone_steps", &learner_config::clone_steps, 0, 100000},
	{"kept_versions", &learner_config::kept_versions, 1, 4096},
	{"queue_segments", &learner_config::queue_segments, 1, 65536},
	{"reorder_window", &learner_config::reorder_window, 0, 256},
	{"emulate_lag_updates", &learner_config::emulate_lag_updates, 0, 65536},
	{"use_ratio", &learner_config::use_ratio, 0, 1},
};

void in_range(char const* field, double value, double low, double high)
{
	if (std::isfinite(value) && value >= low && value <= high)
		return;
	throw config_error("learner: " + std::string(field) + " = " + std::to_string(value) + " is out of range " +
			   std::to_string(low) + " .. " + std::to_string(high) + "; correct it in the configuration");
}

} // namespace

void learner_config::validate() const
{
	for (field const& f : k_fields)
		in_range(f.name, std::visit([&](auto m) { return double(this->*m); }, f.member), f.low, f.high);
	in_range("trace_clip", trace_clip, 0, ratio_clip); // V-trace needs c <= rho
}

void learner_config::set(std::string const& name, std::string const& value)
{
	for (field const& f : k_fields) {
		if (name != f.name)
			continue;
		char* end = nullptr;
		double const x = std::strtod(value.c_str(), &end);
		if (value.empty() || *end)
			throw config_error("learner: " + name + " = \"" + value + "\" is not a number");
		in_range(f.name, x, f.low, f.high);
		std::visit([&](auto m) { this->*m = static_cast<std::remove_reference_t<decltype(this->*m)>>(x); }, f.member);
		return;
	}
	std::string known;
	for (field const& f : k_fields)
		known += std::string(known.empty() ? "" : ", ") + f.name;
	throw config_error("learner: no hyper-parameter is called \"" + name + "\"; there are " + known);
}

} // namespace tactus::learn
