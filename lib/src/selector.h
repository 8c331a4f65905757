// SPDX-License-Identifier: Apache-2.0
//
// The rules of selection.hpp behind one interface: a selector is asked with the
// candidates as they are at that moment, and says which one and why. Pure: no clock,
// no memory, no system call; tests give it any machine.
#ifndef TACTUS_SRC_SELECTOR_H
#define TACTUS_SRC_SELECTOR_H

#include "cpu_map.h"

#include <tactus/selection.hpp>

#include <cstdint>
#include <span>

namespace tactus::detail {

struct candidate {
  unsigned worker = 0;
  unsigned queued = 0;    // threads of the pool that run where it last ran, the submitter among them
  unsigned distance = 0;  // of that CPU to the submitter's: cpu_map::distance()
  unsigned capacity = cpu_map::k_fastest;  // of that CPU, if the class is urgent: cpu_map::capacity()
  std::uint8_t suit = 0;  // of the class there, 0..255 (tactus_route_table); 0 also where nothing is known
};

struct selection {
  unsigned worker = 0;
  selection_reason reason = selection_reason::first;
};

class selector {
 public:
  virtual ~selector() = default;
  // REQUIRES: candidates is not empty. Thread-safe.
  virtual selection choose(std::span<const candidate> candidates) const noexcept = 0;
};

// The one of this rule; lives for ever.
const selector& selector_for(selection_rule rule) noexcept;

// At most so many sleeping workers are compared.
inline constexpr unsigned k_candidates = 16;

}  // namespace tactus::detail

#endif
