// SPDX-License-Identifier: Apache-2.0
//
// Rows of the decision map: see rows.h.
#include "rows.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace tactus::learn {
namespace {

double valid(double p)
{
	return std::isfinite(p) && p > 0 ? p : 0;
}

} // namespace

void row_distribution(std::span<float const> z, std::span<std::uint8_t const> near, double e,
		      std::span<double> probability)
{
	float const top = *std::max_element(z.begin(), z.end());
	double sum[2] = {0, 0};
	int count[2] = {0, 0};
	for (std::size_t i = 0; i < z.size(); ++i) {
		probability[i] = std::exp(double(z[i]) - double(top));
		sum[near[i] != 0] += probability[i];
		++count[near[i] != 0];
	}
	double const all = sum[0] + sum[1];
	double scale[2] = {0, 0}, base[2] = {0, 0}; // row_i = scale S_i + base, of the action's group
	for (int g = 0; g < 2; ++g) {
		if (count[g] == 0)
			continue;
		double const group = (1 - e) * sum[g] / all + e * count[g] / double(z.size());
		scale[g] = sum[g] > 0 ? group * (1 - e) / sum[g] : 0;
		base[g] = group * (sum[g] > 0 ? e : 1) / count[g];
	}
	for (std::size_t i = 0; i < z.size(); ++i)
		probability[i] = scale[near[i] != 0] * probability[i] + base[near[i] != 0];
}

void quantise(std::span<double const> probability, std::uint16_t* cdf)
{
	std::size_t const nr_places = probability.size() - 1;
	double total = 0;
	for (double p : probability)
		total += valid(p);
	double const scale = TACTUS_CDF_ONE / total;
	double sum = 0;
	std::uint16_t last = 0;
	for (std::size_t i = 0; i < TACTUS_MAX_PLACES; ++i) {
		if (i < nr_places && total > 0) {
			sum += valid(probability[i]);
			last = std::uint16_t(std::lround(std::min(double(TACTUS_CDF_ONE), scale * sum)));
		}
		cdf[i] = last;
	}
}

double row_kl(std::uint16_t const* a, std::uint16_t const* b, int nr_places)
{
	auto mass = [&](std::uint16_t const* cdf, int i) -> double {
		if (i == nr_places)
			return TACTUS_CDF_ONE - cdf[TACTUS_MAX_PLACES - 1];
		return cdf[i] - (i ? cdf[i - 1] : 0);
	};
	double kl = 0;
	for (int i = 0; i <= nr_places; ++i) {
		double const p = mass(a, i), q = std::max(0.5, mass(b, i));
		if (p > 0)
			kl += p / TACTUS_CDF_ONE * std::log(p / q);
	}
	return std::max(0.0, kl);
}

} // namespace tactus::learn
