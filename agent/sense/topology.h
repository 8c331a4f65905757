// SPDX-License-Identifier: Apache-2.0
//
// The machine as the scheduler sees it: which CPUs form a place, which a domain,
// and how far places are from one another.
//
// Relies on: hwloc for caches, cores, nodes and packages; the kernel's
// cpu_capacity files for speed (never the maximum frequency: turbo bins differ
// between equal cores).
// Does not: measure anything, or write BPF maps (the loader does that).
#ifndef TACTUS_AGENT_SENSE_TOPOLOGY_H
#define TACTUS_AGENT_SENSE_TOPOLOGY_H

#include <tactus/abi/decision_map.h>

#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

namespace tactus::sense {

/// The machine cannot be described within the limits of the ABI, or not at all.
struct topology_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct topology_options {
  /// "/" for this machine. Another directory is the root of a tree of fixture
  /// files with sys/ and proc/.
  std::filesystem::path root = "/";
  /// hwloc synthetic description ("pack:2 l3:4 core:8 pu:2") instead of the
  /// machine's; capacities then still come from root when it is not "/".
  std::string synthetic;
};

/// Places up to 16 CPUs: each CPU one. Above: the CPUs of one core type under
/// one last-level cache; where that gives more than 64 places or domains, the
/// caches of one NUMA node are merged, then neighbouring nodes.
/// A domain is one last-level cache (merged likewise); every place lies in one
/// domain. A last-level cache that serves a single core is no group: then the
/// package within the node is the domain.
/// core_type 0 is the fastest; at most 4 types, of capacities within 5 %.
/// CPUs that are offline or not there have place TACTUS_NO_PLACE, present 0.
/// tactus_cpu.core is the lowest CPU id of the core, so without SMT it is the CPU's own.
/// place.near[] is cumulative and includes the place itself.
struct topology {
  unsigned nr_cpus = 0;      ///< CPUs present (online)
  unsigned highest_cpu = 0;  ///< largest id among them
  unsigned nr_places = 0;
  unsigned nr_domains = 0;
  unsigned nr_nodes = 0;
  unsigned nr_core_types = 0;
  bool smt = false;
  std::vector<tactus_cpu> cpus;            ///< TACTUS_MAX_CPUS entries
  std::vector<tactus_place> places;        ///< TACTUS_MAX_PLACES entries
  std::vector<std::uint32_t> domain_cpus;  ///< CPUs per domain, TACTUS_MAX_DOMAINS entries
};

/// Reads it. Throws topology_error with the operand and what to do next.
/// Thread-safety: may be called from any thread, one at a time when root is not "/".
topology read_topology(const topology_options &options = {});

/// Mean of a per-CPU value (by CPU id; missing ones count 0) over each place.
std::vector<float> mean_by_place(const topology &machine, const std::vector<float> &per_cpu);

/// Mean over each place of the value of each CPU's SMT siblings, itself left
/// out; 0 where there are none.
std::vector<float> sibling_mean_by_place(const topology &machine, const std::vector<float> &per_cpu);

}  // namespace tactus::sense

#endif
