// SPDX-License-Identifier: Apache-2.0
// The simulator's random numbers: xoshiro256** (Blackman and Vigna), seeded by splitmix64. Written
// out, since what the standard library's distributions return is not the same everywhere.
// Everything random has a stream of its own, named by (seed, purpose, index), so that one policy's
// choices do not change another's arrivals: common random numbers.
#pragma once

#include <cstdint>

namespace tactus::sim {

enum class stream : std::uint64_t { arrivals = 1, work, kernel, steal, neighbours, rule, learner };

class random_stream {
 public:
  random_stream() : random_stream(1, stream::kernel, 0) {}
  random_stream(std::uint64_t seed, stream purpose, std::uint64_t index) {
    std::uint64_t x = seed * 0x9e3779b97f4a7c15ull ^ static_cast<std::uint64_t>(purpose) << 56 ^ index * 0xd1342543de82ef95ull;
    for (std::uint64_t& s : state_) {
      x += 0x9e3779b97f4a7c15ull;
      std::uint64_t z = x;
      z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
      z = (z ^ z >> 27) * 0x94d049bb133111ebull;
      s = z ^ z >> 31;
    }
  }

  std::uint64_t next() {
    const std::uint64_t result = rotate(state_[1] * 5, 7) * 9, t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotate(state_[3], 45);
    return result;
  }
  std::uint32_t next32() { return static_cast<std::uint32_t>(next() >> 32); }
  // Uniform over 0 .. n-1; n > 0.
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>((static_cast<std::uint64_t>(next32()) * n) >> 32); }
  // Uniform over (0, 1): never 0, so that its logarithm is finite.
  double unit() { return (static_cast<double>(next() >> 11) + 0.5) * 0x1p-53; }

 private:
  static std::uint64_t rotate(std::uint64_t x, int k) { return x << k | x >> (64 - k); }
  std::uint64_t state_[4];
};

}  // namespace tactus::sim
