// SPDX-License-Identifier: Apache-2.0
// Distributions of durations, given by mean and shape, drawn in whole ns (at least 1).
#pragma once

#include <cstdint>

#include "sim/workload/random.h"

namespace tactus::sim {

class distribution {
 public:
  enum class kind { fixed, uniform, exponential, hyperexponential, bounded_pareto, lognormal };

  distribution() = default;  // always 0
  static distribution fixed(double mean_ns);
  // mean x (1 - spread) .. mean x (1 + spread)
  static distribution uniform(double mean_ns, double spread);
  static distribution exponential(double mean_ns);
  // Two exponentials of balanced means; cv2 >= 1 is the squared coefficient of variation.
  static distribution hyperexponential(double mean_ns, double cv2);
  // Pareto of index alpha cut at `ratio` times its least value.
  static distribution bounded_pareto(double mean_ns, double alpha, double ratio);
  static distribution lognormal(double mean_ns, double cv2);

  double mean_ns() const { return mean_; }
  std::uint64_t sample(random_stream& random) const;

 private:
  distribution(kind k, double mean, double a = 0, double b = 0, double c = 0) : kind_(k), mean_(mean), a_(a), b_(b), c_(c) {}
  kind kind_ = kind::fixed;
  double mean_ = 0, a_ = 0, b_ = 0, c_ = 0;
};

}  // namespace tactus::sim
