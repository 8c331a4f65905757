// SPDX-License-Identifier: Apache-2.0
#include "sim/pretrain/random_system.h"

#include "sim/pretrain/dice.h"

namespace tactus::sim {

system_spec make_random_system(std::uint64_t number) {
  dice d(number, 0x737973);
  system_spec s;
  s.load = d.between(0.2, 0.92);
  if (d.chance(0.1)) {
    s.model = "immediate";
    s.speeds = {1, d.log_between(0.08, 0.95)};
  } else if (d.chance(0.15)) {
    s.model = "affinity";
    s.load = d.between(0.2, 0.8);
    s.off = d.between(0.15, 0.95);
  } else {
    const unsigned fast = 1 + d.below(3), slow = 1 + d.below(5 - fast);
    const double speed[] = {d.log_between(0.07, 0.95), d.log_between(0.07, 0.95)};
    const bool three = slow > 1 && d.chance(0.25);
    s.speeds.assign(fast, 1);
    for (unsigned i = 0; i < slow; ++i) s.speeds.push_back(speed[three ? i % 2 : 0]);
  }
  return s;
}

}  // namespace tactus::sim
