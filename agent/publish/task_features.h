// SPDX-License-Identifier: Apache-2.0
//
// What the networks are told about a task class (tactus_feature): what its user declared, and what was
// measured in place of what was not. Pure functions of declaration and history; no allocation, at
// most some 200 ns (tests/unit/agent/task_features_test.cpp counts).
#pragma once

#include "agent/learn/api.h"
#include "agent/publish/class_stats.h"
#include "agent/serve/class_slots.h"

#include <tactus/abi/decision_map.h>

#include <span>

namespace tactus::agent {

// Short name of a tactus_feature, for status; "?" for those not assigned.
const char* feature_name(unsigned feature);

// Run time as the feature has it: 100 ns .. 1.7 s over 24 octaves to 0 .. 1.
double run_time_feature(double log2_ns);

// The NUMA node where the class's tasks take least CPU time. Confidence: of the difference to the next
// best, as a two-sided test of their mean run times has it; 0 with fewer than two nodes known.
struct node_preference {
  int node = -1;          // as in tactus_place; -1 unknown
  double confidence = 0;  // 0 .. 1
};
node_preference preferred_node(const class_figures& history, std::span<const tactus_place> places);

// Declared features go in as they are. Of the others:
//   run time             One-Euro filtered, log scale
//   priority             of the class / 3
//   deadline pressure    run time / the class's usual deadline
//   latency sensitivity  priority, or 10 ms / (10 ms + deadline) where that is more
//   preferred node       its number over the highest, from a confidence of 0.9 on
// The rest has no source here and is absent.
learn::task_features task_features_of(const slot_class& declared, const class_figures& history,
                                      std::span<const tactus_place> places);

}  // namespace tactus::agent
