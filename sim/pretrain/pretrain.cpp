// SPDX-License-Identifier: Apache-2.0
#include "sim/pretrain/pretrain.h"

#include <algorithm>
#include <cmath>

#include "agent/learn/api.h"
#include "sim/policy/policy.h"
#include "sim/pretrain/random_world.h"

namespace tactus::sim {
namespace {

constexpr std::uint64_t k_step_ns = 100'000'000;

// A learner for a long course: rates fall over all of it, and what it began with is let go of.
learn::learner_config config_of(const pretrain_settings& s) {
  learn::learner_config c;
  c.seed = s.seed;
  c.learning_rate_start = 3e-3;
  c.learning_rate_decisions = static_cast<double>(s.decisions);
  // A start must still be able to change: it keeps trying where little depends on it.
  c.entropy_start = c.entropy_end = 0.01;
  return c;
}

double cost_of(const random_world& world, const std::string& name, std::uint64_t seed, double seconds) {
  simulation_options options;
  options.seed = seed;
  policy_settings settings;
  settings.seed = seed;
  simulation s(world.on, world.load, options);
  const auto policy = make_policy(name, settings);
  policy->attach(s);
  policy->set_learning(false);
  // Speeds are measured while it runs, so what it decides at first counts for nothing.
  const auto half = static_cast<std::uint64_t>(seconds * 0.5e9);
  s.run_until(half);
  s.start_window();
  s.run_until(2 * half);
  return s.window().cost;
}

}  // namespace

void pretrain(const pretrain_settings& settings, const std::string& file,
              const std::function<void(const pretrain_progress&)>& progress) {
  learn::learner_set learner(config_of(settings));
  if (!settings.from.empty()) learner.load(settings.from);
  learner.start(0);
  std::uint32_t version = 0;
  const std::uint64_t before = learner.stats().decisions_trained;
  for (std::uint64_t i = 0;; ++i) {
    const std::uint64_t number = settings.seed * 10'000'019 % k_first_held_out + i;
    const random_world world = make_random_world(number % k_first_held_out);
    simulation_options options;
    options.seed = number;
    policy_settings p;
    p.seed = number;
    simulation s(world.on, world.load, options);
    const auto policy = make_learned(learner, version, p);
    learner.set_learning(true);
    policy->attach(s);
    s.start_window();
    const auto end = static_cast<std::uint64_t>(settings.seconds_per_world * 1e9);
    for (std::uint64_t now = 0; now < end && s.window().all_decisions() < settings.per_world; now += k_step_ns)
      s.run_until(now + k_step_ns);
    learner.set_learning(false);  // no segment spans two worlds
    const learn::learner_stats figures = learner.stats();
    const std::uint64_t trained = figures.decisions_trained - before;
    progress({i + 1, trained, figures.entropy, figures.explained_variance});
    if (trained >= settings.decisions) break;
  }
  learner.begin_course();  // an agent goes on from here at the rates of a beginning
  learner.save(file);
}

judgement judge(const std::string& checkpoint, unsigned worlds, std::uint64_t seed, double seconds,
                const std::function<void(unsigned)>& progress) {
  judgement j;
  double model = 0, uneven = 0, random = 0, greedy = 0;
  for (unsigned i = 0; i < worlds; ++i) {
    const std::uint64_t number = k_first_held_out + seed + i;
    const random_world world = make_random_world(number);
    const double base = std::max(cost_of(world, "fallback", number, seconds), 1e-9);
    const auto log_ratio = [&](const std::string& name) {
      return std::log(std::max(cost_of(world, name, number, seconds), 1e-9) / base);
    };
    const double mine = log_ratio(checkpoint.empty() ? "learned" : "learned:" + checkpoint);
    model += mine;
    random += log_ratio("random");
    greedy += log_ratio("fastest-first");
    if (std::exp(mine) > j.worst) {
      j.worst = std::exp(mine);
      j.worst_world = number;
    }
    j.worse += mine > 0.02;
    j.better += mine < -0.02;
    const auto speed = [](const cpu_spec& c) { return c.period_ns ? static_cast<double>(c.quota_ns) : c.speed; };
    if (std::any_of(world.on.cpus.begin(), world.on.cpus.end(),
                    [&](const cpu_spec& c) { return std::abs(speed(c) / speed(world.on.cpus[0]) - 1) > 0.05; })) {
      uneven += mine;
      ++j.uneven_worlds;
    }
    ++j.worlds;
    progress(j.worlds);
  }
  j.model = std::exp(model / j.worlds);
  j.random = std::exp(random / j.worlds);
  j.greedy = std::exp(greedy / j.worlds);
  j.uneven_model = j.uneven_worlds ? std::exp(uneven / j.uneven_worlds) : 1;
  return j;
}

}  // namespace tactus::sim
