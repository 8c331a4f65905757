// SPDX-License-Identifier: Apache-2.0
//
// A small scheduling problem as a Markov decision process in continuous time, and its exact answers
// (docs/learning.md): the optimum by relative value iteration, and the cost of any
// stochastic policy by the same code with the minimum replaced by the policy's average.
//
//   state   what there is between events: jobs present (the cost rate), busy places, waiting jobs
//   event   at some rate, leads to a state or to a node
//   node    somebody is asked: a question (what the scheduler sees) and choices, each leading to a
//           state or to a node added before
//
// A model (models.h) builds one; solver, rules, decision rows and the simulated environment
// (sim/queueing) all work on the same object, so that they cannot disagree about the system.
// Relies on nothing but the contracts. Thread-safety: const calls by any thread.
#pragma once

#include <tactus/abi/decision_map.h>
#include <tactus/abi/event.h>

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace tactus::sim {

// What the scheduler sees when it is asked for one job.
struct question {
  std::uint64_t legal = 0;  // places that may be chosen
  std::uint64_t idle = 0;   // places that are idle (moment idle: the one that fell idle)
  std::array<std::uint16_t, 2> queue{};  // as the model counts, for rules: see models.h
  std::uint16_t waiting = 0;             // other jobs that wait
  std::uint8_t slot = 1;                 // row slot of the job's class
  std::uint8_t moment = TACTUS_MOMENT_WAKE;
  bool hold_legal = true;
};

struct choice {
  int target;
  std::uint8_t action;  // place or TACTUS_HOLD
};

// Where something leads: a state >= 0, or a node, written ~node.
using target = int;

struct state_info {
  double jobs = 0;         // cost rate
  std::uint64_t busy = 0;  // places that work
  std::array<std::uint16_t, 2> waiting{};          // jobs that wait, by class
  std::array<int, 2> release{-1, -1};  // state after the oldest of that class was started by force, -1: nothing idle
};

struct transition {
  double rate;
  target to;
  int completes;  // place whose job ends, -1: an arrival
};

class process {
 public:
  // Building. Nodes first (targets may be states not added yet), then all states in order of index.
  target add_node(const question& q) {
    nodes_.push_back(q);
    first_choice_.push_back(first_choice_.back());
    return ~static_cast<int>(nodes_.size() - 1);
  }
  void add_choice(std::uint8_t action, target to) {
    choices_.push_back({to, action});
    ++first_choice_.back();
  }
  int add_state(const state_info& s) {
    states_.push_back(s);
    first_transition_.push_back(first_transition_.back());
    return static_cast<int>(states_.size() - 1);
  }
  void add_transition(double rate, target to, int completes = -1) {
    transitions_.push_back({rate, to, completes});
    ++first_transition_.back();
  }

  int nr_states() const { return static_cast<int>(states_.size()); }
  int nr_nodes() const { return static_cast<int>(nodes_.size()); }
  const state_info& state(int i) const { return states_[static_cast<std::size_t>(i)]; }
  const question& node(int i) const { return nodes_[static_cast<std::size_t>(i)]; }
  std::span<const transition> transitions(int state) const { return range(transitions_, first_transition_, state); }
  std::span<const choice> choices(int node) const { return range(choices_, first_choice_, node); }

 private:
  template <class T>
  static std::span<const T> range(const std::vector<T>& all, const std::vector<int>& first, int i) {
    const auto at = static_cast<std::size_t>(i);
    return {all.data() + first[at], static_cast<std::size_t>(first[at + 1] - first[at])};
  }
  std::vector<state_info> states_;
  std::vector<question> nodes_;
  std::vector<transition> transitions_;
  std::vector<choice> choices_;
  std::vector<int> first_transition_{0}, first_choice_{0};
};

// A policy: the weight of each choice (all 0 on entry; need not sum to 1).
using rule = std::function<void(const question&, std::span<const choice>, std::span<double>)>;

struct answer {
  double cost = 0;  // E[N], the mean number of jobs present
  int iterations = 0;
  bool converged = false;
};

struct optimum {
  answer value;
  std::vector<int> best;  // the best choice of each node, by its position among the choices
};

// Called now and then with iterations done and the span that is left, so that a program can show
// progress; may be empty.
using progress = std::function<void(int iterations, double span)>;

// precision: the mean is exact to about so much.
optimum minimise(const process& p, double precision = 1e-8, const progress& tell = {});
answer evaluate(const process& p, const rule& policy, double precision = 1e-8, const progress& tell = {});

}  // namespace tactus::sim
