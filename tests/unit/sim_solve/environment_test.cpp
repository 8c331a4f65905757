// SPDX-License-Identifier: Apache-2.0
//
// The simulation agrees with closed forms and with the exact cost of the rows it draws from; the
// bound on holding works; same seed, same run.
#include "queueing/training.h"

#include "agent/learn/rows.h"

#include <cmath>
#include <doctest/doctest.h>

using namespace tactus::sim;

namespace {

// Mean number of jobs over batches, and its standard error.
struct batch_means {
  double mean, error;
};
template <class Run>
batch_means measure_batches(environment& env, int batches, Run&& run) {
  double sum = 0, squares = 0;
  run();
  for (int i = 0; i < batches; ++i) {
    const double t = env.time(), w = env.job_time();
    run();
    const double x = (env.job_time() - w) / (env.time() - t);
    sum += x;
    squares += x * x;
  }
  const double mean = sum / batches;
  return {mean, std::sqrt((squares / batches - mean * mean) / (batches - 1))};
}

}  // namespace

TEST_CASE("simulated means are the closed forms, within three standard errors") {
  const auto check = [](const process& p, int places, const rule& r, double exact) {
    environment env(p, places, 5);
    env.use(r);
    const auto m = measure_batches(env, 30, [&] {
      for (int i = 0; i < 20'000; ++i) env.event();
    });
    CHECK(std::abs(m.mean - exact) < 3 * m.error);
    CHECK(m.error < 0.05 * exact);
  };
  check(queue_model(apart({1, 1}), .5, asking::once), 2, greedy({1, 1}), erlang_jobs(2, 1.0));
  check(queue_model(apart({1, 1, 1, 1}), .7, asking::once), 4, random_idle(), erlang_jobs(4, 2.8));
  check(queue_model(apart({1, .25}), .5, asking::once), 2, greedy({1, .25}), 1.37255);
  check(queue_model(apart({1, .25}), .5, asking::once), 2, threshold({1, .25}, 2), 1.29168);
  check(immediate_model({1, .25}, .5), 2, shortest_expected_delay({1, .25}, ties::fast), 1.39763);
}

TEST_CASE("rows drawn by policy.h cost what their exact evaluation says, in every model") {
  for (const system_spec& spec : {system_spec{}, system_spec{.model = "immediate", .load = .6},
                                  system_spec{.model = "affinity", .load = .5, .off = .8}, system_spec{.speeds = {1, 1, .4, .1}, .load = .7}}) {
    INFO(spec.model);
    const oracle_system system(spec);
    tactus::learn::learner_config config;
    config.clone_steps = 60;
    tactus::learn::learner_set learner(config);
    auto rows = system.table();
    table_sink into(*rows);
    learner.compile(system.inputs(1), into);
    environment env(system.asked_once, system.nr_places, 3);
    env.use(*rows, 1, nullptr);
    const auto m = measure_batches(env, 30, [&] { env.run_decisions(10'000); });
    const double exact = system.cost_of(rows, false);
    CHECK(std::abs(m.mean - exact) < 3 * m.error + 1e-3 * exact);
  }
}

TEST_CASE("a job held beside an idle place is started after 10 ms, and not before") {
  const oracle_system system(system_spec{.load = .02});
  auto rows = system.table();
  for (unsigned s = 0; s < TACTUS_NR_SITUATIONS; ++s) rows->row(1, s) = tactus_row{};  // all mass on hold
  environment env(system.asked_once, system.nr_places, 1);
  env.use(*rows, 1, nullptr);
  for (int i = 0; i < 20'000; ++i) env.event();
  CHECK(env.forced() > 100);
  // Mean services between arrivals: 1 / (0.02 x 1.25) = 40; a job waits 100 of them at most.
  CHECK(env.job_time() / env.time() < 0.025 * 105);
  CHECK(env.job_time() / env.time() > 0.025 * 50);
}

TEST_CASE("training is the same for the same seed and differs for another") {
  const oracle_system system(system_spec{});
  training how;
  how.decisions = 3000;
  how.learner.clone_steps = 20;
  const auto a = train(system, how).curve.back(), b = train(system, how).curve.back();
  how.seed = 2;
  const auto c = train(system, how).curve.back();
  CHECK(a.stochastic_over_pct == b.stochastic_over_pct);
  CHECK(a.stochastic_over_pct != c.stochastic_over_pct);
}
