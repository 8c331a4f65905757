// SPDX-License-Identifier: Apache-2.0
//
// Traffic to memory: bytes per second where resctrl counts them, and the share of
// page allocations that went to another NUMA node.
#include <algorithm>

#include "agent/sense/counter.h"
#include "agent/sense/files.h"
#include "agent/sense/parse.h"
#include "agent/sense/provider.h"

namespace fs = std::filesystem;

namespace tactus::sense {
namespace {

constexpr double k_bandwidth_floor = 4e9;  // bytes/s: below this "highest seen" says nothing

class memory_bandwidth final : public provider {
 public:
  explicit memory_bandwidth(const sampler_options &options) {
    std::error_code error;
    const fs::path groups = options.root / "sys/fs/resctrl/mon_data";
    for (fs::directory_iterator it(groups, error), end; !error && it != end; it.increment(error))
      if (fs::exists(it->path() / "mbm_total_bytes", error)) files_.push_back(it->path() / "mbm_total_bytes");
    std::sort(files_.begin(), files_.end());
    if (files_.size() > k_files_per_sample) files_.resize(k_files_per_sample);
    counters_.resize(files_.size());
  }

  const char *name() const override { return "resctrl mbm_total_bytes"; }
  std::vector<field> fields() const override { return {field::memory_bandwidth}; }

  void sample(const sample_input &in, raw_state &raw) override {
    double bytes = 0;
    bool any = false;
    for (std::size_t i = 0; i < files_.size(); ++i) {
      // A cache without a CPU online says "Unavailable".
      const auto count = read_integer(files_[i]);
      const auto growth = counters_[i].grow(count && *count >= 0 ? std::optional<double>(*count) : std::nullopt);
      bytes += growth.value_or(0);
      any = any || growth;
    }
    const double passed = in.now_s - time_s_;
    time_s_ = in.now_s;
    raw.memory_bandwidth.reset();
    if (!any || passed <= 0) return;
    highest_ = std::max(highest_, bytes / passed);
    raw.memory_bandwidth = bytes / passed / highest_;
  }

 private:
  std::vector<fs::path> files_;
  std::vector<counter> counters_;
  double time_s_ = 0, highest_ = k_bandwidth_floor;
};

class numa_traffic final : public provider {
 public:
  explicit numa_traffic(const sampler_options &options) {
    for (const fs::path &node : numbered_entries(options.root / "sys/devices/system/node", "node"))
      nodes_.push_back({node / "numastat", {}, {}});
    if (nodes_.size() > k_max_nodes) nodes_.resize(k_max_nodes);
    if (nodes_.size() < 2) nodes_.clear();  // one node: there is no remote memory, and no such source
  }

  const char *name() const override { return "node/numastat"; }
  std::vector<field> fields() const override { return {field::numa_cross_traffic}; }

  void sample(const sample_input &, raw_state &raw) override {
    double local = 0, other = 0;
    bool known = false;
    for (node &n : nodes_) {
      const auto counts = parse_numastat(read_text(n.file).value_or(""));
      const auto l = n.local.grow(counts ? std::optional<double>(counts->local) : std::nullopt);
      const auto o = n.other.grow(counts ? std::optional<double>(counts->other) : std::nullopt);
      if (!l || !o) continue;
      local += *l;
      other += *o;
      known = true;
    }
    raw.numa_remote.reset();
    if (known) raw.numa_remote = local + other > 0 ? other / (local + other) : 0.0;
  }

 private:
  struct node {
    fs::path file;
    counter local, other;
  };
  std::vector<node> nodes_;
};

}  // namespace

std::unique_ptr<provider> make_memory_bandwidth(const sampler_options &options) {
  return std::make_unique<memory_bandwidth>(options);
}
std::unique_ptr<provider> make_numa_traffic(const sampler_options &options) {
  return std::make_unique<numa_traffic>(options);
}

}  // namespace tactus::sense
