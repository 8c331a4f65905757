// SPDX-License-Identifier: Apache-2.0
//
// From statistics, topology and machine state to the inputs of the networks (learn/api.h): the
// features of each place as each class sees it, tiers, task features, confidence, slice.
// One thread (the publisher's). Keeps what needs memory between two versions: tiers and rates.
#pragma once

#include "agent/learn/api.h"
#include "agent/publish/class_stats.h"
#include "agent/publish/novelty.h"
#include "agent/publish/scheduler_maps.h"
#include "agent/publish/task_features.h"
#include "agent/publish/tiers.h"
#include "agent/serve/class_slots.h"

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace tactus::agent {

// Shares of one CPU's time, all work; as /proc/stat says it.
struct cpu_share {
  float busy = 0;
  float steal = 0;
};

class input_builder {
 public:
  explicit input_builder(std::shared_ptr<const scheduler_maps> maps);

  // What the machine does now, for load, interference and queue of the places.
  void observe(std::uint64_t now, const std::array<place_figures, TACTUS_MAX_PLACES>& places,
               const std::vector<cpu_share>& cpus);

  struct request {
    std::uint32_t version = 0;
    learn::machine_state state;
    std::array<bool, TACTUS_MAX_SLOTS> wanted{};  // slots to compile
    // Slots of pools whose users are trusted: what is measured there tells how fast places are in
    // general. Slot 0 gets its tiers from that, and the kernel uses them for unmanaged threads.
    std::array<bool, TACTUS_MAX_SLOTS> trusted{};
    double explained_variance = 0;
    std::uint64_t decisions_trained = 0;
  };
  std::shared_ptr<learn::policy_inputs> build(const request& r, const std::array<slot_class, TACTUS_MAX_SLOTS>& slots,
                                              const std::array<class_figures, TACTUS_MAX_SLOTS>& figures);

  // Managed CPU time as a share of all CPUs, lately; for the machine state.
  double managed_busy_cpus() const { return managed_busy_; }
  // Share of a place's time busy with managed work, lately.
  double place_busy(std::size_t place) const { return rates_[place].load; }
  void forget_slot(unsigned slot);
  // Of the machine state of the last build.
  double novelty_score() const { return novelty_score_; }

  const speed_estimate& speeds(unsigned slot) const { return speeds_[slot]; }
  const std::array<std::uint8_t, TACTUS_MAX_PLACES>& tiers(unsigned slot) const { return tiers_[slot]; }

 private:
  struct place_rates {
    double load = 0, steal = 0, interference = 0, queue = 0, sibling_busy = 0;
    std::uint64_t busy_ns = 0, wait_ns = 0;
  };
  void place_features_of(unsigned slot, const class_figures& f, learn::class_inputs& out);

  std::shared_ptr<const scheduler_maps> maps_;
  std::vector<double> capacity_;              // of each place: mean of its CPUs
  std::vector<std::vector<unsigned>> members_;  // CPUs of each place
  std::vector<std::vector<unsigned>> siblings_;  // SMT siblings outside a CPU itself, by CPU
  std::vector<place_rates> rates_;
  std::array<speed_estimate, TACTUS_MAX_SLOTS> speeds_{};
  std::array<std::array<std::uint8_t, TACTUS_MAX_PLACES>, TACTUS_MAX_SLOTS> tiers_{};
  std::array<bool, TACTUS_MAX_SLOTS> tiers_known_{};
  std::uint64_t observed_ns_ = 0;
  double managed_busy_ = 0;
  novelty novelty_;
  learn::machine_state scored_;  // the last sample that it saw
  double novelty_score_ = 0;
};

}  // namespace tactus::agent
