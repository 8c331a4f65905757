// SPDX-License-Identifier: Apache-2.0
//
// champion.h's implementation.
#include "agent/models/champion.h"

#include <cmath>

namespace tactus::agent {

const char* verdict_name(verdict v) {
  switch (v) {
    case verdict::wait: return "wait";
    case verdict::promote: return "promote";
    case verdict::keep: return "keep";
    case verdict::restore: return "restore";
  }
  return "?";
}

verdict champion_judge::end_trial(verdict v) {
  better_ = sequential_test(1, 1, k_promote_alpha);
  worse_ = sequential_test(1, 1, 2 * k_restore_alpha);
  judged_ = 0;
  figures_.promotions += v == verdict::promote;
  figures_.kept += v == verdict::keep;
  figures_.restorations += v == verdict::restore;
  if (v == verdict::restore) critic_rest_ = k_trial;
  return v;
}

verdict champion_judge::judge(const learn::held_out_report& r, double explained_variance, std::uint64_t decisions_trained) {
  if (!r.finite) return end_trial(verdict::restore);
  const bool bad_critic = decisions_trained > k_critic_decisions && explained_variance < k_least_explained_variance;
  if (critic_rest_ > 0) {
    critic_rest_--;
  } else if (bad_critic) {
    return end_trial(verdict::restore);
  }
  if (r.segments < k_least_segments) return verdict::wait;
  if (!r.current.judged || !r.champion.judged || !std::isfinite(r.difference) || !std::isfinite(r.difference_error)) {
    figures_.refused++;
    return verdict::wait;
  }
  figures_.judgements++;
  judged_++;
  // The same weights on both sides differ by nothing.
  const double z = r.difference_error > 0 ? r.difference / r.difference_error : 0;
  figures_.last_z = z;
  if (worse_.add(z) && worse_.mean() > 0) return end_trial(verdict::restore);
  if (better_.add(z) && better_.mean() < 0) return end_trial(verdict::promote);
  return judged_ >= k_trial ? end_trial(verdict::keep) : verdict::wait;
}

}  // namespace tactus::agent
