// SPDX-License-Identifier: Apache-2.0
//
// What the pinned maps say at one moment, read without a write and without the
// agent: the data behind `tactus status` and `tactus explain`.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/load/checks.h"
#include "agent/load/run_files.h"

namespace tactus::cli {

struct snapshot {
  load::scheduler_state kernel;
  std::string kernel_release;
  bool link_pinned = false;
  std::optional<load::load_hint> hint;
  std::optional<load::ejection> ejected;  // as --stay saw it
  std::uint64_t now_ns = 0;               // CLOCK_MONOTONIC

  bool has_maps = false;  // the rest is read from maps
  tactus_control control{};
  tactus_stats stats{};  // summed over CPUs
  tactus_exit left{};
  std::vector<tactus_domain> domains;  // only those with CPUs
  std::vector<tactus_place> places;  // only those that exist
  std::vector<tactus_class_conf> classes;  // of the bank in force, by slot
};

// Reads it. Throws load_error: other_abi, no_rights. No maps is no error (has_maps is false).
snapshot take_snapshot(const load::host& where);

// All rows of one slot in a bank, by situation. Throws load_error.
std::vector<tactus_row> read_rows(const load::host& where, unsigned bank, unsigned slot);

// CPUs of a place (or of several, OR-ed) as "0-1,4".
std::string cpu_list(const std::array<std::uint64_t, TACTUS_MAX_CPUS / 64>& cpus);
std::array<std::uint64_t, TACTUS_MAX_CPUS / 64> cpus_of(const tactus_place& place);

}  // namespace tactus::cli
