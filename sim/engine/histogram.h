// SPDX-License-Identifier: Apache-2.0
// Durations counted in buckets 1/64 of an octave wide: quantiles to 1.6 %, no allocation.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace tactus::sim {

class histogram {
 public:
  histogram() : count_(k_octaves * k_per_octave) {}

  void add(std::uint64_t ns) {
    ++count_[bucket(ns)];
    ++total_;
    sum_ += static_cast<double>(ns);
  }
  void clear() {
    for (std::uint64_t& c : count_) c = 0;
    total_ = 0;
    sum_ = 0;
  }
  std::uint64_t total() const { return total_; }
  double mean_ns() const { return total_ != 0 ? sum_ / static_cast<double>(total_) : 0; }
  // q in 0..1; 0 when empty. The middle of the bucket.
  double quantile_ns(double q) const {
    if (total_ == 0) return 0;
    const auto rank = static_cast<std::uint64_t>(q * static_cast<double>(total_ - 1));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < count_.size(); ++i) {
      seen += count_[i];
      if (seen > rank) return middle(i);
    }
    return 0;
  }

 private:
  static constexpr unsigned k_bits = 6, k_per_octave = 1u << k_bits, k_octaves = 44;
  static std::size_t bucket(std::uint64_t ns) {
    if (ns < k_per_octave) return static_cast<std::size_t>(ns);
    const unsigned top = static_cast<unsigned>(std::bit_width(ns)) - 1 - k_bits;
    const std::size_t i = static_cast<std::size_t>(top + 1) * k_per_octave + ((ns >> top) & (k_per_octave - 1));
    return i < k_octaves * k_per_octave ? i : k_octaves * k_per_octave - 1;
  }
  static double middle(std::size_t i) {
    if (i < k_per_octave) return static_cast<double>(i);
    const std::size_t top = i / k_per_octave - 1;
    return (static_cast<double>(k_per_octave + i % k_per_octave) + 0.5) * static_cast<double>(1ull << top);
  }

  std::vector<std::uint64_t> count_;
  std::uint64_t total_ = 0;
  double sum_ = 0;
};

}  // namespace tactus::sim
