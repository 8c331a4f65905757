// SPDX-License-Identifier: Apache-2.0
// tactus-sim pretrain: makes the model that an agent without a checkpoint starts from, or judges one.
#include "sim/pretrain/pretrain.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <memory>

#include <nlohmann/json.hpp>

#include "sim/cli/commands.h"

namespace tactus::sim {
namespace {

struct options {
  pretrain_settings train;
  std::string out, judge_file;
  unsigned held_out = 60;
  double seconds = 10;
  bool judge_only = false, json = false;
};

// Says something every two seconds; the last word of a phase always.
class teller {
 public:
  void say(const std::string& text, bool last = false) {
    const auto now = std::chrono::steady_clock::now();
    if (!last && now - said_ < std::chrono::seconds(2)) return;
    said_ = now;
    fmt::print(stderr, "tactus-sim: {}\n", text);
  }

 private:
  std::chrono::steady_clock::time_point said_ = std::chrono::steady_clock::now();
};

void run(const options& o) {
  teller tell;
  const auto begin = std::chrono::steady_clock::now();
  std::string model = o.judge_file;
  pretrain_progress last;
  if (!o.judge_only) {
    model = o.out;
    pretrain(o.train, o.out, [&](const pretrain_progress& p) {
      last = p;
      tell.say(fmt::format("{} of {} decisions, {} worlds, entropy {:.2f}, explained variance {:.2f}", p.decisions, o.train.decisions,
                           p.worlds, p.entropy, p.explained_variance));
    });
    tell.say(fmt::format("{} written after {} decisions in {} worlds", o.out, last.decisions, last.worlds), true);
  }
  const double trained_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  // Models of different seeds are judged on the same worlds; --judge alone chooses others by its seed.
  const std::uint64_t first_world = o.judge_only ? (o.train.seed - 1) * o.held_out + 1 : 1;
  const judgement j = judge(model, o.held_out, first_world, o.seconds,
                            [&](unsigned n) { tell.say(fmt::format("judging: {} of {} held-out worlds", n, o.held_out)); });
  nlohmann::json out = {{"model", model.empty() ? "clone of the fallback" : model},
                        {"seed", o.train.seed},
                        {"decisions", last.decisions},
                        {"worlds", last.worlds},
                        {"seconds", trained_s},
                        {"held_out", {{"worlds", j.worlds},
                                      {"first_world", first_world},
                                      {"games", j.games},
                                      {"cost_over_fallback", j.model},
                                      {"cost_over_fallback_games", j.game_model},
                                      {"worst", j.worst},
                                      {"worst_world", j.worst_world},
                                      {"better_by_2_percent", j.better},
                                      {"worse_by_2_percent", j.worse},
                                      {"random_over_fallback", j.random},
                                      {"fastest_first_over_fallback", j.greedy}}}};
  if (o.json) {
    fmt::print("{}\n", out.dump(2));
    return;
  }
  fmt::print("simulated cost over that of the fallback, geometric mean of held-out worlds {} to {}:\n", first_world,
             first_world + j.worlds - 1);
  fmt::print("  model {:.3f} (of the {} games on throttled machines {:.3f}; worst {:.2f}, in world {}; {} better by 2 %, {} worse), random {:.3f}, fastest-first {:.3f}\n", j.model,
             j.games, j.game_model, j.worst, j.worst_world, j.better, j.worse, j.random, j.greedy);
}

}  // namespace

void add_pretrain_command(CLI::App& app) {
  auto o = std::make_shared<options>();
  CLI::App* sub = app.add_subcommand("pretrain", "trains the model that agents start from on random machines and work loads, and judges it");
  CLI::Option* out = sub->add_option("--out", o->out, "the checkpoint to write");
  CLI::Option* judged = sub->add_option("--judge", o->judge_file, "train nothing, judge this checkpoint ('' is the clone of the fallback)");
  sub->add_option("--decisions", o->train.decisions, "to train on")->check(CLI::Range(1'000ull, 1'000'000'000ull))->capture_default_str();
  sub->add_option("--per-world", o->train.per_world, "decisions in one world")->check(CLI::Range(100ull, 10'000'000ull))->capture_default_str();
  sub->add_option("--seed", o->train.seed, "of everything random; with --judge: seed n judges by the n-th set of held-out worlds")
      ->check(CLI::Range(1ull, 1'000'000'000ull))->capture_default_str();
  sub->add_option("--from", o->train.from, "a checkpoint to go on from (default: the clone of the fallback)");
  sub->add_option("--held-out", o->held_out, "worlds to judge by, never trained on")->check(CLI::Range(1, 100'000))->capture_default_str();
  sub->add_option("--seconds", o->seconds, "simulated, of each of these")->check(CLI::Range(0.5, 1e5))->capture_default_str();
  sub->add_flag("--json", o->json, "JSON instead of text");
  sub->callback([o, out, judged] {
    o->judge_only = judged->count() > 0;
    if (o->judge_only == (out->count() > 0)) throw CLI::ValidationError("pretrain", "give either --out FILE or --judge FILE");
    run(*o);
  });
}

}  // namespace tactus::sim
