// SPDX-License-Identifier: Apache-2.0
// tactus-sim trace and replay: every call of the scheduler's ops as lines, and back.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>

#include "sim/cli/commands.h"
#include "sim/policy/policy.h"
#include "sim/trace/replayer.h"
#include "sim/trace/trace_writer.h"

namespace tactus::sim {
namespace {

struct trace_settings {
  std::string machine = "demo", workload = "frame", policy = "fallback";
  double seconds = 0.2;
  std::uint64_t seed = 1;
};

void trace(const trace_settings& set) {
  const machine m = load_machine(set.machine);
  const workload w = load_workload(set.workload);
  simulation_options options;
  options.seed = set.seed;
  simulation s(m, w, options);
  policy_settings p;
  p.seed = set.seed;
  const auto policy = make_policy(set.policy, p);
  policy->attach(s);
  if (s.sched().rule != nullptr)
    throw description_error("policy " + set.policy + ": a fixed rule is not part of the scheduler, so its trace could not be replayed; "
                            "trace fallback, random, rows:FILE or learned");
  trace_writer writer(
      s, [](const std::string& line) { std::fwrite(line.data(), 1, line.size(), stdout); },
      fmt::format("simulated: {} on {}, {}, seed {}", w.name, m.name, set.policy, set.seed));
  s.trace(&writer);
  s.run_until(static_cast<std::uint64_t>(set.seconds * 1e9));
}

void replay_file(const std::string& file) {
  std::ifstream opened(file);
  std::istream& in = file == "-" ? std::cin : opened;
  if (!in) throw description_error(fmt::format("trace {}: cannot be read", file));
  const replay_result r = replay(in, file);
  const event_counts& e = r.events;
  if (r.of_events)
    fmt::print("{} decisions agree ({} drawn from rows), {} completions in order; "
               "not compared: {} without their row; lost: {}\n",
               e.decisions, e.by_row, e.completions, e.without_rows, e.lost);
  else
    fmt::print("{} ops agree, {} of them choices\n", r.ops, r.choices);
  if (r.difference.empty()) return;
  fmt::print("first difference: {}\n", r.difference);
  set_exit_code(1);
}

}  // namespace

void add_trace_commands(CLI::App& app) {
  auto set = std::make_shared<trace_settings>();
  CLI::App* sub = app.add_subcommand("trace", "writes every call of the scheduler's ops as lines of JSON");
  sub->add_option("--machine", set->machine, "as for run")->capture_default_str();
  sub->add_option("--workload", set->workload, "as for run")->capture_default_str();
  sub->add_option("--policy", set->policy, "fallback, random, rows:FILE or learned")->capture_default_str();
  sub->add_option("--seconds", set->seconds, "simulated time")->check(CLI::Range(1e-6, 1e6))->capture_default_str();
  sub->add_option("--seed", set->seed, "of everything random")->capture_default_str();
  sub->callback([set] { trace(*set); });

  auto file = std::make_shared<std::string>();
  CLI::App* back = app.add_subcommand("replay", "calls the ops of a trace again and compares the choices; exit code 1 when one differs");
  back->add_option("TRACE", *file, "file, or - for standard input")->required();
  back->callback([file] { replay_file(*file); });
}

}  // namespace tactus::sim
