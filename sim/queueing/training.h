// SPDX-License-Identifier: Apache-2.0
//
// The real learner on a system through compiled rows. train() says, exactly, how far the rows are from
// the optimum: the proof that the learner finds it (docs/learning.md).
#pragma once

#include "queueing/environment.h"
#include "queueing/system.h"

#include <cstdint>
#include <functional>

namespace tactus::sim {

// A learner and a system: rows are compiled, decisions are drawn from them, and the learner hears of each.
// Both must outlive it. Thread-safety: one thread at a time per object.
class closed_loop {
 public:
  using change = std::function<void(learn::policy_inputs&)>;

  // version: of the rows that the learner compiled last.
  closed_loop(const oracle_system& system, learn::learner_set& learner, std::uint64_t seed, std::uint32_t version = 0,
              const learn::reward_weights& rewards = {})
      : system_(system), learner_(learner), version_(version), rows_(system.table()),
        environment_(system.asked_once, system.nr_places, seed, rewards) {}

  // The next version of the rows; decisions are drawn from it. change: of what they are compiled from.
  void publish(const change& what = {});
  void run_decisions(std::uint64_t n) { environment_.run_decisions(n); }  // REQUIRES: publish

  const row_table& rows() const { return *rows_; }
  std::uint32_t version() const { return version_; }
  std::uint64_t decisions() const { return environment_.decisions(); }
  std::uint64_t forced() const { return environment_.forced(); }

 private:
  const oracle_system& system_;
  learn::learner_set& learner_;
  std::uint32_t version_;
  std::shared_ptr<row_table> rows_;
  environment environment_;
};

struct training {
  learn::learner_config learner;
  std::uint64_t decisions = 1'000'000;
  std::uint64_t seed = 1;           // of environment and learner
  std::uint64_t publish_every = 128;  // decisions between two versions of the rows
  std::string from;                 // checkpoint; empty: the learner's own start
  std::vector<std::uint64_t> measure_at;  // besides the end
};

struct measured {
  std::uint64_t decisions = 0;
  double argmax_over_pct = 0, stochastic_over_pct = 0;  // cost over the optimum
};

struct trained {
  std::vector<measured> curve;  // the last: at the end
  std::shared_ptr<row_table> rows;
  learn::learner_stats stats;
  double forced_ratio = 0;  // of decisions, releases at the bound
  double seconds = 0;       // of training
};

// Called now and then with decisions done; may be empty.
trained train(const oracle_system& system, const training& how, const std::function<void(std::uint64_t)>& tell = {});

// Rows of a learner as it is, evaluated on the system.
measured measure(const oracle_system& system, learn::learner_set& learner, std::uint32_t version);

}  // namespace tactus::sim
