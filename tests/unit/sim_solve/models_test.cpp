// SPDX-License-Identifier: Apache-2.0
//
// The tables of docs/learning.md: optima, thresholds and what the fixed rules cost.
#include "solve/models.h"
#include "solve/rules.h"

#include <doctest/doctest.h>

using namespace tactus::sim;

namespace {

double over_pct(double cost, double optimum) { return 100 * (cost / optimum - 1); }

}  // namespace

TEST_CASE("M/M/k by closed form") {
  CHECK(erlang_jobs(2, 1.0) == doctest::Approx(1.333333).epsilon(1e-6));
  CHECK(erlang_jobs(2, 1.4) == doctest::Approx(2.745098).epsilon(1e-6));
  CHECK(erlang_jobs(4, 2.8) == doctest::Approx(3.800193).epsilon(1e-6));
  CHECK(erlang_jobs(8, 7.2) == doctest::Approx(13.513797).epsilon(1e-6));
  CHECK(erlang_jobs(16, 14.4) == doctest::Approx(19.722091).epsilon(1e-6));
  CHECK(erlang_jobs(1, 1.0) == std::numeric_limits<double>::infinity());
  // .. and by the solver, which has nothing better than to use every server
  CHECK(minimise(queue_model({{1, 4}}, 0.7, asking::until_held)).value.cost == doctest::Approx(3.800193).epsilon(1e-6));
}

TEST_CASE("O1, one queue and two servers: optimum, threshold, greedy, fast only") {
  struct row {
    double r, load;
    int m;
    double optimum, greedy_pct, fast_only;
  };
  for (const row& x : {row{.5, .3, 1, .61844, 0, .818}, row{.5, .7, 1, 2.72956, 0, INFINITY}, row{.25, .3, 3, .57525, 13.16, .6},
                       row{.25, .5, 2, 1.29168, 6.26, 1.66667}, row{.25, .7, 2, 2.75846, 2.16, 7}, row{.25, .9, 2, 9.53644, .32, INFINITY},
                       row{.1, .3, 7, .49240, 62.15, .49254}, row{.1, .5, 5, 1.19385, 30.91, 1.2222}, row{.1, .7, 4, 2.72628, 10.4, 3.348}}) {
    INFO("speeds 1 and " << x.r << ", load " << x.load);
    const auto servers = grouped({1, x.r});
    const auto p = queue_model(servers, x.load, asking::until_held);
    const auto o = minimise(p);
    CHECK(o.value.cost == doctest::Approx(x.optimum).epsilon(1e-5));
    CHECK(threshold_of(p, o, servers, 1) == x.m);
    // Asked once per event, as the kernel asks, the same optimum is within reach.
    const auto once = queue_model(servers, x.load, asking::once);
    CHECK(minimise(once).value.cost == doctest::Approx(o.value.cost).epsilon(1e-7));
    CHECK(evaluate(once, threshold({1, x.r}, x.m)).cost == doctest::Approx(o.value.cost).epsilon(1e-7));
    CHECK(std::abs(over_pct(evaluate(once, greedy({1, x.r})).cost, o.value.cost) - x.greedy_pct) < 0.006);
    if (std::isfinite(x.fast_only)) CHECK(erlang_jobs(1, x.load * (1 + x.r)) == doctest::Approx(x.fast_only).epsilon(1e-3));
  }
}

TEST_CASE("O2, fast and slow cores under one queue: optimum, threshold, greedy and random") {
  struct row {
    std::vector<double> speeds;
    double load, optimum;
    int m;
    double greedy_pct, random_pct;
  };
  for (const row& x : {row{{1, 1, .5, .5}, .3, 1.04291, 2, 1.6, 25}, row{{1, 1, .25, .25}, .3, .86992, 4, 19.4, 78},
                       row{{1, 1, .25, .25}, .5, 1.85931, 3, 13.7, 36}, row{{1, 1, .25, .25}, .7, 3.65628, 3, 5.1, 13},
                       row{{1, 1, 1, 1, .25, .25, .25, .25}, .5, 2.98310, 5, 18.8, 60}}) {
    INFO(x.speeds.size() << " servers, load " << x.load);
    const auto servers = grouped(x.speeds);
    const auto p = queue_model(servers, x.load, asking::until_held);
    const auto o = minimise(p);
    CHECK(o.value.cost == doctest::Approx(x.optimum).epsilon(1e-5));
    CHECK(threshold_of(p, o, servers, 1) == x.m);
    const auto places = queue_model(apart(x.speeds), x.load, asking::once);
    CHECK(std::abs(over_pct(evaluate(places, greedy(x.speeds), 1e-6).cost, o.value.cost) - x.greedy_pct) < 0.06);
    CHECK(std::abs(over_pct(evaluate(places, random_idle(), 1e-6).cost, o.value.cost) - x.random_pct) < 0.6);
  }
}

TEST_CASE("O3, immediate dispatch: optimum, rules, and a switching curve that is monotone") {
  struct row {
    double r, load, optimum, sed_fast, sed_slow, jsq, jiq, bernoulli;
  };
  for (const row& x : {row{1, .5, 1.42632, 0, 0, 0, 5.2, 40}, row{.5, .5, 1.35631, 6.2, 0, 1.8, 9.2, 39},
                       row{.25, .3, .57631, 1.6, 0, 18.2, 20.5, 4.1}, row{.25, .5, 1.30890, 6.8, 2.2, 18.4, 20.7, 22},
                       row{.25, .7, 2.83881, 9.4, 3.6, 18.5, 23.5, 41}, row{.1, .5, 1.19480, 1.8, 1.6, 78, 53, 2.3}}) {
    INFO("speeds 1 and " << x.r << ", load " << x.load);
    const std::vector<double> speeds{1, x.r};
    const auto p = immediate_model(speeds, x.load);
    const double best = minimise(p).value.cost;
    CHECK(best == doctest::Approx(x.optimum).epsilon(1e-5));
    const auto pct = [&](const rule& r) { return over_pct(evaluate(p, r, 1e-6).cost, best); };
    CHECK(std::abs(pct(shortest_expected_delay(speeds, ties::fast)) - x.sed_fast) < 0.06);
    CHECK(std::abs(pct(shortest_expected_delay(speeds, ties::slow)) - x.sed_slow) < 0.06);
    CHECK(std::abs(pct(shortest_queue(speeds)) - x.jsq) < 0.6);
    CHECK(std::abs(pct(idle_queue(speeds)) - x.jiq) < 0.6);
    CHECK(std::abs(over_pct(best_bernoulli(1, x.r, x.load * (1 + x.r)), best) - x.bernoulli) < 0.6);
  }
  const auto p = immediate_model({1, .25}, .5);
  const auto o = minimise(p);
  std::array<int, 5> most{-1, -1, -1, -1, -1};  // jobs at the fast server up to which it gets the next one
  for (int n = 0; n < p.nr_nodes(); ++n) {
    const auto& k = p.node(n);
    if (k.queue[1] < 5 && k.queue[0] < 25 && o.best[static_cast<std::size_t>(n)] == 0)
      most[k.queue[1]] = std::max<int>(most[k.queue[1]], k.queue[0]);
  }
  CHECK(most == std::array<int, 5>{1, 5, 8, 13, 18});
}

TEST_CASE("O4, affinity: optimum and the four fixed rules") {
  struct row {
    double off, load, optimum, first, strict, cross, blind;
  };
  for (const row& x : {row{.8, .3, .70799, 0, 21, 9.8, 8}, row{.8, .5, 1.50044, 0, 33, 7.8, 10}, row{.8, .7, 3.20298, 0, 46, 3.8, 30},
                       row{.5, .3, .82770, 7.4, 3.6, .1, 39}, row{.5, .5, 1.87496, 13.9, 6.7, 1.2, 94}, row{.5, .7, 4.14739, 13.9, 12.5, 3.2, -1}}) {
    INFO("off " << x.off << ", load " << x.load);
    const auto p = affinity_model(x.off, x.load, asking::once);
    const double best = minimise(p, 1e-7).value.cost;
    CHECK(best == doctest::Approx(x.optimum).epsilon(1e-5));
    const auto pct = [&](const rule& r) { return over_pct(evaluate(p, r, 1e-6).cost, best); };
    CHECK(std::abs(pct(affinity_first()) - x.first) < 0.06);
    CHECK(std::abs(pct(strict_affinity()) - x.strict) < 0.6);
    CHECK(std::abs(pct(cross_if(2)) - x.cross) < 0.06);
    if (x.blind >= 0) CHECK(std::abs(pct(class_blind()) - x.blind) < 0.6);
  }
  // Asked after every event until held: no better.
  CHECK(minimise(affinity_model(.5, .5, asking::until_held)).value.cost == doctest::Approx(1.87496).epsilon(1e-5));
}
