// SPDX-License-Identifier: Apache-2.0
#include "agent/sense/parse.h"

#include <tactus/abi/types.h>

#include <algorithm>
#include <charconv>

#include "agent/sense/files.h"

namespace tactus::sense {
namespace {

constexpr std::string_view k_blank = " \t";

// Takes the first line off text.
std::string_view take_line(std::string_view &text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

// Takes the first word off line; empty at its end.
std::string_view take_word(std::string_view &line) {
  line.remove_prefix(std::min(line.find_first_not_of(k_blank), line.size()));
  const std::size_t end = std::min(line.find_first_of(k_blank), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

// A counter: a number that is not negative.
std::optional<double> take_count(std::string_view &line) {
  const auto value = parse_number(take_word(line));
  return value && *value >= 0 ? value : std::nullopt;
}

std::optional<double> value_after(std::string_view line, std::string_view key) {
  const std::size_t at = line.find(key);
  return at == std::string_view::npos ? std::nullopt : parse_number(line.substr(at + key.size()));
}

double grown(double now, double before) { return std::max(0.0, now - before); }

// 1 - free / total; nothing where that is no share.
std::optional<double> used_share(std::optional<double> free, std::optional<double> total) {
  if (!free || !total || *total <= 0 || *free < 0 || *free > *total) return std::nullopt;
  return 1 - *free / *total;
}

}  // namespace

std::vector<cpu_ticks> parse_stat(std::string_view text) {
  std::vector<cpu_ticks> cpus;
  while (!text.empty()) {
    std::string_view line = take_line(text);
    if (!line.starts_with("cpu")) break;  // the cpu lines come first, and the intr line is long
    const std::string_view id = take_word(line).substr(3);
    unsigned cpu = 0;
    const auto step = std::from_chars(id.data(), id.data() + id.size(), cpu);
    if (step.ec != std::errc() || step.ptr != id.data() + id.size() || cpu >= TACTUS_MAX_CPUS) continue;
    cpu_ticks t;
    bool whole = true;
    for (double *field : {&t.user, &t.nice, &t.system, &t.idle}) {
      const auto value = take_count(line);
      whole = whole && value;
      *field = value.value_or(0);
    }
    if (!whole) continue;
    for (double *field : {&t.iowait, &t.irq, &t.softirq, &t.steal}) *field = take_count(line).value_or(0);
    t.present = true;
    if (cpus.size() <= cpu) cpus.resize(cpu + 1);
    cpus[cpu] = t;
  }
  return cpus;
}

cpu_shares shares_between(const cpu_ticks &before, const cpu_ticks &now) {
  cpu_ticks d;
  for (double cpu_ticks::*field : {&cpu_ticks::user, &cpu_ticks::nice, &cpu_ticks::system, &cpu_ticks::idle,
                                   &cpu_ticks::iowait, &cpu_ticks::irq, &cpu_ticks::softirq, &cpu_ticks::steal})
    d.*field = grown(now.*field, before.*field);
  cpu_shares s;
  const double total = d.total();
  s.present = total > 0;
  if (!s.present) return s;
  s.busy = (d.user + d.nice + d.system + d.irq + d.softirq) / total;
  s.interrupt = (d.irq + d.softirq) / total;
  s.steal = d.steal / total;
  s.iowait = d.iowait / total;
  return s;
}

std::optional<pressure> parse_pressure(std::string_view text) {
  pressure p;
  bool any = false;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    const auto a10 = value_after(line, "avg10=");
    if (!a10) continue;
    const double a60 = value_after(line, "avg60=").value_or(0), a300 = value_after(line, "avg300=").value_or(0);
    if (line.starts_with("some")) {
      p.some_avg10 = *a10;
      p.some_avg60 = a60;
      p.some_avg300 = a300;
      any = true;
    } else if (line.starts_with("full")) {
      p.full_avg10 = *a10;
      p.full_avg60 = a60;
      p.full_avg300 = a300;
    }
  }
  return any ? std::optional<pressure>(p) : std::nullopt;
}

memory_use parse_meminfo(std::string_view text) {
  std::optional<double> total, available, swap_total, swap_free;
  while (!text.empty()) {
    std::string_view line = take_line(text);
    const std::string_view key = take_word(line);
    if (key == "MemTotal:") total = take_count(line);
    if (key == "MemAvailable:") available = take_count(line);
    if (key == "SwapTotal:") swap_total = take_count(line);
    if (key == "SwapFree:") swap_free = take_count(line);
  }
  return {used_share(available, total), used_share(swap_free, swap_total)};
}

std::optional<numa_counts> parse_numastat(std::string_view text) {
  std::optional<double> local, other;
  while (!text.empty()) {
    std::string_view line = take_line(text);
    const std::string_view key = take_word(line);
    if (key == "local_node") local = take_count(line);
    if (key == "other_node") other = take_count(line);
  }
  if (!local || !other) return std::nullopt;
  return numa_counts{*local, *other};
}

}  // namespace tactus::sense
