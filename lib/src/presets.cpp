// SPDX-License-Identifier: Apache-2.0
//
// The table of presets.hpp.
#include <tactus/presets.hpp>

#include <algorithm>
#include <array>

namespace tactus {
namespace {

constexpr std::array<std::string_view, 6> k_names{"basic", "performance", "latency", "throughput", "embedded", "testing"};

}  // namespace

pool_options options_for(preset which) {
  using std::chrono::microseconds;
  pool_options o;
  switch (which) {
    case preset::basic:
      break;
    case preset::performance:
      o.rounding = quota_rounding::up;
      o.look_around = microseconds(50);
      break;
    case preset::latency:
      o.rounding = quota_rounding::down;
      o.look_around = microseconds(200);
      o.outside_threads_help = false;
      break;
    case preset::throughput:
      o.rounding = quota_rounding::up;
      o.spares = 0;
      break;
    case preset::embedded:
      o.workers = std::min(2u, workers_for(read_cpu_budget(), quota_rounding::down));
      o.spares = 0;
      o.look_around = microseconds(0);
      o.register_with_agent = false;
      break;
    case preset::testing:
      o.workers = 2;
      o.spares = 0;
      o.outside_threads_help = false;
      o.register_with_agent = false;
      o.watch_memory = false;
      break;
  }
  return o;
}

std::optional<preset> preset_of_name(std::string_view name) noexcept {
  const auto at = std::find(k_names.begin(), k_names.end(), name);
  if (at == k_names.end()) return std::nullopt;
  return static_cast<preset>(at - k_names.begin());
}

std::string_view name_of(preset which) noexcept { return k_names[static_cast<std::size_t>(which)]; }

}  // namespace tactus
