// SPDX-License-Identifier: Apache-2.0
//
// Routing: does a class suit the place this worker runs on, according to the
// rows that the agent publishes (tactus_route_table, abi/registration.h)?
//
// The rule is fixed: where the policy takes a class's tasks on this place with
// less than k_unsuited/255, a worker that has something else to do leaves them
// to others, for at most k_patience_ms. No table, a table being written, or a
// CPU it does not know: everything suits; so does a class that suits no place
// (its rows are not there yet).
#ifndef TACTUS_SRC_ROUTE_H
#define TACTUS_SRC_ROUTE_H

#include <tactus/abi/registration.h>

#include <sched.h>

#include <cstdint>

namespace tactus::detail {

inline constexpr unsigned k_unsuited = 64;
inline constexpr std::uint32_t k_patience_ms = 10;

// Of `classes` (bits), those that do not suit `cpu`. The table is hostile input:
// a torn read costs one worse choice and nothing else.
inline std::uint64_t unsuited_classes(const tactus_route_table& table, std::uint64_t classes, int cpu) noexcept {
  const std::uint32_t before = __atomic_load_n(&table.sequence, __ATOMIC_ACQUIRE);
  if (before == 0 || (before & 1) || cpu < 0 || cpu >= TACTUS_MAX_CPUS) return 0;
  const unsigned place = __atomic_load_n(&table.place_of_cpu[cpu], __ATOMIC_RELAXED);
  if (place >= TACTUS_MAX_PLACES) return 0;
  std::uint64_t unsuited = 0;
  for (std::uint64_t rest = classes; rest; rest &= rest - 1) {
    const int c = __builtin_ctzll(rest);
    if (__atomic_load_n(&table.suit[c][place], __ATOMIC_ACQUIRE) >= k_unsuited) continue;
    for (unsigned p = 0; p < TACTUS_MAX_PLACES; ++p)
      if (__atomic_load_n(&table.suit[c][p], __ATOMIC_ACQUIRE) >= k_unsuited) {
        unsuited |= 1ull << c;
        break;
      }
  }
  return __atomic_load_n(&table.sequence, __ATOMIC_RELAXED) == before ? unsuited : 0;
}

// How well a class suits a CPU, 0..255; 0 also where that is not known. Hostile input, as above.
inline std::uint8_t suit_of(const tactus_route_table& table, unsigned local_class, int cpu) noexcept {
  const std::uint32_t before = __atomic_load_n(&table.sequence, __ATOMIC_ACQUIRE);
  if (before == 0 || (before & 1) || cpu < 0 || cpu >= TACTUS_MAX_CPUS) return 0;
  const unsigned place = __atomic_load_n(&table.place_of_cpu[cpu], __ATOMIC_RELAXED);
  if (place >= TACTUS_MAX_PLACES) return 0;
  const std::uint8_t suit = __atomic_load_n(&table.suit[local_class][place], __ATOMIC_ACQUIRE);
  return __atomic_load_n(&table.sequence, __ATOMIC_RELAXED) == before ? suit : 0;
}

}  // namespace tactus::detail

#endif
