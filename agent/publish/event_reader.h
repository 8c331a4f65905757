// SPDX-License-Identifier: Apache-2.0
//
// Reads the rings of all domains: decisions go, in ring order, to the statistics and the learners;
// completions to the statistics. Counts what is missing by sequence numbers.
// One object per opened set of maps, one thread. Over budget or while nothing is learned the
// learners get nothing; they see that as a gap and bridge nothing.
// Thread-safety: start/stop from one thread; figures from any; handle() without start() (tests).
#pragma once

#include "agent/config/budget.h"
#include "agent/learn/api.h"
#include "agent/publish/class_stats.h"
#include "agent/publish/publisher.h"
#include "agent/publish/recorder.h"
#include "agent/publish/reward_ledger.h"
#include "agent/publish/scheduler_maps.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

namespace tactus::agent {

class event_reader {
 public:
  struct parts {
    pool_table& pools;
    class_stats& stats;
    learn::learner_set& learner;
    const cpu_budget& budget;
    learning_state& learning;
    reward_ledger& rewards;
    recorder& recording;
  };
  struct figures {
    std::uint64_t events = 0;
    std::uint64_t missing = 0;   // sequence numbers that never came
    std::uint64_t fed = 0, held_back = 0;  // decisions given to the learners, or not for the budget
    std::uint64_t foreign = 0;   // events of pools that are not registered (any more)
    std::uint64_t bad_area = 0;  // decisions whose area the kernel could not read
  };

  event_reader(parts p, std::shared_ptr<scheduler_maps> maps);
  ~event_reader();
  void start();
  void stop();

  // One ring record.
  void handle(const void* event, std::size_t bytes);
  std::uint64_t progress_ns() const { return progress_ns_.load(std::memory_order_relaxed); }
  figures figures_now() const;

 private:
  // Received and highest sequence since the first one: two CPUs may write neighbours in the other
  // order, so what is missing is only known as a sum.
  struct domain_count {
    bool begun = false;
    std::uint64_t first = 0, highest = 0, received = 0;
  };
  void count_sequence(unsigned domain, std::uint64_t sequence);

  parts p_;
  std::shared_ptr<scheduler_maps> maps_;
  std::array<domain_count, TACTUS_MAX_DOMAINS> domains_{};
  std::atomic<std::uint64_t> events_{0}, missing_{0}, fed_{0}, held_back_{0}, foreign_{0}, bad_area_{0};
  std::atomic<std::uint64_t> progress_ns_{0};
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

}  // namespace tactus::agent
