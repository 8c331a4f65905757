// SPDX-License-Identifier: Apache-2.0
//
// How unlike everything seen so far the machine is: the out-of-distribution score of the machine state.
//
// Each of the 32 values has a running mean and variance (over some ten minutes of samples at one a
// second). The score is the root mean square of (x - mean) / max(deviation, 0.15) over the values that
// are present and have been seen 50 times: the Mahalanobis distance with a diagonal covariance, per
// value. About 1 or less is ordinary; the least deviation keeps a value that never moved from making
// every change a surprise. One thread.
#pragma once

#include "agent/learn/api.h"

#include <array>

namespace tactus::agent {

class novelty {
 public:
  // The score of a sample, which is learned afterwards; 0 while too little is known.
  double observe(const learn::machine_state& state);

 private:
  struct input {
    unsigned seen = 0;
    double mean = 0, variance = 0;
  };
  std::array<input, learn::k_state_size> inputs_{};
};

}  // namespace tactus::agent
