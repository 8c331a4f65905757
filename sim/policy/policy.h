// SPDX-License-Identifier: Apache-2.0
// What decides in a simulation. A policy is named by a text:
//
//   fallback            the scheduler's own heuristic, as without an agent
//   random              rows that draw places at random, no hold (`tactus mode random`)
//   rows:FILE           rows of a table, docs/simulator.md has the format
//   learned[:FILE]      the learner, online; it starts from the checkpoint FILE or from nothing
//   round-robin, join-shortest-queue, power-of-two, join-idle-queue, shortest-expected-delay
//                       immediate dispatch to one place, nobody takes from another's queue
//   fastest-first       greedy: the fastest idle place, else one queue for all
//   threshold:M         as greedy, but a slow place only when M or more wait; M = best: searched
//   affinity-strict, affinity, affinity-two
//                       a class waits at its own fastest places; others help never, always, when two wait
//   bandit              immediate dispatch by LinUCB on the worker's own sojourn time
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/engine/simulation.h"

namespace tactus::learn {
class learner_set;
struct machine_state;
}

namespace tactus::sim {

struct policy_settings {
  std::uint64_t seed = 1;
  // learned: rows come every publish_ns and take effect publish_lag_ns later.
  std::uint64_t publish_ns = 50'000'000, publish_lag_ns = 2'000'000;
  double discount_beta = 0, learning_rate = 0, floor = -1;  // 0, 0 and -1: the learner's own
  // learned: changes each machine state before the networks see it; empty: leaves it as it is.
  std::function<void(learn::machine_state&)> disguise = {};
};

class policy {
 public:
  virtual ~policy() = default;
  // Once, before the simulation runs. The policy must outlive it.
  virtual void attach(simulation& s) = 0;
  // false: what was learned so far goes on deciding, and stands still.
  virtual void set_learning(bool) {}
  virtual void save(const std::string&) const {}
  // Figures of its own for the report, name and value.
  virtual std::vector<std::pair<std::string, double>> figures() const { return {}; }
};

struct policy_name {
  const char *name, *what;
};
const std::vector<policy_name>& policy_names();

// Throws description_error.
std::unique_ptr<policy> make_policy(const std::string& name, const policy_settings& settings);

// Speed of each place for a class as the machine has it, mean over its CPUs, bandwidth and steal taken
// off; and the tiers that follow from it. What an agent would find out by measuring.
std::vector<double> true_speeds(const simulation& s, unsigned task_class);
// Writes class records with true tiers into both banks.
void publish_true_tiers(simulation& s);

// The parts of make_policy.
std::unique_ptr<policy> make_rule(const std::string& name, const policy_settings& settings);  // null: no rule of that name
std::unique_ptr<policy> make_threshold(unsigned m, const policy_settings& settings);
// The m of least cost in trials under this seed; make_best_threshold seeks it when it is attached.
unsigned best_threshold(const machine& m, const workload& w, std::uint64_t seed);
std::unique_ptr<policy> make_best_threshold(const policy_settings& settings);
std::unique_ptr<policy> make_bandit(const policy_settings& settings);
std::unique_ptr<policy> make_random_rows();
std::unique_ptr<policy> make_row_table(const std::string& file);
std::unique_ptr<policy> make_learned(const std::string& checkpoint, const policy_settings& settings);
// The same with a learner that many simulations share, one after the other: pre-training. `version`
// counts the versions of rows over all of them; both outlive the policy. Between two simulations the
// caller switches learning off and on again, so that no segment spans them.
std::unique_ptr<policy> make_learned(learn::learner_set& shared, std::uint32_t& version, const policy_settings& settings);

}  // namespace tactus::sim
