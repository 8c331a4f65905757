// SPDX-License-Identifier: Apache-2.0
//
// What the power settings favour: governor, energy preference, platform profile,
// and whether the machine runs on its battery.
#include "agent/sense/files.h"
#include "agent/sense/provider.h"

namespace fs = std::filesystem;

namespace tactus::sense {
namespace {

// Any mains supply that is on means no battery; without one, a battery that
// discharges says so itself.
std::optional<bool> read_on_battery(const fs::path &supplies) {
  std::optional<bool> mains_on, discharging;
  std::error_code error;
  for (fs::directory_iterator it(supplies, error), end; !error && it != end; it.increment(error)) {
    const std::string type = read_line(it->path() / "type").value_or("");
    if (type == "Mains" || type == "USB") {
      if (const auto online = read_integer(it->path() / "online")) mains_on = mains_on.value_or(false) || *online > 0;
    } else if (type == "Battery" && read_line(it->path() / "scope").value_or("") != "Device") {  // not a mouse's
      if (const auto status = read_line(it->path() / "status")) discharging = discharging.value_or(false) || *status == "Discharging";
    }
  }
  if (mains_on) return !*mains_on;
  return discharging;
}

class power final : public provider {
 public:
  explicit power(const sampler_options &options) : root_(options.root) {
    for (const fs::path &cpu : numbered_entries(root_ / "sys/devices/system/cpu", "cpu")) {
      std::error_code error;
      if (!fs::exists(cpu / "cpufreq", error)) continue;
      cpufreq_ = cpu / "cpufreq";
      break;
    }
  }

  const char *name() const override { return "cpufreq governor, platform_profile, power_supply"; }
  std::vector<field> fields() const override { return {field::power_state}; }

  void sample(const sample_input &, raw_state &raw) override {
    power_state now;
    if (!cpufreq_.empty()) {
      now.governor = read_line(cpufreq_ / "scaling_governor").value_or("");
      now.energy_preference = read_line(cpufreq_ / "energy_performance_preference").value_or("");
    }
    now.platform_profile = read_line(root_ / "sys/firmware/acpi/platform_profile").value_or("");
    now.on_battery = read_on_battery(root_ / "sys/class/power_supply");
    raw.power.reset();
    if (!now.governor.empty() || !now.energy_preference.empty() || !now.platform_profile.empty() || now.on_battery)
      raw.power = std::move(now);
  }

 private:
  fs::path root_, cpufreq_;  // cpufreq_ of the first CPU that has it
};

}  // namespace

std::unique_ptr<provider> make_power(const sampler_options &options) { return std::make_unique<power>(options); }

}  // namespace tactus::sense
