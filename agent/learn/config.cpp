// SPDX-License-Identifier: Apache-2.0
//
// Range checks of the hyper-parameters. The ranges are what the algorithm can
// bear, not what is wise.
#include "config.h"

#include <cmath>

namespace tactus::learn {
namespace {

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
	in_range("segment_length", segment_length, 1, 1024);
	in_range("discount_beta", discount_beta, 0, 10);
	in_range("service_time_ns", service_time_ns, 0, 1e12);
	in_range("trace_factor", trace_factor, 0, 1);
	in_range("ratio_clip", ratio_clip, 0.01, 100);
	in_range("trace_clip", trace_clip, 0, ratio_clip); // V-trace needs c <= rho
	in_range("value_weight", value_weight, 0, 100);
	in_range("entropy_start", entropy_start, 0, 10);
	in_range("entropy_end", entropy_end, 0, 10);
	in_range("entropy_decisions", entropy_decisions, 1, 1e15);
	in_range("prior_start", prior_start, 0, 100);
	in_range("prior_half_life", prior_half_life, 1, 1e15);
	in_range("reward_clip", reward_clip, 0.1, 1e6);
	in_range("centring_step", centring_step, 1e-8, 1);
	in_range("advantage_step", advantage_step, 1e-6, 1);
	in_range("max_cost_rate", max_cost_rate, 1, 1e12);
	in_range("learning_rate_start", learning_rate_start, 0, 1);
	in_range("learning_rate_end", learning_rate_end, 0, 1);
	in_range("learning_rate_decisions", learning_rate_decisions, 1, 1e15);
	in_range("gradient_clip", gradient_clip, 1e-6, 1e6);
	in_range("rms_decay", rms_decay, 0, 0.999999);
	in_range("rms_epsilon", rms_epsilon, 1e-12, 1);
	in_range("accumulate", accumulate, 1, 1024);
	in_range("floor", floor, 0, 1);
	in_range("floor_deadline", floor_deadline, 0, 1);
	in_range("clone_smoothing", clone_smoothing, 0, 1);
	in_range("clone_steps", clone_steps, 0, 100000);
	in_range("kept_versions", kept_versions, 1, 4096);
	in_range("queue_segments", queue_segments, 1, 65536);
	in_range("reorder_window", reorder_window, 0, 256);
	in_range("emulate_lag_updates", emulate_lag_updates, 0, 4096);
}

} // namespace tactus::learn
