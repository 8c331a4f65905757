// SPDX-License-Identifier: Apache-2.0
//
// From measured costs to relative speeds and tiers. Pure functions.
//
// Speeds: log cost of class c at place p is modelled as a_c + b_p + d_cp. The place term b_p is
// shared by all classes (a slow CPU is slow for everybody) and starts at the capacity the kernel
// states; the class's own deviation d_cp is believed as its completions there come in. So a class
// that never ran at a place still gets an honest guess, told apart by `known`.
// Tiers: bounds in octaves of speed, fixed, so that a tier means the same on every machine, with a
// band of hysteresis; another NUMA node costs one tier.
#pragma once

#include <tactus/abi/decision_map.h>

#include <array>
#include <cstdint>
#include <vector>

namespace tactus::agent {

struct cost_sample {
  double run_ns = 0;  // CPU time spent on the class at the place
  double tasks = 0;   // tasks that ended there
};

struct speed_estimate {
  std::array<float, TACTUS_MAX_PLACES> speed{};  // 1 = the class's best place
  std::array<float, TACTUS_MAX_PLACES> known{};  // tasks / (tasks + 20)
};

// samples[class][place]; capacity[place] > 0 in any unit. One estimate per class.
std::vector<speed_estimate> estimate_speeds(const std::vector<std::array<cost_sample, TACTUS_MAX_PLACES>>& samples,
                                            const std::vector<double>& capacity);

// The tier of each place for a class, given the tiers before (all 0 at first; `fresh` then).
// distance[place]: 0 same node as home, else more. Places beyond the vector get tier 0.
void assign_tiers(const speed_estimate& speeds, const std::vector<float>& node_distance, bool fresh,
                  std::array<std::uint8_t, TACTUS_MAX_PLACES>& tier);

// What the confidence of a class's rows rests on.
struct confidence_evidence {
  double recent_run_ns = 0, usual_run_ns = 0;  // 0: unknown
  double explained_variance = 0;               // of the critic
  std::uint64_t decisions_trained = 0;
  double novelty = 0;                          // of the machine state: novelty.h
};

// Confidence, 0..1; the formula stands in docs/design.md. It starts at 1, the row being the cloned
// fallback, and falls on evidence alone, by at most 0.5 for each:
//   drift:    the class's recent service time is more than 2 times off its usual one
//   critic:   after 5000 decisions the critic explains less than nothing (variance ratio below -1)
//   novelty:  the machine is in a state unlike those seen so far (score above 2)
double class_confidence(const confidence_evidence& e);

}  // namespace tactus::agent
