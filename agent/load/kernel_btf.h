// SPDX-License-Identifier: Apache-2.0
//
// What the kernel's type information says about sched_ext, found in one walk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace tactus::load {

struct kernel_btf {
  std::string error;  // why it could not be read; the rest is then empty
  unsigned nr_types = 0;
  bool has_sched_ext = false;  // struct sched_ext_ops
  bool wide_enums = false;     // 64-bit enumerators survived
  // A kfunc that shows the hidden argument `aux`: built with a pahole that does not know implicit
  // arguments, so no scheduler of any project loads. Empty: none.
  std::string hidden_argument;
  std::vector<std::string> missing;  // kernel functions that the scheduler cannot do without
  std::map<std::string, std::uint64_t> ops_flags;  // enum scx_ops_flags of this kernel, by name
};

// Reads it (tens of milliseconds; the result of a path is kept for the life of the process).
// Thread-safe. Throws nothing.
kernel_btf read_kernel_btf(const std::filesystem::path& file);

}  // namespace tactus::load
