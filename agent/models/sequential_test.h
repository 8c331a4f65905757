// SPDX-License-Identifier: Apache-2.0
//
// The test by which a challenger's windows are compared with the champion's: the mixture sequential
// probability ratio test (Johari et al., "Always valid inference"), which may be looked at after
// every pair of windows without raising the rate of false alarms. Pure; one thread per object.
#pragma once

#include <cmath>

namespace tactus::agent {

class sequential_test {
 public:
  // sigma: standard deviation of a paired difference, from a run of equal arms; tau: the effect worth
  // detecting, same unit. REQUIRES: both > 0, 0 < alpha < 1.
  sequential_test(double sigma, double tau, double alpha) : s2_(sigma * sigma), t2_(tau * tau), limit_(1 / alpha) {}

  // Takes the difference of one pair of windows; true once the arms differ, and from then on.
  bool add(double difference) {
    sum_ += difference;
    n_ += 1;
    decided_ = decided_ || ratio() >= limit_;
    return decided_;
  }

  // Lambda_n = sqrt(s2 / (s2 + n t2)) exp(n^2 t2 mean^2 / (2 s2 (s2 + n t2)))
  double ratio() const {
    const double v = s2_ + n_ * t2_;
    return std::sqrt(s2_ / v) * std::exp(t2_ * sum_ * sum_ / (2 * s2_ * v));
  }
  double mean() const { return n_ > 0 ? sum_ / n_ : 0; }
  bool decided() const { return decided_; }

 private:
  double s2_, t2_, limit_;
  double sum_ = 0, n_ = 0;
  bool decided_ = false;
};

}  // namespace tactus::agent
