// SPDX-License-Identifier: Apache-2.0
//
// The sampler: which files exist is found out once, at construction; each sample
// reads them, takes differences of the counters, and hands raw numbers to encode().
#include <tactus/abi/types.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <map>
#include <sstream>

#include "agent/sense/files.h"
#include "agent/sense/sense.h"

namespace fs = std::filesystem;

namespace tactus::sense {
namespace {

constexpr unsigned k_max_cpus = TACTUS_MAX_CPUS;
constexpr std::size_t k_files_per_sample = 64;  // of per-CPU files, to bound a sample's cost
constexpr double k_min_ticks = 2;               // least accounting ticks per CPU between shares
constexpr double k_bandwidth_floor = 4e9;       // bytes/s: below this "highest seen" says nothing

// One cpuN line of /proc/stat, in ticks.
struct ticks {
  bool present = false;
  double user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0;

  double total() const { return user + nice + system + idle + iowait + irq + softirq + steal; }
};

std::vector<ticks> parse_stat(const std::string &text) {
  std::vector<ticks> cpus;
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) {
    if (line.compare(0, 3, "cpu") != 0) break;  // the cpu lines come first, and the intr line is long
    std::istringstream fields(line.substr(3));
    unsigned cpu = 0;
    if (line.size() < 4 || line[3] == ' ' || !(fields >> cpu) || cpu >= k_max_cpus) continue;
    ticks t;
    if (!(fields >> t.user >> t.nice >> t.system >> t.idle)) continue;
    fields >> t.iowait >> t.irq >> t.softirq >> t.steal;
    t.present = true;
    if (cpus.size() <= cpu) cpus.resize(cpu + 1);
    cpus[cpu] = t;
  }
  return cpus;
}

// The counters of /proc/stat may step back a little (iowait, steal): never below 0.
double grown(double now, double before) { return std::max(0.0, now - before); }

cpu_shares shares_between(const ticks &before, const ticks &now) {
  cpu_shares s;
  ticks d;
  d.user = grown(now.user, before.user);
  d.nice = grown(now.nice, before.nice);
  d.system = grown(now.system, before.system);
  d.idle = grown(now.idle, before.idle);
  d.iowait = grown(now.iowait, before.iowait);
  d.irq = grown(now.irq, before.irq);
  d.softirq = grown(now.softirq, before.softirq);
  d.steal = grown(now.steal, before.steal);
  const double total = d.total();
  s.present = total > 0;
  if (!s.present) return s;
  s.busy = (d.user + d.nice + d.system + d.irq + d.softirq) / total;
  s.interrupt = (d.irq + d.softirq) / total;
  s.steal = d.steal / total;
  s.iowait = d.iowait / total;
  return s;
}

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
  return sensors;
}

double seconds_now() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

}  // namespace

std::optional<pressure> parse_pressure(const std::string &text) {
  pressure p;
  bool any = false;
  std::istringstream lines(text);
  std::string line;
  const auto field = [](const std::string &from, const char *key) {
    const auto at = from.find(key);
    if (at == std::string::npos) return std::optional<double>();
    return parse_number(std::string_view(from).substr(at + std::strlen(key)));
  };
  while (std::getline(lines, line)) {
    const auto a10 = field(line, "avg10="), a60 = field(line, "avg60="), a300 = field(line, "avg300=");
    if (!a10) continue;
    if (line.compare(0, 4, "some") == 0) {
      p.some_avg10 = *a10;
      p.some_avg60 = a60.value_or(0);
      p.some_avg300 = a300.value_or(0);
      any = true;
    } else if (line.compare(0, 4, "full") == 0) {
      p.full_avg10 = *a10;
      p.full_avg60 = a60.value_or(0);
      p.full_avg300 = a300.value_or(0);
    }
  }
  return any ? std::optional<pressure>(p) : std::nullopt;
}

struct sampler::state {
  fs::path root;
  fs::path pressure_dir;  // of the cgroup; empty: the machine's
  raw_state raw;
  std::vector<float> load;
  std::vector<ticks> before;
  double managed_before = std::nan("");
  double ticks_per_second = 100;

  std::vector<int> node_of;
  std::vector<fs::path> nodes;
  std::map<std::string, std::pair<double, double>> numa_before;  // local, other
  std::vector<std::pair<fs::path, double>> frequency_files;      // file, max
  std::size_t frequency_at = 0;
  std::vector<fs::path> throttle_files;
  std::vector<std::int64_t> throttle_before;
  std::vector<sensor> sensors;
  std::vector<fs::path> bandwidth_files;
  double bandwidth_before = std::nan(""), bandwidth_time = 0, bandwidth_peak = k_bandwidth_floor;

  explicit state(const sampler_options &options);
  bool sample_cpus(const managed_usage &managed);
  void sample_frequency();
  void sample_throttling();
  void sample_memory();
  void sample_numa();
  void sample_temperature();
  void sample_bandwidth();
  void sample_power();
  std::optional<pressure> read_pressure(const char *what, bool *from_cgroup) const;
};

sampler::state::state(const sampler_options &options) : root(options.root) {
  const long hz = sysconf(_SC_CLK_TCK);
  if (hz > 0) ticks_per_second = static_cast<double>(hz);
  const fs::path cgroups = root / "sys/fs/cgroup";
  std::error_code error;
  if (!options.cgroup.empty())
    pressure_dir = cgroups / fs::path(options.cgroup).relative_path();
  else if (fs::exists(cgroups / "cpu.pressure", error))  // only in a container's namespace root
    pressure_dir = cgroups;

  node_of.assign(k_max_cpus, -1);
  nodes = numbered_entries(root / "sys/devices/system/node", "node");
  for (const fs::path &node : nodes) {
    const int id = std::atoi(node.filename().c_str() + 4);
    for (unsigned cpu : parse_cpu_list(read_line(node / "cpulist").value_or(""), k_max_cpus)) node_of[cpu] = id;
  }
  for (const fs::path &cpu : numbered_entries(root / "sys/devices/system/cpu", "cpu")) {
    const auto max = read_integer(cpu / "cpufreq/cpuinfo_max_freq");
    if (max && *max > 0) frequency_files.emplace_back(cpu / "cpufreq", static_cast<double>(*max));
    for (const char *name : {"core_throttle_count", "package_throttle_count"}) {
      const fs::path file = cpu / "thermal_throttle" / name;
      if (fs::exists(file, error)) throttle_files.push_back(file);
    }
  }
  throttle_before.assign(throttle_files.size(), -1);
  sensors = find_sensors(root);
  const fs::path resctrl = root / "sys/fs/resctrl/mon_data";
  for (fs::directory_iterator it(resctrl, error), end; !error && it != end; it.increment(error))
    if (fs::exists(it->path() / "mbm_total_bytes", error)) bandwidth_files.push_back(it->path() / "mbm_total_bytes");
}

// Returns whether the shares are new.
bool sampler::state::sample_cpus(const managed_usage &managed) {
  const auto text = read_text(root / "proc/stat");
  if (!text) return false;
  std::vector<ticks> now = parse_stat(*text);
  if (before.empty()) {
    before = std::move(now);
    managed_before = managed.cpu_seconds_total;
    return false;
  }
  double elapsed = 0;
  unsigned counted = 0;
  for (std::size_t cpu = 0; cpu < std::min(now.size(), before.size()); ++cpu)
    if (now[cpu].present && before[cpu].present) {
      elapsed += grown(now[cpu].total(), before[cpu].total());
      ++counted;
    }
  if (!counted || elapsed < k_min_ticks * counted) return false;

  raw.cpus.assign(now.size(), {});
  for (std::size_t cpu = 0; cpu < now.size(); ++cpu) {
    if (now[cpu].present && cpu < before.size() && before[cpu].present)
      raw.cpus[cpu] = shares_between(before[cpu], now[cpu]);
    raw.cpus[cpu].node = node_of[cpu];
  }
  load.assign(now.size(), 0.f);
  for (std::size_t cpu = 0; cpu < now.size(); ++cpu)
    load[cpu] = static_cast<float>(std::clamp(raw.cpus[cpu].busy, 0.0, 1.0));
  const double used = managed.cpu_seconds_total - managed_before;
  raw.managed_share.reset();
  if (std::isfinite(used)) raw.managed_share = std::clamp(used * ticks_per_second / elapsed, 0.0, 1.0);
  managed_before = managed.cpu_seconds_total;
  before = std::move(now);
  return true;
}

void sampler::state::sample_frequency() {
  const std::size_t total = frequency_files.size();
  raw.frequency_ratio.resize(total, std::nan(""));
  for (std::size_t i = 0; i < std::min(total, k_files_per_sample); ++i) {
    const std::size_t at = (frequency_at + i) % total;
    const auto current = read_integer(frequency_files[at].first / "scaling_cur_freq");
    raw.frequency_ratio[at] = current ? static_cast<double>(*current) / frequency_files[at].second : std::nan("");
  }
  if (total) frequency_at = (frequency_at + std::min(total, k_files_per_sample)) % total;
}

void sampler::state::sample_throttling() {
  raw.throttling.reset();
  const std::size_t files = std::min(throttle_files.size(), k_files_per_sample);
  for (std::size_t i = 0; i < files; ++i) {
    // The counters of one package are common or rise together: a fixed
    // stride over the machine sees every package.
    const std::size_t at = i * throttle_files.size() / files;
    const auto count = read_integer(throttle_files[at]);
    if (!count) continue;
    const bool rose = throttle_before[at] >= 0 && *count > throttle_before[at];
    throttle_before[at] = *count;
    raw.throttling = raw.throttling.value_or(false) || rose;
  }
  if (frequency_files.empty()) return;
  const fs::path &first = frequency_files.front().first;
  const auto cap = read_integer(first / "scaling_max_freq");
  const auto base = read_integer(first / "base_frequency");
  if (cap && base) raw.throttling = raw.throttling.value_or(false) || *cap < *base;
}

std::optional<pressure> sampler::state::read_pressure(const char *what, bool *from_cgroup) const {
  if (!pressure_dir.empty())
    if (const auto text = read_text(pressure_dir / (std::string(what) + ".pressure")))
      if (auto p = parse_pressure(*text)) {
        *from_cgroup = true;
        return p;
      }
  *from_cgroup = false;
  const auto text = read_text(root / "proc/pressure" / what);
  return text ? parse_pressure(*text) : std::nullopt;
}

void sampler::state::sample_memory() {
  bool from_cgroup = false;
  raw.cpu_pressure = read_pressure("cpu", &from_cgroup);
  raw.io_pressure = read_pressure("io", &from_cgroup);
  raw.memory_pressure.reset();
  if (const auto memory = read_pressure("memory", &from_cgroup))
    raw.memory_pressure = memory_pressure_info{*memory, memory_level(*memory), from_cgroup};

  raw.memory_used.reset();
  raw.swap_used.reset();
  std::map<std::string, double> info;
  std::istringstream lines(read_text(root / "proc/meminfo").value_or(""));
  std::string line;
  while (std::getline(lines, line))
    if (const auto colon = line.find(':'); colon != std::string::npos)
      if (const auto v = parse_number(std::string_view(line).substr(colon + 1))) info[line.substr(0, colon)] = *v;
  if (info.count("MemAvailable") && info["MemTotal"] > 0)
    raw.memory_used = 1.0 - info["MemAvailable"] / info["MemTotal"];
  if (info.count("SwapFree") && info["SwapTotal"] > 0)  // no swap: absent, not "0 used"
    raw.swap_used = 1.0 - info["SwapFree"] / info["SwapTotal"];

  raw.load_average.reset();
  if (const auto text = read_line(root / "proc/loadavg")) raw.load_average = parse_number(*text);
}

void sampler::state::sample_numa() {
  raw.numa_remote.reset();
  if (nodes.size() < 2) return;  // one node: there is no remote memory, and no such source
  double local = 0, other = 0;
  bool known = false;
  for (const fs::path &node : nodes) {
    std::istringstream lines(read_text(node / "numastat").value_or(""));
    std::string key;
    double value = 0, node_local = -1, node_other = -1;
    while (lines >> key >> value) {
      if (key == "local_node")
        node_local = value;
      else if (key == "other_node")
        node_other = value;
    }
    if (node_local < 0 || node_other < 0) continue;
    const auto [it, fresh] = numa_before.try_emplace(node.string(), node_local, node_other);
    if (!fresh) {
      local += grown(node_local, it->second.first);
      other += grown(node_other, it->second.second);
      known = true;
    }
    it->second = {node_local, node_other};
  }
  if (known) raw.numa_remote = local + other > 0 ? other / (local + other) : 0.0;
}

void sampler::state::sample_temperature() {
  raw.temperature_c.reset();
  raw.critical_temperature_c.reset();
  double nearest = -1e9;  // to its own critical point
  for (std::size_t i = 0; i < std::min(sensors.size(), k_files_per_sample); ++i) {
    const auto celsius = read_celsius(sensors[i].input);
    if (!celsius) continue;
    const double critical = sensors[i].critical_c > 0 ? sensors[i].critical_c : 100.0;
    if (*celsius - critical > nearest) {
      nearest = *celsius - critical;
      raw.temperature_c = *celsius;
      raw.critical_temperature_c = critical;
    }
  }
}

void sampler::state::sample_bandwidth() {
  raw.memory_bandwidth.reset();
  double bytes = 0;
  bool any = false;
  for (const fs::path &file : bandwidth_files)
    if (const auto value = read_integer(file)) {
      bytes += static_cast<double>(*value);
      any = true;
    }
  const double now = seconds_now();
  if (any && std::isfinite(bandwidth_before) && now > bandwidth_time) {
    const double rate = grown(bytes, bandwidth_before) / (now - bandwidth_time);
    bandwidth_peak = std::max(bandwidth_peak, rate);
    raw.memory_bandwidth = rate / bandwidth_peak;
  }
  bandwidth_before = any ? bytes : std::nan("");
  bandwidth_time = now;
}

void sampler::state::sample_power() {
  power_state power;
  if (!frequency_files.empty()) {
    const fs::path &first = frequency_files.front().first;
    power.governor = read_line(first / "scaling_governor").value_or("");
    power.energy_preference = read_line(first / "energy_performance_preference").value_or("");
  }
  power.platform_profile = read_line(root / "sys/firmware/acpi/platform_profile").value_or("");
  std::error_code error;
  const fs::path supplies = root / "sys/class/power_supply";
  for (fs::directory_iterator it(supplies, error), end; !error && it != end; it.increment(error)) {
    if (read_line(it->path() / "type").value_or("") != "Mains") continue;
    if (const auto online = read_integer(it->path() / "online"))
      power.on_battery = *online == 0 && power.on_battery.value_or(true);
  }
  raw.power.reset();
  if (!power.governor.empty() || !power.energy_preference.empty() || !power.platform_profile.empty() ||
      power.on_battery)
    raw.power = std::move(power);
}

sampler::sampler(sampler_options options) : state_(std::make_unique<state>(options)) {}
sampler::~sampler() = default;
sampler::sampler(sampler &&) noexcept = default;
sampler &sampler::operator=(sampler &&) noexcept = default;

learn::machine_state sampler::sample(const managed_usage &managed) {
  state &s = *state_;
  s.sample_cpus(managed);
  s.raw.waiting_workers.reset();
  if (std::isfinite(managed.waiting_workers)) s.raw.waiting_workers = managed.waiting_workers;
  s.sample_frequency();
  s.sample_throttling();
  s.sample_memory();
  s.sample_numa();
  s.sample_temperature();
  s.sample_bandwidth();
  s.sample_power();
  return encode(s.raw);
}

const raw_state &sampler::last() const { return state_->raw; }

const std::vector<float> &sampler::per_cpu_load() const { return state_->load; }

}  // namespace tactus::sense
