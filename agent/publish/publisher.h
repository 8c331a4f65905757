// SPDX-License-Identifier: Apache-2.0
//
// The publisher: evaluates the policy over the active classes, writes the spare bank, flips it in,
// keeps the pools' route tables up to date, samples the machine, reads folded counts.
//
// One object per opened set of maps, one thread. Modes: learned (rows of the actor), random
// (uniform rows), fallback (the kernel's heuristic; no rows, no routes). Never flips sooner than
// 10 ms after the flip before; slower while nothing is learned or the policy has settled, while idle,
// and over budget.
// Thread-safety: all public calls from any thread, but step() only without start() (tests).
#pragma once

#include "agent/config/budget.h"
#include "agent/config/config.h"
#include "agent/learn/api.h"
#include "agent/publish/class_stats.h"
#include "agent/publish/fold_reader.h"
#include "agent/publish/inputs.h"
#include "agent/publish/recorder.h"
#include "agent/publish/reward_ledger.h"
#include "agent/publish/scheduler_maps.h"
#include "agent/sense/sense.h"
#include "agent/serve/class_slots.h"
#include "agent/serve/pool_table.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>

namespace tactus::agent {

// What of the configuration the publisher follows; may change while it runs.
struct publish_settings {
  unsigned period_ms = 50, idle_period_ms = 500;
  double confidence_threshold = 0.25, explore_share = 0.05;
  unsigned hold_limit_us = 10000, heartbeat_limit_ms = 500;
};

// Whether and how much is learned; shared by reader, publisher and control socket.
struct learning_state {
  std::atomic<bool> wanted{true};          // the operator's switch
  std::atomic<policy_mode> mode{policy_mode::learned};
  std::atomic<std::uint64_t> completions{0};  // tasks that ended while learning was in effect
  bool active() const { return wanted.load() && mode.load() == policy_mode::learned; }
};

class publisher {
 public:
  struct parts {
    class_slots& slots;
    pool_table& pools;
    class_stats& stats;
    learn::learner_set& learner;
    sense::sampler& sampler;
    const cpu_budget& budget;
    const tick_clock& clock;
    learning_state& learning;
    reward_ledger& rewards;
    recorder& recording;
  };
  // The machine as it was last sampled.
  struct machine {
    learn::machine_state state;
    std::vector<sense::source_report> sources;
  };
  struct figures {
    std::uint64_t flips = 0, rows = 0;
    std::uint32_t version = 0;
    double compile_ms = 0;   // last one
    double period_ms = 0;    // to the next flip, while events come
    unsigned active_classes = 0;
    double novelty = 0;      // score of the machine state, as of the last version
  };
  static constexpr std::uint64_t k_least_flip_ns = 10'000'000;
  static constexpr std::uint64_t k_active_ns = 2'000'000'000;  // a class without events for longer rests

  publisher(parts p, std::shared_ptr<scheduler_maps> maps, publish_settings settings);
  ~publisher();

  void start();
  void stop();
  void set_settings(const publish_settings& s);
  // A class or the mode has changed: look at once.
  void wake();
  // A slot has a new tenant: its old rows are not his. Callable under the slots' lock.
  void reset_slot(unsigned slot);
  // Waits until the mode that learning.mode says is what the kernel sees. False after the timeout.
  bool wait_applied(unsigned timeout_ms);

  // One turn at `now`; true when it flipped.
  bool step(std::uint64_t now);
  std::uint64_t progress_ns() const { return progress_ns_.load(std::memory_order_relaxed); }
  figures figures_now() const;
  // Speed and tier of each place for a class as last published; for status.
  speed_estimate speeds(unsigned slot) const;
  machine machine_now() const;
  std::array<std::uint8_t, TACTUS_MAX_PLACES> tiers(unsigned slot) const;

 private:
  struct stamp {  // what a slot's rows in a bank were written for
    std::uint32_t tenancy = 0;
    policy_mode mode = policy_mode::fallback;
    bool operator==(const stamp&) const = default;
  };
  class bank_sink;

  void loop();
  void apply_settings();
  void sample(std::uint64_t now);
  void tell_rewards(const std::array<slot_class, TACTUS_MAX_SLOTS>& slots);
  void rest(const std::array<slot_class, TACTUS_MAX_SLOTS>& slots, unsigned bank);
  void write_routes(std::uint64_t now, unsigned bank, const std::array<class_figures, TACTUS_MAX_SLOTS>& figures);
  void clear_routes();
  std::uint64_t period_ns() const;

  parts p_;
  std::shared_ptr<scheduler_maps> maps_;
  mutable std::mutex mutex_;  // settings, inputs' figures for status, wake-up
  std::condition_variable changed_;
  publish_settings settings_;
  bool woken_ = false, ended_ = false;
  std::thread thread_;

  // the thread's own
  input_builder inputs_;
  fold_reader folds_;
  std::unique_ptr<std::array<class_figures, TACTUS_MAX_SLOTS>> seen_;
  std::array<std::array<stamp, TACTUS_MAX_SLOTS>, 2> stamps_{};
  std::array<std::array<std::uint8_t, TACTUS_MAX_PLACES>, TACTUS_MAX_SLOTS> suits_{};
  learn::machine_state state_;
  std::uint64_t last_flip_ns_ = 0, last_sample_ns_ = 0, last_route_ns_ = 0, last_fold_ns_ = 0, last_forget_ns_ = 0;
  std::uint64_t last_updates_ = 0;
  std::uint64_t routed_changes_ = 0;  // of the pool table, when routes were last written
  double turn_cpu_ns_ = 0;  // CPU time of one turn, filtered
  std::atomic<bool> learner_moved_{false}, learner_settled_{false};
  bool routes_clear_ = false;

  std::atomic<std::uint64_t> progress_ns_{0};
  std::atomic<int> applied_mode_{-1};
  figures figures_;
  machine machine_;
};

}  // namespace tactus::agent
