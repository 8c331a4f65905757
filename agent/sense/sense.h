// SPDX-License-Identifier: Apache-2.0
//
// Samples the state of the machine from /proc, /sys and performance counters.
//
// Relies on: the kernel's text files, all optional: a source that is missing
// marks its values absent. The root directory is a parameter, so that a tree of
// fixture files can stand in for a machine. Which source gives which value:
// provider.h and docs/machine-state.md.
// Does not: need any privilege, start threads, or keep files open between
// samples (but for the performance counters, where the kernel allows them).
#ifndef TACTUS_AGENT_SENSE_SENSE_H
#define TACTUS_AGENT_SENSE_SENSE_H

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "agent/sense/cache_counters.h"
#include "agent/sense/state.h"

namespace tactus::sense {

/// What only the caller knows about the managed part of the load; NaN = unknown.
struct managed_usage {
  /// CPU time ever used by managed workers, seconds, monotonic.
  double cpu_seconds_total = std::numeric_limits<double>::quiet_NaN();
  /// Managed workers waiting for a CPU now, whole machine.
  double waiting_workers = std::numeric_limits<double>::quiet_NaN();
};

struct sampler_options {
  std::filesystem::path root = "/";
  /// cgroup v2 directory relative to /sys/fs/cgroup whose pressure counts;
  /// empty: that of the machine, or of the container when in one.
  std::string cgroup;
  /// A source that took t to read is not read again for t / time_share: however
  /// slow a sensor is or however many CPUs there are, it takes at most this share
  /// of one CPU. Until then its last values stand. 0: no bound.
  double time_share = 0.01;
  /// Performance counters; empty: this machine's, if they may be opened, when
  /// root is "/", else none.
  std::shared_ptr<cache_counter_source> counters;
  /// Seconds of a steady clock; empty: the kernel's.
  std::function<double()> clock;
};

/// Of one source, for status.
struct source_report {
  std::string name;
  std::vector<field> fields;
  double took_us = 0;         ///< the last reading
  std::uint64_t samples = 0;  ///< readings so far
};

/// Takes samples; rates are over the time between two calls of sample(), and
/// over no less than two ticks of the kernel's accounting: a call that comes
/// sooner repeats the shares of the one before. Of per-CPU files at most 64 of a
/// kind are read per call, so a sample reads at most some hundred small files.
///
/// Thread-safety: none; one thread, or a lock of the caller's.
/// Errors: none are thrown for missing or garbled files.
class sampler {
 public:
  explicit sampler(sampler_options options = {});
  ~sampler();
  sampler(sampler &&) noexcept;
  sampler &operator=(sampler &&) noexcept;

  /// One sample, encoded. The first one has no CPU shares (they are rates).
  learn::machine_state sample(const managed_usage &managed = {});

  /// The raw numbers of the last sample.
  const raw_state &last() const;

  /// Busy share by CPU id as of the last sample, for the features of places;
  /// 0 for CPUs that are not there; empty before the second sample.
  const std::vector<float> &per_cpu_load() const;

  std::vector<source_report> sources() const;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace tactus::sense

#endif
