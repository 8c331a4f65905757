// SPDX-License-Identifier: Apache-2.0
//
// Relative value iteration: see process.h.
//
// Uniformised at L = the largest total rate, one iteration of h (value of a state relative to state 0) is
//   h'(s) = h(s) + (jobs(s) + sum_e rate_e (D(to_e) - h(s))) / L,   D(node) = min over its choices,
// and min_s (h' - h) L <= E[N] <= max_s (h' - h) L. Stop when these bounds are `precision` apart.
// A minimum is taken only now and then; between, the choices stand (modified policy iteration), so
// that an iteration is a product with a sparse matrix.
#include "solve/process.h"

#include <algorithm>
#include <cmath>

namespace tactus::sim {
namespace {

constexpr int k_sweeps_per_minimum = 48;
constexpr int k_most_iterations = 4'000'000;

// Events of a process under fixed choices: rows of (state, rate), the rate out of it, over L.
class sweeper {
 public:
  explicit sweeper(const process& p) : p_(p), h_(static_cast<std::size_t>(p.nr_states())), next_(h_.size()) {
    for (int s = 0; s < p.nr_states(); ++s) {
      double total = 0;
      for (const auto& t : p.transitions(s)) total += t.rate;
      fastest_ = std::max(fastest_, total);
    }
  }

  double fastest() const { return fastest_; }
  std::vector<double>& h() { return h_; }

  // Lays out the events; spread(node, rate, out) adds where a node leads.
  template <class Spread>
  void lay_out(Spread&& spread) {
    to_.clear();
    rate_.clear();
    first_.assign(1, 0);
    std::vector<std::pair<int, double>> out;
    for (int s = 0; s < p_.nr_states(); ++s) {
      out.clear();
      for (const auto& t : p_.transitions(s)) spread(t.to, t.rate / fastest_, out);
      for (const auto& [to, rate] : out) {
        if (to == s) continue;
        to_.push_back(to);
        rate_.push_back(rate);
      }
      first_.push_back(static_cast<int>(to_.size()));
    }
  }

  struct bounds {
    double low, high;
  };
  bounds sweep() {
    bounds b{1e300, -1e300};
    const int n = p_.nr_states();
    for (int s = 0; s < n; ++s) {
      const double own = h_[static_cast<std::size_t>(s)];
      double change = p_.state(s).jobs / fastest_;
      for (int i = first_[static_cast<std::size_t>(s)]; i < first_[static_cast<std::size_t>(s) + 1]; ++i)
        change += rate_[static_cast<std::size_t>(i)] * (h_[static_cast<std::size_t>(to_[static_cast<std::size_t>(i)])] - own);
      next_[static_cast<std::size_t>(s)] = own + change;
      b.low = std::min(b.low, change);
      b.high = std::max(b.high, change);
    }
    const double origin = next_[0];
    for (int s = 0; s < n; ++s) h_[static_cast<std::size_t>(s)] = next_[static_cast<std::size_t>(s)] - origin;
    return {b.low * fastest_, b.high * fastest_};
  }

 private:
  const process& p_;
  double fastest_ = 0;
  std::vector<double> h_, next_, rate_;
  std::vector<int> to_, first_;
};

}  // namespace

optimum minimise(const process& p, double precision, const progress& tell) {
  optimum o;
  o.best.assign(static_cast<std::size_t>(p.nr_nodes()), 0);
  sweeper it(p);
  std::vector<double> value(static_cast<std::size_t>(p.nr_nodes()));
  std::vector<int> leads(value.size());  // state that the best choices lead to
  const auto of = [&](target t) { return t >= 0 ? it.h()[static_cast<std::size_t>(t)] : value[static_cast<std::size_t>(~t)]; };
  while (o.value.iterations < k_most_iterations) {
    for (int n = 0; n < p.nr_nodes(); ++n) {
      const auto choices = p.choices(n);
      const auto at = static_cast<std::size_t>(n);
      int best = 0;
      for (int c = 1; c < static_cast<int>(choices.size()); ++c)
        if (of(choices[static_cast<std::size_t>(c)].target) < of(choices[static_cast<std::size_t>(best)].target)) best = c;
      o.best[at] = best;
      const target t = choices[static_cast<std::size_t>(best)].target;
      value[at] = of(t);
      leads[at] = t >= 0 ? t : leads[static_cast<std::size_t>(~t)];
    }
    it.lay_out([&](target t, double rate, auto& out) { out.emplace_back(t >= 0 ? t : leads[static_cast<std::size_t>(~t)], rate); });
    // The first sweep after a minimum is one iteration of the optimality equation.
    const auto b = it.sweep();
    ++o.value.iterations;
    o.value.cost = (b.low + b.high) / 2;
    if (b.high - b.low < precision) {
      o.value.converged = true;
      break;
    }
    if (tell) tell(o.value.iterations, b.high - b.low);
    for (int i = 0; i < k_sweeps_per_minimum; ++i) it.sweep();
    o.value.iterations += k_sweeps_per_minimum;
  }
  return o;
}

answer evaluate(const process& p, const rule& policy, double precision, const progress& tell) {
  // Where each node leads, as a distribution over states.
  std::vector<std::vector<std::pair<int, double>>> leads(static_cast<std::size_t>(p.nr_nodes()));
  std::vector<double> weight;
  for (int n = 0; n < p.nr_nodes(); ++n) {
    const auto choices = p.choices(n);
    weight.assign(choices.size(), 0);
    policy(p.node(n), choices, weight);
    double total = 0;
    for (double w : weight) total += w;
    auto& out = leads[static_cast<std::size_t>(n)];
    for (std::size_t c = 0; c < choices.size(); ++c) {
      // A policy that names nothing keeps things as they are: hold, the first choice.
      const double share = total > 0 ? weight[c] / total : c == 0;
      if (share == 0) continue;
      const target t = choices[c].target;
      if (t >= 0)
        out.emplace_back(t, share);
      else
        for (const auto& [to, x] : leads[static_cast<std::size_t>(~t)]) out.emplace_back(to, share * x);
    }
    std::sort(out.begin(), out.end());
    std::size_t kept = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (kept && out[kept - 1].first == out[i].first)
        out[kept - 1].second += out[i].second;
      else
        out[kept++] = out[i];
    }
    out.resize(kept);
  }
  sweeper it(p);
  it.lay_out([&](target t, double rate, auto& out) {
    if (t >= 0) {
      out.emplace_back(t, rate);
      return;
    }
    for (const auto& [to, share] : leads[static_cast<std::size_t>(~t)]) out.emplace_back(to, rate * share);
  });
  answer a;
  while (a.iterations < k_most_iterations) {
    const auto b = it.sweep();
    ++a.iterations;
    a.cost = (b.low + b.high) / 2;
    if (b.high - b.low < precision) {
      a.converged = true;
      break;
    }
    if (tell && a.iterations % 1024 == 0) tell(a.iterations, b.high - b.low);
  }
  return a;
}

}  // namespace tactus::sim
