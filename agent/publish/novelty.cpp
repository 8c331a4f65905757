// SPDX-License-Identifier: Apache-2.0
//
// novelty.h's implementation.
#include "agent/publish/novelty.h"

#include <algorithm>
#include <cmath>

namespace tactus::agent {
namespace {

constexpr unsigned k_known_from = 50;    // samples
constexpr double k_least_step = 1.0 / 600;
constexpr double k_least_deviation = 0.15;

}  // namespace

double novelty::observe(const learn::machine_state& state) {
  double squares = 0;
  unsigned counted = 0;
  for (std::size_t i = 0; i < inputs_.size(); i++) {
    const double x = state.value[i];
    if ((state.present >> i & 1) == 0 || !std::isfinite(x)) continue;
    input& in = inputs_[i];
    const double off = x - in.mean;
    if (in.seen >= k_known_from) {
      const double z = off / std::max(std::sqrt(in.variance), k_least_deviation);
      squares += z * z;
      counted++;
    }
    in.seen++;
    const double step = std::max(1.0 / in.seen, k_least_step);
    in.mean += step * off;
    in.variance = (1 - step) * (in.variance + step * off * off);
  }
  return counted != 0 ? std::sqrt(squares / counted) : 0;
}

}  // namespace tactus::agent
