// SPDX-License-Identifier: Apache-2.0
//
// Trains the real learner on a system through compiled rows and says, exactly, how far the rows are
// from the optimum: the proof that the learner finds it (docs/learning.md).
#pragma once

#include "queueing/environment.h"
#include "queueing/system.h"

#include <cstdint>
#include <functional>

namespace tactus::sim {

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
