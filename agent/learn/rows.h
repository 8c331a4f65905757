// SPDX-License-Identifier: Apache-2.0
//
// From logits to rows of the decision map: softmax with a floor of exploration,
// exact quantisation, and the distance between two rows. Pure functions.
#pragma once

#include <tactus/abi/decision_map.h>

#include <cstdint>
#include <span>

namespace tactus::learn {

// The row of a situation: S = softmax(z), made never to exclude anything. The
// actions are of two groups, near[i] != 0: places with an idle CPU, and hold;
// far: places without. With S_G the mass of the group and |G| its size,
//   row_i = R_G ((1-e) S_i / S_G + e / |G|),   R_G = (1-e) S_G + e |G| / size
// The kernel draws from a row restricted to what is legal, and mostly that is
// the near group or part of it (a CPU that falls idle asks for itself or hold).
// A floor over all actions alike would be most of what is left where a far place
// has nearly all the mass: such a draw would be half at random.
// Sums to 1 within rounding; all of one group: (1-e) S + e / size.
void row_distribution(std::span<float const> z, std::span<std::uint8_t const> near, double e,
		      std::span<double> probability);

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
