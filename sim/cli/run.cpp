// SPDX-License-Identifier: Apache-2.0
// tactus-sim run: one or more policies on one machine and work load, over one or more seeds.
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <memory>

#include "sim/cli/commands.h"
#include "sim/cli/report.h"
#include "sim/policy/policy.h"

namespace tactus::sim {
namespace {

struct run_settings {
  std::string machine = "demo", workload = "frame", save;
  std::vector<std::string> policies{"fallback"};
  double seconds = 20, warmup_s = 2, publish_ms = 50, lag_ms = 2, silent_from_s = -1, silent_to_s = -1;
  std::uint64_t seed = 1, learn_decisions = 0, ring_kib = 1024;
  unsigned seeds = 1;
  bool json = false, keep_learning = false;
};

std::uint64_t ns(double s) { return static_cast<std::uint64_t>(s * 1e9); }

figures run_one(const run_settings& set, const machine& m, const workload& w, const std::string& name, std::uint64_t seed,
                std::vector<std::pair<std::string, double>>& own) {
  simulation_options options;
  options.seed = seed;
  options.ring.bytes = set.ring_kib << 10;
  if (set.silent_from_s >= 0) options.silent_from_ns = ns(set.silent_from_s);
  if (set.silent_to_s >= 0) options.silent_to_ns = ns(set.silent_to_s);
  policy_settings p;
  p.seed = seed;
  p.publish_ns = ns(set.publish_ms * 1e-3);
  p.publish_lag_ns = ns(set.lag_ms * 1e-3);
  simulation s(m, w, options);
  const auto policy = make_policy(name, p);
  policy->attach(s);
  // Learning first, as long as it takes; then the measured time, in which it stands still.
  constexpr std::uint64_t k_step_ns = 100'000'000;
  const bool learns = name.starts_with("learned");
  std::uint64_t begin = 0;
  if (learns && set.learn_decisions > 0) {
    s.start_window();
    while (s.window().all_decisions() < set.learn_decisions && !s.finished()) s.run_until(begin += k_step_ns);
    if (!set.keep_learning) policy->set_learning(false);
  }
  s.run_until(begin += ns(set.warmup_s));
  s.start_window();
  const std::uint64_t end = begin + ns(set.seconds);
  while (begin < end && !s.finished()) s.run_until(begin = std::min(end, begin + k_step_ns));
  own = policy->figures();
  if (!set.save.empty()) policy->save(set.save);
  return s.window();
}

void run(const run_settings& set) {
  const machine m = load_machine(set.machine);
  const workload w = load_workload(set.workload);
  std::vector<arm_result> arms;
  for (const std::string& name : set.policies) {
    arm_result arm{name, {}, {}};
    for (unsigned i = 0; i < set.seeds; ++i) arm.runs.push_back(run_one(set, m, w, name, set.seed + i, arm.own));
    arms.push_back(std::move(arm));
  }
  if (set.json) fmt::print("{}\n", to_json(m, w, arms).dump(2));
  else fmt::print("{}", to_table(m, w, arms));
}

}  // namespace

void add_run_command(CLI::App& app) {
  auto set = std::make_shared<run_settings>();
  CLI::App* sub = app.add_subcommand("run", "runs policies on a machine and a work load and reports what happened");
  sub->add_option("--machine", set->machine, "name of tactus-sim list, 'host', or a .toml file")->capture_default_str();
  sub->add_option("--workload", set->workload, "name of tactus-sim list, or a .toml, .json or .csv file")->capture_default_str();
  sub->add_option("--policy", set->policies, "one or more, separated by commas")->delimiter(',')->capture_default_str();
  sub->add_option("--seconds", set->seconds, "measured, simulated time")->check(CLI::Range(1e-6, 1e7))->capture_default_str();
  sub->add_option("--warmup", set->warmup_s, "simulated s before")->check(CLI::Range(0.0, 1e7))->capture_default_str();
  sub->add_option("--seed", set->seed, "of everything random")->capture_default_str();
  sub->add_option("--seeds", set->seeds, "so many runs, from --seed on")->check(CLI::Range(1, 100'000))->capture_default_str();
  sub->add_option("--learn-decisions", set->learn_decisions, "learned: decisions before the measured time, in which it then stands still");
  sub->add_flag("--keep-learning", set->keep_learning, "learned: goes on learning while it is measured");
  sub->add_option("--publish-ms", set->publish_ms, "learned: between two versions of the rows")->check(CLI::Range(0.01, 1e6))->capture_default_str();
  sub->add_option("--publish-lag-ms", set->lag_ms, "learned: from the inputs to the flip")->check(CLI::Range(0.0, 1e6))->capture_default_str();
  sub->add_option("--save", set->save, "learned: writes the checkpoint there at the end");
  sub->add_option("--ring-kib", set->ring_kib, "size of each event ring")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  sub->add_option("--silent-from", set->silent_from_s, "the agent gives no heartbeat from this s on ..");
  sub->add_option("--silent-to", set->silent_to_s, ".. to this one");
  sub->add_flag("--json", set->json, "JSON instead of the table");
  sub->callback([set] { run(*set); });
}

}  // namespace tactus::sim
