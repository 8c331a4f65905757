// SPDX-License-Identifier: Apache-2.0
//
// The maps without a kernel: plain memory (unit tests), or files of a folder that several processes
// map (--fake-maps: the agent and its clients tried on a machine without the scheduler).
// Events are put in by push_event; what the agent stored for workers can be looked at.
// Thread-safe for set_*/clear_*/push_event/workers.
#pragma once

#include "agent/publish/scheduler_maps.h"

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace tactus::agent {

class memory_maps final : public scheduler_maps {
 public:
  struct machine {
    unsigned cpus = 4;      // each a place
    unsigned domains = 1;
    unsigned nodes = 1;
  };
  struct stored_worker {
    worker_entry entry;
    int tid = 0;
  };

  explicit memory_maps(const machine& m);
  // In files of `folder`, made when they are not there. Throws maps_error (also for another ABI).
  memory_maps(const machine& m, const std::string& folder);
  ~memory_maps() override;

  int set_pool(std::uint32_t index, const tactus_pool_conf& conf) override;
  int get_pool(std::uint32_t index, tactus_pool_conf& conf) override;
  int set_worker(int pidfd, const worker_entry& entry) override;
  int clear_worker(int pidfd) override;
  std::size_t consume_events(const event_sink& sink, int wait_ms, std::size_t most) override;
  bool read_stats(tactus_stats& out) override;
  bool replaced() const override { return replaced_; }

  // for tests
  void push_event(const void* event, std::size_t bytes);
  std::vector<stored_worker> workers() const;
  void set_replaced() { replaced_ = true; }
  void fail_workers(int rc, unsigned from_worker);  // set_worker says rc for workers >= from_worker
  tactus_pool_state* mutable_pool_states() { return const_cast<tactus_pool_state*>(pool_states_); }
  tactus_domain* mutable_domains() { return const_cast<tactus_domain*>(domains_); }

 private:
  void* region(const char* name, std::size_t bytes);
  void fill(const machine& m);

  std::string folder_;  // empty: private memory
  std::vector<std::pair<void*, std::size_t>> regions_;
  tactus_pool_conf* pools_ = nullptr;
  mutable std::mutex mutex_;
  std::vector<stored_worker> workers_;
  std::deque<std::vector<char>> events_;
  std::atomic<bool> replaced_{false};
  int fail_rc_ = 0;
  unsigned fail_from_ = 0;
};

}  // namespace tactus::agent
