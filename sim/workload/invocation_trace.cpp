// SPDX-License-Identifier: Apache-2.0
// workload.h: traces of lines `app,func,end_timestamp,duration`, in s, as the Azure Functions
// invocation trace of 2021 has them. An invocation becomes a task that comes at its start and has
// its duration as work. The most frequent functions are classes of their own, the rest share one.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <sstream>

#include "sim/workload/workload.h"

namespace tactus::sim {
namespace {

constexpr std::size_t k_most_classes = 30;  // .. with one for the rest

double number(const std::string& name, std::size_t line, const std::string& field, const char* what) {
  double v = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), v);
  if (error != std::errc{} || end != field.data() + field.size() || !std::isfinite(v))
    throw description_error(fmt::format("{}: line {}: {} '{}' is no number", name, line, what, field));
  return v;
}

}  // namespace

workload parse_invocations(const std::string& name, const std::string& text, double speedup) {
  struct row {
    double start_s, duration_s;
    std::string function;
  };
  std::vector<row> rows;
  std::map<std::string, std::size_t> count;
  std::istringstream in(text);
  std::string line;
  for (std::size_t nr = 1; std::getline(in, line); ++nr) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() || line[0] == '#') continue;
    std::vector<std::string> fields;
    std::istringstream parts(line);
    for (std::string f; std::getline(parts, f, ',');) fields.push_back(f);
    if (nr == 1 && fields.size() == 4 && fields[3] == "duration") continue;
    if (fields.size() != 4)
      throw description_error(fmt::format("{}: line {}: {} fields; expected app,func,end_timestamp,duration", name, nr, fields.size()));
    const double end_s = number(name, nr, fields[2], "end_timestamp"), duration_s = number(name, nr, fields[3], "duration");
    if (duration_s < 0) throw description_error(fmt::format("{}: line {}: duration {} is negative", name, nr, duration_s));
    rows.push_back({end_s - duration_s, duration_s, fields[1]});
    ++count[fields[1]];
  }
  if (rows.empty()) throw description_error(name + ": no line app,func,end_timestamp,duration");
  std::stable_sort(rows.begin(), rows.end(), [](const row& a, const row& b) { return a.start_s < b.start_s; });

  std::vector<std::pair<std::string, std::size_t>> often(count.begin(), count.end());
  std::stable_sort(often.begin(), often.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  workload w;
  w.name = name;
  w.what = "invocation trace";
  w.pools.push_back({.name = "functions"});
  std::map<std::string, unsigned> class_of;
  for (const auto& [function, n] : often) {
    if (w.classes.size() == k_most_classes) break;
    class_of[function] = static_cast<unsigned>(w.classes.size());
    w.classes.push_back({});
    w.classes.back().name = function.substr(0, 12);
  }
  if (often.size() > w.classes.size()) {
    w.classes.push_back({});
    w.classes.back().name = "others";
  }
  flow_spec f;
  f.name = "invocations";
  f.arrivals.how = arrival_spec::kind::listed;
  const double first = rows[0].start_s;
  std::vector<std::pair<double, std::size_t>> sums(w.classes.size());
  for (const row& r : rows) {
    const auto known = class_of.find(r.function);
    const unsigned c = known != class_of.end() ? known->second : static_cast<unsigned>(w.classes.size() - 1);
    const auto work = static_cast<std::uint64_t>(std::max(1.0, r.duration_s * 1e9));
    f.tasks.push_back({static_cast<std::uint64_t>((r.start_s - first) / speedup * 1e9), work, c});
    sums[c].first += r.duration_s * 1e9;
    ++sums[c].second;
  }
  for (std::size_t c = 0; c < sums.size(); ++c)
    w.classes[c].work = distribution::fixed(std::max(1.0, sums[c].first / static_cast<double>(std::max<std::size_t>(1, sums[c].second))));
  w.flows.push_back(std::move(f));
  return w;
}

}  // namespace tactus::sim
