// SPDX-License-Identifier: Apache-2.0
//
// What pool::stats() and pool::registration() return.
#ifndef TACTUS_STATS_HPP
#define TACTUS_STATS_HPP

#include "selection.hpp"
#include "task_class.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace tactus {

struct class_stats {
  std::string name;  // "unknown" for class 0
  tactus::fingerprint id;
  int priority = 1;
  int weight = 1;
  std::uint64_t submitted = 0;
  std::uint64_t finished = 0;  // cancelled ones too
  std::uint64_t missed = 0;    // ended after their deadline
  std::uint64_t failed = 0;    // ended by an exception
  std::chrono::nanoseconds run_time{0};  // 0 where pool_stats::clock is "none"
};

struct pool_stats {
  std::vector<class_stats> classes;  // index = pool-local class
  class_stats evicted;               // together: classes that lost their number to another (docs/attributes.md)
  std::uint64_t evictions = 0;       // times that happened
  const char* clock = "none";        // "tsc", "ns" or "none": what run_time is taken with
  std::uint64_t parked = 0;          // times a worker went to sleep
  std::uint64_t stolen = 0;          // tasks taken from another worker's queue
  std::uint64_t spare_wakeups = 0;
  selection_counts selections{};     // wake-ups by why this worker was chosen; index: selection_reason
  bool memory_pressure = false;      // is there now; pool_options::watch_memory
  std::uint64_t deferred = 0;        // background tasks that were put aside for it
  std::string memory;                // one line: "watching /proc/pressure/memory", why it is not watched, ...
};

// How the pool stands with the agent.
struct registration_status {
  bool registered = false;      // its pages are shared with the kernel scheduler now
  std::uint64_t generation = 0;
  std::uint64_t attempts = 0;   // connections tried
  std::string text;             // one line: "no agent at /run/tactus/agent.sock", ...
};

}  // namespace tactus

#endif
