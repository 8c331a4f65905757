// SPDX-License-Identifier: Apache-2.0
//
// The machine's CPUs as the pool needs them: which share a core, a last-level cache, a
// NUMA node, and how fast their cores are. Read from sysfs, which takes little time and
// needs nothing installed, or by hwloc where a pool asks for that (hwloc_map.h). Places
// and domains of the scheduler are the agent's (agent/sense/topology.h).
#ifndef TACTUS_SRC_CPU_MAP_H
#define TACTUS_SRC_CPU_MAP_H

#include <tactus/options.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tactus::detail {

class cpu_map {
 public:
  static constexpr std::uint16_t k_fastest = 1024;
  struct cpu {
    std::int16_t core = -1, cache = -1, node = -1;  // lowest CPU of each; -1: offline, or not known
    std::uint16_t capacity = k_fastest;             // of its core type
  };

  cpu_map() = default;
  explicit cpu_map(std::vector<cpu> cpus) noexcept : cpus_(std::move(cpus)) { compare(); }
  // root: in front of every path, "" for this machine. What cannot be read is one core per CPU, one
  // cache and one node, and cores of one type.
  static cpu_map read(const std::string& root);

  // 0 the same CPU, 1 the same core, 2 the same cache, 3 the same node, 4 another; 2 where one is not known.
  unsigned distance(int a, int b) const noexcept;
  static constexpr unsigned k_distances = 5;
  // 1..k_fastest; k_fastest where it is not known.
  unsigned capacity(int c) const noexcept { return known(c) ? cpus_[static_cast<std::size_t>(c)].capacity : k_fastest; }
  // No two CPUs share a core and all share a cache: each is as near as any other.
  bool flat() const noexcept { return flat_; }
  const std::vector<cpu>& cpus() const noexcept { return cpus_; }  // by CPU number

 private:
  bool known(int c) const noexcept {
    return c >= 0 && static_cast<std::size_t>(c) < cpus_.size() && cpus_[static_cast<std::size_t>(c)].core >= 0;
  }
  void compare() noexcept;  // sets flat_
  std::vector<cpu> cpus_;
  bool flat_ = true;
};

// This machine's; read at the first call of each kind, never freed. By hwloc where that gives
// nothing: from sysfs. Thread-safe.
const cpu_map& machine_cpus(topology_source source);

}  // namespace tactus::detail

#endif
