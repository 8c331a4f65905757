// SPDX-License-Identifier: Apache-2.0
// Repeats what a real scheduler reported (a trace of kind "events", from `tactus record`): every
// decision is made again by bpf/policy.h from the inputs it was logged with and the row it names, and
// must come out the same; the moments of each worker must follow one another as the scheduler's ops do.
// docs/simulator.md says exactly what is compared and what cannot be.
//
// Use: topology, pools and rows as they are read, add every event, then check() once. Events are checked
// in the order of their sequence numbers, which need not be that of the file.
#pragma once

#include <tactus/abi/event.h>

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "sim/scheduler/scheduler.h"

namespace tactus::sim {

// Rows and classes of one bank, in force from time_ns on.
struct rows_in_force {
  std::uint64_t time_ns = 0;
  std::uint32_t mode = 0;
  struct entry {
    tactus_row row;
    std::array<__u8, TACTUS_MAX_PLACES> tier;
  };
  std::unordered_map<std::uint32_t, entry> table;  // by tactus_row_index(0, slot, situation)
};

struct event_counts {
  std::uint64_t decisions = 0;    // that agreed
  std::uint64_t by_row = 0;       // .. of which were drawn from a row, pure or mixed
  std::uint64_t completions = 0;
  std::uint64_t lost = 0;          // sequence numbers that are not in the trace
  std::uint64_t without_rows = 0;  // decisions whose row the trace does not have: not compared
};

class event_check {
 public:
  // REQUIRES: `state` outlives it; topology, pools and control of the trace are in it before check().
  explicit event_check(const scheduler& state) : state_(state) {}

  void add(rows_in_force rows) { rows_.push_back(std::move(rows)); }
  void add(const tactus_decision_event& e) { events_.push_back({e.head, decisions_.size(), true}), decisions_.push_back(e); }
  void add(const tactus_completion_event& e);

  // Empty: everything agreed; else the first difference, event and reason.
  std::string check(event_counts& counts);

 private:
  enum class moment { unknown, awake, asleep };
  struct worker {
    moment at = moment::unknown;
    std::uint64_t stint = 0, time_ns = 0;
  };
  struct completion_brief {
    std::uint64_t stint;
    std::uint8_t stopped;
  };
  struct event {
    tactus_event_head head;
    std::size_t index;  // in decisions_ or completions_
    bool is_decision;
  };

  const rows_in_force::entry* row_of(const tactus_decision_event& e) const;
  std::string inputs_agree(const tactus_decision_event& e, const rows_in_force::entry* row) const;
  std::string choice_agrees(const tactus_decision_event& e, const rows_in_force::entry* row) const;
  std::string use_agrees(const tactus_decision_event& e, const rows_in_force::entry* row) const;
  std::string order_agrees(const tactus_decision_event& e);
  std::string order_agrees(const tactus_event_head& head, const completion_brief& e);

  const scheduler& state_;
  std::vector<rows_in_force> rows_;  // by time
  std::vector<event> events_;
  std::vector<tactus_decision_event> decisions_;
  std::vector<completion_brief> completions_;
  std::unordered_map<std::uint32_t, worker> workers_;  // by tid
};

}  // namespace tactus::sim
