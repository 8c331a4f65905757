// SPDX-License-Identifier: Apache-2.0
//
// What completion and decision events tell about each class and each place.
//
// The cost of a task at a place is the ratio of two sums: CPU time that workers spent on the class
// there (the kernel's stint times) over tasks that ended there. Unlike the wall time of a record it
// contains no waiting of a preempted worker, and a task that moved half-way counts at each place in
// proportion to the work done there. Sums forget by completions (the last k_window tasks).
// Thread-safe: one lock; writers are the event reader and the fold reader, readers the publisher
// and the control socket. Hostile input moves only the slots of the user it comes from.
#pragma once

#include "agent/publish/one_euro.h"
#include "agent/serve/clock.h"
#include "agent/serve/pool_table.h"

#include <tactus/abi/event.h>

#include <array>
#include <cstdint>
#include <mutex>
#include <vector>

namespace tactus::agent {

// Of one class at one place. run_ns / tasks is the mean CPU time of a task.
struct class_at_place {
  double run_ns = 0;            // forgetting sums
  double tasks = 0;
  std::uint64_t tasks_total = 0;
  std::uint64_t run_total_ns = 0;
};

struct class_figures {
  std::array<class_at_place, TACTUS_MAX_PLACES> place{};
  std::array<float, TACTUS_NR_SITUATIONS> visits{};  // decisions, forgetting
  std::uint64_t completions = 0;   // tasks, folds included
  std::uint64_t folded = 0;        // .. of which came by folds (no place known)
  std::uint64_t missed = 0, failed = 0;
  std::uint64_t decisions = 0;
  std::uint64_t wall_total_ns = 0; // sum of the records' own run times
  std::uint64_t last_event_ns = 0; // CLOCK_MONOTONIC; 0 = never
  double recent_run_ns = 0;        // mean CPU time per task, fast
  double usual_run_ns = 0;         // .. and slow filter; their ratio shows drift

  double task_ns = 0, task_ns_squared = 0;  // filtered CPU time of single records, and its square

  one_euro run_log2;  // log2 of CPU time per task, ns, at whatever place

  double mean_run_ns() const;      // over all places; 0 = unknown
  // Squared coefficient of variation of a task's CPU time: a mean over n tasks is as good as one
  // over n / (1 + this) equal ones.
  double variation() const;
};

// Of one place, all managed work; cumulative.
struct place_figures {
  std::uint64_t busy_ns = 0;
  std::uint64_t wait_ns = 0;
};

struct event_figures {
  std::uint64_t decisions = 0, completion_events = 0, tasks = 0, malformed = 0;
  std::uint64_t joined = 0, unjoined = 0;  // stints with a completion whose decision was seen or not
  std::uint64_t records_without_clock = 0;
  std::array<std::uint64_t, TACTUS_NR_SOURCES> by_source{};
};

// Where the CPU time of a completion event went: record i has its slot and CPU time per task.
struct completion_split {
  unsigned nr = 0;
  std::array<std::uint8_t, TACTUS_EVENT_RECORDS> slot{};
  std::array<double, TACTUS_EVENT_RECORDS> task_ns{};
};

class class_stats {
 public:
  static constexpr double k_window = 200;  // completions that a class's sums at a place remember

  explicit class_stats(const tick_clock& clock) : clock_(clock) {}

  // `bytes` is the size of the ring record; false (and counted) when the event does not fit it.
  // `split` may be null.
  bool on_completion(const tactus_completion_event& event, std::size_t bytes, const pool_table& pools,
                     completion_split* split = nullptr);
  void on_decision(const tactus_decision_event& event);
  void on_malformed();
  // Tasks that no longer fitted a pool's ring: exact totals without a place.
  void on_fold(unsigned slot, std::uint64_t tasks, std::uint64_t missed, double wall_ns, std::uint64_t now);
  void reset_slot(unsigned slot);

  // Runs f(slots, places, events) under the lock; keep it short.
  template <typename F>
  auto read(F&& f) const {
    const std::lock_guard lock(mutex_);
    return f(slots_, places_, events_);
  }
  // Mean CPU time per task over everything seen lately; 0 = nothing yet.
  double service_time_ns() const;
  std::uint64_t tasks() const;
  // Halves the visits of situations now and then, so that they follow the load.
  void forget_visits(float factor);

 private:
  struct last_report {
    std::uint32_t tid = 0;
    std::uint64_t time_ns = 0;
  };
  struct seen_stint {
    std::uint64_t stint = ~0ull;
  };
  void add_run(class_figures& c, std::size_t place, double run_ns);
  void add_tasks(class_figures& c, std::size_t place, double tasks);

  const tick_clock& clock_;
  mutable std::mutex mutex_;
  std::array<class_figures, TACTUS_MAX_SLOTS> slots_{};
  std::array<place_figures, TACTUS_MAX_PLACES> places_{};
  event_figures events_{};
  double service_run_ns_ = 0, service_tasks_ = 0;
  // Direct mapped, bounded: a collision only loses the clipping of one record.
  std::vector<last_report> reports_ = std::vector<last_report>(8192);
  std::vector<seen_stint> stints_ = std::vector<seen_stint>(8192);
};

}  // namespace tactus::agent
