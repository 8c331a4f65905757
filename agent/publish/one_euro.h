// SPDX-License-Identifier: Apache-2.0
//
// The One-Euro filter (Casiez, Roussel, Vogel, CHI 2012): a first-order low-pass whose cut-off rises
// with the speed of the signal, so that it is calm while nothing changes and quick when something does.
//
//   dx = (x - x^) / t          d^ = lowpass(dx, cut_off_d)
//   cut_off = least + slope |d^|     x^ = lowpass(x, cut_off)     a(f) = 1 / (1 + 1 / (2 pi f t))
//
// Time is counted in tasks, not seconds: what a class's tasks cost is as well known after a hundred
// of them in a second as in an hour. Here x is a base-2 logarithm of nanoseconds.
#pragma once

#include <cmath>
#include <numbers>

namespace tactus::agent {

struct one_euro_settings {
  double least_cut_off = 0.003;  // 1/tasks: a steady signal is averaged over some 50 tasks
  double slope = 0.02;           // an octave off for a while: over some 7
  double speed_cut_off = 0.02;   // of the speed's own filter: some 8 tasks
};

class one_euro {
 public:
  using settings = one_euro_settings;

  // One observation that stands for `tasks` of them, > 0. What is not finite is ignored.
  void add(double x, double tasks, const settings& s = {}) {
    if (!std::isfinite(x) || !(tasks > 0)) return;
    if (!known_) {
      known_ = true;
      x_ = x;
      return;
    }
    speed_ += weight(s.speed_cut_off, tasks) * ((x - x_) / tasks - speed_);
    x_ += weight(s.least_cut_off + s.slope * std::abs(speed_), tasks) * (x - x_);
  }

  bool known() const { return known_; }
  double value() const { return x_; }

 private:
  static double weight(double cut_off, double t) { return 1 / (1 + 1 / (2 * std::numbers::pi * cut_off * t)); }

  bool known_ = false;
  double x_ = 0, speed_ = 0;
};

}  // namespace tactus::agent
