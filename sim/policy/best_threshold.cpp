// SPDX-License-Identifier: Apache-2.0
// policy.h: the threshold rule with the m that costs least on this machine and load, found by short
// trials under the same arrivals before the simulation begins.
#include "sim/policy/policy.h"

namespace tactus::sim {
namespace {

constexpr unsigned k_candidates[] = {1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 64, 128};
constexpr std::uint64_t k_trial_decisions = 30'000, k_step_ns = 20'000'000, k_longest_ns = 20'000'000'000;

double trial(const machine& m, const workload& w, unsigned threshold, std::uint64_t seed) {
  simulation_options options;
  options.seed = seed;
  simulation s(m, w, options);
  policy_settings settings;
  settings.seed = seed;
  const auto rule = make_threshold(threshold, settings);
  rule->attach(s);
  std::uint64_t t = 0;
  s.run_until(t += 5 * k_step_ns);
  s.start_window();
  while (s.window().all_decisions() < k_trial_decisions && t < k_longest_ns && !s.finished()) s.run_until(t += k_step_ns);
  return s.window().response_ns();
}

class best_threshold_policy final : public policy {
 public:
  explicit best_threshold_policy(const policy_settings& settings) : settings_(settings) {}
  void attach(simulation& s) override {
    threshold_ = best_threshold(s.on(), s.load(), settings_.seed);
    rule_ = make_threshold(threshold_, settings_);
    rule_->attach(s);
  }
  std::vector<std::pair<std::string, double>> figures() const override { return {{"threshold", threshold_}}; }

 private:
  policy_settings settings_;
  unsigned threshold_ = 0;
  std::unique_ptr<policy> rule_;
};

}  // namespace

unsigned best_threshold(const machine& m, const workload& w, std::uint64_t seed) {
  unsigned best = 1;
  double least = 0;
  for (const unsigned candidate : k_candidates) {
    // Above the bound of held workers a higher threshold is the same rule.
    if (candidate > TACTUS_HOLD_QUEUE_PER_CPU * m.cpus.size()) break;
    const double cost = trial(m, w, candidate, seed);
    if (candidate != 1 && cost >= least) continue;
    least = cost;
    best = candidate;
  }
  return best;
}

std::unique_ptr<policy> make_best_threshold(const policy_settings& settings) { return std::make_unique<best_threshold_policy>(settings); }

}  // namespace tactus::sim
