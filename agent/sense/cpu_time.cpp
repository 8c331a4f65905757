// SPDX-License-Identifier: Apache-2.0
//
// Shares of CPU time from /proc/stat: utilisation of CPUs and nodes, balance,
// interrupts, steal, and how much of it is not managed by Tactus.
#include <tactus/abi/types.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "agent/sense/files.h"
#include "agent/sense/parse.h"
#include "agent/sense/provider.h"

namespace fs = std::filesystem;

namespace tactus::sense {
namespace {

constexpr double k_min_ticks = 2;  // least accounting ticks per CPU between shares

class cpu_time final : public provider {
 public:
  explicit cpu_time(const sampler_options &options) : root_(options.root) {
    if (const long hz = sysconf(_SC_CLK_TCK); hz > 0) ticks_per_second_ = static_cast<double>(hz);
  }

  const char *name() const override { return "/proc/stat"; }
  std::vector<field> fields() const override {
    return {field::core_utilisation, field::node_utilisation, field::load_balance, field::background_load,
            field::interrupt_load};
  }

  void sample(const sample_input &in, raw_state &raw) override {
    const auto text = read_text(root_ / "proc/stat", k_stat_limit);
    std::vector<cpu_ticks> now = text ? parse_stat(*text) : std::vector<cpu_ticks>();
    if (now.empty()) {  // vanished: shares of long ago are no state of now
      raw.cpus.clear();
      raw.managed_share.reset();
      before_.clear();
      return;
    }
    const auto online = std::count_if(now.begin(), now.end(), [](const cpu_ticks &t) { return t.present; });
    if (online != online_) read_nodes();
    online_ = online;
    if (before_.empty()) return start(std::move(now), in);

    double elapsed = 0;
    unsigned counted = 0;
    for (std::size_t cpu = 0; cpu < std::min(now.size(), before_.size()); ++cpu)
      if (now[cpu].present && before_[cpu].present) {
        elapsed += std::max(0.0, now[cpu].total() - before_[cpu].total());
        ++counted;
      }
    if (!counted) return start(std::move(now), in);
    if (elapsed < k_min_ticks * counted) return;

    raw.cpus.assign(now.size(), {});
    for (std::size_t cpu = 0; cpu < now.size(); ++cpu) {
      if (now[cpu].present && cpu < before_.size() && before_[cpu].present)
        raw.cpus[cpu] = shares_between(before_[cpu], now[cpu]);
      raw.cpus[cpu].node = node_of_[cpu];
    }
    const double used = in.managed.cpu_seconds_total - managed_before_;
    raw.managed_share.reset();
    if (std::isfinite(used)) raw.managed_share = std::clamp(used * ticks_per_second_ / elapsed, 0.0, 1.0);
    start(std::move(now), in);
  }

 private:
  static constexpr std::size_t k_stat_limit = 1 << 20;  // 1024 CPU lines are 100 KiB; the intr line may be long

  void start(std::vector<cpu_ticks> now, const sample_input &in) {
    before_ = std::move(now);
    managed_before_ = in.managed.cpu_seconds_total;
  }

  void read_nodes() {
    node_of_.assign(TACTUS_MAX_CPUS, -1);
    for (const fs::path &node : numbered_entries(root_ / "sys/devices/system/node", "node")) {
      const int id = std::atoi(node.filename().c_str() + 4);
      for (unsigned cpu : parse_cpu_list(read_line(node / "cpulist").value_or(""), TACTUS_MAX_CPUS)) node_of_[cpu] = id;
    }
  }

  fs::path root_;
  double ticks_per_second_ = 100;
  std::vector<cpu_ticks> before_;
  std::ptrdiff_t online_ = -1;
  std::vector<int> node_of_;
  double managed_before_ = std::numeric_limits<double>::quiet_NaN();
};

}  // namespace

std::unique_ptr<provider> make_cpu_time(const sampler_options &options) { return std::make_unique<cpu_time>(options); }

}  // namespace tactus::sense
