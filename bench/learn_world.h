// SPDX-License-Identifier: Apache-2.0
// A machine and its decisions as the learner sees them, for `tactus-bench infer` and `learn`.
//
// Half of the machine state's and of the task features' sources are present, as on most machines; one place
// in four is of each tier, so that all 128 situations exist.
#pragma once

#include <memory>
#include <random>

#include "agent/learn/step.h"

namespace tactus::bench {

inline std::shared_ptr<learn::policy_inputs> make_inputs(int classes, int places, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<float> uniform;
  auto in = std::make_shared<learn::policy_inputs>();
  in->version = 1;
  in->nr_places = places;
  in->state.present = 0x5555ffff & static_cast<std::uint32_t>(random());
  for (float& v : in->state.value) v = uniform(random);
  for (int slot = 0; slot < classes; ++slot) {
    learn::class_inputs& c = in->classes[static_cast<std::size_t>(slot)];
    c.in_use = true;
    c.weight = static_cast<float>(slot % 4 + 1);
    c.task.present = 0xffff & static_cast<std::uint32_t>(random());
    for (float& v : c.task.value) v = uniform(random);
    for (int p = 0; p < places; ++p) {
      c.tier[static_cast<std::size_t>(p)] = static_cast<std::uint8_t>(p % TACTUS_MAX_TIERS);
      for (float& v : c.place[static_cast<std::size_t>(p)]) v = uniform(random);
    }
  }
  return in;
}

inline std::shared_ptr<const learn::version_contexts> encode_all(const learn::policy_inputs& in,
                                                                 const learn::learner_config& config) {
  auto out = std::make_shared<learn::version_contexts>();
  out->version = in.version;
  for (unsigned slot = 0; slot < learn::k_max_slots; ++slot)
    if (in.classes[slot].in_use) out->slot[slot] = learn::encode(in, slot, config);
  return out;
}

// n decisions drawn from rows and the state that ends them. `situations`: how many different ones occur.
inline learn::segment make_segment(const std::shared_ptr<const learn::version_contexts>& inputs, int n, int classes,
                                   int places, unsigned situations, std::mt19937_64& random) {
  learn::segment out;
  for (int k = 0; k <= n; ++k) {
    learn::step_k step;
    step.inputs = inputs;
    step.slot = static_cast<std::uint8_t>(random() % static_cast<unsigned>(classes));
    step.situation = static_cast<std::uint8_t>(random() % situations * (TACTUS_NR_SITUATIONS / situations));
    step.legal = (places == 64 ? 0 : 1ull << places) - 1;
    step.hold_legal = random() % 2;
    step.action = static_cast<std::uint8_t>(random() % static_cast<unsigned>(places));
    step.policy_term = true;
    step.mu = 0.2f + 0.6f * static_cast<float>(random() % 1000) / 1000;
    step.r = static_cast<float>(random() % 2000) / 1000 - 1;
    step.g = 0.95f;
    out.steps.push_back(step);
  }
  return out;
}

}  // namespace tactus::bench
