// SPDX-License-Identifier: Apache-2.0
#include "sim/table/runs.h"

#include <algorithm>
#include <chrono>

#include "agent/learn/api.h"

namespace tactus::sim {
namespace {

constexpr std::uint64_t k_step_ns = 50'000'000;
constexpr double k_longest_learning_s = 300;   // simulated
constexpr std::uint64_t k_learning_seed = 1'000'003;  // away from the measured arrivals
constexpr double k_least_warmup_s = 1;         // speeds are measured in it

std::uint64_t ns(double s) { return static_cast<std::uint64_t>(s * 1e9); }

simulation_options options_of(std::uint64_t seed) {
  simulation_options o;
  o.seed = seed;
  return o;
}

void learn_on(policy& p, const table_settings& settings, const machine& m, const workload& w, std::uint64_t seed) {
  simulation s(m, w, options_of(seed + k_learning_seed));
  p.attach(s);
  s.start_window();
  for (std::uint64_t t = 0; t < ns(k_longest_learning_s) && s.window().all_decisions() < settings.learn_decisions && !s.finished();)
    s.run_until(t += k_step_ns);
  p.set_learning(false);
}

figures measured(policy& p, const machine& m, const workload& w, std::uint64_t seed, double seconds) {
  simulation s(m, w, options_of(seed));
  p.attach(s);
  const double warmup_s = std::max(k_least_warmup_s, 0.2 * seconds);
  s.run_until(ns(warmup_s));
  s.start_window();
  s.run_until(ns(warmup_s + seconds));
  return s.window();
}

figures learned_figures(const table_settings& settings, const machine& m, const workload& w, std::uint64_t seed, double seconds, bool online) {
  policy_settings ps;
  ps.seed = seed;
  learn::learner_config config;
  config.seed = seed;
  learn::learner_set learner(config);
  learner.load(settings.model);
  learner.start(0);
  std::uint32_t version = 0;
  if (online) learn_on(*make_learned(learner, version, ps), settings, m, w, seed);
  learner.set_learning(false);
  return measured(*make_learned(learner, version, ps), m, w, seed, seconds);
}

}  // namespace

const std::vector<std::string>& table_policies() {
  static const std::vector<std::string> names{
      "fallback", "random", "round-robin", "join-shortest-queue", "power-of-two", "join-idle-queue", "shortest-expected-delay",
      "fastest-first", "threshold:best", "affinity-strict", "affinity", "affinity-two", "bandit", "model", "learned"};
  return names;
}

bool is_fixed_rule(const std::string& policy) {
  return policy != "random" && policy != "bandit" && policy != "model" && policy != "learned";
}

nlohmann::json to_json(const table_run& r) {
  return {{"machine", r.machine}, {"workload", r.workload}, {"policy", r.policy}, {"seed", r.seed},
          {"response_ms", r.response_ms}, {"dropped", r.dropped}, {"missed", r.missed}, {"wall_s", r.wall_s}};
}

table_run run_from_json(const nlohmann::json& j) {
  return {j.at("machine"), j.at("workload"), j.at("policy"), j.at("seed"), j.at("response_ms"), j.at("dropped"), j.at("missed"), j.at("wall_s")};
}

double measured_seconds(const table_settings& settings, const machine& m, const workload& w) {
  constexpr double k_probe_s = 1;
  const auto p = make_policy("fallback", {});
  simulation s(m, w, options_of(1));
  p->attach(s);
  s.run_until(ns(k_probe_s));
  double ended = 1;
  for (const class_window& c : s.window().classes) ended += static_cast<double>(c.ended);
  return std::clamp(static_cast<double>(settings.tasks) * k_probe_s / ended, settings.least_s, settings.most_s);
}

table_run run_cell(const table_settings& settings, const machine& m, const workload& w, const std::string& policy, std::uint64_t seed,
                   double seconds, unsigned threshold) {
  const auto began = std::chrono::steady_clock::now();
  figures f;
  if (policy == "model" || policy == "learned") {
    f = learned_figures(settings, m, w, seed, seconds, policy == "learned");
  } else {
    policy_settings ps;
    ps.seed = seed;
    const auto p = policy == "threshold:best" ? make_threshold(threshold, ps) : make_policy(policy, ps);
    if (policy == "bandit") learn_on(*p, settings, m, w, seed);
    f = measured(*p, m, w, seed, seconds);
  }
  table_run r{m.name, w.name, policy, seed};
  r.response_ms = f.response_ns() * 1e-6;
  double all = 0, dropped = 0, due = 0, missed = 0;
  for (std::size_t c = 0; c < f.classes.size(); ++c) {
    const auto of = static_cast<double>(f.classes[c].ended + f.classes[c].dropped);
    all += of;
    dropped += static_cast<double>(f.classes[c].dropped);
    if (w.classes[c].deadline_ns == 0) continue;
    due += of;
    missed += static_cast<double>(f.classes[c].missed + f.classes[c].dropped);
  }
  r.dropped = dropped / std::max(1.0, all);
  r.missed = missed / std::max(1.0, due);
  r.wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  return r;
}

}  // namespace tactus::sim
