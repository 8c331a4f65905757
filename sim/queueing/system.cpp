// SPDX-License-Identifier: Apache-2.0
//
// The systems of system.h.
#include "queueing/system.h"

#include <algorithm>
#include <stdexcept>

namespace tactus::sim {
namespace {

constexpr double k_precision = 1e-7;

process process_of(const system_spec& s) {
  if (s.model == "queue") return queue_model(apart(s.speeds), s.load, asking::once);
  if (s.model == "immediate") return immediate_model(s.speeds, s.load);
  if (s.model == "affinity") return affinity_model(s.off, s.load, asking::once);
  throw std::invalid_argument("model \"" + s.model + "\": there are queue, immediate, affinity");
}

}  // namespace

std::uint8_t tier_of_speed(double relative) {
  return relative >= 0.76 ? 0 : relative >= 0.38 ? 1 : relative >= 0.19 ? 2 : 3;
}

oracle_system::oracle_system(const system_spec& s)
    : spec(s), nr_places(s.model == "affinity" ? 2 : static_cast<int>(s.speeds.size())), asked_once(process_of(s)) {}

const optimum& oracle_system::best() const {
  if (!best_) best_ = std::make_unique<struct optimum>(minimise(asked_once, k_precision));
  return *best_;
}

double oracle_system::optimum() const { return best().value.cost; }

std::shared_ptr<learn::policy_inputs> oracle_system::inputs(std::uint32_t version) const {
  auto in = std::make_shared<learn::policy_inputs>();
  in->version = version;
  in->nr_places = nr_places;
  const bool affinity = spec.model == "affinity";
  const double fastest = *std::max_element(spec.speeds.begin(), spec.speeds.end());
  for (unsigned slot = 1; slot <= (affinity ? 2u : 1u); ++slot) {
    learn::class_inputs& c = in->classes[slot];
    c.in_use = true;
    c.task.present = 1;
    c.task.value[0] = affinity ? static_cast<float>(slot - 1) : 0.5f;
    for (unsigned p = 0; p < static_cast<unsigned>(nr_places); ++p) {
      const double speed = affinity ? (p + 1 == slot ? 1 : spec.off) : spec.speeds[p] / fastest;
      auto& f = c.place[p];
      c.tier[p] = tier_of_speed(speed);
      f[learn::k_place_speed] = static_cast<float>(speed);
      f[learn::k_place_speed_known] = 1;
      f[learn::k_place_capacity] = 1;
      f[learn::k_place_idle] = 1;
      f[learn::k_place_home_domain] = 1;
      f[learn::k_place_tier] = static_cast<float>(c.tier[p]) / 3;
      f[learn::k_place_tier_best] = c.tier[p] == 0;
    }
  }
  return in;
}

std::shared_ptr<row_table> oracle_system::table() const {
  auto t = std::make_shared<row_table>();
  const auto in = inputs(1);
  for (std::size_t slot = 0; slot < TACTUS_MAX_SLOTS; ++slot) t->tier[slot] = in->classes[slot].tier;
  return t;
}

double oracle_system::cost_of(std::shared_ptr<const row_table> rows, bool argmax) const {
  return evaluate(asked_once, of_rows(std::move(rows), nr_places, argmax), 1e-6).cost;
}

}  // namespace tactus::sim
