// SPDX-License-Identifier: Apache-2.0
//
// Current over maximum frequency of the CPUs that cpufreq knows; at most 64 of
// them a sample, in turn.
#include <algorithm>
#include <cmath>
#include <limits>

#include "agent/sense/files.h"
#include "agent/sense/provider.h"

namespace fs = std::filesystem;

namespace tactus::sense {
namespace {

class frequency final : public provider {
 public:
  explicit frequency(const sampler_options &options) {
    for (const fs::path &cpu : numbered_entries(options.root / "sys/devices/system/cpu", "cpu")) {
      const auto max = read_integer(cpu / "cpufreq/cpuinfo_max_freq");
      if (max && *max > 0) files_.push_back({cpu / "cpufreq/scaling_cur_freq", static_cast<double>(*max)});
    }
    ratios_.assign(files_.size(), std::numeric_limits<double>::quiet_NaN());
  }

  const char *name() const override { return "cpufreq/scaling_cur_freq"; }
  std::vector<field> fields() const override { return {field::frequency_scaling}; }

  void sample(const sample_input &, raw_state &raw) override {
    for (std::size_t i = 0; i < std::min(files_.size(), k_files_per_sample); ++i) {
      const auto now = read_integer(files_[next_].file);
      ratios_[next_] = now && *now > 0 ? static_cast<double>(*now) / files_[next_].max : std::nan("");
      next_ = (next_ + 1) % files_.size();
    }
    raw.frequency_ratio = ratios_;
  }

 private:
  struct cpu_file {
    fs::path file;
    double max;
  };
  std::vector<cpu_file> files_;
  std::vector<double> ratios_;  // NaN: not known (yet)
  std::size_t next_ = 0;
};

}  // namespace

std::unique_ptr<provider> make_frequency(const sampler_options &options) { return std::make_unique<frequency>(options); }

}  // namespace tactus::sense
