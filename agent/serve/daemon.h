// SPDX-License-Identifier: Apache-2.0
//
// The agent as a whole: makes the parts, follows the scheduler's coming and going, answers the
// control socket, keeps the budget and the checkpoints.
//
// Life: construct (nothing started), start() (sockets, threads, learners), tick() about ten times a
// second from the main thread, stop(). With maps open ("attached") there are a publisher, an event
// reader, a beating heart and a registry that takes pools; without, pools are told to try later.
// Thread-safety: start, tick, stop from one thread; command from any.
#pragma once

#include "agent/config/budget.h"
#include "agent/config/config.h"
#include "agent/learn/api.h"
#include "agent/models/champion.h"
#include "agent/models/checkpoints.h"
#include "agent/publish/event_reader.h"
#include "agent/publish/heartbeat.h"
#include "agent/publish/publisher.h"
#include "agent/publish/recorder.h"
#include "agent/publish/reward_ledger.h"
#include "agent/publish/scheduler_maps.h"
#include "agent/sense/sense.h"
#include "agent/serve/control_server.h"
#include "agent/serve/registry.h"

#include <nlohmann/json_fwd.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

namespace tactus::agent {

class agent_daemon {
 public:
  // Opens the maps; throws maps_error while it cannot.
  using map_opener = std::function<std::shared_ptr<scheduler_maps>()>;

  agent_daemon(const config& c, map_opener open_maps);
  ~agent_daemon();

  // Loads the checkpoint. True when something damaged was there.
  bool load_checkpoint();
  // Nothing could be loaded: the policy is what the learner made itself.
  bool from_clone() const { return loaded_from_ == "clone"; }
  void start();  // throws socket_error
  void stop();   // with a last checkpoint
  // Throws maps_error when the maps are there but of another ABI, or stay closed to us.
  void tick();
  // SIGHUP: what can change at run time does; the rest is said to need a restart.
  void reconfigure(const config& c);

  // One request of the control socket.
  std::string command(const std::string& request, bool privileged);
  bool attached() const;

 private:
  void attach(std::shared_ptr<scheduler_maps> maps);
  void detach(const char* why);
  void follow_scheduler(std::uint64_t now);
  bool same_topology() const;
  void watch_memory(std::uint64_t now);
  void judge_challenger();
  nlohmann::json status();
  nlohmann::json class_status(const std::array<slot_class, TACTUS_MAX_SLOTS>& slots);
  nlohmann::json record(const nlohmann::json& request);
  nlohmann::json answer(const nlohmann::json& request, bool privileged);
  publish_settings settings() const;
  registration_limits limits() const;
  void apply_learning();

  mutable std::mutex mutex_;  // config, engine pointers (control thread against main thread)
  config config_;
  map_opener open_maps_;
  tick_clock clock_;
  cpu_budget budget_;
  learning_state learning_;
  class_slots slots_;
  pool_table pools_;
  class_stats stats_;
  reward_ledger rewards_;
  learn::learner_set learner_;
  sense::sampler sampler_;
  recorder recorder_;
  checkpoints checkpoints_;
  std::mutex checkpoint_mutex_;  // checkpoints_, judge_
  champion_judge judge_;
  std::uint64_t judged_until_ = 0;  // held-out segment
  registry registry_;
  control_server control_;

  // while attached
  std::shared_ptr<scheduler_maps> maps_;
  std::shared_ptr<publisher> publisher_now() const;
  std::shared_ptr<publisher> publisher_;
  std::shared_ptr<event_reader> reader_;
  heartbeat heart_;
  std::uint64_t generation_ = 0;

  std::atomic<std::uint64_t> started_ns_{0};
  std::uint64_t last_look_ns_ = 0, last_checkpoint_ns_ = 0, last_second_ns_ = 0, last_pin_look_ns_ = 0, last_memory_ns_ = 0;
  std::uint64_t rights_since_ns_ = 0;
  std::atomic<std::uint64_t> checkpoints_written_{0};
  std::string said_;  // the last message about waiting, said once
  std::string loaded_from_ = "clone";
  double memory_mib_ = 0;
};

}  // namespace tactus::agent
