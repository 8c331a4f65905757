// SPDX-License-Identifier: Apache-2.0
// The event queue: one entry per thing that can happen (a CPU, a timer, the driver), each with the
// time of its next event or never. A 4-ary heap that knows where each entry is, so that moving an
// event costs one sift and nothing is ever cancelled, searched or allocated.
// Equal times come in order of entry number, so that the same run is the same everywhere.
#pragma once

#include <cstdint>
#include <vector>

namespace tactus::sim {

class event_heap {
 public:
  static constexpr std::uint64_t k_never = ~0ull;

  void reset(std::uint32_t entries) {
    node_.resize(entries);
    where_.resize(entries);
    for (std::uint32_t i = 0; i < entries; ++i) {
      node_[i] = {k_never, i};
      where_[i] = i;
    }
  }
  std::uint64_t next_ns() const { return node_[0].at_ns; }
  std::uint32_t next_entry() const { return node_[0].entry; }
  std::uint64_t at_ns(std::uint32_t entry) const { return node_[where_[entry]].at_ns; }

  void set(std::uint32_t entry, std::uint64_t at_ns) {
    const std::uint32_t i = where_[entry];
    const std::uint64_t before = node_[i].at_ns;
    if (at_ns == before) return;
    node_[i].at_ns = at_ns;
    if (at_ns < before) up(i);
    else down(i);
  }

 private:
  struct node {
    std::uint64_t at_ns;
    std::uint32_t entry;
  };
  static bool before(const node& a, const node& b) {
    return a.at_ns != b.at_ns ? a.at_ns < b.at_ns : a.entry < b.entry;
  }
  void put(std::uint32_t i, node n) {
    node_[i] = n;
    where_[n.entry] = i;
  }
  void up(std::uint32_t i) {
    const node n = node_[i];
    while (i > 0) {
      const std::uint32_t parent = (i - 1) / 4;
      if (!before(n, node_[parent])) break;
      put(i, node_[parent]);
      i = parent;
    }
    put(i, n);
  }
  void down(std::uint32_t i) {
    const node n = node_[i];
    const auto size = static_cast<std::uint32_t>(node_.size());
    for (;;) {
      const std::uint32_t first = 4 * i + 1;
      if (first >= size) break;
      std::uint32_t best = first;
      const std::uint32_t end = first + 4 < size ? first + 4 : size;
      for (std::uint32_t c = first + 1; c < end; ++c)
        if (before(node_[c], node_[best])) best = c;
      if (!before(node_[best], n)) break;
      put(i, node_[best]);
      i = best;
    }
    put(i, n);
  }

  std::vector<node> node_;
  std::vector<std::uint32_t> where_;
};

}  // namespace tactus::sim
