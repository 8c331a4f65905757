// SPDX-License-Identifier: Apache-2.0
//
// Warm start: behaviour cloning of the kernel's fallback as a distribution over
// places and hold, on random machines, classes and situations. The result is
// the first policy and the prior of KL(prior || pi).
#pragma once

#include "config.h"
#include "network.h"

namespace tactus::learn {

// What the fallback does, seen from a row: equal over the places of tiers with
// an idle CPU, else equal over all places, never hold; then smoothed with the
// uniform distribution. out has nr_places + 1 entries, hold last.
void fallback_distribution(context const& c, unsigned situation, double smoothing, std::span<double> out);

// Trains theta (k_nr_weights) towards it. Deterministic for one seed. Returns
// the mean KL(fallback || network) in nats over the last tenth of the steps.
double clone_fallback(learner_config const& config, float* theta);

} // namespace tactus::learn
