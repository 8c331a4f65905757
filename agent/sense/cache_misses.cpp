// SPDX-License-Identifier: Apache-2.0
//
// Miss rates of the caches from performance counters. There is no portable
// counter of the second level: what missed the first and reached the last level
// missed the second too, so its rate is last-level loads over first-level misses.
#include "agent/sense/cache_counters.h"
#include "agent/sense/counter.h"
#include "agent/sense/provider.h"

namespace tactus::sense {
namespace {

// part of whole; nothing where nothing was counted.
std::optional<double> share(std::optional<double> part, std::optional<double> whole) {
  if (!part || !whole || *whole <= 0) return std::nullopt;
  return *part / *whole;
}

class cache_misses final : public provider {
 public:
  explicit cache_misses(const sampler_options &options) : source_(options.counters) {
    if (!source_ && options.root == "/") source_ = open_cache_counters();
  }

  const char *name() const override { return "perf_event"; }
  std::vector<field> fields() const override {
    return {field::l1_miss_rate, field::l2_miss_rate, field::l3_miss_rate};
  }

  void sample(const sample_input &, raw_state &raw) override {
    if (!source_) return;
    const auto now = source_->read();
    const auto grow = [&](counter &c, double cache_counts::*member) {
      return c.grow(now ? std::optional<double>((*now).*member) : std::nullopt);
    };
    const auto l1_loads = grow(l1_loads_, &cache_counts::l1_loads);
    const auto l1_misses = grow(l1_misses_, &cache_counts::l1_misses);
    const auto llc_loads = grow(llc_loads_, &cache_counts::llc_loads);
    const auto llc_misses = grow(llc_misses_, &cache_counts::llc_misses);
    raw.l1_miss_rate = share(l1_misses, l1_loads);
    raw.l2_miss_rate = share(llc_loads, l1_misses);
    raw.l3_miss_rate = share(llc_misses, llc_loads);
  }

 private:
  std::shared_ptr<cache_counter_source> source_;
  counter l1_loads_, l1_misses_, llc_loads_, llc_misses_;
};

}  // namespace

std::unique_ptr<provider> make_cache_misses(const sampler_options &options) {
  return std::make_unique<cache_misses>(options);
}

}  // namespace tactus::sense
