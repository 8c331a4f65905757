// SPDX-License-Identifier: Apache-2.0
//
// tactus-sim: exact answers and the learner's proof. Exit codes: 0 done, 1 failed, 2 wrong use.
#include "solve/commands.h"

#include <CLI/CLI.hpp>

#include <cstdio>

int main(int argc, char** argv) {
  CLI::App app{"Scheduling problems with known answers, and the learner on them"};
  app.name("tactus-sim");
  app.require_subcommand(1);
  tactus::sim::add_oracle_commands(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) ? 2 : 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "tactus-sim: %s\n", e.what());
    return 1;
  }
  return 0;
}
