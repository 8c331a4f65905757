// SPDX-License-Identifier: Apache-2.0
//
// Samples the state of the machine from /proc and /sys.
//
// Relies on: the kernel's text files, all optional: a source that is missing
// marks its values absent. The root directory is a parameter, so that a tree of
// fixture files can stand in for a machine.
// Does not: need any privilege, open performance counters (their values are
// marked absent), start threads, or keep files open between samples.
#ifndef TACTUS_AGENT_SENSE_SENSE_H
#define TACTUS_AGENT_SENSE_SENSE_H

#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <vector>

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
};

/// Takes samples; rates are over the time between two calls of sample(), and
/// over no less than two ticks of the kernel's accounting: a call that comes
/// sooner repeats the shares of the one before. A sample reads some tens of
/// small files (at most 64 CPUs' frequency and throttle files per call, in turn).
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

 private:
  struct state;
  std::unique_ptr<state> state_;
};

/// Parsers of single files, for tests and for fuzzing: any text gives a result.
std::optional<pressure> parse_pressure(const std::string &text);

}  // namespace tactus::sense

#endif
