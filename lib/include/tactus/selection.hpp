// SPDX-License-Identifier: Apache-2.0
//
// Which of several sleeping workers is woken for a task: the rules, and the reasons
// that pool_stats counts. Where the scheduler runs it still decides which CPU the
// worker gets; this is the pool's own choice, and all there is without it.
#ifndef TACTUS_SELECTION_HPP
#define TACTUS_SELECTION_HPP

#include "export.h"

#include <array>
#include <cstdint>
#include <string_view>

namespace tactus {

enum class selection_rule : std::uint8_t {
  least_queued,  // the worker whose CPU has the fewest other threads of the pool on it
  // Likewise; among equals, for urgent classes (priority 2 and 3) one on a faster type of core, and then
  // the nearest to the submitter's CPU.
  locality,
  staged,        // by the agent's rows where they tell the candidates apart, else by locality
};

// Why a worker was chosen.
enum class selection_reason : std::uint8_t {
  only_one,      // nobody else slept
  least_queued,  // fewer threads on its CPU
  near,          // as few as others, but nearer to the submitter
  learned_row,   // the policy takes the class there
  first,         // nothing told the candidates apart
  fast,          // the class is urgent and the core faster; as few threads there as elsewhere
};
inline constexpr unsigned k_selection_reasons = 6;

TACTUS_API std::string_view name_of(selection_reason reason) noexcept;

// Times a worker was chosen, by reason.
using selection_counts = std::array<std::uint64_t, k_selection_reasons>;

}  // namespace tactus

#endif
