// SPDX-License-Identifier: Apache-2.0
#include "statistics.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace tactus::bench {
namespace {

void check(const std::vector<double>& samples) {
  if (samples.empty()) throw std::invalid_argument("statistics: no samples");
  for (const double s : samples)
    if (!std::isfinite(s)) throw std::invalid_argument("statistics: a sample is not finite");
}

double sorted_quantile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  if (below + 1 >= sorted.size()) return sorted.back();
  const double part = at - static_cast<double>(below);
  return sorted[below] * (1 - part) + sorted[below + 1] * part;
}

}  // namespace

std::size_t interval_rank(std::size_t n) {
  // P(fewer than k of n samples lie below the median) must stay at or below 2.5 % for rank k + 1.
  double log_probability = -static_cast<double>(n) * std::log(2.0);  // of exactly 0 below
  double cumulative = 0;
  std::size_t outside = 0;
  for (std::size_t k = 0; 2 * (k + 1) <= n; ++k) {
    cumulative += std::exp(log_probability);
    if (cumulative > 0.025) break;
    outside = k;
    log_probability += std::log(static_cast<double>(n - k)) - std::log(static_cast<double>(k + 1));
  }
  return outside;
}

estimate median_of(std::vector<double> samples) {
  check(samples);
  std::sort(samples.begin(), samples.end());
  const std::size_t outside = interval_rank(samples.size());
  return {sorted_quantile(samples, 0.5), samples[outside], samples[samples.size() - 1 - outside]};
}

double quantile_of(std::vector<double> samples, double q) {
  check(samples);
  std::sort(samples.begin(), samples.end());
  return sorted_quantile(samples, q);
}

}  // namespace tactus::bench
