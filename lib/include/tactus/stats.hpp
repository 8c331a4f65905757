// SPDX-License-Identifier: Apache-2.0
//
// What pool::stats() and pool::registration() return.
#ifndef TACTUS_STATS_HPP
#define TACTUS_STATS_HPP

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
  const char* clock = "none";        // "tsc", "ns" or "none": what run_time is taken with
  std::uint64_t parked = 0;          // times a worker went to sleep
  std::uint64_t stolen = 0;          // tasks taken from another worker's queue
  std::uint64_t spare_wakeups = 0;
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
