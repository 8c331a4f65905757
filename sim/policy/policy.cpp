// SPDX-License-Identifier: Apache-2.0
#include "sim/policy/policy.h"

#include <fmt/format.h>

#include <algorithm>

namespace tactus::sim {
namespace {

class fallback_policy final : public policy {
 public:
  void attach(simulation& s) override { s.sched().control.mode = TACTUS_MODE_FALLBACK; }
};

}  // namespace

const std::vector<policy_name>& policy_names() {
  static const std::vector<policy_name> names{
      {"fallback", "the scheduler's own heuristic, as without an agent"},
      {"random", "rows that draw places at random, no hold"},
      {"rows:FILE", "rows of a table"},
#ifdef TACTUS_SIM_LEARNER
      {"learned[:FILE]", "the learner, online; it starts from the checkpoint FILE or from nothing"},
#endif
      {"round-robin", "place after place"},
      {"join-shortest-queue", "the place with the fewest workers per CPU"},
      {"power-of-two", "the shorter queue of two places drawn at random"},
      {"join-idle-queue", "an idle place, drawn at random; else any"},
      {"shortest-expected-delay", "(workers + 1) / speed is least"},
      {"fastest-first", "greedy: the fastest idle place, else one queue for all"},
      {"threshold:M", "as greedy, but a slow place only when M or more wait"},
      {"threshold:best", "with the M that costs least in short trials"},
      {"affinity-strict", "a class waits for its own fastest places"},
      {"affinity", "its own places first, any idle one else"},
      {"affinity-two", "an idle foreign place when two of the class wait"},
      {"bandit", "LinUCB, one model per class and place; reward: minus the worker's own sojourn time"},
  };
  return names;
}

std::unique_ptr<policy> make_policy(const std::string& name, const policy_settings& settings) {
  if (name == "fallback") return std::make_unique<fallback_policy>();
  if (name == "random") return make_random_rows();
  if (name.starts_with("rows:")) return make_row_table(name.substr(5));
#ifdef TACTUS_SIM_LEARNER
  if (name == "learned") return make_learned("", settings);
  if (name.starts_with("learned:")) return make_learned(name.substr(8), settings);
#endif
  if (name == "threshold:best") return make_best_threshold(settings);
  if (name == "bandit") return make_bandit(settings);
  if (auto rule = make_rule(name, settings)) return rule;
  throw description_error(fmt::format("policy {}: unknown; see tactus-sim list", name));
}

namespace {

// c: null: of tasks in general.
std::vector<double> speeds_for(const simulation& s, const task_class_spec* c) {
  const machine& m = s.on();
  std::vector<double> sum(s.topology().nr_places, 0), cpus(s.topology().nr_places, 0);
  for (unsigned i = 0; i < m.cpus.size(); ++i) {
    if (s.topology().cpus[i].present == 0) continue;
    const cpu_spec& spec = m.cpus[i];
    double speed = spec.speed * (1 - spec.steal_share);
    if (spec.quota_ns != 0) speed *= static_cast<double>(spec.quota_ns) / static_cast<double>(spec.period_ns);
    if (c != nullptr)
      for (const auto& [type, factor] : c->speed)
        if (m.types[spec.type] == type) speed *= factor;
    sum[s.topology().cpus[i].place] += speed;
    ++cpus[s.topology().cpus[i].place];
  }
  for (std::size_t p = 0; p < sum.size(); ++p) sum[p] /= cpus[p];
  return sum;
}

}  // namespace

std::vector<double> true_speeds(const simulation& s, unsigned task_class) { return speeds_for(s, &s.load().classes[task_class]); }

void publish_true_tiers(simulation& s) {
  // Slot 0 has the places' general speeds, for unmanaged threads.
  for (unsigned slot = 0; slot <= s.load().classes.size(); ++slot) {
    const std::vector<double> speed = speeds_for(s, slot == 0 ? nullptr : &s.load().classes[slot - 1]);
    const double best = *std::max_element(speed.begin(), speed.end());
    for (unsigned bank = 0; bank < 2; ++bank) {
      tactus_class_conf& conf = s.sched().classes[bank * TACTUS_MAX_SLOTS + slot];
      conf.in_use = 1;
      for (std::size_t p = 0; p < speed.size(); ++p) {
        const double ratio = speed[p] / best;  // the bounds of agent/publish/tiers.cpp
        conf.tier[p] = static_cast<__u8>((ratio < 0.758) + (ratio < 0.379) + (ratio < 0.189));
      }
    }
  }
}

}  // namespace tactus::sim
