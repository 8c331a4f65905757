// SPDX-License-Identifier: Apache-2.0
//
// Whom a worker that looks for work steals from first: who was last seen on its own CPU or
// core, then those of its cache, then of its node, then the others, since what a task touches
// is most likely in the cache of its submitter. Among those that are equally near the start
// is random, so that thieves do not follow each other.
// Not thread-safe: a worker's own.
#ifndef TACTUS_SRC_VICTIM_ORDER_H
#define TACTUS_SRC_VICTIM_ORDER_H

#include "cpu_map.h"

#include <bit>
#include <cstdint>
#include <vector>

namespace tactus::detail {

class victim_order {
 public:
  // Before the first use; all are equally near then. Throws std::bad_alloc.
  void init(unsigned nr_threads) { bands_.assign(nr_threads, 0); }
  // cpu_of(i): the CPU that thread i was seen on.
  template <class CpuOf>
  void arrange(const cpu_map& cpus, int here, CpuOf cpu_of) noexcept {
    present_ = 0;
    for (unsigned i = 0; i < bands_.size(); ++i) {
      bands_[i] = static_cast<std::uint8_t>(cpus.distance(here, cpu_of(i)));
      present_ |= 1u << bands_[i];
    }
  }
  // look(i) for each thread until one gives something, the nearest first; start: where among equals.
  template <class Look>
  auto visit(unsigned start, Look look) const -> decltype(look(0u)) {
    const auto n = static_cast<unsigned>(bands_.size());
    for (unsigned rest = present_; rest; rest &= rest - 1) {
      const auto band = static_cast<unsigned>(std::countr_zero(rest));
      unsigned at = start % n;
      for (unsigned i = 0; i < n; ++i, at = at + 1 == n ? 0 : at + 1)
        if (bands_[at] == band)
          if (auto found = look(at)) return found;
    }
    return {};
  }

 private:
  std::vector<std::uint8_t> bands_;  // by thread: cpu_map::distance()
  unsigned present_ = 1;  // bit b: somebody is in band b
};

}  // namespace tactus::detail

#endif
