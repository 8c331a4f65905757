// SPDX-License-Identifier: Apache-2.0
#include "cpu_map.h"

#include "hwloc_map.h"
#include "sizing.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fcntl.h>
#include <unistd.h>

namespace tactus::detail {
namespace {

// Without the newline; empty where there is none. The files of sysfs come whole in one read.
std::string line_of(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  std::array<char, 4096> text;
  const ssize_t n = read(fd, text.data(), text.size());
  close(fd);
  std::string out(text.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
  return out.substr(0, out.find('\n'));
}

unsigned number_of(const std::string& path) {
  return static_cast<unsigned>(std::max(0, std::atoi(line_of(path).c_str())));
}

// Of Intel's small cores beside the large ones the kernel states the type and no capacity.
constexpr std::uint16_t k_small_core = cpu_map::k_fastest / 2;

}  // namespace

cpu_map cpu_map::read(const std::string& root) {
  const std::string folder = root + "/sys/devices/system/";
  const std::vector<unsigned> online = parse_cpu_list(line_of(folder + "cpu/online"));
  if (online.empty()) return {};
  std::vector<cpu> cpus(online.back() + 1);
  // Sets a field of every CPU in a list to the lowest of them.
  const auto mark = [&](const std::string& list_file, std::int16_t cpu::*field) {
    const std::vector<unsigned> members = parse_cpu_list(line_of(list_file));
    for (const unsigned m : members)
      if (m < cpus.size()) cpus[m].*field = static_cast<std::int16_t>(members.front());
    return !members.empty();
  };
  for (const unsigned n : parse_cpu_list(line_of(folder + "node/online")))
    mark(folder + "node/node" + std::to_string(n) + "/cpulist", &cpu::node);
  for (const unsigned c : online) {
    const std::string own = folder + "cpu/cpu" + std::to_string(c);
    cpu& me = cpus[c];
    if (me.core < 0 && !mark(own + "/topology/core_cpus_list", &cpu::core) &&
        !mark(own + "/topology/thread_siblings_list", &cpu::core))
      me.core = static_cast<std::int16_t>(c);
    for (int index = 4; index >= 2 && me.cache < 0; --index)
      mark(own + "/cache/index" + std::to_string(index) + "/shared_cpu_list", &cpu::cache);
    if (me.cache < 0) me.cache = static_cast<std::int16_t>(online.front());
    if (me.node < 0) me.node = static_cast<std::int16_t>(online.front());
  }
  // Capacities where the kernel states them (all or none), else types, else highest frequencies.
  const auto own_file = [&](unsigned c, const char* name) { return folder + "cpu/cpu" + std::to_string(c) + name; };
  if (number_of(own_file(online.front(), "/cpu_capacity"))) {
    for (const unsigned c : online)
      cpus[c].capacity = static_cast<std::uint16_t>(std::clamp<unsigned>(number_of(own_file(c, "/cpu_capacity")), 1, k_fastest));
  } else if (const auto small = parse_cpu_list(line_of(root + "/sys/devices/cpu_atom/cpus")); !small.empty()) {
    for (const unsigned c : small)
      if (c < cpus.size()) cpus[c].capacity = k_small_core;
  } else if (number_of(own_file(online.front(), "/cpufreq/cpuinfo_max_freq"))) {
    std::vector<std::uint64_t> khz(cpus.size());
    for (const unsigned c : online) khz[c] = number_of(own_file(c, "/cpufreq/cpuinfo_max_freq"));
    const std::uint64_t highest = *std::max_element(khz.begin(), khz.end());
    for (const unsigned c : online)
      if (khz[c]) cpus[c].capacity = static_cast<std::uint16_t>(std::max<std::uint64_t>(khz[c] * k_fastest / highest, 1));
  }
  return cpu_map(std::move(cpus));
}

unsigned cpu_map::distance(int a, int b) const noexcept {
  if (a == b && a >= 0) return 0;
  if (!known(a) || !known(b)) return 2;
  const cpu& x = cpus_[static_cast<std::size_t>(a)];
  const cpu& y = cpus_[static_cast<std::size_t>(b)];
  return x.core == y.core ? 1 : x.cache == y.cache ? 2 : x.node == y.node ? 3 : 4;
}

void cpu_map::compare() noexcept {
  const cpu* first = nullptr;
  for (std::size_t c = 0; c < cpus_.size(); ++c) {
    const cpu& me = cpus_[c];
    if (me.core < 0) continue;
    if (!first) first = &me;
    if (me.core != static_cast<int>(c) || me.cache != first->cache || me.node != first->node) flat_ = false;
  }
}

const cpu_map& machine_cpus(topology_source source) {
  static const cpu_map& from_sysfs = *new cpu_map(cpu_map::read(""));  // never freed: a pool may outlive statics
  if (source == topology_source::sysfs) return from_sysfs;
  static const cpu_map& by_hwloc = *new cpu_map(read_by_hwloc());
  return by_hwloc.cpus().empty() ? from_sysfs : by_hwloc;
}

}  // namespace tactus::detail
