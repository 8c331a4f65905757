// SPDX-License-Identifier: Apache-2.0
// tactus-bench: runs one of the registered sub-benchmarks and prints its rows.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>

#include "bench.h"
#include "report.h"
#include "statistics.h"

namespace {

using namespace tactus::bench;

constexpr const char* k_footer = R"(
examples:
  tactus-bench list
  tactus-bench tag
  tactus-bench pool --quick --json
  tactus-bench pool --only fork-join
  tactus-bench decision --reps 50 --out decision.json
  bench/kernel_vm.sh                 (runs `kernel` inside a VM)

exit codes: 0 done, 1 failed, 2 wrong use, 3 cannot run on this machine, 4 a target was missed (--check))";

constexpr double k_quick_s = 40;  // of the 50 s that --quick may take; the rest is slack

struct command_line {
  settings set;
  std::string name, out;
  bool json = false, check = false;
};

void list() {
  for (const registration* r : registered()) fmt::print("{:<10} {}\n", r->name, r->what);
}

std::vector<const registration*> chosen(const std::string& name) {
  std::vector<const registration*> out;
  for (const registration* r : registered())
    if (name == r->name || (name == "all" && r->in_all)) out.push_back(r);
  return out;
}

int run(const command_line& cmd) {
  const auto benches = chosen(cmd.name);
  if (benches.empty()) {
    fmt::print(stderr, "tactus-bench: no benchmark '{}'; see tactus-bench list\n", cmd.name);
    return 2;
  }
  result total;
  for (std::size_t i = 0; i < benches.size(); ++i) {
    settings set = cmd.set;
    // Of several, each may use time up to its own share of the whole.
    if (set.quick) set.budget_s = k_quick_s * static_cast<double>(i + 1) / static_cast<double>(benches.size());
    try {
      result one = benches[i]->run(set);
      for (row& r : one.rows) total.rows.push_back(std::move(r));
      for (std::string& n : one.notes) total.notes.push_back(std::move(n));
    } catch (const unavailable& why) {
      progress("");
      if (benches.size() == 1) {
        fmt::print(stderr, "tactus-bench: {}: {}\n", benches[i]->name, why.what());
        return 3;
      }
      total.notes.push_back(fmt::format("{} was left out: {}", benches[i]->name, why.what()));
    }
  }
  progress("");
  if (!cmd.out.empty()) {
    std::ofstream file(cmd.out);
    file << to_raw_json(cmd.name, cmd.set, total).dump(1) << '\n';
    if (!file.flush()) {
      fmt::print(stderr, "tactus-bench: cannot write {}; give --out another path\n", cmd.out);
      return 1;
    }
  }
  std::cout << (cmd.json ? to_json(total).dump(2) + "\n" : to_table(total));
  if (cmd.json)
    for (const std::string& note : total.notes) fmt::print(stderr, "note: {}\n", note);
  bool missed = false;
  for (const row& r : total.rows) missed |= r.target && median_of(r.tactus).median > *r.target;
  return cmd.check && missed ? 4 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  command_line cmd;
  CLI::App app("Measures Tactus beside its peers: medians with 95 % intervals, arms interleaved.");
  app.footer(k_footer);
  app.add_option("NAME", cmd.name, "which benchmark; all: those that need no machine of their own; list: names")->required();
  app.add_flag("--json", cmd.json, "JSON instead of the table");
  app.add_flag("--quick", cmd.set.quick, "fewer repetitions: ends within 50 s");
  app.add_flag("--check", cmd.check, "exit code 4 when a target is missed");
  app.add_option("--reps", cmd.set.reps, "repetitions")->check(CLI::Range(1, 100000));
  app.add_option("--seed", cmd.set.seed, "of inputs and of the order of arms")->capture_default_str();
  app.add_option("--out", cmd.out, "also write raw JSON there, with every sample");
  app.add_option("--only", cmd.set.only, "pool: only rows whose name contains this");
  app.add_option("--scx-simple", cmd.set.scx_simple, "kernel: the program scx_simple");
  app.add_option("--agent", cmd.set.agent, "kernel: command that runs the agent (default: tactusd)");
  app.add_option("--slot", cmd.set.slot_s, "kernel: seconds measured per arm and pair (default 6, quick 3)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (cmd.name == "list") {
    list();
    return 0;
  }
  try {
    return run(cmd);
  } catch (const std::exception& error) {
    progress("");
    fmt::print(stderr, "tactus-bench: {}: {}\n", cmd.name, error.what());
    return 1;
  }
}
