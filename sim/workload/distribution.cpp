// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/distribution.h"

#include <cmath>
#include <numbers>

namespace tactus::sim {

distribution distribution::fixed(double mean_ns) { return {kind::fixed, mean_ns}; }
distribution distribution::uniform(double mean_ns, double spread) { return {kind::uniform, mean_ns, spread}; }
distribution distribution::exponential(double mean_ns) { return {kind::exponential, mean_ns}; }

distribution distribution::hyperexponential(double mean_ns, double cv2) {
  const double p = (1 + std::sqrt((cv2 - 1) / (cv2 + 1))) / 2;
  return {kind::hyperexponential, mean_ns, p, mean_ns / (2 * p), mean_ns / (2 * (1 - p))};
}

distribution distribution::bounded_pareto(double mean_ns, double alpha, double ratio) {
  const double tail = 1 - std::pow(ratio, -alpha);
  const double mean_over_least =
      alpha == 1 ? std::log(ratio) / tail : alpha / (alpha - 1) * (1 - std::pow(ratio, 1 - alpha)) / tail;
  return {kind::bounded_pareto, mean_ns, mean_ns / mean_over_least, -1 / alpha, tail};
}

distribution distribution::lognormal(double mean_ns, double cv2) {
  const double variance = std::log(1 + cv2);
  return {kind::lognormal, mean_ns, std::log(mean_ns) - variance / 2, std::sqrt(variance)};
}

std::uint64_t distribution::sample(random_stream& random) const {
  double x = mean_;
  switch (kind_) {
    case kind::fixed: break;
    case kind::uniform: x = mean_ * (1 + a_ * (2 * random.unit() - 1)); break;
    case kind::exponential: x = -mean_ * std::log(random.unit()); break;
    case kind::hyperexponential: {
      const bool often = random.unit() < a_;
      x = -(often ? b_ : c_) * std::log(random.unit());
      break;
    }
    case kind::bounded_pareto: x = a_ * std::pow(1 - random.unit() * c_, b_); break;
    case kind::lognormal: {
      const double radius = std::sqrt(-2 * std::log(random.unit()));
      x = std::exp(a_ + b_ * radius * std::cos(2 * std::numbers::pi * random.unit()));
      break;
    }
  }
  return x >= 1 ? static_cast<std::uint64_t>(x + 0.5) : (mean_ > 0 ? 1 : 0);
}

}  // namespace tactus::sim
