// SPDX-License-Identifier: Apache-2.0
#include "sim/engine/estimate.h"

#include <cmath>
#include <iterator>

namespace tactus::sim {
namespace {

// 97.5 % point of Student's t.
double t_of(std::size_t degrees) {
  static constexpr double table[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
                                     2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086};
  return degrees <= std::size(table) ? table[degrees - 1] : 1.96 + 2.5 / static_cast<double>(degrees);
}

}  // namespace

estimate estimate_of(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (const double v : values) sum += v;
  const double mean = sum / n;
  for (const double v : values) squares += (v - mean) * (v - mean);
  const double half = values.size() > 1 ? t_of(values.size() - 1) * std::sqrt(squares / (n - 1) / n) : 0;
  return {mean, mean - half, mean + half};
}

}  // namespace tactus::sim
