// SPDX-License-Identifier: Apache-2.0
// The subcommands of tactus-sim. Each function adds its own to the program; what it does runs from
// the subcommand's callback, which throws on failure (description_error: wrong use, exit code 2).
#pragma once

#include <CLI/CLI.hpp>

namespace tactus::sim {

void add_list_command(CLI::App& app);
void add_run_command(CLI::App& app);
void add_trace_commands(CLI::App& app);  // trace, replay
void add_pretrain_command(CLI::App& app);  // where the agent is built
void add_table_command(CLI::App& app);     // .. this, too

// Sets the exit code of a callback that ended without an exception.
void set_exit_code(int code);

}  // namespace tactus::sim
