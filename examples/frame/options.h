// SPDX-License-Identifier: Apache-2.0
// The command line of tactus-frame: what can be set, its defaults, and the sizes they give.
#pragma once

#include <string>

#include "game.h"

namespace tactus::frame {

struct options {
  game_config game;
  double seconds = 10;
  double warmup_s = 1;
  unsigned workers = 0;      // 0: the pool's own choice
  std::string json_file;     // empty: no JSON; "-": standard output, instead of the table
  bool serve = false;        // measure on request, see --help
  bool quiet = false;
};

// Fills `out`. Returns -1 to go on, else the exit code with which to end (help shown: 0, wrong use: 2).
int parse_options(int argc, char** argv, options& out);

}  // namespace tactus::frame
