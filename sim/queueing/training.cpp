// SPDX-License-Identifier: Apache-2.0
//
// The training of training.h. Deterministic: the learner runs in the caller's thread.
#include "queueing/training.h"

#include <algorithm>
#include <chrono>

namespace tactus::sim {
namespace {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

measured measure_rows(const oracle_system& system, std::shared_ptr<const row_table> rows) {
  measured m;
  m.stochastic_over_pct = 100 * (system.cost_of(rows, false) / system.optimum() - 1);
  m.argmax_over_pct = 100 * (system.cost_of(rows, true) / system.optimum() - 1);
  return m;
}

}  // namespace

void closed_loop::publish(const change& what) {
  const auto in = system_.inputs(++version_);
  if (what) what(*in);
  table_sink sink(*rows_);
  learner_.compile(in, sink);
  environment_.use(*rows_, version_, &learner_);
}

measured measure(const oracle_system& system, learn::learner_set& learner, std::uint32_t version) {
  auto rows = system.table();
  table_sink sink(*rows);
  learner.compile(system.inputs(version), sink);
  return measure_rows(system, rows);
}

trained train(const oracle_system& system, const training& how, const std::function<void(std::uint64_t)>& tell) {
  trained out;
  learn::learner_config config = how.learner;
  config.seed = how.seed;
  learn::learner_set learner(config);
  if (!how.from.empty()) learner.load(how.from);
  learner.set_service_time_ns(k_service_ns);
  learner.start(0);
  closed_loop loop(system, learner, how.seed * 7919 + 17, 0, learn::rewards_of(config));
  std::vector<std::uint64_t> stops = how.measure_at;
  std::erase_if(stops, [&](auto at) { return at >= how.decisions; });
  std::sort(stops.begin(), stops.end());
  stops.push_back(how.decisions);
  double began = seconds_now();
  for (std::uint64_t stop : stops) {
    while (loop.decisions() < stop) {
      loop.publish();
      loop.run_decisions(std::min(how.publish_every, stop - loop.decisions()));
      if (tell && loop.version() % 64 == 0) tell(loop.decisions());
    }
    out.seconds += seconds_now() - began;
    loop.publish();
    out.rows = std::make_shared<row_table>(loop.rows());
    measured m = measure_rows(system, out.rows);
    m.decisions = loop.decisions();
    out.curve.push_back(m);
    began = seconds_now();
  }
  out.stats = learner.stats();
  out.forced_ratio = static_cast<double>(loop.forced()) / static_cast<double>(std::max<std::uint64_t>(1, loop.decisions()));
  return out;
}

}  // namespace tactus::sim
