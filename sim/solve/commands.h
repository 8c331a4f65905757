// SPDX-License-Identifier: Apache-2.0
//
// The commands of tactus-sim that work on exactly solvable systems: solve, evaluate, learn. Each adds
// itself to a CLI11 application and runs when that is parsed; errors are exceptions for main to print.
#pragma once

#include <CLI/App.hpp>

namespace tactus::sim {

void add_oracle_commands(CLI::App& app);

}  // namespace tactus::sim
