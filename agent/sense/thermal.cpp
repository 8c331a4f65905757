// SPDX-License-Identifier: Apache-2.0
//
// Heat: the hottest CPU sensor (thermal zones, hwmon), and whether the machine
// is being slowed down for it (throttle counters, a frequency cap).
#include <algorithm>

#include "agent/sense/counter.h"
#include "agent/sense/files.h"
#include "agent/sense/provider.h"

namespace fs = std::filesystem;

namespace tactus::sense {
namespace {

struct sensor {
  fs::path input;
  double critical_c = 0;  // 0: unknown
};

bool is_cpu_zone(const std::string &type) {
  return type.find("pkg_temp") != std::string::npos || type.find("cpu") != std::string::npos ||
         type.find("coretemp") != std::string::npos || type.find("soc") != std::string::npos;
}

// Kernel temperatures are in thousandths of a degree; some firmware reports
// nonsense for a missing sensor.
std::optional<double> read_celsius(const fs::path &file) {
  const auto milli = read_integer(file);
  if (!milli || *milli < -50'000 || *milli > 250'000) return std::nullopt;
  return static_cast<double>(*milli) / 1000;
}

std::vector<sensor> find_sensors(const fs::path &root) {
  std::vector<sensor> sensors;
  for (const fs::path &zone : numbered_entries(root / "sys/class/thermal", "thermal_zone")) {
    if (!is_cpu_zone(read_line(zone / "type").value_or(""))) continue;
    sensor s{zone / "temp", 0};
    for (unsigned trip = 0; trip < 16; ++trip) {
      const std::string name = "trip_point_" + std::to_string(trip);
      const auto type = read_line(zone / (name + "_type"));
      if (!type) break;
      if (*type == "critical") s.critical_c = read_celsius(zone / (name + "_temp")).value_or(0);
    }
    sensors.push_back(s);
  }
  for (const fs::path &chip : numbered_entries(root / "sys/class/hwmon", "hwmon")) {
    const std::string name = read_line(chip / "name").value_or("");
    if (name != "coretemp" && name != "k10temp" && name != "zenpower" && name != "cpu_thermal") continue;
    for (unsigned i = 1; i <= k_files_per_sample; ++i) {
      const std::string base = "temp" + std::to_string(i);
      std::error_code error;
      if (!fs::exists(chip / (base + "_input"), error)) continue;
      sensors.push_back({chip / (base + "_input"), read_celsius(chip / (base + "_crit")).value_or(0)});
    }
  }
  if (sensors.size() > k_files_per_sample) sensors.resize(k_files_per_sample);
  return sensors;
}

class temperature final : public provider {
 public:
  explicit temperature(const sampler_options &options) : sensors_(find_sensors(options.root)) {}

  const char *name() const override { return "thermal zones, hwmon"; }
  std::vector<field> fields() const override { return {field::cpu_temperature}; }

  void sample(const sample_input &, raw_state &raw) override {
    raw.temperature_c.reset();
    raw.critical_temperature_c.reset();
    for (const sensor &s : sensors_) {
      const auto celsius = read_celsius(s.input);
      if (!celsius) continue;
      const double critical = s.critical_c > 0 ? s.critical_c : k_default_critical_c;
      // The one that is nearest to its own critical point speaks for all.
      if (raw.temperature_c && *celsius - critical <= *raw.temperature_c - *raw.critical_temperature_c) continue;
      raw.temperature_c = *celsius;
      raw.critical_temperature_c = critical;
    }
  }

 private:
  std::vector<sensor> sensors_;
};

class throttling final : public provider {
 public:
  explicit throttling(const sampler_options &options) {
    for (const fs::path &cpu : numbered_entries(options.root / "sys/devices/system/cpu", "cpu")) {
      std::error_code error;
      for (const char *name : {"core_throttle_count", "package_throttle_count"})
        if (const fs::path file = cpu / "thermal_throttle" / name; fs::exists(file, error)) files_.push_back(file);
      if (cpufreq_.empty() && fs::exists(cpu / "cpufreq/base_frequency", error)) cpufreq_ = cpu / "cpufreq";
    }
    // The counters of one package are common or rise together: a fixed stride
    // over the machine sees every package.
    if (const std::size_t all = files_.size(); all > k_files_per_sample) {
      for (std::size_t i = 0; i < k_files_per_sample; ++i) files_[i] = files_[i * all / k_files_per_sample];
      files_.resize(k_files_per_sample);
    }
    counters_.resize(files_.size());
  }

  const char *name() const override { return "thermal_throttle, cpufreq/scaling_max_freq"; }
  std::vector<field> fields() const override { return {field::thermal_throttling}; }

  void sample(const sample_input &, raw_state &raw) override {
    raw.throttling.reset();
    for (std::size_t i = 0; i < files_.size(); ++i) {
      const auto count = read_integer(files_[i]);
      const auto rose = counters_[i].grow(count && *count >= 0 ? std::optional<double>(*count) : std::nullopt);
      if (count) raw.throttling = raw.throttling.value_or(false) || rose.value_or(0) > 0;
    }
    if (cpufreq_.empty()) return;
    const auto cap = read_integer(cpufreq_ / "scaling_max_freq"), base = read_integer(cpufreq_ / "base_frequency");
    if (cap && base && *cap > 0 && *base > 0) raw.throttling = raw.throttling.value_or(false) || *cap < *base;
  }

 private:
  std::vector<fs::path> files_;
  std::vector<counter> counters_;
  fs::path cpufreq_;  // of the first CPU that says its base frequency
};

}  // namespace

std::unique_ptr<provider> make_temperature(const sampler_options &options) {
  return std::make_unique<temperature>(options);
}
std::unique_ptr<provider> make_throttling(const sampler_options &options) {
  return std::make_unique<throttling>(options);
}

}  // namespace tactus::sense
