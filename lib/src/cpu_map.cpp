// SPDX-License-Identifier: Apache-2.0
#include "cpu_map.h"

#include "sizing.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>

namespace tactus::detail {
namespace {

std::string line_of(const std::string& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

}  // namespace

cpu_map cpu_map::read(const std::string& root) {
  const std::string folder = root + "/sys/devices/system/";
  cpu_map out;
  const std::vector<unsigned> online = parse_cpu_list(line_of(folder + "cpu/online"));
  if (online.empty()) return out;
  out.cpus_.resize(online.back() + 1);
  // Sets a field of every CPU in a list to the lowest of them.
  const auto mark = [&](const std::string& list_file, std::int16_t cpu::*field) {
    const std::vector<unsigned> members = parse_cpu_list(line_of(list_file));
    for (const unsigned m : members)
      if (m < out.cpus_.size()) out.cpus_[m].*field = static_cast<std::int16_t>(members.front());
    return !members.empty();
  };
  for (const unsigned n : parse_cpu_list(line_of(folder + "node/online")))
    mark(folder + "node/node" + std::to_string(n) + "/cpulist", &cpu::node);
  for (const unsigned c : online) {
    const std::string own = folder + "cpu/cpu" + std::to_string(c);
    cpu& me = out.cpus_[c];
    if (me.core < 0 && !mark(own + "/topology/core_cpus_list", &cpu::core) &&
        !mark(own + "/topology/thread_siblings_list", &cpu::core))
      me.core = static_cast<std::int16_t>(c);
    for (int index = 4; index >= 2 && me.cache < 0; --index)
      mark(own + "/cache/index" + std::to_string(index) + "/shared_cpu_list", &cpu::cache);
    if (me.cache < 0) me.cache = static_cast<std::int16_t>(online.front());
    if (me.node < 0) me.node = static_cast<std::int16_t>(online.front());
    if (const std::string text = line_of(own + "/cpu_capacity"); !text.empty())
      me.capacity = static_cast<std::uint16_t>(std::clamp(std::atoi(text.c_str()), 1, 1024));
  }
  return out;
}

unsigned cpu_map::distance(int a, int b) const noexcept {
  const auto known = [&](int c) { return c >= 0 && static_cast<std::size_t>(c) < cpus_.size() && cpus_[static_cast<std::size_t>(c)].core >= 0; };
  if (a == b && a >= 0) return 0;
  if (!known(a) || !known(b)) return 2;
  const cpu& x = cpus_[static_cast<std::size_t>(a)];
  const cpu& y = cpus_[static_cast<std::size_t>(b)];
  return x.core == y.core ? 1 : x.cache == y.cache ? 2 : x.node == y.node ? 3 : 4;
}

const cpu_map& machine_cpus() {
  static const cpu_map& map = *new cpu_map(cpu_map::read(""));  // never freed: a pool may outlive statics
  return map;
}

}  // namespace tactus::detail
