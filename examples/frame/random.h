// SPDX-License-Identifier: Apache-2.0
// Deterministic random numbers for the work kernels: the same on every standard library.
//
// Relies on: the definition of mt19937_64, which the C++ standard fixes (its distributions are not
// fixed, hence the two functions here). Does not: serve cryptography; not thread-safe.
#pragma once

#include <cstdint>
#include <random>

namespace tactus::frame {

class random_source {
 public:
  explicit random_source(std::uint64_t seed) : engine_(seed) {}

  // Uniform in [0, 1).
  double unit() { return static_cast<double>(engine_() >> 11) * 0x1.0p-53; }
  double between(double low, double high) { return low + (high - low) * unit(); }
  // Uniform in [0, n), n > 0; the bias of the multiplication is below 2^-32 for n < 2^32.
  std::uint32_t below(std::uint32_t n) {
    return static_cast<std::uint32_t>(((engine_() >> 32) * n) >> 32);
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace tactus::frame
