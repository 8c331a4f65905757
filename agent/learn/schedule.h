// SPDX-License-Identifier: Apache-2.0
//
// What of the loss and the step changes over time: learning rate, entropy
// weight h and prior weight kappa over decisions trained, and the factor by
// which the rate follows how much published rows change. Pure.
#pragma once

#include "config.h"

namespace tactus::learn {

struct schedule {
	double learning_rate, h, kappa;
};
// At a number of decisions trained: h linear, the rate linear or along half a
// cosine, each from start to end; kappa halves every prior_half_life.
schedule schedule_at(learner_config const& config, double decisions);

// The factor on the learning rate after rows were published that differ by `kl`
// nats from those before: 1.5 times less above twice the target, 1.5 times more
// below half of it, within 0.1 .. 10. Target 0: the factor stays.
double adapted_rate(double factor, double kl, double target);

} // namespace tactus::learn
