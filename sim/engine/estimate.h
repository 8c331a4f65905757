// SPDX-License-Identifier: Apache-2.0
// A mean with its 95 % interval (Student's t), of independent values: one per seed.
#pragma once

#include <vector>

namespace tactus::sim {

struct estimate {
  double mean = 0, lo = 0, hi = 0;  // lo == hi == mean with one value
  double half() const { return (hi - lo) / 2; }
};

// REQUIRES: at least one value.
estimate estimate_of(const std::vector<double>& values);

}  // namespace tactus::sim
