// SPDX-License-Identifier: Apache-2.0
// policy.h: fixed rules, the baselines of the literature. They know the true speeds.
#include <algorithm>
#include <charconv>

#include "sim/policy/policy.h"

namespace tactus::sim {
namespace {

enum class rule_kind { round_robin, shortest_queue, power_of_two, idle_queue, expected_delay, threshold, affinity };

// affinity: a place that is not among the class's fastest is used when this many wait at the own one,
// the worker in question among them.
constexpr unsigned k_never_cross = ~0u;

class rule_policy final : public policy, public decision_rule {
 public:
  rule_policy(rule_kind kind, unsigned threshold, std::uint64_t seed)
      : kind_(kind), threshold_(threshold), random_(seed, stream::rule, 0) {}

  void attach(simulation& s) override {
    simulation_ = &s;
    s.sched().rule = this;
    learn_speeds();
    s.on_topology([this] { learn_speeds(); });
  }

  std::uint32_t wake(const scheduler& s, const kernel_thread& p, const tactus_view& v, const tactus_decided& d) override {
    const std::vector<double>& speed = speed_[p.t.slot];
    switch (kind_) {
      case rule_kind::round_robin:
        for (std::uint32_t i = 0; i < s.nr_places; ++i) {
          last_ = last_ + 1 < s.nr_places ? last_ + 1 : 0;
          if ((d.legal >> last_ & 1) != 0) break;
        }
        return last_;
      case rule_kind::shortest_queue: return least(s, d.legal, [&](std::uint32_t k) { return load(s, k); });
      case rule_kind::power_of_two: {
        const std::uint32_t a = drawn(d.legal), b = drawn(d.legal);
        return load(s, b) < load(s, a) ? b : a;
      }
      case rule_kind::idle_queue: return drawn((v.idle & d.legal) != 0 ? v.idle & d.legal : d.legal);
      case rule_kind::expected_delay:
        return least(s, d.legal, [&](std::uint32_t k) { return (load(s, k) + 1.0 / s.places[k].nr_cpus) / speed[k]; });
      case rule_kind::affinity: return wake_by_affinity(s, v, d, speed);
      case rule_kind::threshold: break;
    }
    const std::uint64_t idle = v.idle & d.legal;
    if (idle != 0) {
      const std::uint32_t k = fastest(s, idle, speed, v.prev);
      if (is_fast(speed, k) || d.waiting + 1 >= threshold_) return k;
    }
    if (d.hold_legal) return TACTUS_HOLD;
    return least(s, d.legal, [&](std::uint32_t k) { return (load(s, k) + 1.0 / s.places[k].nr_cpus) / speed[k]; });
  }

  bool take(const scheduler& s, const kernel_thread& p, std::uint32_t place, std::uint32_t others_waiting) override {
    const std::vector<double>& speed = speed_[p.t.slot];
    switch (kind_) {
      case rule_kind::threshold: return is_fast(speed, place) || others_waiting + 1 >= threshold_;
      case rule_kind::affinity:
        return is_fast(speed, place) ||
               (p.t.queued < s.nr_places && static_cast<std::uint32_t>(s.depth[p.t.queued]) >= threshold_);
      default: return false;
    }
  }

 private:
  static constexpr double k_fast = 0.758;  // of the best speed: tier 0

  static bool is_fast(const std::vector<double>& speed, std::uint32_t place) {
    return speed[place] >= k_fast * *std::max_element(speed.begin(), speed.end());
  }
  // The one where it ran before among equals.
  static std::uint32_t fastest(const scheduler& s, std::uint64_t among, const std::vector<double>& speed, std::uint32_t prev) {
    return least(s, among, [&](std::uint32_t i) { return -speed[i] - (i == prev ? 1e-9 : 0); });
  }
  // Each class waits in the queues of its own fastest places; others help when they may.
  std::uint32_t wake_by_affinity(const scheduler& s, const tactus_view& v, const tactus_decided& d, const std::vector<double>& speed) const {
    std::uint64_t own = 0;
    for (std::uint32_t k = 0; k < s.nr_places; ++k) own |= static_cast<std::uint64_t>(is_fast(speed, k)) << k;
    own &= d.legal;
    const std::uint64_t idle = v.idle & d.legal;
    if ((idle & own) != 0) return fastest(s, idle & own, speed, v.prev);
    if (own == 0) own = d.legal;
    const std::uint32_t queue = least(s, own, [&](std::uint32_t k) { return load(s, k); });
    const bool helped = idle != 0 && static_cast<std::uint32_t>(s.depth[queue] + 1) >= threshold_;
    return helped ? fastest(s, idle, speed, v.prev) : queue;
  }

  // Workers per CPU at a place, waiting or running.
  static double load(const scheduler& s, std::uint32_t k) {
    const double cpus = s.places[k].nr_cpus;
    return (s.depth[k] + cpus - s.idle.idle_cpus_of(k)) / cpus;
  }
  template <class Cost>
  static std::uint32_t least(const scheduler& s, std::uint64_t among, Cost cost) {
    std::uint32_t best = TACTUS_NO_PLACE;
    double lowest = 0;
    for (std::uint32_t k = 0; k < s.nr_places; ++k) {
      if ((among >> k & 1) == 0) continue;
      const double c = cost(k);
      if (best == TACTUS_NO_PLACE || c < lowest) {
        best = k;
        lowest = c;
      }
    }
    return best;
  }
  std::uint32_t drawn(std::uint64_t among) {
    auto skip = random_.below(static_cast<std::uint32_t>(std::popcount(among)));
    while (skip-- > 0) among &= among - 1;
    return static_cast<std::uint32_t>(std::countr_zero(among));
  }
  void learn_speeds() {
    speed_.assign(TACTUS_MAX_SLOTS, std::vector<double>(simulation_->topology().nr_places, 1.0));
    for (unsigned c = 0; c < simulation_->load().classes.size(); ++c)
      speed_[simulation::slot_of(c)] = true_speeds(*simulation_, c);
  }

  rule_kind kind_;
  std::uint32_t threshold_, last_ = TACTUS_MAX_PLACES;
  random_stream random_;
  simulation* simulation_ = nullptr;
  std::vector<std::vector<double>> speed_;  // [slot][place]
};

}  // namespace

std::unique_ptr<policy> make_rule(const std::string& name, const policy_settings& settings) {
  const auto make = [&](rule_kind kind, unsigned threshold) {
    return std::make_unique<rule_policy>(kind, threshold, settings.seed);
  };
  if (name == "round-robin") return make(rule_kind::round_robin, 0);
  if (name == "join-shortest-queue") return make(rule_kind::shortest_queue, 0);
  if (name == "power-of-two") return make(rule_kind::power_of_two, 0);
  if (name == "join-idle-queue") return make(rule_kind::idle_queue, 0);
  if (name == "shortest-expected-delay") return make(rule_kind::expected_delay, 0);
  if (name == "fastest-first") return make(rule_kind::threshold, 0);
  if (name == "affinity-strict") return make(rule_kind::affinity, k_never_cross);
  if (name == "affinity") return make(rule_kind::affinity, 0);
  if (name == "affinity-two") return make(rule_kind::affinity, 2);
  if (name.starts_with("threshold:")) {
    unsigned m = 0;
    const char* end = name.data() + name.size();
    const auto [at, error] = std::from_chars(name.data() + 10, end, m);
    if (error != std::errc{} || at != end) throw description_error("policy " + name + ": expected threshold:M with a whole number");
    return make_threshold(m, settings);
  }
  return nullptr;
}

std::unique_ptr<policy> make_threshold(unsigned m, const policy_settings& settings) {
  return std::make_unique<rule_policy>(rule_kind::threshold, m, settings.seed);
}

}  // namespace tactus::sim
