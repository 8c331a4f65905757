// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/snapshot.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "agent/load/pins.h"
#include "agent/sense/files.h"

namespace tactus::cli {
namespace {

using load::exit_code;
using load::load_error;
using load::open_pinned;
using load::unique_fd;

[[noreturn]] void unreadable(const std::string& name, std::uint32_t key) {
  throw load_error(exit_code::internal, fmt::format("cannot read {}[{}] ({})", name, key, std::strerror(errno)),
                   "next: tactus doctor");
}

// An element may be longer than this program's struct (append only): read whole, keep the start.
template <typename T>
T read_element(int fd, const std::string& name, std::uint32_t key) {
  bpf_map_info info{};
  __u32 size = sizeof(info);
  if (bpf_map_get_info_by_fd(fd, &info, &size)) unreadable(name, key);
  std::vector<char> bytes(std::max<std::size_t>((info.value_size + 7) / 8 * 8, sizeof(T)));
  if (bpf_map_lookup_elem(fd, &key, bytes.data())) unreadable(name, key);
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

template <typename T>
T read_one(const load::host& where, const std::string& name, std::uint32_t key = 0) {
  const unique_fd fd = open_pinned(where, name, true);
  return read_element<T>(fd.get(), name, key);
}

tactus_stats read_stats(const load::host& where) {
  const unique_fd fd = open_pinned(where, "tactus_stats", true);
  bpf_map_info info{};
  __u32 size = sizeof(info);
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0 || bpf_map_get_info_by_fd(fd.get(), &info, &size)) unreadable("tactus_stats", 0);
  const std::size_t stride = (info.value_size + 7) / 8 * 8;
  std::vector<char> bytes(stride * static_cast<std::size_t>(cpus));
  const std::uint32_t key = 0;
  if (bpf_map_lookup_elem(fd.get(), &key, bytes.data())) unreadable("tactus_stats", 0);
  tactus_stats sum{};
  constexpr std::size_t k_words = sizeof(tactus_stats) / sizeof(std::uint64_t);
  std::uint64_t total[k_words] = {};
  for (int cpu = 0; cpu < cpus; ++cpu)
    for (std::size_t i = 0; i < std::min(k_words, stride / 8); ++i) {
      std::uint64_t word;
      std::memcpy(&word, bytes.data() + static_cast<std::size_t>(cpu) * stride + i * 8, 8);
      total[i] += word;
    }
  std::memcpy(&sum, total, sizeof(sum));
  return sum;
}

}  // namespace

snapshot take_snapshot(const load::host& where) {
  snapshot s;
  s.kernel = load::read_scheduler_state(where);
  s.kernel_release = sense::read_line(where.root / "proc/sys/kernel/osrelease").value_or("unknown");
  s.hint = load::read_hint(where);
  s.ejected = load::read_ejection(where);
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  s.now_ns = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec);
  s.link_pinned = load::pin_exists(where, load::k_link_pin);
  s.has_maps = load::pinned_abi(where).has_value();
  if (!s.has_maps) return s;
  load::require_same_abi(where);

  s.control = read_one<tactus_control>(where, "tactus_control");
  s.stats = read_stats(where);
  s.left = read_one<tactus_exit>(where, "tactus_exit");
  const unique_fd domains = open_pinned(where, "tactus_domains", true);
  for (std::uint32_t d = 0; d < TACTUS_MAX_DOMAINS; ++d) {
    const auto domain = read_element<tactus_domain>(domains.get(), "tactus_domains", d);
    if (!domain.nr_cpus) break;
    s.domains.push_back(domain);
  }
  const unique_fd places = open_pinned(where, "tactus_places", true);
  for (std::uint32_t p = 0; p < TACTUS_MAX_PLACES; ++p) {
    const auto place = read_element<tactus_place>(places.get(), "tactus_places", p);
    if (!place.nr_cpus) break;
    s.places.push_back(place);
  }
  const unique_fd classes = open_pinned(where, "tactus_classes", true);
  for (std::uint32_t slot = 0; slot < TACTUS_MAX_SLOTS; ++slot)
    s.classes.push_back(read_element<tactus_class_conf>(classes.get(), "tactus_classes",
                                                        (s.control.bank & 1) * TACTUS_MAX_SLOTS + slot));
  return s;
}

std::vector<tactus_row> read_rows(const load::host& where, unsigned bank, unsigned slot) {
  const unique_fd fd = open_pinned(where, "tactus_rows", true);
  std::vector<tactus_row> rows;
  for (std::uint32_t situation = 0; situation < TACTUS_NR_SITUATIONS; ++situation)
    rows.push_back(read_element<tactus_row>(fd.get(), "tactus_rows", tactus_row_index(bank, slot, situation)));
  return rows;
}

std::string cpu_list(const std::array<std::uint64_t, TACTUS_MAX_CPUS / 64>& cpus) {
  std::string text;
  const auto has = [&](unsigned cpu) { return cpu < TACTUS_MAX_CPUS && (cpus[cpu / 64] >> (cpu % 64) & 1); };
  for (unsigned cpu = 0; cpu < TACTUS_MAX_CPUS; ++cpu) {
    if (!has(cpu)) continue;
    unsigned last = cpu;
    while (has(last + 1)) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", cpu);
    if (last > cpu) text += fmt::format("-{}", last);
    cpu = last;
  }
  return text;
}

std::array<std::uint64_t, TACTUS_MAX_CPUS / 64> cpus_of(const tactus_place& place) {
  std::array<std::uint64_t, TACTUS_MAX_CPUS / 64> cpus;
  std::copy(std::begin(place.cpus), std::end(place.cpus), cpus.begin());
  return cpus;
}

}  // namespace tactus::cli
