// SPDX-License-Identifier: Apache-2.0
//
// Reading the CPU budget. Where a cgroup's files are: /proc/self/cgroup names the
// group, /proc/self/mountinfo where its hierarchy is mounted and which group is
// the root of that mount (a container sees its own group mounted at the top). A
// limit of any group above ours binds us too, so the walk goes up to the mount.
#include "sizing.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <fstream>
#include <optional>
#include <sched.h>
#include <sstream>
#include <thread>

namespace tactus {
namespace detail {
namespace {

// Where the hierarchy with a controller is, and our group in it.
struct group_location {
  std::string mount;  // with the root in front
  std::string group;  // "" or "/a/b", relative to the mount
  bool unified = false;
};

std::optional<std::string> first_line(const std::string& file) {
  std::ifstream in(file);
  std::string line;
  if (!std::getline(in, line)) return std::nullopt;
  return line;
}

std::optional<long long> number(std::string_view text) {
  long long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end == text.data()) return std::nullopt;
  return value;
}

bool has_word(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const auto comma = list.find(',');
    if (list.substr(0, comma) == word) return true;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return false;
}

// mountinfo writes blanks and the like as \040.
std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

// Our group for a controller: in the v1 hierarchy that has it, else in v2.
std::optional<group_location> locate(const std::string& root, std::string_view controller) {
  std::string v1_path, v2_path;
  bool in_v1 = false, in_v2 = false;
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // 4:cpu,cpuacct:/path
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string_view controllers(line.data() + first + 1, second - first - 1);
    if (controllers.empty() && line.starts_with("0:")) {
      in_v2 = true;
      v2_path = line.substr(second + 1);
    } else if (has_word(controllers, controller)) {
      in_v1 = true;
      v1_path = line.substr(second + 1);
    }
  }
  std::ifstream mounts(root + "/proc/self/mountinfo");
  std::optional<group_location> v2;
  for (std::string line; std::getline(mounts, line);) {
    // id parent major:minor root mount-point options [optional...] - type source super-options
    std::istringstream words(line);
    std::string skip, group_root, point, word, type, source, super;
    if (!(words >> skip >> skip >> skip >> group_root >> point)) continue;
    while (words >> word && word != "-") {
    }
    if (!(words >> type >> source >> super)) continue;
    const bool is_v1 = type == "cgroup" && in_v1 && has_word(super, controller);
    const bool is_v2 = type == "cgroup2" && in_v2;
    if (!is_v1 && !is_v2) continue;
    group_location found{root + unescape(point), is_v1 ? v1_path : v2_path, is_v2};
    group_root = unescape(group_root);
    if (group_root != "/") {
      if (found.group == group_root || found.group.starts_with(group_root + "/"))
        found.group.erase(0, group_root.size());
      else
        found.group.clear();  // another name space's path: our group is the mount's root
    }
    if (found.group == "/" || found.group.starts_with("/..")) found.group.clear();
    if (is_v1) return found;
    if (!v2) v2 = std::move(found);
  }
  return v2;
}

// CPUs' worth of time that one group is granted; nothing where there is no limit.
std::optional<double> quota_of(const std::string& folder, bool unified) {
  std::optional<long long> quota, period;
  if (unified) {  // "max 100000" or "150000 100000"
    const auto line = first_line(folder + "/cpu.max");
    if (!line) return std::nullopt;
    const auto blank = line->find(' ');
    quota = number(std::string_view(*line).substr(0, blank));
    period = blank == std::string::npos ? 100000 : number(std::string_view(*line).substr(blank + 1));
  } else {
    if (const auto line = first_line(folder + "/cpu.cfs_quota_us")) quota = number(*line);
    if (const auto line = first_line(folder + "/cpu.cfs_period_us")) period = number(*line);
  }
  if (!quota || !period || *quota <= 0 || *period <= 0) return std::nullopt;
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

}  // namespace

std::vector<unsigned> parse_cpu_list(std::string_view text) {
  std::vector<unsigned> out;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    unsigned first = 0, last = 0;
    auto [next, error] = std::from_chars(at, end, first);
    if (error != std::errc{}) break;
    last = first;
    if (next != end && *next == '-') {
      const auto range = std::from_chars(next + 1, end, last);
      if (range.ec != std::errc{} || last < first || last - first > 65536) break;
      next = range.ptr;
    }
    for (unsigned cpu = first; cpu <= last; ++cpu) out.push_back(cpu);
    at = next;
    if (at != end && *at == ',') ++at;
    else break;
  }
  return out;
}

std::vector<unsigned> affinity_cpus() {
  std::vector<unsigned> out;
  for (int cpus = 1024; cpus <= 65536 && out.empty(); cpus *= 2) {
    cpu_set_t* set = CPU_ALLOC(cpus);
    if (!set) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(cpus);
    CPU_ZERO_S(bytes, set);
    const int rc = sched_getaffinity(0, bytes, set);
    const int error = errno;
    for (int cpu = 0; rc == 0 && cpu < cpus; ++cpu)
      if (CPU_ISSET_S(static_cast<std::size_t>(cpu), bytes, set)) out.push_back(static_cast<unsigned>(cpu));
    CPU_FREE(set);
    if (rc != 0 && error != EINVAL) break;  // EINVAL: the kernel's mask is larger
  }
  if (out.empty())
    for (unsigned cpu = 0; cpu < std::max(1u, std::thread::hardware_concurrency()); ++cpu) out.push_back(cpu);
  return out;
}

cpu_budget read_cpu_budget_at(const std::string& root, const std::vector<unsigned>& affinity) {
  cpu_budget out;
  out.cpus = static_cast<unsigned>(affinity.size());
  // The kernel keeps the affinity mask within the cpuset; some container run
  // times do not, so the file is asked as well.
  if (const auto at = locate(root, "cpuset")) {
    const std::string folder = at->mount + at->group;
    auto line = first_line(folder + (at->unified ? "/cpuset.cpus.effective" : "/cpuset.effective_cpus"));
    if (!line && !at->unified) line = first_line(folder + "/cpuset.cpus");
    if (line) {
      const std::vector<unsigned> set = parse_cpu_list(*line);
      const auto both = std::count_if(affinity.begin(), affinity.end(), [&](unsigned cpu) {
        return std::find(set.begin(), set.end(), cpu) != set.end();
      });
      if (both > 0) out.cpus = static_cast<unsigned>(both);
    }
  }
  if (const auto at = locate(root, "cpu")) {
    std::string group = at->group;
    for (;;) {
      if (const auto quota = quota_of(at->mount + group, at->unified))
        out.quota = out.quota > 0 ? std::min(out.quota, *quota) : *quota;
      if (group.empty()) break;
      group.erase(group.find_last_of('/'));
    }
  }
  out.cpus = std::max(1u, out.cpus);
  return out;
}

}  // namespace detail

cpu_budget read_cpu_budget() { return detail::read_cpu_budget_at("", detail::affinity_cpus()); }

unsigned workers_for(const cpu_budget& budget, quota_rounding rounding) noexcept {
  const unsigned cpus = std::max(1u, budget.cpus);
  if (!(budget.quota > 0) || budget.quota >= cpus) return cpus;
  constexpr double k_slack = 1e-3;  // a quota of 0.9999 of a CPU is one CPU
  double n = 0;
  switch (rounding) {
    case quota_rounding::nearest: n = std::floor(budget.quota + 0.5 + k_slack); break;
    case quota_rounding::down: n = std::floor(budget.quota + k_slack); break;
    case quota_rounding::up: n = std::ceil(budget.quota - k_slack); break;
  }
  return std::clamp(static_cast<unsigned>(n), 1u, cpus);
}

}  // namespace tactus
