// SPDX-License-Identifier: Apache-2.0
// policy.h: a contextual bandit, LinUCB (Li, Chu, Langford, Schapire, WWW 2010; disjoint models). One
// ridge regression per class and place of the sojourn time of a worker's first task on (1, load of the
// place); the place with the lowest lower confidence bound is taken. Immediate dispatch: nobody takes
// from another's queue. Its reward is the worker's own, so what it can learn is the selfish rule.
#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "sim/policy/policy.h"

namespace tactus::sim {
namespace {

// Ridge regression in two dimensions, with weight 1: A = I + sum x x', b = sum x y.
struct linear_model {
  double a00 = 1, a01 = 0, a11 = 1, b0 = 0, b1 = 0;

  void add(double x, double y) {
    a00 += 1, a01 += x, a11 += x * x;
    b0 += y, b1 += x * y;
  }
  // theta' (1, x) and sqrt((1, x) A^-1 (1, x)').
  void estimate(double x, double& mean, double& width) const {
    const double det = a00 * a11 - a01 * a01;
    mean = ((a11 * b0 - a01 * b1) + x * (a00 * b1 - a01 * b0)) / det;
    width = std::sqrt(std::max(0.0, a11 - 2 * a01 * x + a00 * x * x) / det);
  }
};

class bandit final : public policy, public decision_rule, public event_sink {
 public:
  explicit bandit(std::uint64_t seed) : random_(seed, stream::rule, 1) {}

  void attach(simulation& s) override {
    simulation_ = &s;
    s.sched().rule = this;
    s.sched().sink = this;
    s.keep_records();
    asked_.clear();
    // Attached to another simulation of the same machine it goes on with what it has learned.
    if (models_.empty()) models_.assign(TACTUS_MAX_SLOTS * TACTUS_MAX_PLACES, {});
    s.on_topology([this] { models_.assign(models_.size(), {}); });
  }
  void set_learning(bool on) override { learning_ = on; }

  std::uint32_t wake(const scheduler& s, const kernel_thread& p, const tactus_view&, const tactus_decided& d) override {
    std::uint32_t best = TACTUS_NO_PLACE, ties = 0;
    double lowest = 0;
    for (std::uint32_t k = 0; k < s.nr_places; ++k) {
      if ((d.legal >> k & 1) == 0) continue;
      double mean = 0, width = 0;
      model(p.t.slot, k).estimate(load(s, k), mean, width);
      const double bound = mean - k_optimism * mean_sojourn_ns_[p.t.slot] * width;
      if (best != TACTUS_NO_PLACE && bound > lowest) continue;
      ties = best != TACTUS_NO_PLACE && bound == lowest ? ties + 1 : 1;
      if (random_.below(ties) == 0) best = k;
      lowest = bound;
    }
    if (learning_) asked_[p.tid] = {simulation_->now_ns(), load(s, best), p.t.slot, best};
    return best;
  }
  bool take(const scheduler&, const kernel_thread&, std::uint32_t, std::uint32_t) override { return false; }

  void decision(const tactus_decision_event&) override {}
  void completion(const tactus_completion_event& e, std::size_t) override {
    if (e.nr_records == 0) return;
    const auto found = asked_.find(e.head.tid);
    if (found == asked_.end()) return;
    const question q = found->second;
    asked_.erase(found);
    const double sojourn = static_cast<double>(e.records[0].end_ticks - q.time_ns);
    model(q.slot, q.place).add(q.load, sojourn);
    double& mean = mean_sojourn_ns_[q.slot];
    mean = mean == 0 ? sojourn : mean + 0.01 * (sojourn - mean);
  }

 private:
  struct question {
    std::uint64_t time_ns;
    double load;
    std::uint32_t slot, place;
  };
  static constexpr double k_optimism = 1;  // alpha, in mean sojourn times of the class

  static double load(const scheduler& s, std::uint32_t k) {
    const double cpus = s.places[k].nr_cpus;
    return (s.depth[k] + cpus - s.idle.idle_cpus_of(k)) / cpus;
  }
  linear_model& model(std::uint32_t slot, std::uint32_t place) { return models_[slot * TACTUS_MAX_PLACES + place]; }

  random_stream random_;
  simulation* simulation_ = nullptr;
  bool learning_ = true;
  std::vector<linear_model> models_;  // [slot][place]
  double mean_sojourn_ns_[TACTUS_MAX_SLOTS] = {};
  std::unordered_map<std::uint32_t, question> asked_;  // by worker: its last decision, not yet answered
};

}  // namespace

std::unique_ptr<policy> make_bandit(const policy_settings& settings) { return std::make_unique<bandit>(settings.seed); }

}  // namespace tactus::sim
