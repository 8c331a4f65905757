// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/report.h"

#include <fmt/format.h>

#include <cmath>
#include <functional>

namespace tactus::sim {
namespace {

using nlohmann::json;

using getter = std::function<double(const figures&)>;

estimate over(const arm_result& arm, const getter& get) {
  std::vector<double> values;
  for (const figures& f : arm.runs) values.push_back(get(f));
  return estimate_of(values);
}

json to_json(const estimate& e, std::size_t runs) {
  if (runs == 1) return e.mean;
  return {{"mean", e.mean}, {"lo", e.lo}, {"hi", e.hi}};
}

std::string text(const estimate& e, std::size_t runs) {
  const int digits = std::abs(e.mean) >= 1000 ? 0 : std::abs(e.mean) >= 100 ? 1 : std::abs(e.mean) >= 1 ? 2 : 4;
  if (runs == 1) return fmt::format("{:.{}f}", e.mean, digits);
  return fmt::format("{:.{}f} ±{:.{}f}", e.mean, digits, (e.hi - e.lo) / 2, digits);
}

struct class_metric {
  const char *key, *head;
  double (*get)(const class_window&, double seconds);
};
constexpr class_metric k_class_metrics[] = {
    {"latency_p50_ms", "p50 ms", [](const class_window& c, double) { return c.latency.quantile_ns(0.5) * 1e-6; }},
    {"latency_p99_ms", "p99 ms", [](const class_window& c, double) { return c.latency.quantile_ns(0.99) * 1e-6; }},
    {"latency_mean_ms", "mean ms", [](const class_window& c, double) { return c.latency.mean_ns() * 1e-6; }},
    {"deadline_miss_ratio", "missed",
     [](const class_window& c, double) {
       const double all = static_cast<double>(c.ended + c.dropped);
       return all > 0 ? static_cast<double>(c.missed + c.dropped) / all : 0;
     }},
    {"throughput_per_s", "per s", [](const class_window& c, double s) { return static_cast<double>(c.ended) / s; }},
};

struct metric {
  const char *key, *head;
  double (*get)(const figures&);
};
constexpr metric k_metrics[] = {
    {"cost", "cost", [](const figures& f) { return f.cost; }},
    {"busy_ratio", "busy", [](const figures& f) { return f.busy; }},
    {"decisions_per_s", "decisions/s", [](const figures& f) { return static_cast<double>(f.all_decisions()) / f.seconds; }},
    {"migrations_per_s", "migrations/s", [](const figures& f) { return static_cast<double>(f.migrations) / f.seconds; }},
    {"preemptions_per_s", "preemptions/s", [](const figures& f) { return static_cast<double>(f.preemptions) / f.seconds; }},
    {"held_per_s", "held/s", [](const figures& f) { return static_cast<double>(f.held) / f.seconds; }},
    {"ring_lost", "ring lost", [](const figures& f) { return static_cast<double>(f.ring_lost); }},
};

}  // namespace

const char* source_name(unsigned source) {
  static constexpr const char* names[] = {"row",  "mixed",        "fallback_mode", "fallback_heartbeat", "fallback_missing", "fallback_torn",
                                          "fallback_illegal", "forced_bound", "forced_slice",  "forced_affinity",    "forced_steal",     "rule"};
  return source < std::size(names) ? names[source] : "?";
}

json to_json(const machine& m, const workload& w, const std::vector<arm_result>& arms) {
  json out;
  out["simulated"] = true;
  out["machine"] = m.name;
  out["workload"] = w.name;
  for (const arm_result& arm : arms) {
    const std::size_t runs = arm.runs.size();
    json a;
    a["policy"] = arm.policy;
    a["seeds"] = runs;
    a["seconds"] = arm.runs[0].seconds;
    for (const metric& k : k_metrics) a[k.key] = to_json(over(arm, k.get), runs);
    for (unsigned i = 0; i <= TACTUS_NR_SOURCES; ++i)
      a["decisions"][source_name(i)] = to_json(over(arm, [i](const figures& f) { return static_cast<double>(f.decisions[i]); }), runs);
    a["events_per_s"] = to_json(over(arm, [](const figures& f) { return static_cast<double>(f.ops) / f.seconds; }), runs);
    for (std::size_t c = 0; c < w.classes.size(); ++c) {
      json k;
      for (const class_metric& x : k_class_metrics)
        k[x.key] = to_json(over(arm, [&](const figures& f) { return x.get(f.classes[c], f.seconds); }), runs);
      k["ended"] = to_json(over(arm, [c](const figures& f) { return static_cast<double>(f.classes[c].ended); }), runs);
      k["dropped"] = to_json(over(arm, [c](const figures& f) { return static_cast<double>(f.classes[c].dropped); }), runs);
      a["classes"][w.classes[c].name] = k;
    }
    for (const auto& [name, value] : arm.own) a["own"][name] = value;
    if (&arm != &arms[0]) {
      std::vector<double> ratio;
      for (std::size_t i = 0; i < runs; ++i) ratio.push_back(arm.runs[i].cost / arms[0].runs[i].cost);
      a["cost_over_first"] = to_json(estimate_of(ratio), runs);
    }
    out["arms"].push_back(a);
  }
  return out;
}

std::string to_table(const machine& m, const workload& w, const std::vector<arm_result>& arms) {
  const std::size_t runs = arms[0].runs.size();
  std::string out = fmt::format("simulated: {} on {} ({} CPUs), {:.1f} s per run, {}\n", w.name, m.name, m.cpus.size(), arms[0].runs[0].seconds,
                                runs == 1 ? "1 seed: no interval" : fmt::format("{} seeds, mean ± half of the 95 % interval", runs));
  for (const arm_result& arm : arms) {
    out += fmt::format("\n{}\n", arm.policy);
    for (const metric& k : k_metrics) {
      const estimate e = over(arm, k.get);
      if (e.mean != 0 || &k == &k_metrics[0]) out += fmt::format("  {:<14} {}\n", k.head, text(e, runs));
    }
    out += "  decisions     ";
    for (unsigned i = 0; i <= TACTUS_NR_SOURCES; ++i) {
      const estimate e = over(arm, [i](const figures& f) { return static_cast<double>(f.decisions[i]) / std::max<double>(1, static_cast<double>(f.all_decisions())); });
      if (e.mean > 0) out += fmt::format(" {} {:.1f} %", source_name(i), 100 * e.mean);
    }
    out += fmt::format("\n  {:<14}", "class");
    for (const class_metric& x : k_class_metrics) out += fmt::format(" {:>16}", x.head);
    out += '\n';
    for (std::size_t c = 0; c < w.classes.size(); ++c) {
      out += fmt::format("  {:<14}", w.classes[c].name);
      for (const class_metric& x : k_class_metrics)
        out += fmt::format(" {:>16}", text(over(arm, [&](const figures& f) { return x.get(f.classes[c], f.seconds); }), runs));
      out += '\n';
    }
    for (const auto& [name, value] : arm.own) out += fmt::format("  {:<20} {:.4g}\n", name, value);
  }
  if (arms.size() > 1) {
    out += fmt::format("\ncost over {}, paired by seed\n", arms[0].policy);
    for (std::size_t a = 1; a < arms.size(); ++a) {
      std::vector<double> ratio;
      for (std::size_t i = 0; i < runs; ++i) ratio.push_back(arms[a].runs[i].cost / arms[0].runs[i].cost);
      out += fmt::format("  {:<24} {}\n", arms[a].policy, text(estimate_of(ratio), runs));
    }
  }
  return out;
}

}  // namespace tactus::sim
