// SPDX-License-Identifier: Apache-2.0
//
// task_features.h's implementation.
#include "agent/publish/task_features.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace tactus::agent {
namespace {

constexpr double k_least_log2_ns = 6.643856189774724;  // 100 ns
constexpr double k_octaves = 24;
constexpr double k_latency_us = 10'000;  // a deadline so long is half as sensitive as can be
constexpr double k_sure_of_node = 0.9;
constexpr std::size_t k_most_nodes = 64;

constexpr std::array<const char*, TACTUS_FEATURE_PREFERRED_NODE + 1> k_names{
    "compute_intensity", "sequential_access", "data_size_log2",      "cache_locality", "loop_depth",
    "dependencies",      "branch_divergence", "vectorization",       "latency_sensitivity", "priority",
    "deadline_pressure", "run_time",          "preferred_node"};

}  // namespace

const char* feature_name(unsigned feature) { return feature < k_names.size() ? k_names[feature] : "?"; }

double run_time_feature(double log2_ns) { return (log2_ns - k_least_log2_ns) / k_octaves; }

node_preference preferred_node(const class_figures& history, std::span<const tactus_place> places) {
  struct {
    double run_ns = 0, tasks = 0;
  } nodes[k_most_nodes];
  const std::size_t n = std::min(places.size(), history.place.size());
  for (std::size_t p = 0; p < n; p++) {
    auto& node = nodes[places[p].node % k_most_nodes];
    node.run_ns += history.place[p].run_ns;
    node.tasks += history.place[p].tasks;
  }
  int best = -1, second = -1;
  const auto cost = [&](int i) { return nodes[i].run_ns / nodes[i].tasks; };
  for (int i = 0; i < static_cast<int>(k_most_nodes); i++) {
    if (nodes[i].tasks < 1 || nodes[i].run_ns <= 0) continue;
    if (best < 0 || cost(i) < cost(best)) {
      second = best;
      best = i;
    } else if (second < 0 || cost(i) < cost(second)) {
      second = i;
    }
  }
  if (best < 0 || second < 0) return {best, 0};
  // The logarithm of a mean over n tasks of squared variation v has a variance of about v / n.
  const double variance = std::max(history.variation(), 1e-3) * (1 / nodes[best].tasks + 1 / nodes[second].tasks);
  const double z = std::log(cost(second) / cost(best)) / std::sqrt(variance);
  return {best, std::erf(z / std::sqrt(2.0))};
}

learn::task_features task_features_of(const slot_class& declared, const class_figures& history,
                                      std::span<const tactus_place> places) {
  learn::task_features t;
  const auto set = [&](unsigned i, double v) {
    t.value[i] = static_cast<float>(std::isfinite(v) ? std::clamp(v, 0.0, 1.0) : 0.0);
    t.present |= 1u << i;
  };
  const auto measured = [&](unsigned i, double v) {
    if ((declared.declared >> i & 1) == 0) set(i, v);
  };
  for (unsigned i = 0; i < TACTUS_NR_FEATURES; i++)
    if ((declared.declared >> i & 1) != 0) set(i, declared.features[i] / 255.0);

  const double priority = declared.priority / 3.0;
  const double haste = declared.deadline_us != 0 ? k_latency_us / (k_latency_us + declared.deadline_us) : 0;
  measured(TACTUS_FEATURE_PRIORITY, priority);
  measured(TACTUS_FEATURE_LATENCY_SENSITIVITY, std::max(priority, haste));
  if (history.run_log2.known()) {
    measured(TACTUS_FEATURE_RUN_TIME, run_time_feature(history.run_log2.value()));
    if (declared.deadline_us != 0)
      measured(TACTUS_FEATURE_DEADLINE_PRESSURE, std::exp2(history.run_log2.value()) / (declared.deadline_us * 1000.0));
  }
  unsigned highest = 0;
  for (const tactus_place& p : places) highest = std::max<unsigned>(highest, p.node);
  if (highest > 0) {
    const node_preference preferred = preferred_node(history, places);
    if (preferred.confidence >= k_sure_of_node)
      measured(TACTUS_FEATURE_PREFERRED_NODE, static_cast<double>(preferred.node) / highest);
  }
  return t;
}

}  // namespace tactus::agent
