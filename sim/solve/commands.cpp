// SPDX-License-Identifier: Apache-2.0
//
// The commands of commands.h. What they print for programs (--json) has one key per figure; costs are
// E[N], the mean number of jobs present.
#include "solve/commands.h"

#include "queueing/training.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <map>

namespace tactus::sim {
namespace {

using nlohmann::json;

// A line on stderr that overwrites itself, from 2 s on, where somebody looks.
class progress_line {
 public:
  void show(const std::string& text) {
    const auto now = std::chrono::steady_clock::now();
    if (!tty_ || now - began_ < std::chrono::seconds(2) || now - last_ < std::chrono::milliseconds(200)) return;
    last_ = now;
    shown_ = true;
    fmt::print(stderr, "\r\033[K{}", text);
  }
  ~progress_line() {
    if (shown_) fmt::print(stderr, "\r\033[K");
  }

 private:
  const bool tty_ = ::isatty(STDERR_FILENO) == 1;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point last_{};
  bool shown_ = false;
};

struct options {
  system_spec spec;
  bool json = false;
  // evaluate
  std::string policy, from = "shipped";
  // learn
  std::uint64_t decisions = 1'000'000, publish_every = 128;
  int seeds = 10, first_seed = 1;
  std::string reward;
  std::vector<std::uint64_t> at;
  std::vector<std::string> set;
};

double over_pct(double cost, double optimum) { return 100 * (cost / optimum - 1); }

// The fixed rules of a model by name. Costs of rules that do not bear the load are infinite.
std::vector<std::pair<std::string, double>> costs_of_rules(const oracle_system& system, const std::string& only = {}) {
  const auto& s = system.spec;
  std::vector<std::pair<std::string, std::function<double()>>> rules;
  // A mean near the cut means that queues grow until they meet it.
  const double bearable = 0.12 * (s.model == "affinity" ? 2 * 45 : queue_cut(s.load)) + 20 * (s.load > 0.85);
  const auto exact = [&](rule r) {
    return [&system, bearable, r = std::move(r)] {
      const double cost = evaluate(system.asked_once, r, 1e-7).cost;
      return cost > std::max(bearable, 3 * system.optimum()) ? INFINITY : cost;
    };
  };
  if (s.model == "queue") {
    const double fastest = *std::max_element(s.speeds.begin(), s.speeds.end());
    double total = 0;
    for (double v : s.speeds) total += v;
    const int nr_fast = static_cast<int>(std::count(s.speeds.begin(), s.speeds.end(), fastest));
    rules.emplace_back("greedy", exact(greedy(s.speeds)));
    rules.emplace_back("fast_only", [=, load = s.load] { return erlang_jobs(nr_fast, load * total / fastest); });
    rules.emplace_back("random", exact(random_idle()));
  } else if (s.model == "immediate") {
    const auto [slow, fast] = std::minmax(s.speeds[0], s.speeds[1]);
    const double arrivals = s.load * (slow + fast);
    rules.emplace_back("sed_ties_fast", exact(shortest_expected_delay(s.speeds, ties::fast)));
    rules.emplace_back("sed_ties_slow", exact(shortest_expected_delay(s.speeds, ties::slow)));
    rules.emplace_back("jsq", exact(shortest_queue(s.speeds)));
    rules.emplace_back("jiq", exact(idle_queue(s.speeds)));
    rules.emplace_back("bernoulli", [=] { return best_bernoulli(fast, slow, arrivals); });
    rules.emplace_back("fast_only", [=] { return erlang_jobs(1, arrivals / fast); });
  } else {
    rules.emplace_back("affinity_first", exact(affinity_first()));
    rules.emplace_back("strict_affinity", exact(strict_affinity()));
    rules.emplace_back("cross_if_2", exact(cross_if(2)));
    rules.emplace_back("class_blind", exact(class_blind()));
  }
  std::vector<std::pair<std::string, double>> out;
  for (const auto& [name, cost] : rules)
    if (only.empty() || only == name) out.emplace_back(name, cost());
  if (out.empty()) {
    std::string known;
    for (const auto& r : rules) known += (known.empty() ? "" : ", ") + r.first;
    throw std::invalid_argument(fmt::format("model {} has no rule \"{}\"; there are {}", s.model, only, known));
  }
  return out;
}

json number(double x) { return std::isfinite(x) ? json(x) : json(nullptr); }

json describe(const system_spec& s) {
  json j{{"model", s.model}, {"load", s.load}};
  if (s.model == "affinity")
    j["off"] = s.off;
  else
    j["speeds"] = s.speeds;
  return j;
}

std::string title(const system_spec& s) {
  if (s.model == "affinity") return fmt::format("affinity, off {}, load {}", s.off, s.load);
  return fmt::format("{}, speeds {}, load {}", s.model, fmt::join(s.speeds, " "), s.load);
}

void solve(const options& o) {
  const system_spec& s = o.spec;
  const oracle_system system(s);
  progress_line line;
  json j = describe(s);
  double best;
  std::vector<int> thresholds;
  if (s.model == "queue") {
    // All policies, not only those the kernel can ask for: the same optimum, computed the longer way.
    const auto servers = grouped(s.speeds);
    const auto p = queue_model(servers, s.load, asking::until_held);
    const auto found = minimise(p, 1e-8, [&](int n, double span) { line.show(fmt::format("{} iterations, bounds {:.1e} apart", n, span)); });
    best = found.value.cost;
    for (std::size_t g = 1; g < servers.size(); ++g) thresholds.push_back(threshold_of(p, found, servers, static_cast<int>(g)));
    if (!thresholds.empty()) j["threshold"] = thresholds.back();
    j["thresholds"] = thresholds;
  } else {
    best = system.optimum();
  }
  j["optimum"] = best;
  const auto rules = costs_of_rules(system);
  for (const auto& [name, cost] : rules) {
    j[name] = number(cost);
    j[name + "_over_pct"] = number(over_pct(cost, best));
  }
  if (o.json) {
    fmt::print("{}\n", j.dump());
    return;
  }
  fmt::print("{}: mean number of jobs\n\n{:<18}{:>10.5f}\n", title(s), "optimum", best);
  for (const auto& [name, cost] : rules) {
    if (std::isfinite(cost))
      fmt::print("{:<18}{:>10.5f}  {:+.2f} %\n", name, cost, over_pct(cost, best));
    else
      fmt::print("{:<18}{:>10}\n", name, "unstable");
  }
  for (std::size_t g = 0; g < thresholds.size(); ++g)
    fmt::print("speed {} is used {}\n", grouped(s.speeds)[g + 1].speed,
               thresholds[g] < 0 ? "never" : fmt::format("when {} or more wait (threshold {})", thresholds[g], thresholds[g]));
}

// The model that agents start from: beside the program as in a build, else where packages put it.
std::string shipped_model() {
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  for (const auto& folder : {program.parent_path(), std::filesystem::path("/usr/share/tactus")})
    if (const auto file = folder / "tactus-model.ckpt"; std::filesystem::exists(file, ignored)) return file.string();
  throw std::invalid_argument("no tactus-model.ckpt beside tactus-sim or in /usr/share/tactus; build the agent, or give --from clone");
}

void load_start(const options& o, learn::learner_config& config, std::string& file) {
  for (const auto& item : o.set) {
    const auto at = item.find('=');
    if (at == std::string::npos) throw std::invalid_argument("--set " + item + ": write NAME=VALUE");
    config.set(item.substr(0, at), item.substr(at + 1));
  }
  if (o.from == "none")
    config.clone_steps = 0;
  else if (o.from == "shipped")
    file = shipped_model();
  else if (o.from != "clone")
    file = o.from;
}

void evaluate_command(const options& o) {
  const oracle_system system(o.spec);
  json j = describe(o.spec);
  j["optimum"] = system.optimum();
  std::string text;
  if (!o.policy.empty()) {
    const double cost = costs_of_rules(system, o.policy).front().second;
    j["policy"] = o.policy;
    j["cost"] = number(cost);
    j["over_pct"] = number(over_pct(cost, system.optimum()));
    text = std::isfinite(cost) ? fmt::format("{} costs {:.5f}, {:+.2f} % over the optimum\n", o.policy, cost, over_pct(cost, system.optimum()))
                               : fmt::format("{} is unstable\n", o.policy);
  } else {
    learn::learner_config config;
    std::string file;
    load_start(o, config, file);
    learn::learner_set learner(config);
    if (!file.empty()) learner.load(file);
    const measured m = measure(system, learner, 1);
    j["from"] = o.from;
    j["argmax_over_pct"] = m.argmax_over_pct;
    j["stochastic_over_pct"] = m.stochastic_over_pct;
    text = fmt::format("{}: drawn from its rows {:+.2f} %, most probable action {:+.2f} % over the optimum\n", o.from,
                       m.stochastic_over_pct, m.argmax_over_pct);
  }
  if (o.json)
    fmt::print("{}\n", j.dump());
  else
    fmt::print("{}: optimum {:.5f}\n{}", title(o.spec), system.optimum(), text);
}

struct interval {
  double median, low, high;
};

// Median, and its distribution-free interval of at least 95 % (the full range below 6 values).
interval median_of(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  const auto n = static_cast<double>(v.size());
  const auto at = static_cast<std::size_t>(std::max(0.0, std::floor(n / 2 - 0.98 * std::sqrt(n))));
  const double median = v.size() % 2 ? v[v.size() / 2] : (v[v.size() / 2 - 1] + v[v.size() / 2]) / 2;
  return {median, v[std::min(at, v.size() - 1)], v[v.size() - 1 - std::min(at, v.size() - 1)]};
}

void learn_command(const options& o) {
  const oracle_system system(o.spec);
  progress_line line;
  training how;
  if (!o.reward.empty()) learn::set_reward_preset(how.learner, o.reward);
  load_start(o, how.learner, how.from);
  how.decisions = o.decisions;
  how.publish_every = o.publish_every;
  how.measure_at = o.at;
  json j = describe(o.spec);
  j["optimum"] = system.optimum();
  std::map<std::uint64_t, std::pair<std::vector<double>, std::vector<double>>> points;
  double seconds = 0;
  std::vector<double> forced;
  for (int i = 0; i < o.seeds; ++i) {
    how.seed = static_cast<std::uint64_t>(o.first_seed + i);
    const trained t = train(system, how, [&](std::uint64_t done) {
      line.show(fmt::format("seed {} of {}: {} of {} decisions", i + 1, o.seeds, done, o.decisions));
    });
    std::size_t n = 0;
    for (const measured& m : t.curve) {
      auto& [argmax, stochastic] = points[n + 1 < t.curve.size() ? o.at[n] : o.decisions];
      argmax.push_back(m.argmax_over_pct);
      stochastic.push_back(m.stochastic_over_pct);
      ++n;
    }
    seconds += t.seconds;
    forced.push_back(t.forced_ratio);
  }
  const auto& [argmax, stochastic] = points[o.decisions];
  j["argmax_over_pct"] = argmax;
  j["stochastic_over_pct"] = stochastic;
  j["decisions"] = o.decisions;
  j["seconds"] = seconds;
  j["seeds"] = o.seeds;
  j["forced_ratio"] = forced;
  json curve = json::array();
  for (const auto& [at, values] : points) {
    const auto a = median_of(values.first), s = median_of(values.second);
    curve.push_back({{"decisions", at},
                     {"argmax_over_pct", {{"median", a.median}, {"low", a.low}, {"high", a.high}}},
                     {"stochastic_over_pct", {{"median", s.median}, {"low", s.low}, {"high", s.high}}}});
  }
  j["curve"] = curve;
  if (o.json) {
    fmt::print("{}\n", j.dump());
    return;
  }
  fmt::print("{}: optimum {:.5f}; % over it, {} seeds, median and 95 % interval\n\n", title(o.spec), system.optimum(), o.seeds);
  fmt::print("{:>10}  {:<28}{:<28}\n", "decisions", "most probable action", "drawn from the rows");
  for (const auto& [at, values] : points) {
    const auto show = [](const interval& x) { return fmt::format("{:+.2f}  ({:+.2f} .. {:+.2f})", x.median, x.low, x.high); };
    fmt::print("{:>10}  {:<28}{:<28}\n", at, show(median_of(values.first)), show(median_of(values.second)));
  }
  fmt::print("\n{:.1f} s of training, {:.0f} decisions/s\n", seconds, static_cast<double>(o.decisions) * o.seeds / std::max(seconds, 1e-9));
}

void add_system(CLI::App& command, options& o) {
  command.add_option("--model", o.spec.model, "queue: one queue (O1, O2); immediate: sent on arrival to one of two queues (O3); affinity: two classes, two servers (O4)")
      ->check(CLI::IsMember({"queue", "immediate", "affinity"}))->capture_default_str();
  command.add_option("--speeds", o.spec.speeds, "speeds of the servers, up to 8 (immediate: 2)")
      ->delimiter(',')->check(CLI::Range(1e-3, 1e3))->expected(1, 8);
  command.add_option("--load", o.spec.load, "arrival rate as a share of the total service rate (affinity: of each class)")
      ->check(CLI::Range(0.01, 0.98))->capture_default_str();
  command.add_option("--off", o.spec.off, "affinity: speed of a class on the other class's server")
      ->check(CLI::Range(0.01, 1.0))->capture_default_str();
  command.add_flag("--json", o.json, "one JSON object");
}

void add_start(CLI::App& command, options& o) {
  command.add_option("--from", o.from, "where the weights start: shipped (the model that agents start from), clone (of the fallback), none, or a checkpoint file")->capture_default_str();
  command.add_option("--set", o.set, "a hyper-parameter, NAME=VALUE; may be repeated")->allow_extra_args(false);
}

}  // namespace

void add_oracle_commands(CLI::App& app) {
  const auto o = std::make_shared<options>();
  auto* s = app.add_subcommand("solve", "exact optimum of a small system, and the cost of fixed rules");
  add_system(*s, *o);
  s->footer("examples:\n  tactus-sim solve --load 0.5 --speeds 1,0.25\n  tactus-sim solve --load 0.7 --speeds 1,1,0.25,0.25 --json\n"
            "  tactus-sim solve --model immediate --load 0.5 --speeds 1,0.25\n  tactus-sim solve --model affinity --off 0.5 --load 0.7");
  s->callback([o] { solve(*o); });

  auto* e = app.add_subcommand("evaluate", "exact cost of a fixed rule or of a model's rows");
  add_system(*e, *o);
  e->add_option("--policy", o->policy, "a rule by name, as solve prints them; instead of a model");
  add_start(*e, *o);
  e->footer("examples:\n  tactus-sim evaluate --load 0.5 --speeds 1,0.25 --policy greedy\n"
            "  tactus-sim evaluate --load 0.5 --speeds 1,0.25 --from clone");
  e->callback([o] { evaluate_command(*o); });

  auto* l = app.add_subcommand("learn", "trains the learner through compiled rows, and says how far from the optimum it ends");
  add_system(*l, *o);
  l->add_option("--decisions", o->decisions, "decisions to learn from")->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}))->capture_default_str();
  l->add_option("--seeds", o->seeds, "runs, each with a seed of its own")->check(CLI::Range(1, 1000))->capture_default_str();
  l->add_option("--first-seed", o->first_seed, "seed of the first run")->capture_default_str();
  l->add_option("--publish-every", o->publish_every, "decisions between two versions of the rows")->check(CLI::Range(1, 100'000'000))->capture_default_str();
  l->add_option("--at", o->at, "measure also after so many decisions")->delimiter(',');
  l->add_option("--reward", o->reward, "cost: time integral of jobs present (default); seed: the seed's terms per task (negative control);\nmixtures by --set reward_...=WEIGHT")
      ->check(CLI::IsMember({"cost", "seed"}));
  add_start(*l, *o);
  l->footer("examples:\n  tactus-sim learn --load 0.5 --speeds 1,0.25 --decisions 200000 --seeds 5\n"
            "  tactus-sim learn --load 0.5 --speeds 1,0.1 --at 1000,10000,100000 --json\n"
            "  tactus-sim learn --model affinity --off 0.5 --load 0.7 --set learning_rate_start=0.003");
  l->callback([o] { learn_command(*o); });
}

}  // namespace tactus::sim
