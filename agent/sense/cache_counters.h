// SPDX-License-Identifier: Apache-2.0
//
// Cache references and misses from the processor's performance counters, behind
// an interface, so that a test can stand in for a machine that has them.
#ifndef TACTUS_AGENT_SENSE_CACHE_COUNTERS_H
#define TACTUS_AGENT_SENSE_CACHE_COUNTERS_H

#include <memory>
#include <optional>

namespace tactus::sense {

/// Loads and misses since the counters were opened, over the CPUs they watch.
struct cache_counts {
  double l1_loads = 0, l1_misses = 0;
  double llc_loads = 0, llc_misses = 0;
};

/// Thread-safety: none.
class cache_counter_source {
 public:
  virtual ~cache_counter_source() = default;
  /// Nothing when the counters cannot be read (any more).
  virtual std::optional<cache_counts> read() = 0;
};

/// Opens the counters of this machine by perf_event_open: four on each of at most
/// 16 CPUs, evenly spread. Null where the processor has none, or the kernel does
/// not let us (perf_event_paranoid above 0 and no CAP_PERFMON): then the agent,
/// which has no capability, does without.
std::unique_ptr<cache_counter_source> open_cache_counters();

}  // namespace tactus::sense

#endif
