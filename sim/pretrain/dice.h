// SPDX-License-Identifier: Apache-2.0
// The random numbers that a world is made from: one stream per world number and purpose.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "sim/workload/random.h"

namespace tactus::sim {

class dice {
 public:
  dice(std::uint64_t number, std::uint64_t purpose) : random_(number, stream::rule, purpose) {}
  double between(double low, double high) { return low + (high - low) * random_.unit(); }
  double log_between(double low, double high) { return std::exp(between(std::log(low), std::log(high))); }
  bool chance(double p) { return random_.unit() < p; }
  unsigned below(unsigned n) { return random_.below(n); }
  template <class T, std::size_t N>
  T one_of(const T (&list)[N]) {
    return list[below(N)];
  }

 private:
  random_stream random_;
};

}  // namespace tactus::sim
