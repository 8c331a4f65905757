// SPDX-License-Identifier: Apache-2.0
//
// Depth of the queues: managed workers that wait, from the scheduler's counters,
// and the load average, which counts everybody else's too.
#include <cmath>

#include "agent/sense/files.h"
#include "agent/sense/provider.h"

namespace tactus::sense {
namespace {

class queues final : public provider {
 public:
  explicit queues(const sampler_options &options) : file_(options.root / "proc/loadavg") {}

  const char *name() const override { return "scheduler's counters, /proc/loadavg"; }
  std::vector<field> fields() const override { return {field::queue_depths}; }

  void sample(const sample_input &in, raw_state &raw) override {
    raw.waiting_workers.reset();
    if (std::isfinite(in.managed.waiting_workers)) raw.waiting_workers = in.managed.waiting_workers;
    const auto line = read_line(file_);
    raw.load_average = line ? parse_number(*line) : std::nullopt;
    if (raw.load_average && *raw.load_average < 0) raw.load_average.reset();
  }

 private:
  std::filesystem::path file_;
};

}  // namespace

std::unique_ptr<provider> make_queues(const sampler_options &options) { return std::make_unique<queues>(options); }

}  // namespace tactus::sense
