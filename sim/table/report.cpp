// SPDX-License-Identifier: Apache-2.0
#include "sim/table/report.h"

#include <fmt/format.h>

#include <cmath>

namespace tactus::sim {
namespace {

using nlohmann::json;

constexpr double k_loss = 1.02;  // of the best rule: worse counts as a loss
constexpr double k_full_ratio = 10;  // above, a ratio is given as a factor

double mean_response(const std::vector<table_run>& runs) {
  double sum = 0;
  for (const table_run& r : runs) sum += r.response_ms;
  return sum / static_cast<double>(runs.size());
}

estimate paired(const std::vector<table_run>& of, const std::vector<table_run>& to) {
  std::vector<double> ratio;
  for (std::size_t i = 0; i < of.size(); ++i) ratio.push_back(of[i].response_ms / to[i].response_ms);
  return estimate_of(ratio);
}

std::string percent(const estimate& e, bool interval) {
  if (e.mean > k_full_ratio) return fmt::format("x{:.0f}", e.mean);
  const std::string text = fmt::format("{:+.1f}", 100 * (e.mean - 1));
  return interval && e.hi > e.lo ? fmt::format("{} ±{:.1f}", text, 100 * e.half()) : text;
}

json to_json(const estimate& e) { return {{"mean", e.mean}, {"lo", e.lo}, {"hi", e.hi}}; }

std::string row_of(const std::string& first, const std::vector<std::string>& rest) {
  std::string out = "| " + first;
  for (const std::string& r : rest) out += " | " + r;
  return out + " |\n";
}

std::string rule_line(std::size_t columns) {
  std::string out = "|";
  for (std::size_t i = 0; i < columns; ++i) out += i < 2 ? "---|" : "--:|";
  return out + "\n";
}

// Cells of the learned policy against the best rule of each.
std::string short_table(const std::vector<table_cell>& cells) {
  std::string out = row_of("machine", {"work load", "fallback ms", "random %", "best rule", "its %", "shipped model %", "learned %", "learned over best rule %"}) +
                    rule_line(9);
  for (const table_cell& c : cells) {
    const cell_summary s = summary_of(c);
    std::string over = percent(s.learned_over_best, true);
    if (s.learned_over_best.mean > k_loss) over = "**" + over + "**";
    out += row_of(c.machine + (c.hybrid_or_numa ? " *" : ""),
                  {c.workload, fmt::format("{:.3f}", s.fallback_ms), percent(s.over_fallback.at("random"), false),
                   s.best_rule == "threshold:best" ? fmt::format("threshold:{}", c.threshold) : s.best_rule,
                   percent(s.over_fallback.at(s.best_rule), true), percent(s.over_fallback.at("model"), true),
                   percent(s.over_fallback.at("learned"), true), over});
  }
  return out;
}

std::string full_table(const std::vector<table_cell>& cells) {
  std::vector<std::string> head{"work load"};
  for (const std::string& p : table_policies())
    if (p != "fallback") head.push_back(p);
  std::string out = row_of("machine", head) + rule_line(head.size() + 1);
  for (const table_cell& c : cells) {
    const cell_summary s = summary_of(c);
    std::vector<std::string> row{c.workload};
    for (std::size_t i = 1; i < head.size(); ++i) row.push_back(percent(s.over_fallback.at(head[i]), true));
    out += row_of(c.machine, row);
  }
  const table_summary all = summary_of(cells);
  std::vector<std::string> row{"geometric mean"};
  for (std::size_t i = 1; i < head.size(); ++i) row.push_back(percent({all.geometric_mean.at(head[i]), 0, 0}, false));
  return out + row_of("all", row);
}

// Where tasks were dropped or missed their deadline, a low mean says less.
std::string deadline_table(const std::vector<table_cell>& cells) {
  std::string out = row_of("machine", {"work load", "fallback", "best rule", "learned"}) + rule_line(5);
  const auto share = [](const std::vector<table_run>& runs) {
    double missed = 0;
    for (const table_run& r : runs) missed += r.missed;
    return fmt::format("{:.2f}", 100 * missed / static_cast<double>(runs.size()));
  };
  for (const table_cell& c : cells) {
    const std::string best = summary_of(c).best_rule;
    const std::vector<std::string> row{c.workload, share(c.runs.at("fallback")), share(c.runs.at(best)), share(c.runs.at("learned"))};
    if (row[1] != "0.00" || row[2] != "0.00" || row[3] != "0.00") out += row_of(c.machine, row);
  }
  return out;
}

}  // namespace

cell_summary summary_of(const table_cell& cell) {
  cell_summary s;
  const std::vector<table_run>& fallback = cell.runs.at("fallback");
  s.fallback_ms = mean_response(fallback);
  double least = 0;
  for (const auto& [policy, runs] : cell.runs) {
    s.over_fallback[policy] = paired(runs, fallback);
    if (!is_fixed_rule(policy)) continue;
    const double cost = mean_response(runs);
    if (!s.best_rule.empty() && cost >= least) continue;
    s.best_rule = policy;
    least = cost;
  }
  s.learned_over_best = paired(cell.runs.at("learned"), cell.runs.at(s.best_rule));
  return s;
}

table_summary summary_of(const std::vector<table_cell>& cells) {
  table_summary t;
  std::vector<double> by_seed;  // sums of logarithms over the hybrid and NUMA cells
  double uneven = 0;
  for (const table_cell& c : cells) {
    const cell_summary s = summary_of(c);
    ++t.cells;
    t.losses += s.learned_over_best.mean > k_loss;
    for (const auto& [policy, e] : s.over_fallback) t.geometric_mean[policy] += std::log(e.mean);
    if (!c.hybrid_or_numa) continue;
    ++uneven;
    const auto &learned = c.runs.at("learned"), &fallback = c.runs.at("fallback");
    by_seed.resize(learned.size());
    for (std::size_t i = 0; i < learned.size(); ++i) by_seed[i] += std::log(learned[i].response_ms / fallback[i].response_ms);
  }
  for (auto& [policy, sum] : t.geometric_mean) sum = std::exp(sum / t.cells);
  for (double& sum : by_seed) sum = std::exp(sum / uneven);
  t.learned_over_fallback = by_seed.empty() ? estimate{1, 1, 1} : estimate_of(by_seed);
  return t;
}

std::string to_markdown(const table_settings& settings, const std::vector<table_cell>& cells) {
  const table_summary t = summary_of(cells);
  return fmt::format(
             "# Results of simulation\n\n"
             "Made by `make results` (`tactus-sim table`); nothing here was measured on a machine.\n"
             "{} seeds; cost is the weighted mean response time: the time integral of weighted tasks present over the\n"
             "weight of the tasks that ended. Percentages are over the fallback's cost in the same cell, ± half of the\n"
             "95 % interval over seeds (Student's t; all policies of a seed see the same arrivals). `model` is\n"
             "`{}` as it is, `learned` the same after {} decisions online in that cell; it then stands still while it\n"
             "is measured, on arrivals it has not seen. The rules know the true speeds; the learned policy measures them.\n"
             "`threshold` has the m that is best in trials. * marks machines with CPUs of several types or several nodes.\n\n"
             "Over {} cells the learned policy is more than 2 % worse than the best fixed rule of the cell in {} (bold).\n"
             "On the geometric mean of the cells marked * its cost is {} % over the fallback's.\n"
             "The targets: none in bold, and -10 % or less.\n\n",
             settings.seeds, settings.model, settings.learn_decisions, t.cells, t.losses, percent(t.learned_over_fallback, true)) +
         short_table(cells) + "\n## Every policy\n\nCost over the fallback's, %.\n\n" + full_table(cells) +
         "\n## Deadlines\n\nShare of tasks with a deadline that missed it or were dropped, %; cells where there were any.\n\n" +
         deadline_table(cells);
}

json to_json(const table_settings& settings, const std::vector<table_cell>& cells) {
  const table_summary t = summary_of(cells);
  json out{{"seeds", settings.seeds}, {"learn_decisions", settings.learn_decisions}, {"model", settings.model},
           {"cells_with_loss", t.losses}, {"learned_over_fallback_hybrid_numa", to_json(t.learned_over_fallback)},
           {"geometric_mean_over_fallback", t.geometric_mean}};
  for (const table_cell& c : cells) {
    const cell_summary s = summary_of(c);
    json policies;
    for (const auto& [policy, e] : s.over_fallback) policies[policy] = to_json(e);
    out["cells"].push_back({{"machine", c.machine}, {"workload", c.workload}, {"cpus", c.cpus}, {"hybrid_or_numa", c.hybrid_or_numa},
                            {"seconds", c.seconds}, {"threshold", c.threshold}, {"fallback_ms", s.fallback_ms},
                            {"cost_over_fallback", policies}, {"best_rule", s.best_rule}, {"learned_over_best_rule", to_json(s.learned_over_best)}});
  }
  return out;
}

}  // namespace tactus::sim
