// SPDX-License-Identifier: Apache-2.0
//
// Reading the CPU budget. A limit of any group above ours binds us too, so the walk
// goes up to the mount.
#include "sizing.h"

#include "cgroup.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <fstream>
#include <optional>
#include <sched.h>
#include <thread>

namespace tactus {
namespace detail {
namespace {

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
  if (const auto at = locate_group(root, "cpuset")) {
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
  if (const auto at = locate_group(root, "cpu")) {
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
