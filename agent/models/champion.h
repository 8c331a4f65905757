// SPDX-License-Identifier: Apache-2.0
//
// Champion and challenger: when the weights that are being learned (the challenger, whose rows are
// published) become those to go back to (the champion), and when the agent goes back. Decisions only,
// no I/O; judged from held-out segments (learn/validation.h), one paired estimate per judgement.
//
//   promote   over the judgements of a trial the challenger costs less: sequential test, alpha 0.05
//   keep      the trial had its judgements and did not say so; the champion stays, a new trial begins
//   restore   the challenger clearly costs more (the same test, one-sided 0.001), its weights are no
//             numbers, or its critic explains less than nothing (by as much as takes half of the
//             confidence); the champion's weights come back, a new trial begins
//   wait      anything else; also while there are too few effective segments to judge at all
//
// Each judgement is of segments that none before has seen, and none was learned from, so that the
// z-values difference / error of a trial are independent: what sequential_test.h needs.
#pragma once

#include "agent/learn/api.h"
#include "agent/models/sequential_test.h"

#include <cstdint>

namespace tactus::agent {

enum class verdict { wait, promote, keep, restore };
const char* verdict_name(verdict v);

// One thread.
class champion_judge {
 public:
  static constexpr int k_least_segments = 32;  // of one judgement
  static constexpr int k_trial = 20;           // judgements
  static constexpr double k_promote_alpha = 0.05, k_restore_alpha = 0.001;  // restore: of the one side
  static constexpr double k_least_explained_variance = -3;  // class_confidence() has lost half here
  static constexpr std::uint64_t k_critic_decisions = 5000;  // before that the critic is no evidence

  struct figures {
    std::uint64_t judgements = 0, refused = 0, promotions = 0, kept = 0, restorations = 0;
    double last_z = 0;  // > 0: the challenger is dearer
  };

  verdict judge(const learn::held_out_report& r, double explained_variance, std::uint64_t decisions_trained);
  // Whether there is enough new to be judged.
  static bool ready(const learn::held_out_report& r) { return r.segments >= k_least_segments || !r.finite; }
  const figures& figures_now() const { return figures_; }

 private:
  verdict end_trial(verdict v);

  // In units of the standard error of one judgement.
  sequential_test better_{1, 1, k_promote_alpha}, worse_{1, 1, 2 * k_restore_alpha};
  int judged_ = 0;       // in this trial
  int critic_rest_ = 0;  // judgements during which a bad critic is no reason: it was just put back
  figures figures_;
};

}  // namespace tactus::agent
