// SPDX-License-Identifier: Apache-2.0
//
// The schedules of schedule.h.
#include "schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tactus::learn {

schedule schedule_at(learner_config const& c, double decisions)
{
	auto between = [](double start, double end, double way) { return start + (end - start) * way; };
	auto passed = [&](double over) { return std::min(1.0, decisions / over); };
	double const rate_passed = passed(c.learning_rate_decisions);
	double const rate_way = c.learning_rate_shape == cosine ? (1 - std::cos(std::numbers::pi * rate_passed)) / 2
								 : rate_passed;
	schedule s;
	s.learning_rate = between(c.learning_rate_start, c.learning_rate_end, rate_way);
	s.h = between(c.entropy_start, c.entropy_end, passed(c.entropy_decisions));
	s.kappa = c.prior_start * std::exp2(-decisions / c.prior_half_life);
	if (s.kappa < 1e-5)
		s.kappa = 0; // too small to pay for evaluating the prior
	return s;
}

double adapted_rate(double factor, double kl, double target)
{
	if (target <= 0)
		return factor;
	double const wanted = kl > 2 * target ? factor / 1.5 : kl < target / 2 ? factor * 1.5 : factor;
	return std::clamp(wanted, 0.1, 10.0);
}

} // namespace tactus::learn
