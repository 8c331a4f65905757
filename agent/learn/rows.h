// SPDX-License-Identifier: Apache-2.0
//
// From logits to rows of the decision map: softmax with the uniform floor,
// exact quantisation, and the distance between two rows. Pure functions.
#pragma once

#include <tactus/abi/decision_map.h>

#include <cstdint>
#include <span>

namespace tactus::learn {

// probability = (1-e) softmax(z) + e / size. Sums to 1 within rounding.
void row_distribution(std::span<float const> z, double e, std::span<double> probability);

// Cumulative quantisation of places (all but the last) and hold (the last) into
// cdf: places beyond repeat the last value, the mass of hold is 65535 - cdf[63],
// so the masses sum to 65535 exactly and each differs from its probability by
// less than one unit. Probabilities need not be normalised; what is not finite
// or negative counts as 0; all 0 gives a row without mass on places.
void quantise(std::span<double const> probability, std::uint16_t* cdf);

// KL(a || b) in nats over nr_places places and hold; masses of 0 in b count as
// half a unit.
double row_kl(std::uint16_t const* a, std::uint16_t const* b, int nr_places);

} // namespace tactus::learn
