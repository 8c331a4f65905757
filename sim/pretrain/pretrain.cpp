// SPDX-License-Identifier: Apache-2.0
#include "sim/pretrain/pretrain.h"

#include <algorithm>
#include <cmath>

#include "agent/learn/api.h"
#include "queueing/training.h"
#include "sim/policy/policy.h"
#include "sim/pretrain/dice.h"
#include "sim/pretrain/random_system.h"
#include "sim/pretrain/random_world.h"

namespace tactus::sim {
namespace {

constexpr std::uint64_t k_step_ns = 100'000'000;
constexpr std::uint64_t k_publish_every = 128;  // decisions, on systems

// A learner for a long course: rates fall over all of it, and what it began with is let go of.
learn::learner_config config_of(const pretrain_settings& s) {
  learn::learner_config c;
  c.seed = s.seed;
  // Longer segments and traces, a nearer horizon than online: the models are better (models/README.md).
  c.segment_length = 64;
  c.trace_factor = 0.98;
  c.discount_beta = 0.1;
  c.prior_bound = 0;  // as the shipped model was made
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

// Sources of machine state differ from machine to machine, and the simulator has few of them. So a
// world forgets some, and makes others up: what a model sees elsewhere must not upset it.
std::function<void(learn::machine_state&)> disguise_of(std::uint64_t number) {
  dice d(number, 0x64697367);
  std::uint32_t forgotten = 0, made_up = 0;
  std::array<float, learn::k_state_size> level{};
  for (unsigned i = 0; i < learn::k_state_size; ++i) {
    const unsigned what = d.below(3);
    if (what == 0) forgotten |= 1u << i;
    if (what == 1) made_up |= 1u << i;
    level[i] = static_cast<float>(d.chance(0.3) ? 0 : d.between(0, 1));
  }
  return [=](learn::machine_state& s) mutable {
    s.present = (s.present & ~forgotten) | made_up;
    for (unsigned i = 0; i < learn::k_state_size; ++i)
      if (made_up >> i & 1) s.value[i] = std::clamp(level[i] + static_cast<float>(d.between(-0.05, 0.05)), 0.0f, 1.0f);
  };
}

// One after the other; the learner is on while one runs, so no segment spans two.
class course {
 public:
  explicit course(const pretrain_settings& s) : settings_(s), learner_(config_of(s)) {
    if (!s.from.empty()) learner_.load(s.from);
    learner_.start(0);
    learner_.set_learning(false);
    before_ = learner_.stats().decisions_trained;
  }

  void world(std::uint64_t number) {
    const random_world world = make_random_world(number);
    simulation_options options;
    options.seed = number;
    policy_settings p;
    p.seed = number;
    p.disguise = disguise_of(number);
    simulation s(world.on, world.load, options);
    const auto policy = make_learned(learner_, version_, p);
    begin();
    policy->attach(s);
    s.start_window();
    const auto end = static_cast<std::uint64_t>(settings_.seconds_per_world * 1e9);
    for (std::uint64_t now = 0; now < end && s.window().all_decisions() < settings_.per_world; now += k_step_ns)
      s.run_until(now + k_step_ns);
    learner_.set_learning(false);
  }

  void system(std::uint64_t number) {
    const oracle_system system(make_random_system(number));
    closed_loop loop(system, learner_, number, version_);
    const auto disguise = disguise_of(number);
    begin();
    learner_.set_service_time_ns(k_service_ns);
    while (loop.decisions() < settings_.per_world) {
      loop.publish([&](learn::policy_inputs& in) { disguise(in.state); });
      loop.run_decisions(k_publish_every);
    }
    version_ = loop.version();
    learner_.set_learning(false);
  }

  learn::learner_stats figures() const { return learner_.stats(); }
  std::uint64_t trained() const { return figures().decisions_trained - before_; }

  void save(const std::string& file) {
    learner_.begin_course();  // an agent goes on from here at the rates of a beginning
    learner_.save(file);
  }

 private:
  void begin() {
    learner_.begin_environment();
    learner_.set_learning(true);
  }

  const pretrain_settings settings_;
  learn::learner_set learner_;
  std::uint32_t version_ = 0;
  std::uint64_t before_ = 0;
};

}  // namespace

void pretrain(const pretrain_settings& settings, const std::string& file,
              const std::function<void(const pretrain_progress&)>& progress) {
  course c(settings);
  for (std::uint64_t i = 0;; ++i) {
    const std::uint64_t number = (settings.seed * 10'000'019 + i) % k_first_held_out;
    if (i % 3 == 2)
      c.system(number);
    else
      c.world(number);
    const learn::learner_stats figures = c.figures();
    progress({i + 1, c.trained(), figures.entropy, figures.explained_variance});
    if (c.trained() >= settings.decisions) break;
  }
  c.save(file);
}

judgement judge(const std::string& checkpoint, unsigned worlds, std::uint64_t first, double seconds,
                const std::function<void(unsigned)>& progress) {
  judgement j;
  double model = 0, games = 0, random = 0, greedy = 0;
  for (unsigned i = 0; i < worlds; ++i) {
    const std::uint64_t number = k_first_held_out + first + i;
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
      j.worst_world = first + i;
    }
    j.worse += mine > 0.02;
    j.better += mine < -0.02;
    if (is_game(number)) {
      games += mine;
      ++j.games;
    }
    ++j.worlds;
    progress(j.worlds);
  }
  j.model = std::exp(model / j.worlds);
  j.random = std::exp(random / j.worlds);
  j.greedy = std::exp(greedy / j.worlds);
  j.game_model = j.games ? std::exp(games / j.games) : 1;
  return j;
}

}  // namespace tactus::sim
