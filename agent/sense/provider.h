// SPDX-License-Identifier: Apache-2.0
//
// Where each field of the machine state comes from: one provider per kind of
// source, each field from exactly one provider. A provider finds its files under
// a root directory when it is made, reads them at each sample and writes its own
// members of raw_state; a source that is missing, or vanishes, leaves them empty.
//
// To add a source: a class in a file of its own here, its factory below and in
// make_providers(). tests/unit/sense/registry_test.cpp holds the rule of one
// provider a field against what they write.
#ifndef TACTUS_AGENT_SENSE_PROVIDER_H
#define TACTUS_AGENT_SENSE_PROVIDER_H

#include <memory>
#include <vector>

#include "agent/sense/sense.h"
#include "agent/sense/state.h"

namespace tactus::sense {

struct sample_input {
  managed_usage managed;
  double now_s = 0;  ///< of a steady clock
};

/// Thread-safety: none. Errors: none are thrown for missing or garbled files.
class provider {
 public:
  virtual ~provider() = default;
  /// Of the source, for status and documentation: "/proc/stat".
  virtual const char *name() const = 0;
  virtual std::vector<field> fields() const = 0;
  virtual void sample(const sample_input &in, raw_state &raw) = 0;
};

std::unique_ptr<provider> make_cpu_time(const sampler_options &options);
std::unique_ptr<provider> make_queues(const sampler_options &options);
std::unique_ptr<provider> make_pressure(const sampler_options &options);
std::unique_ptr<provider> make_frequency(const sampler_options &options);
std::unique_ptr<provider> make_temperature(const sampler_options &options);
std::unique_ptr<provider> make_throttling(const sampler_options &options);
std::unique_ptr<provider> make_power(const sampler_options &options);
std::unique_ptr<provider> make_memory_bandwidth(const sampler_options &options);
std::unique_ptr<provider> make_numa_traffic(const sampler_options &options);
std::unique_ptr<provider> make_cache_misses(const sampler_options &options);

/// All of them.
std::vector<std::unique_ptr<provider>> make_providers(const sampler_options &options);

}  // namespace tactus::sense

#endif
