// SPDX-License-Identifier: Apache-2.0
//
// The rewards that finished tasks earned: what learn/reward.h says of each, summed for the learner
// (points, by domain and user) and for status (by term). Only where the configuration gives a term a
// weight; the cost of tasks present needs none of this.
// Thread-safe (one lock, short): the event reader credits and reads, the publisher tells what the
// machine is like, the control socket reads the figures.
#pragma once

#include "agent/learn/reward.h"
#include "agent/publish/class_stats.h"

#include <tactus/abi/decision_map.h>
#include <tactus/abi/event.h>

#include <array>
#include <cstdint>
#include <mutex>
#include <unordered_map>

namespace tactus::agent {

// What a reward depends on besides the task itself; NaN: unknown. As of the last sample.
struct reward_surroundings {
  std::array<double, TACTUS_MAX_SLOTS> expected_ns{};  // mean run time of a class over all places, 0 unknown
  std::array<bool, TACTUS_MAX_SLOTS> urgent{};         // class of high priority
  std::array<double, TACTUS_MAX_PLACES> utilisation{};
  std::array<std::uint16_t, TACTUS_MAX_PLACES> node{};
  std::array<std::uint16_t, TACTUS_MAX_DOMAINS> home_node{};  // of a domain
  bool several_nodes = false;
  double miss_rate = learn::task_outcome::unknown;
  double heat = learn::task_outcome::unknown;
};

class reward_ledger {
 public:
  struct figures {
    std::uint64_t tasks = 0;
    std::array<double, learn::k_nr_reward_terms> sum{};            // points by term, as they entered the total
    std::array<std::uint64_t, learn::k_nr_reward_terms> tasks_of{};  // tasks whose source was there
    double total = 0;
  };

  explicit reward_ledger(const learn::reward_weights& weights) : weights_(weights), on_(weights.has_terms()) {}

  // false: no term has a weight, and nothing is credited.
  bool on() const { return on_; }
  const learn::reward_weights& weights() const { return weights_; }

  void surroundings(const reward_surroundings& s);
  // The tasks of one completion event, with their run times as class_stats split them.
  void credit(const tactus_completion_event& event, const completion_split& split, std::uint16_t group);
  // Points of a user's tasks that ended in the domain so far.
  double points(unsigned domain, std::uint16_t group) const;
  figures figures_now() const;

 private:
  const learn::reward_weights weights_;
  const bool on_;
  mutable std::mutex mutex_;
  reward_surroundings around_;
  std::unordered_map<std::uint32_t, double> points_;  // by domain << 16 | group: at most 64 x 256
  figures figures_;
};

}  // namespace tactus::agent
