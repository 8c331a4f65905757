// SPDX-License-Identifier: Apache-2.0
// tactus-bench learn: what one learner thread needs for one decision it learns from.
//
// A sample is one decision of a segment (learner_config: as many as by default): snapshot of the shared weights, forward and backward pass,
// norm, clipping and the step of the shared RMSProp, as learner_set does them. Segments are of four classes
// of one version of the rows. Rows differ in how many (class, situation) pairs repeat within a segment: a
// machine has a few usual situations; "all different" is the worst case.
// Does not: measure the ring, the assembly of segments, or several threads.
#include <fmt/format.h>

#include "agent/learn/shared_parameters.h"
#include "bench.h"
#include "learn_world.h"
#include "statistics.h"

namespace tactus::bench {
namespace {

using namespace learn;

constexpr double k_target_ns = 1250;  // 800,000 samples per second
constexpr int k_classes = 4, k_segments = 16, k_rounds = 60;

struct learner_world {
  learner_config config;
  weights<float> theta, prior;
  std::vector<segment> segments;
};

std::shared_ptr<const learner_world> make_world(int places, unsigned situations, std::uint64_t seed) {
  auto w = std::make_shared<learner_world>();
  initial_weights(seed, w->theta.data());
  initial_weights(seed + 1, w->prior.data());
  const auto inputs = encode_all(*make_inputs(k_classes, places, seed), w->config);
  std::mt19937_64 random(seed);
  for (int i = 0; i < k_segments; ++i)
    w->segments.push_back(make_segment(inputs, w->config.segment_length, k_classes, places, situations, random));
  return w;
}

// ns per sample, the median over rounds of one pass over all segments.
double ns_per_sample(const learner_world& w, double kappa) {
  shared_parameters shared;
  shared.set(w.theta.data(), nullptr);
  learner_step<float> step;
  weights<float> theta, gradient = weights<float>::Zero();
  const schedule now{1e-4, 0.01, kappa};
  std::vector<double> rounds_ns;
  for (int round = 0; round < k_rounds; ++round) {
    const std::int64_t begin = now_ns();
    for (const segment& s : w.segments) {
      step_report report;
      shared.snapshot(theta.data());
      step.gradient(w.config, now, theta.data(), w.prior.data(), 1.0f, s, gradient.data(), report);
      const float norm = gradient.norm();
      if (norm > static_cast<float>(w.config.gradient_clip)) gradient *= static_cast<float>(w.config.gradient_clip) / norm;
      shared.apply(gradient.data(), now.learning_rate, w.config.rms_decay, w.config.rms_epsilon);
      gradient.setZero();
    }
    rounds_ns.push_back(static_cast<double>(now_ns() - begin));
  }
  return quantile_of(rounds_ns, 0.5) / (k_segments * w.config.segment_length);
}

result run(const settings& set) {
  result out;
  const unsigned reps = set.repetitions(41, 11);
  const auto add = [&](const char* what, int places, unsigned situations, double kappa, bool has_target) {
    const auto w = make_world(places, situations, set.seed);
    out.rows.push_back(interleave(set, fmt::format("one sample, {} places, {}", places, what), "ns",
                                  {{"tactus", [w, kappa] { return ns_per_sample(*w, kappa); }}}, reps));
    if (has_target) out.rows.back().target = k_target_ns;
  };
  add("8 situations", 4, 8, 0, true);
  add("8 situations, with a prior", 4, 8, 0.01, false);
  add("all different", 4, TACTUS_NR_SITUATIONS, 0, true);
  add("8 situations", 16, 8, 0, false);
  return out;
}

const registration learner{"learn", "one learner: forward, backward and shared RMSProp, per sample", run};

}  // namespace
}  // namespace tactus::bench
