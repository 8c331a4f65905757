// SPDX-License-Identifier: Apache-2.0
//
// The sampler: asks every provider that is due, keeps what the others said last,
// and hands the raw numbers to encode().
#include <algorithm>
#include <chrono>

#include "agent/sense/provider.h"
#include "agent/sense/sense.h"

namespace tactus::sense {
namespace {

double steady_seconds() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

}  // namespace

std::vector<std::unique_ptr<provider>> make_providers(const sampler_options &options) {
  std::vector<std::unique_ptr<provider>> all;
  for (const auto make : {make_cpu_time, make_queues, make_pressure, make_frequency, make_temperature, make_throttling,
                          make_power, make_memory_bandwidth, make_numa_traffic, make_cache_misses})
    all.push_back(make(options));
  return all;
}

struct sampler::state {
  struct source {
    std::unique_ptr<provider> from;
    double due_s = 0;  // not asked before
    source_report report;
  };

  explicit state(sampler_options o) : options(std::move(o)) {
    if (!options.clock) options.clock = steady_seconds;
    for (auto &from : make_providers(options)) {
      source_report report;
      report.name = from->name();
      report.fields = from->fields();
      sources.push_back({std::move(from), 0, std::move(report)});
    }
  }

  sampler_options options;
  std::vector<source> sources;
  raw_state raw;
  std::vector<float> load;
};

sampler::sampler(sampler_options options) : state_(std::make_unique<state>(std::move(options))) {}
sampler::~sampler() = default;
sampler::sampler(sampler &&) noexcept = default;
sampler &sampler::operator=(sampler &&) noexcept = default;

learn::machine_state sampler::sample(const managed_usage &managed) {
  state &s = *state_;
  for (state::source &source : s.sources) {
    const double before = s.options.clock();
    if (before < source.due_s) continue;
    source.from->sample({managed, before}, s.raw);
    const double after = s.options.clock(), took = std::max(0.0, after - before);
    source.due_s = s.options.time_share > 0 ? after + took / s.options.time_share : 0;
    source.report.took_us = took * 1e6;
    ++source.report.samples;
  }
  s.load.assign(s.raw.cpus.size(), 0.f);
  for (std::size_t cpu = 0; cpu < s.load.size(); ++cpu)
    s.load[cpu] = static_cast<float>(std::clamp(s.raw.cpus[cpu].busy, 0.0, 1.0));
  return encode(s.raw);
}

const raw_state &sampler::last() const { return state_->raw; }

const std::vector<float> &sampler::per_cpu_load() const { return state_->load; }

std::vector<source_report> sampler::sources() const {
  std::vector<source_report> all;
  for (const state::source &source : state_->sources) all.push_back(source.report);
  return all;
}

}  // namespace tactus::sense
