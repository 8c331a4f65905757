// SPDX-License-Identifier: Apache-2.0
//
// Policies for the models of models.h: the fixed rules that learning is compared with
// (docs/learning.md), and decision rows as the kernel would draw from them.
#pragma once

#include "solve/process.h"

#include <cstdint>
#include <memory>

namespace tactus::sim {

// One queue. speed[place]; ties go to the lower place.
rule greedy(std::vector<double> speed);     // the fastest idle place, never hold
rule fast_only(std::vector<double> speed);  // only the fastest places
rule random_idle();                         // any idle place, never hold
// Faster than the slowest: at once; the slowest only when so many wait, that asked for included.
rule threshold(std::vector<double> speed, int m);

// Immediate dispatch to two queues.
enum class ties { fast, slow };
rule shortest_expected_delay(std::vector<double> speed, ties t);
rule shortest_queue(std::vector<double> speed);   // ties to the faster
rule idle_queue(std::vector<double> speed);       // an idle place, the faster first; else at random by speed
double best_bernoulli(double fast, double slow, double arrivals);  // E[N] of the best fixed shares, closed form

// Affinity: class i (slot i + 1) belongs to place i.
rule affinity_first();         // own server, else any idle one
rule strict_affinity();        // own server only
rule cross_if(int waiting);    // the other server when so many of the class wait, that asked for included
rule class_blind();            // first in first out over both classes, any idle server

// A row for each (slot, situation), as a bank of the decision map holds them.
class row_table {
 public:
  row_table() : rows_(TACTUS_MAX_SLOTS * TACTUS_NR_SITUATIONS) {}
  tactus_row& row(unsigned slot, unsigned situation) { return rows_[slot * TACTUS_NR_SITUATIONS + situation]; }
  const tactus_row& row(unsigned slot, unsigned situation) const { return rows_[slot * TACTUS_NR_SITUATIONS + situation]; }
  std::array<std::array<std::uint8_t, TACTUS_MAX_PLACES>, TACTUS_MAX_SLOTS> tier{};

  // What policy.h makes of the question.
  unsigned situation_of(const question& k, int nr_places) const;

 private:
  std::vector<tactus_row> rows_;
};

// The rows' distribution, renormalised to what is legal; argmax: its most probable choice, for sure.
rule of_rows(std::shared_ptr<const row_table> rows, int nr_places, bool argmax);

}  // namespace tactus::sim
