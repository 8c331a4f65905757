// SPDX-License-Identifier: Apache-2.0
// Records every task of the frame example and sums up any window of time afterwards.
//
// How: each thread appends one record per finished task (due, submitted, started, ended, CPU) to its
// own list. A window's figures are computed from the records once all tasks that were submitted in it
// have ended, so the time integral of tasks present is exact: it is the sum over tasks of weight x
// the part of [submitted, ended] inside the window. Times are CLOCK_MONOTONIC ns.
// Does not: sample, estimate, lose records; keep anything while it is not recording.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "executor.h"

namespace tactus::frame {

// CLOCK_MONOTONIC, ns.
std::int64_t now_ns();

struct task_record {
  std::int64_t due_ns, submitted_ns, started_ns, ended_ns;
  std::uint16_t cpu;  // where it started
  task_kind kind;
  bool correct;
};

// What happened to one class in a window. Vectors are sorted; ms. A task belongs to the window in
// which it ended, save for the time integral.
struct class_summary {
  std::vector<double> latency_ms;  // due to end
  std::vector<double> late_ms;     // due to submitted: the driver's share of the latency
  std::vector<double> wait_ms;     // submitted to start
  std::vector<double> run_ms;      // start to end
  std::uint64_t finished = 0;
  std::uint64_t missed = 0;   // ended after due + deadline, or dropped; 0 without a deadline
  std::uint64_t dropped = 0;  // due in the window, never submitted since too many were pending
  std::uint64_t wrong = 0;    // result was not the right one
  double present_mean = 0;    // time mean of tasks present, times the weight
  std::vector<std::uint64_t> on_cpu;  // tasks started on each CPU

  double missed_ratio() const {
    return finished + dropped == 0 ? 0.0 : static_cast<double>(missed) / static_cast<double>(finished + dropped);
  }
};

struct window_summary {
  double seconds = 0;
  double cost = 0;  // time mean of the sum of weights of tasks present, all classes
  std::array<class_summary, k_task_kinds> classes;
};

// The q-quantile (0..1) of sorted values, linear between neighbours; 0 when there are none.
double quantile(const std::vector<double>& sorted, double q);

// Figures of [begin_ns, end_ns) from records; pure, for meter and tests.
window_summary summarise(const std::vector<task_record>& records, const std::vector<task_record>& drops,
                         std::int64_t begin_ns, std::int64_t end_ns,
                         const std::array<class_attributes, k_task_kinds>& classes);

// Thread-safety: all members may be called from any thread.
class meter {
 public:
  meter();
  void add(const task_record& record);
  // A task that was due but not submitted, because too many of its class were pending.
  void add_drop(task_kind kind, std::int64_t due_ns);
  // Forgets all and records from now on; returns the time from which the records are complete:
  // every task that ends later is recorded, whenever it was submitted.
  std::int64_t start();
  void stop();
  // All records there are, in no order.
  std::vector<task_record> records() const;
  std::vector<task_record> drops() const;

 private:
  struct shard {
    mutable std::mutex mutex;  // taken by its thread for each task, by others only for a summary
    std::deque<task_record> records;
  };
  shard& mine();

  std::atomic<bool> recording_{false};
  const std::uint64_t id_;  // tells a thread whether its remembered shard is of this meter
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<shard>> shards_;
  std::vector<task_record> drops_;
};

}  // namespace tactus::frame
