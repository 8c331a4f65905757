#include "sim/cli/commands.h"
namespace tactus::sim { void add_trace_commands(CLI::App&) {} }
