// SPDX-License-Identifier: Apache-2.0
// The kernel's run-time statistics of BPF programs, and Tactus' own counters from their pinned map.
//
// Relies on: the bpf() system call itself (no libbpf), CAP_SYS_ADMIN. Does not: load or change programs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/include/tactus/abi/decision_map.h"

namespace tactus::bench {

struct program_statistics {
  std::uint32_t id = 0;
  std::string name;  // the kernel keeps 15 characters
  std::uint64_t run_time_ns = 0;
  std::uint64_t run_count = 0;
};

// While it lives, the kernel measures run times of BPF programs. Throws std::system_error.
class bpf_statistics_on {
 public:
  bpf_statistics_on();
  ~bpf_statistics_on();
  bpf_statistics_on(const bpf_statistics_on&) = delete;
  bpf_statistics_on& operator=(const bpf_statistics_on&) = delete;

 private:
  int fd_;
};

// All programs loaded now, by id. Throws std::system_error.
std::vector<program_statistics> loaded_programs();

// The scheduler's counters, summed over CPUs; throws std::system_error where it is not loaded.
tactus_stats scheduler_counters();

}  // namespace tactus::bench
