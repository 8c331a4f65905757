// SPDX-License-Identifier: Apache-2.0
//
// The rule of convergence.h.
#include "convergence.h"

#include <cmath>

namespace tactus::learn {

bool convergence::publish(double kl, double explained_variance, double tasks_present)
{
	double const slack = settled_ ? 2 : 1; // leaving needs more than not entering
	bool const same_critic = std::abs(explained_variance - variance_) <= 0.1 * slack;
	bool const same_load = tasks_ <= 0 || tasks_present <= 0 || std::abs(std::log2(tasks_present / tasks_)) <= slack;
	bool const same_rows = kl < kl_ * slack * slack;
	if (same_rows && same_critic && same_load) {
		++steady_;
	} else {
		steady_ = 0;
		variance_ = explained_variance;
		tasks_ = tasks_present;
	}
	settled_ = steady_ >= publishes_;
	return settled_;
}

} // namespace tactus::learn
