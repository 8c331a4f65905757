// SPDX-License-Identifier: Apache-2.0
//
// tiers.h's implementation.
#include "agent/publish/tiers.h"

#include <algorithm>
#include <cmath>

namespace tactus::agent {
namespace {

constexpr double k_place_prior = 10;  // tasks that the stated capacity is worth
constexpr double k_class_prior = 20;  // .. that the place's general speed is worth to a class
constexpr double k_least_tasks = 1;
constexpr int k_rounds = 12;
// Tier t ends where speed falls below 2^-(bound[t]): 0.76, 0.38, 0.19.
constexpr std::array<double, 3> k_tier_bound_octaves{0.4, 1.4, 2.4};
constexpr double k_hysteresis_octaves = 0.15;

}  // namespace

std::vector<speed_estimate> estimate_speeds(const std::vector<std::array<cost_sample, TACTUS_MAX_PLACES>>& samples,
                                            const std::vector<double>& capacity) {
  const std::size_t places = std::min<std::size_t>(capacity.size(), TACTUS_MAX_PLACES);
  double best_capacity = 1;
  for (std::size_t p = 0; p < places; p++) best_capacity = std::max(best_capacity, capacity[p]);
  std::vector<double> prior(places), b(places);
  for (std::size_t p = 0; p < places; p++) b[p] = prior[p] = -std::log(std::max(capacity[p], 1e-3) / best_capacity);
  std::vector<double> a(samples.size(), 0);

  std::vector<std::array<double, TACTUS_MAX_PLACES>> cost(samples.size());
  const auto weight = [&](std::size_t c, std::size_t p) {
    const cost_sample& s = samples[c][p];
    return s.tasks >= k_least_tasks && s.run_ns > 0 ? s.tasks : 0.0;
  };
  for (std::size_t c = 0; c < samples.size(); c++) {
    for (std::size_t p = 0; p < places; p++) {
      cost[c][p] = weight(c, p) > 0 ? std::log(samples[c][p].run_ns / samples[c][p].tasks) : 0;
    }
  }
  // Weighted least squares of the additive model by turns; it converges geometrically.
  for (int round = 0; round < k_rounds; round++) {
    for (std::size_t c = 0; c < samples.size(); c++) {
      double sum = 0, all = 0;
      for (std::size_t p = 0; p < places; p++) {
        sum += weight(c, p) * (cost[c][p] - b[p]);
        all += weight(c, p);
      }
      if (all > 0) a[c] = sum / all;
    }
    for (std::size_t p = 0; p < places; p++) {
      double sum = k_place_prior * prior[p], all = k_place_prior;
      for (std::size_t c = 0; c < samples.size(); c++) {
        sum += weight(c, p) * (cost[c][p] - a[c]);
        all += weight(c, p);
      }
      b[p] = sum / all;
    }
  }

  std::vector<speed_estimate> out(samples.size());
  for (std::size_t c = 0; c < samples.size(); c++) {
    std::vector<double> log_cost(places);
    double least = INFINITY;
    for (std::size_t p = 0; p < places; p++) {
      const double w = weight(c, p);
      const double own = w > 0 ? cost[c][p] - a[c] - b[p] : 0;
      log_cost[p] = b[p] + own * w / (w + k_class_prior);
      least = std::min(least, log_cost[p]);
      out[c].known[p] = static_cast<float>(w / (w + 20));
    }
    for (std::size_t p = 0; p < places; p++) out[c].speed[p] = static_cast<float>(std::exp(least - log_cost[p]));
  }
  return out;
}

void assign_tiers(const speed_estimate& speeds, const std::vector<float>& node_distance, bool fresh,
                  std::array<std::uint8_t, TACTUS_MAX_PLACES>& tier) {
  for (std::size_t p = 0; p < tier.size(); p++) {
    if (p >= node_distance.size()) {
      tier[p] = 0;
      continue;
    }
    const int remote = node_distance[p] > 0 ? 1 : 0;
    const double octaves = -std::log2(std::max(speeds.speed[p], 1e-6f));
    int now = 0;
    while (now < 3 && octaves > k_tier_bound_octaves[static_cast<std::size_t>(now)]) now++;
    if (!fresh) {
      // A neighbouring tier is only entered past the band.
      const int before = std::max(0, tier[p] - remote);
      if (now == before + 1 && octaves < k_tier_bound_octaves[static_cast<std::size_t>(before)] + k_hysteresis_octaves) now = before;
      if (now == before - 1 && octaves > k_tier_bound_octaves[static_cast<std::size_t>(now)] - k_hysteresis_octaves) now = before;
    }
    tier[p] = static_cast<std::uint8_t>(std::min(3, now + remote));
  }
}

double class_confidence(const confidence_evidence& e) {
  constexpr double k_most = 0.5;
  double confidence = 1;
  if (e.recent_run_ns > 0 && e.usual_run_ns > 0) {
    const double octaves = std::abs(std::log2(e.recent_run_ns / e.usual_run_ns));
    confidence -= std::clamp((octaves - 1) / 2, 0.0, k_most);
  }
  if (e.decisions_trained > 5000 && std::isfinite(e.explained_variance)) {
    confidence -= std::clamp((-e.explained_variance - 1) / 4, 0.0, k_most);
  }
  if (std::isfinite(e.novelty)) confidence -= std::clamp((e.novelty - 2) / 4, 0.0, k_most);
  return std::clamp(confidence, 0.0, 1.0);
}

}  // namespace tactus::agent
