// SPDX-License-Identifier: Apache-2.0
// Median and its 95 % confidence interval, the same for every benchmark.
//
// The interval is the distribution-free one from order statistics: the k-th smallest and k-th largest
// sample, k as large as coverage of at least 95 % allows (binomial). Fewer than 6 samples cannot give
// that: then it is smallest to largest, which covers less (2 samples 50 %, 5 samples 94 %).
// Pure functions, thread-safe.
#pragma once

#include <cstddef>
#include <vector>

namespace tactus::bench {

struct estimate {
  double median = 0, lo = 0, hi = 0;
};

// How many samples lie outside the interval on each side, for n samples.
std::size_t interval_rank(std::size_t n);

// REQUIRES: at least one sample, all finite (throws std::invalid_argument).
estimate median_of(std::vector<double> samples);

// The q-quantile, 0..1, linear between neighbours. Same requirement.
double quantile_of(std::vector<double> samples, double q);

}  // namespace tactus::bench
