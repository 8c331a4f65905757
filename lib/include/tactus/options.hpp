// SPDX-License-Identifier: Apache-2.0
//
// What a pool is made with. Every member has a default; presets.hpp has sets.
//
//     tactus::pool pool({.name = "render", .workers = 4});
#ifndef TACTUS_OPTIONS_HPP
#define TACTUS_OPTIONS_HPP

#include "selection.hpp"
#include "sizing.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace tactus {

class observer;

// From where a pool knows which CPUs share a core, a cache, a NUMA node, and how fast their cores are.
enum class topology_source : std::uint8_t {
  sysfs,  // the kernel's files
  hwloc,  // libhwloc 2 where it is installed, else as sysfs; the first such pool takes 2 to 5 ms longer to make
};

struct pool_options {
  std::string name = "tactus";  // also the threads' name; up to 31 bytes
  unsigned workers = 0;         // 0: what workers_for(read_cpu_budget(), rounding) says
  // Up to how many workers resize() can go; threads are made for all of them. 0: `workers`.
  unsigned max_workers = 0;
  int spares = -1;              // parked workers for urgent classes; -1: min(workers, 4)
  bool register_with_agent = true;
  std::string agent_socket{};    // empty: $TACTUS_SOCKET, else the default of abi/registration.h
  // May a thread that is no worker run tasks while it is in pool::wait() or
  // task_group::wait()? (In parallel_for it always works on its own loop.)
  bool outside_threads_help = true;
  quota_rounding rounding = quota_rounding::nearest;
  // How long a worker that finds nothing looks around before it sleeps, at
  // least; negative: the library's choice (some us).
  std::chrono::microseconds look_around{-1};
  // Which of several sleeping workers is woken for a task.
  selection_rule selection = selection_rule::staged;
  // Decides which worker is near: whom to steal from first, whom to wake.
  topology_source topology = topology_source::sysfs;
  // How often a thread in fork_join() makes its oldest fork a task for others.
  std::chrono::microseconds heartbeat{100};
  // Under memory pressure: background tasks (priority 0) wait, by at most a second
  // each, and batches are smaller. Needs the kernel's pressure stall information
  // (PSI) and costs nothing while there is no pressure; where it cannot be had,
  // pool_stats::memory says why. Empty file: that of the control group, else of
  // the machine. A FIFO may be named: each byte written to it is a report.
  bool watch_memory = true;
  std::string memory_pressure_file{};
  // Told of every task; observer.hpp. Null: costs nothing.
  std::shared_ptr<tactus::observer> observer{};
};

}  // namespace tactus

#endif
