// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <cmath>

#include "common/machine.h"
#include "statistics.h"

namespace tactus::bench {
namespace {

using json = nlohmann::ordered_json;

json estimate_json(const std::vector<double>& samples) {
  const estimate e = median_of(samples);
  return {{"median", e.median}, {"lo", e.lo}, {"hi", e.hi}};
}

std::string number(double v) {
  const double a = std::abs(v);
  return a >= 1000 ? fmt::format("{:.0f}", v) : a >= 100 ? fmt::format("{:.1f}", v) : fmt::format("{:.3g}", v);
}

std::string cell(const std::vector<double>& samples) {
  const estimate e = median_of(samples);
  return fmt::format("{} [{}, {}]", number(e.median), number(e.lo), number(e.hi));
}

}  // namespace

json to_json(const result& res) {
  json out;
  out["machine"] = examples::describe_machine();
  out["rows"] = json::array();
  for (const row& r : res.rows) {
    json one;
    one["name"] = r.name;
    one["unit"] = r.unit;
    one["tactus"] = estimate_json(r.tactus);
    one["peers"] = json::object();
    for (const auto& [name, samples] : r.peers) one["peers"][name] = estimate_json(samples);
    out["rows"].push_back(std::move(one));
  }
  return out;
}

json to_raw_json(const std::string& name, const settings& set, const result& res) {
  json out = to_json(res);
  out["benchmark"] = name;
  out["time"] = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                            fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())));
  out["settings"] = {{"quick", set.quick}, {"reps", set.reps}, {"seed", set.seed}};
  out["notes"] = res.notes;
  for (std::size_t i = 0; i < res.rows.size(); ++i) {
    json& one = out["rows"][i];
    if (res.rows[i].target) one["target"] = *res.rows[i].target;
    one["samples"]["tactus"] = res.rows[i].tactus;
    for (const auto& [peer, samples] : res.rows[i].peers) one["samples"][peer] = samples;
  }
  return out;
}

std::string to_table(const result& res) {
  std::string out;
  for (const row& r : res.rows) {
    out += fmt::format("{} ({}), {} repetitions\n", r.name, r.unit, r.tactus.size());
    const double ours = median_of(r.tactus).median;
    std::string verdict;
    if (r.target) verdict = fmt::format("   target <= {}: {}", number(*r.target), ours <= *r.target ? "met" : "missed");
    out += fmt::format("  {:<16} {:>32}{}\n", "tactus", cell(r.tactus), verdict);
    for (const auto& [name, samples] : r.peers)
      out += fmt::format("  {:<16} {:>32}   tactus / {} = {:.2f}\n", name, cell(samples), name,
                         ours / median_of(samples).median);
  }
  for (const std::string& note : res.notes) out += fmt::format("note: {}\n", note);
  out += "median [95 % interval of the median]; arms interleaved\n";
  return out;
}

}  // namespace tactus::bench
