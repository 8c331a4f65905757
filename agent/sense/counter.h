// SPDX-License-Identifier: Apache-2.0
//
// Growth of the kernel's cumulative counters between two readings.
#ifndef TACTUS_AGENT_SENSE_COUNTER_H
#define TACTUS_AGENT_SENSE_COUNTER_H

#include <optional>

namespace tactus::sense {

/// One counter. A step back from the upper to the lower half of 32 bits is a
/// wrap of a 32-bit counter; any other step back is a counter that was reset.
class counter {
 public:
  /// What it grew by since the reading before; nothing at the first reading, after
  /// a reading that failed (now is empty), and when it was reset.
  std::optional<double> grow(std::optional<double> now) {
    std::optional<double> growth;
    if (now && before_) {
      constexpr double k_half = 2147483648.0;
      const bool wrapped = *before_ >= k_half && *before_ < 2 * k_half && *now >= 0 && *now < k_half;
      if (*now >= *before_)
        growth = *now - *before_;
      else if (wrapped)
        growth = *now + 2 * k_half - *before_;
    }
    before_ = now;
    return growth;
  }

 private:
  std::optional<double> before_;
};

}  // namespace tactus::sense

#endif
