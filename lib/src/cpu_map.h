// SPDX-License-Identifier: Apache-2.0
//
// The machine's CPUs as the pool needs them: which share a core, a last-level cache, a
// NUMA node, and how fast their cores are. Read from sysfs, which is what hwloc reads
// too: a library that others link should not bring hwloc with it. Places and domains
// of the scheduler are the agent's, by hwloc (agent/sense/topology.h).
#ifndef TACTUS_SRC_CPU_MAP_H
#define TACTUS_SRC_CPU_MAP_H

#include <cstdint>
#include <string>
#include <vector>

namespace tactus::detail {

class cpu_map {
 public:
  struct cpu {
    std::int16_t core = -1, cache = -1, node = -1;  // lowest CPU of each; -1: offline, or not known
    std::uint16_t capacity = 1024;                  // of its core type, 1024 the fastest
  };

  // root: in front of every path, "" for this machine. What cannot be read is one core per CPU, one
  // cache and one node.
  static cpu_map read(const std::string& root);

  // 0 the same CPU, 1 the same core, 2 the same cache, 3 the same node, 4 another; 2 where one is not known.
  unsigned distance(int a, int b) const noexcept;
  const std::vector<cpu>& cpus() const noexcept { return cpus_; }  // by CPU number

 private:
  std::vector<cpu> cpus_;
};

// This machine's, read at the first call.
const cpu_map& machine_cpus();

}  // namespace tactus::detail

#endif
