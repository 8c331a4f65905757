// SPDX-License-Identifier: Apache-2.0
//
// Simulates a process of sim/solve under decision rows, as an environment of the learner: actions are
// drawn by bpf/policy.h from quantised rows restricted to what is legal, and reported with the exact
// probability, the situation and the cumulative area, as the kernel reports them. A job that was held
// for 10 ms beside an idle place is started by force. With rewards for tasks (the seed's preset is the
// negative control), a task earns them when it is placed, for a run time of its own.
// One seed, same seed same run. Thread-safety: one thread at a time per object.
#pragma once

#include "agent/learn/api.h"
#include "agent/learn/reward.h"
#include "bpf/policy.h"
#include "solve/rules.h"

#include <cstdint>
#include <deque>
#include <random>

namespace tactus::sim {

class environment {
 public:
  environment(const process& p, int nr_places, std::uint64_t seed, const learn::reward_weights& rewards = {});

  // Rows that are drawn from until the next call; learner may be null.
  void use(const row_table& rows, std::uint32_t version, learn::learner_set* learner);
  // The same by a fixed rule, for checks of the simulation itself. Nothing is reported.
  void use(const rule& policy);

  void event();
  void run_decisions(std::uint64_t n) {
    for (const auto end = decisions_ + n; decisions_ < end;) event();
  }

  std::uint64_t decisions() const { return decisions_; }
  std::uint64_t forced() const { return forced_; }
  double time() const { return now_; }          // mean services
  double job_time() const { return job_time_; }  // integral of jobs present

 private:
  double uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }
  int follow(target t);
  void move(int to);
  void report(const question& k, unsigned situation, std::uint64_t legal, const tactus_choice* c, int source);

  const process& p_;
  const int nr_places_;
  const learn::reward_weights rewards_;
  std::mt19937_64 random_;
  std::vector<double> rate_;  // total, of each state
  bool holds_ = false;        // some state has a job to release
  int state_ = 0;
  double now_ = 0, job_time_ = 0, points_ = 0;
  std::array<std::deque<double>, 2> since_;           // of the waiting jobs
  std::array<double, TACTUS_MAX_PLACES> speed_{};  // largest rate at which a place ends jobs
  std::uint64_t decisions_ = 0, forced_ = 0, sequence_ = 0;
  const row_table* rows_ = nullptr;
  rule rule_;
  std::uint32_t version_ = 0;
  learn::learner_set* learner_ = nullptr;
  std::vector<double> weight_;
};

}  // namespace tactus::sim
