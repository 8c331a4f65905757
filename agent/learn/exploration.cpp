// SPDX-License-Identifier: Apache-2.0
//
// The three ways of exploration.h.
#include "exploration.h"

#include "rows.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace tactus::learn {
namespace {

// Within near and within far actions, which keep their mass: 1 - e on the best, e spread evenly.
void favour_best(std::span<float const> z, std::span<std::uint8_t const> near, double e, std::span<double> probability)
{
	for (bool group : {false, true}) {
		std::size_t best = z.size();
		double mass = 0;
		int count = 0;
		for (std::size_t i = 0; i < z.size(); ++i) {
			if ((near[i] != 0) != group)
				continue;
			mass += probability[i];
			++count;
			if (best == z.size() || z[i] > z[best])
				best = i;
		}
		for (std::size_t i = 0; i < z.size(); ++i)
			if ((near[i] != 0) == group)
				probability[i] = mass * (e / count + (i == best ? 1 - e : 0));
	}
}

} // namespace

void exploration::distribution(std::span<float const> z, std::span<std::uint8_t const> near, double e, bool exploring,
			       std::span<double> probability) const
{
	if (!exploring || config_.exploration == argmax) {
		std::vector<float> sharper(z.begin(), z.end());
		for (float& x : sharper)
			x *= float(config_.still_power);
		row_distribution(sharper, near, 0, probability);
		return;
	}
	row_distribution(z, near, e, probability);
	if (config_.exploration == epsilon_greedy)
		favour_best(z, near, e, probability);
}

} // namespace tactus::learn
