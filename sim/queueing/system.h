// SPDX-License-Identifier: Apache-2.0
//
// One of the exactly solvable systems together with what the learner is told about it: places,
// classes, tiers, as the agent tells them for a real machine. A mean service on a server of speed 1
// takes 100 us, so that the bounds on holding (10 ms, 16 per CPU) hardly ever cut a good policy off.
#pragma once

#include "agent/learn/api.h"
#include "solve/models.h"
#include "solve/rules.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tactus::sim {

inline constexpr double k_service_ns = 100e3;

struct system_spec {
  std::string model = "queue";  // queue (O1, O2), immediate (O3), affinity (O4)
  std::vector<double> speeds{1, 0.25};
  double load = 0.5;
  double off = 0.5;  // affinity only
};

struct oracle_system {
  explicit oracle_system(const system_spec& spec);

  system_spec spec;
  int nr_places;
  process asked_once;  // as the kernel asks: what is simulated, and what rows are evaluated on

  // Exact optimum; computed on first use.
  double optimum() const;
  const struct optimum& best() const;

  // What rows of one version are computed from.
  std::shared_ptr<learn::policy_inputs> inputs(std::uint32_t version) const;
  // An empty table that knows the tiers.
  std::shared_ptr<row_table> table() const;
  // Exact cost of rows.
  double cost_of(std::shared_ptr<const row_table> rows, bool argmax) const;

 private:
  mutable std::unique_ptr<struct optimum> best_;
};

// Receives a learner's rows into a table, which must outlive it.
class table_sink : public learn::row_sink {
 public:
  explicit table_sink(row_table& to) : to_(to) {}
  void put(unsigned slot, unsigned situation, const tactus_row& row) override { to_.row(slot, situation) = row; }

 private:
  row_table& to_;
};

// Tier of a relative speed: the agent's bounds (agent/publish/tiers.cpp).
std::uint8_t tier_of_speed(double relative);

}  // namespace tactus::sim
