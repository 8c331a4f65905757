// SPDX-License-Identifier: Apache-2.0
// tactus-sim: simulated machines under the scheduler's own decisions; exact solvers.
#include <fmt/format.h>

#include <cstdio>

#include "sim/cli/commands.h"
#include "sim/machine/machine.h"
#ifdef TACTUS_SIM_SOLVE
#include "sim/solve/commands.h"
#endif

namespace tactus::sim {
namespace {

int exit_code = 0;

constexpr const char* k_footer = R"(
examples:
  tactus-sim list
  tactus-sim run --machine demo --workload frame --policy fallback
  tactus-sim run --machine laptop --workload server --policy fallback,random,fastest-first --seeds 10
  tactus-sim run --machine demo --workload frame --policy learned --learn-decisions 100000
  tactus-sim table --machines laptop,desktop --seeds 3 --journal table.jsonl
  tactus-sim pretrain --out start.ckpt --decisions 6000000
  tactus-sim trace --machine demo --workload frame --seconds 0.1 > trace.jsonl
  tactus-sim replay trace.jsonl

All results are simulated; docs/simulator.md says what is modelled and what is not.
exit codes: 0 done, 1 failed or a replay differed, 2 wrong use)";

}  // namespace

void set_exit_code(int code) { exit_code = code; }

}  // namespace tactus::sim

int main(int argc, char** argv) {
  using namespace tactus::sim;
  CLI::App app("Simulates machines under the decisions of Tactus: reproducible, by one seed.");
  app.footer(k_footer);
  app.require_subcommand(1);
  add_list_command(app);
  add_run_command(app);
  add_trace_commands(app);
#ifdef TACTUS_SIM_LEARNER
  add_pretrain_command(app);
  add_table_command(app);
#endif
#ifdef TACTUS_SIM_SOLVE
  add_oracle_commands(app);
#endif
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const description_error& error) {
    fmt::print(stderr, "tactus-sim: {}\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "tactus-sim: {}\n", error.what());
    return 1;
  }
  return exit_code;
}
