// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "bpf/policy.h"

namespace tactus::cli {
namespace {

constexpr unsigned k_idle_masks = 16;
constexpr double k_one = TACTUS_CDF_ONE;
constexpr double k_worth_saying = 0.005;  // shares below are left out of the sentence

bool valid(const tactus_row& row) { return row.version_begin == row.version_end && row.version_end != 0; }

unsigned tier_of(const tactus_class_conf& conf, std::size_t place) { return conf.tier[place] & (TACTUS_MAX_TIERS - 1); }

unsigned existing_tiers(const tactus_class_conf& conf, std::size_t nr_places) {
  unsigned tiers = 0;
  for (std::size_t p = 0; p < nr_places; ++p) tiers |= 1u << tier_of(conf, p);
  return tiers;
}

unsigned best_tier(unsigned tiers) {
  unsigned t = 0;
  while (t < TACTUS_MAX_TIERS && !(tiers >> t & 1)) ++t;
  return t;
}

// Situations that can occur: idle tiers among those that exist.
template <typename Visit>
void for_each_situation(unsigned tiers, Visit visit) {
  for (unsigned step = 0; step < k_waiting_steps; ++step)
    for (unsigned idle = 0; idle < k_idle_masks; ++idle)
      if ((idle & ~tiers) == 0) visit(idle, step, tactus_situation(idle, static_cast<__s32>(k_step_from[step])));
}

double hold_of(const tactus_row& row) { return tactus_row_mass(row.cdf, TACTUS_HOLD) / k_one; }

std::string waiting_text(unsigned step) {
  if (step + 1 == k_waiting_steps) return fmt::format("{}+", k_step_from[step]);
  const unsigned last = k_step_from[step + 1] - 1;
  return last == k_step_from[step] ? fmt::format("{}", last) : fmt::format("{}-{}", k_step_from[step], last);
}

std::string idle_text(unsigned idle) {
  std::string text;
  for (unsigned t = 0; t < TACTUS_MAX_TIERS; ++t)
    if (idle >> t & 1) text += fmt::format("{}{}", text.empty() ? "" : ",", t);
  return text.empty() ? "none" : text;
}

void add_hold(class_explanation& e, const std::vector<tactus_row>& rows, unsigned tiers) {
  const unsigned best = best_tier(tiers);
  if ((tiers & ~(1u << best)) == 0) return;  // one tier: nothing better to wait for
  std::vector<double> sum(k_waiting_steps, 0.0);
  std::vector<unsigned> count(k_waiting_steps, 0);
  for_each_situation(tiers, [&](unsigned idle, unsigned step, unsigned situation) {
    if (!idle || (idle >> best & 1) || !valid(rows[situation])) return;
    sum[step] += hold_of(rows[situation]);
    ++count[step];
  });
  for (unsigned step = 0; step < k_waiting_steps; ++step) e.hold.push_back(count[step] ? sum[step] / count[step] : 0.0);
  unsigned step = 0;
  while (step < k_waiting_steps && e.hold[step] >= 0.5) ++step;
  if (step < k_waiting_steps) e.holds_below = k_step_from[step];
}

std::string describe(const class_explanation& e) {
  if (!e.valid_rows) return "no valid rows: placed by the fallback";
  std::string text;
  for (const tier_share& t : e.tiers)
    if (t.share >= k_worth_saying)
      text += fmt::format("{}{:.0f} % CPU {}", text.empty() ? "" : ", ", 100 * t.share, t.cpus);
  if (text.empty()) text = "no mass on any place";
  if (e.hold.empty()) return text;
  if (!e.holds_below) return text + "; holds however many wait (the kernel ends each hold after 10 ms)";
  if (*e.holds_below == 0) {
    const double most = *std::max_element(e.hold.begin(), e.hold.end());
    return text + (most < k_worth_saying ? "; never holds" : fmt::format("; holds at most {:.0f} % of the time", 100 * most));
  }
  return text + fmt::format("; holds while fewer than {} wait{}", *e.holds_below, *e.holds_below == 1 ? "s" : "");
}

}  // namespace

std::string class_name(unsigned slot, const tactus_class_conf& conf) {
  const std::string name(conf.name, strnlen(conf.name, sizeof(conf.name)));
  if (!name.empty()) return name;
  return slot == 0 ? "unknown" : fmt::format("slot {}", slot);
}

class_explanation explain_class(unsigned slot, const tactus_class_conf& conf, const std::vector<tactus_row>& rows,
                                const std::vector<tactus_place>& places) {
  class_explanation e;
  e.slot = slot;
  e.name = class_name(slot, conf);
  const unsigned tiers = existing_tiers(conf, places.size());
  e.place_share.assign(places.size(), 0.0);
  double weights = 0, confidence_weights = 0, slice_weights = 0;
  for_each_situation(tiers, [&](unsigned, unsigned step, unsigned situation) {
    ++e.possible_rows;
    const tactus_row& row = rows[situation];
    if (!valid(row)) return;
    ++e.valid_rows;
    const double weight = 1.0 / (1.0 + k_step_from[step]);
    e.confidence += weight * row.confidence / k_one;
    e.mean_slice_us += weight * row.slice_10us * 10.0;
    confidence_weights += weight;
    slice_weights += weight;
    const double placed = 1.0 - hold_of(row);
    if (placed <= 0) return;  // all hold: says nothing about places
    weights += weight;
    for (std::size_t p = 0; p < places.size(); ++p)
      e.place_share[p] += weight * tactus_row_mass(row.cdf, static_cast<__u32>(p)) / k_one / placed;
  });
  if (weights > 0)
    for (double& share : e.place_share) share /= weights;
  if (confidence_weights > 0) e.confidence /= confidence_weights;
  if (slice_weights > 0) e.mean_slice_us /= slice_weights;

  for (unsigned t = 0; t < TACTUS_MAX_TIERS; ++t) {
    if (!(tiers >> t & 1)) continue;
    tier_share share{t, "", 0};
    std::array<std::uint64_t, TACTUS_MAX_CPUS / 64> cpus{};
    for (std::size_t p = 0; p < places.size(); ++p) {
      if (tier_of(conf, p) != t) continue;
      share.share += e.place_share[p];
      for (std::size_t w = 0; w < cpus.size(); ++w) cpus[w] |= places[p].cpus[w];
    }
    share.cpus = cpu_list(cpus);
    e.tiers.push_back(std::move(share));
  }
  std::stable_sort(e.tiers.begin(), e.tiers.end(), [](const tier_share& a, const tier_share& b) { return a.share > b.share; });
  add_hold(e, rows, tiers);
  e.sentence = describe(e);
  return e;
}

std::string full_table(const tactus_class_conf& conf, const std::vector<tactus_row>& rows,
                       const std::vector<tactus_place>& places) {
  std::string out = fmt::format("    {:<10} {:>8}  {:>5}  {:>10}  {:>8}  places\n", "idle tiers", "waiting", "hold", "confidence", "slice");
  for_each_situation(existing_tiers(conf, places.size()), [&](unsigned idle, unsigned step, unsigned situation) {
    const tactus_row& row = rows[situation];
    const std::string head = fmt::format("    {:<10} {:>8}", idle_text(idle), waiting_text(step));
    if (!valid(row)) {
      out += head + "  no valid row: fallback\n";
      return;
    }
    std::string shares;
    for (std::size_t p = 0; p < places.size(); ++p) {
      const double mass = tactus_row_mass(row.cdf, static_cast<__u32>(p)) / k_one;
      if (mass >= k_worth_saying) shares += fmt::format("  CPU {} {:.0f} %", cpu_list(cpus_of(places[p])), 100 * mass);
    }
    const std::string slice = row.slice_10us ? fmt::format("{:.1f} ms", row.slice_10us / 100.0) : "default";
    out += fmt::format("{}  {:>3.0f} %  {:>10.2f}  {:>8}{}\n", head, 100 * hold_of(row), row.confidence / k_one, slice, shares);
  });
  return out;
}

nlohmann::json to_json(const class_explanation& e, const std::vector<tactus_place>& places) {
  using nlohmann::json;
  json tiers = json::array(), shares = json::array(), hold = json::array();
  for (const tier_share& t : e.tiers) tiers.push_back({{"tier", t.tier}, {"cpus", t.cpus}, {"share", t.share}});
  for (std::size_t p = 0; p < places.size(); ++p)
    shares.push_back({{"place", p}, {"cpus", cpu_list(cpus_of(places[p]))}, {"share", e.place_share[p]}});
  for (unsigned step = 0; step < e.hold.size(); ++step)
    hold.push_back({{"waiting", waiting_text(step)}, {"probability", e.hold[step]}});
  return {{"slot", e.slot},
          {"name", e.name},
          {"sentence", e.sentence},
          {"confidence", e.confidence},
          {"mean_slice_us", e.mean_slice_us},
          {"valid_rows", e.valid_rows},
          {"possible_rows", e.possible_rows},
          {"tiers", tiers},
          {"places", shares},
          {"hold", hold},
          {"holds_below", e.holds_below ? json(*e.holds_below) : json(nullptr)}};
}

nlohmann::json situations_json(const tactus_class_conf& conf, const std::vector<tactus_row>& rows,
                               const std::vector<tactus_place>& places) {
  using nlohmann::json;
  json out = json::array();
  for_each_situation(existing_tiers(conf, places.size()), [&](unsigned idle, unsigned step, unsigned situation) {
    const tactus_row& row = rows[situation];
    json entry = {{"situation", situation}, {"idle_tiers", idle}, {"waiting", waiting_text(step)}, {"valid", valid(row)}};
    if (valid(row)) {
      entry["version"] = row.version_end;
      entry["confidence"] = row.confidence / k_one;
      entry["hold"] = hold_of(row);
      entry["slice_us"] = row.slice_10us * 10;
      json& shares = entry["places"] = json::array();
      for (std::size_t p = 0; p < places.size(); ++p)
        shares.push_back(tactus_row_mass(row.cdf, static_cast<__u32>(p)) / k_one);
    }
    out.push_back(std::move(entry));
  });
  return out;
}

}  // namespace tactus::cli
