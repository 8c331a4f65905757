// SPDX-License-Identifier: Apache-2.0
//
// The simulation of environment.h.
#include "queueing/environment.h"

#include "queueing/system.h"

#include <algorithm>
#include <cmath>

namespace tactus::sim {
namespace {

constexpr double k_hold_limit = static_cast<double>(TACTUS_HOLD_LIMIT_NS) / k_service_ns;

}  // namespace

environment::environment(const process& p, int nr_places, std::uint64_t seed, const learn::reward_weights& rewards)
    : p_(p), nr_places_(nr_places), rewards_(rewards), random_(seed), rate_(static_cast<std::size_t>(p.nr_states())) {
  for (int s = 0; s < p.nr_states(); ++s) {
    for (const auto& t : p.transitions(s)) {
      rate_[static_cast<std::size_t>(s)] += t.rate;
      if (t.completes >= 0) speed_[static_cast<std::size_t>(t.completes)] = std::max(speed_[static_cast<std::size_t>(t.completes)], t.rate);
    }
    holds_ = holds_ || p.state(s).release[0] >= 0 || p.state(s).release[1] >= 0;
  }
}

void environment::use(const row_table& rows, std::uint32_t version, learn::learner_set* learner) {
  rows_ = &rows;
  version_ = version;
  learner_ = learner;
  rule_ = {};
}

void environment::use(const rule& policy) {
  rows_ = nullptr;
  learner_ = nullptr;
  rule_ = policy;
}

void environment::event() {
  const auto& here = p_.state(state_);
  double at = now_ - std::log1p(-uniform()) / rate_[static_cast<std::size_t>(state_)];
  int late = -1;  // class whose oldest job reaches its bound before
  if (holds_)
    for (std::size_t c = 0; c < 2; ++c)
      if (here.release[c] >= 0 && !since_[c].empty() && std::max(now_, since_[c].front() + k_hold_limit) < at) {
        late = static_cast<int>(c);
        at = std::max(now_, since_[c].front() + k_hold_limit);
      }
  job_time_ += here.jobs * (at - now_);
  now_ = at;
  if (late >= 0) {
    ++forced_;
    question k;
    k.slot = static_cast<std::uint8_t>(late + 1);
    k.idle = k.legal = ((1ull << nr_places_) - 1) & ~here.busy;
    k.waiting = static_cast<std::uint16_t>(here.waiting[0] + here.waiting[1] - 1);
    const int to = here.release[static_cast<std::size_t>(late)];
    const tactus_choice c{tactus_lowest(p_.state(to).busy & ~here.busy), 1, 1};
    if (rows_) report(k, rows_->situation_of(k, nr_places_), k.legal, &c, TACTUS_SOURCE_FORCED_BOUND);
    move(to);
    return;
  }
  double pick = uniform() * rate_[static_cast<std::size_t>(state_)];
  const auto transitions = p_.transitions(state_);
  std::size_t i = 0;
  while (i + 1 < transitions.size() && pick >= transitions[i].rate) pick -= transitions[i++].rate;
  move(follow(transitions[i].to));
}

void environment::move(int to) {
  const auto& before = p_.state(state_);
  const auto& after = p_.state(to);
  if (holds_)
    for (std::size_t c = 0; c < 2; ++c) {
      for (int n = before.waiting[c]; n < after.waiting[c]; ++n) since_[c].push_back(now_);
      for (int n = before.waiting[c]; n > after.waiting[c]; --n) since_[c].pop_front();
    }
  state_ = to;
}

int environment::follow(target t) {
  while (t < 0) {
    const question& k = p_.node(~t);
    const auto choices = p_.choices(~t);
    ++decisions_;
    if (!rows_) {
      weight_.assign(choices.size(), 0);
      rule_(k, choices, weight_);
      double total = 0;
      for (double w : weight_) total += w;
      double pick = uniform() * total;
      std::size_t i = 0;
      while (i + 1 < choices.size() && pick >= weight_[i]) pick -= weight_[i++];
      t = choices[i].target;
      continue;
    }
    const unsigned situation = rows_->situation_of(k, nr_places_);
    const auto& row = rows_->row(k.slot, situation);
    const auto rnd = static_cast<std::uint32_t>(random_());
    tactus_choice c{};
    tactus_sample(row.cdf, static_cast<__u32>(nr_places_), k.legal, k.hold_legal, rnd, &c);
    const auto chosen = std::find_if(choices.begin(), choices.end(), [&](const auto& x) { return x.action == c.action; });
    if (c.den) report(k, situation, k.legal, &c, TACTUS_SOURCE_ROW);
    if (rewards_.has_terms() && c.den && c.action < TACTUS_MAX_PLACES) {
      learn::task_outcome job;
      job.expected_ns = k_service_ns;
      job.actual_ns = -std::log1p(-uniform()) / speed_[c.action] * k_service_ns;
      points_ += learn::reward_of(rewards_, job).total;
    }
    t = c.den && chosen != choices.end() ? chosen->target : choices.front().target;
  }
  return t;
}

void environment::report(const question& k, unsigned situation, std::uint64_t legal, const tactus_choice* c, int source) {
  if (!learner_) return;
  learn::decision d;
  d.sequence = ++sequence_;
  d.time_ns = static_cast<std::uint64_t>(now_ * k_service_ns);
  d.area = static_cast<std::uint64_t>(job_time_ * k_service_ns);
  d.reward = points_;
  d.legal = legal;
  d.version = version_;
  d.prob_num = c->num;
  d.prob_den = c->den;
  d.slot = k.slot;
  d.situation = static_cast<std::uint8_t>(situation);
  d.chosen = static_cast<std::uint8_t>(c->action);
  d.source = static_cast<std::uint8_t>(source);
  d.moment = k.moment;
  d.hold_legal = k.hold_legal;
  learner_->submit(d);
}

}  // namespace tactus::sim
