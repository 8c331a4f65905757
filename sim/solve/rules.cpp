// SPDX-License-Identifier: Apache-2.0
//
// The policies of rules.h.
#include "solve/rules.h"

#include "bpf/policy.h"

#include <algorithm>

namespace tactus::sim {
namespace {

using choices = std::span<const choice>;
using weights = std::span<double>;

// Weight 1 on the choice of an action, if it is there.
bool take(choices c, weights w, unsigned action) {
  for (std::size_t i = 0; i < c.size(); ++i)
    if (c[i].action == action) {
      w[i] = 1;
      return true;
    }
  return false;
}

int fastest_of(const std::vector<double>& speed, choices c) {
  int best = -1;
  for (const auto& x : c)
    if (x.action != TACTUS_HOLD &&
        (best < 0 || speed[x.action] > speed[static_cast<std::size_t>(best)]))
      best = x.action;
  return best;
}

constexpr unsigned k_hold = TACTUS_HOLD;

double largest(const std::vector<double>& v) { return *std::max_element(v.begin(), v.end()); }

}  // namespace

rule greedy(std::vector<double> speed) {
  return [speed = std::move(speed)](const question&, choices c, weights w) {
    take(c, w, static_cast<unsigned>(fastest_of(speed, c)));
  };
}

rule fast_only(std::vector<double> speed) {
  return [speed = std::move(speed)](const question&, choices c, weights w) {
    const int p = fastest_of(speed, c);
    take(c, w, p >= 0 && speed[static_cast<std::size_t>(p)] == largest(speed) ? static_cast<unsigned>(p) : k_hold);
  };
}

rule random_idle() {
  return [](const question&, choices c, weights w) {
    for (std::size_t i = 0; i < c.size(); ++i) w[i] = c[i].action != TACTUS_HOLD;
  };
}

rule threshold(std::vector<double> speed, int m) {
  const double slowest = *std::min_element(speed.begin(), speed.end());
  return [speed = std::move(speed), m, slowest](const question& k, choices c, weights w) {
    const int p = fastest_of(speed, c);
    const bool use = p >= 0 && (speed[static_cast<std::size_t>(p)] > slowest || k.waiting + 1 >= m);
    take(c, w, use ? static_cast<unsigned>(p) : k_hold);
  };
}

rule shortest_expected_delay(std::vector<double> speed, ties t) {
  return [speed = std::move(speed), t](const question& k, choices c, weights w) {
    const double a = (k.queue[0] + 1) / speed[0], b = (k.queue[1] + 1) / speed[1];
    const unsigned fast = speed[1] > speed[0], slow = 1 - fast;
    take(c, w, a < b ? 0u : b < a ? 1u : t == ties::fast ? fast : slow);
  };
}

rule shortest_queue(std::vector<double> speed) {
  return [speed = std::move(speed)](const question& k, choices c, weights w) {
    const unsigned fast = speed[1] > speed[0];
    take(c, w, k.queue[0] < k.queue[1] ? 0u : k.queue[1] < k.queue[0] ? 1u : fast);
  };
}

rule idle_queue(std::vector<double> speed) {
  return [speed = std::move(speed)](const question& k, choices c, weights w) {
    const unsigned fast = speed[1] > speed[0], slow = 1 - fast;
    if (k.idle >> fast & 1)
      take(c, w, fast);
    else if (k.idle >> slow & 1)
      take(c, w, slow);
    else
      for (std::size_t i = 0; i < c.size(); ++i) w[i] = speed[c[i].action];
  };
}

double best_bernoulli(double fast, double slow, double arrivals) {
  double best = 1e300;
  for (int i = 0; i <= 100000; ++i) {
    const double a = arrivals * i / 100000.0, b = arrivals - a;
    if (a < fast && b < slow) best = std::min(best, a / (fast - a) + b / (slow - b));
  }
  return best;
}

namespace {

bool take_own(const question& k, choices c, weights w) { return take(c, w, k.slot - 1u); }

}  // namespace

rule affinity_first() {
  return [](const question& k, choices c, weights w) {
    if (!take_own(k, c, w)) random_idle()(k, c, w);
  };
}

rule strict_affinity() {
  return [](const question& k, choices c, weights w) {
    if (!take_own(k, c, w)) take(c, w, TACTUS_HOLD);
  };
}

rule cross_if(int waiting) {
  return [waiting](const question& k, choices c, weights w) {
    if (take_own(k, c, w)) return;
    if (k.queue[k.slot - 1u] >= waiting)
      random_idle()(k, c, w);
    else
      take(c, w, TACTUS_HOLD);
  };
}

rule class_blind() {
  return [](const question& k, choices c, weights w) {
    if (k.moment == TACTUS_MOMENT_WAKE) return random_idle()(k, c, w);
    // The oldest job is of either class in proportion to their number: with equal arrivals that is
    // first in, first out. Passing over the server's own class leads to the question for the other.
    const bool own_class = k.legal >> (k.slot - 1u) & 1;
    const double mine = k.queue[k.slot - 1u], others = k.queue[0] + k.queue[1] - mine;
    for (std::size_t i = 0; i < c.size(); ++i) w[i] = c[i].action != TACTUS_HOLD ? mine : own_class ? others : 0;
  };
}

unsigned row_table::situation_of(const question& k, int nr_places) const {
  const std::uint64_t idle = k.moment == TACTUS_MOMENT_IDLE ? k.legal : k.idle;
  return tactus_situation(tactus_idle_tiers(tier[k.slot].data(), idle, static_cast<__u32>(nr_places)), k.waiting);
}

rule of_rows(std::shared_ptr<const row_table> rows, int nr_places, bool argmax) {
  return [rows = std::move(rows), nr_places, argmax](const question& k, choices c, weights w) {
    const tactus_row& row = rows->row(k.slot, rows->situation_of(k, nr_places));
    for (std::size_t i = 0; i < c.size(); ++i) w[i] = tactus_row_mass(row.cdf, c[i].action);
    if (!argmax) return;
    const auto best = std::max_element(w.begin(), w.end()) - w.begin();
    std::fill(w.begin(), w.end(), 0);
    w[static_cast<std::size_t>(best)] = 1;
  };
}

}  // namespace tactus::sim
