// SPDX-License-Identifier: Apache-2.0
#include "agent/sense/cache_counters.h"

#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "agent/sense/files.h"

namespace tactus::sense {
namespace {

constexpr std::size_t k_watched_cpus = 16;

constexpr std::uint64_t cache_event(std::uint64_t cache, std::uint64_t result) {
  return cache | (std::uint64_t{PERF_COUNT_HW_CACHE_OP_READ} << 8) | (result << 16);
}

// In the order of the members of cache_counts.
constexpr std::array<std::uint64_t, 4> k_events = {
    cache_event(PERF_COUNT_HW_CACHE_L1D, PERF_COUNT_HW_CACHE_RESULT_ACCESS),
    cache_event(PERF_COUNT_HW_CACHE_L1D, PERF_COUNT_HW_CACHE_RESULT_MISS),
    cache_event(PERF_COUNT_HW_CACHE_LL, PERF_COUNT_HW_CACHE_RESULT_ACCESS),
    cache_event(PERF_COUNT_HW_CACHE_LL, PERF_COUNT_HW_CACHE_RESULT_MISS)};

class descriptor {
 public:
  explicit descriptor(int fd) : fd_(fd) {}
  descriptor(descriptor &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  descriptor &operator=(descriptor &&) = delete;
  ~descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

int open_event(std::uint64_t config, unsigned cpu, int leader) {
  perf_event_attr attr;
  std::memset(&attr, 0, sizeof(attr));
  attr.size = sizeof(attr);
  attr.type = PERF_TYPE_HW_CACHE;
  attr.config = config;
  attr.read_format = PERF_FORMAT_GROUP | PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
  return static_cast<int>(
      syscall(SYS_perf_event_open, &attr, -1, static_cast<int>(cpu), leader, PERF_FLAG_FD_CLOEXEC));
}

class perf_counters final : public cache_counter_source {
 public:
  // One group a CPU, so that its four counters run at the same time.
  explicit perf_counters(const std::vector<unsigned> &cpus) {
    for (unsigned cpu : cpus) {
      std::vector<descriptor> group;
      for (std::uint64_t event : k_events) {
        group.emplace_back(open_event(event, cpu, group.empty() ? -1 : group.front().get()));
        if (group.back().get() < 0) {  // all or none: a part would be no rate
          groups_.clear();
          return;
        }
      }
      groups_.push_back(std::move(group));
    }
  }

  bool open() const { return !groups_.empty(); }

  std::optional<cache_counts> read() override {
    struct {
      std::uint64_t nr, enabled_ns, running_ns, value[k_events.size()];
    } now;
    std::array<double, k_events.size()> sum{};
    bool any = false;
    for (const auto &group : groups_) {
      // A CPU that went offline reads short; a group that never got its turn says nothing.
      if (::read(group.front().get(), &now, sizeof(now)) != static_cast<ssize_t>(sizeof(now)) || now.running_ns == 0)
        continue;
      const double scale = static_cast<double>(now.enabled_ns) / static_cast<double>(now.running_ns);
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += static_cast<double>(now.value[i]) * scale;
      any = true;
    }
    if (!any) return std::nullopt;
    return cache_counts{sum[0], sum[1], sum[2], sum[3]};
  }

 private:
  std::vector<std::vector<descriptor>> groups_;
};

}  // namespace

std::unique_ptr<cache_counter_source> open_cache_counters() {
  const auto online = parse_cpu_list(read_line("/sys/devices/system/cpu/online").value_or(""), 1 << 16);
  std::vector<unsigned> watched;
  const std::size_t count = std::min(online.size(), k_watched_cpus);
  for (std::size_t i = 0; i < count; ++i) watched.push_back(online[i * online.size() / count]);
  auto counters = std::make_unique<perf_counters>(watched);
  if (!counters->open()) return nullptr;
  return counters;
}

}  // namespace tactus::sense
