// SPDX-License-Identifier: Apache-2.0
//
// The systems whose optimum is known or can be computed (docs/learning.md), as processes:
//
//   queue_model      O1, O2: one queue, exponential servers of any speeds (Lin & Kumar 1984)
//   immediate_model  O3: each job is sent to one of two first-in-first-out queues when it arrives
//   affinity_model   O4: two classes, two servers, a class runs at rate 1 on its own server and `off` on the other
//
// Time is in mean service times on a server of speed 1; load is the share of the total rate. All are
// non-preemptive. Queues are cut where what lies beyond has less than 1e-9 of the probability under
// any sensible policy; a job that arrives at the cut is lost and, where a server is idle, has the
// oldest one started, so that no policy can hold for ever.
//
// Relies on bpf/policy.h for what a situation is and when hold is legal.
#pragma once

#include "solve/process.h"

#include <algorithm>
#include <cmath>

namespace tactus::sim {

// Who asks, when.
enum class asking {
  // As the kernel: an arriving job once (moment wake), a place that falls idle once per queue (moment idle).
  once,
  // After every event until the answer is hold: the largest set of policies. Same optimum, more nodes.
  until_held,
};

// Jobs waiting at most, by load.
inline int queue_cut(double load) {
  return std::min(900, static_cast<int>(std::ceil(27 / -std::log(std::clamp(load, 0.02, 0.99)))) + 20);
}

struct server_group {
  double speed;
  int count;
};
// Equal speeds together: fewer states, for answers that do not tell equal servers apart.
std::vector<server_group> grouped(const std::vector<double>& speeds);
std::vector<server_group> apart(const std::vector<double>& speeds);

// Place numbers of the choices are those of a group's first server. question::queue is {waiting, 0}.
process queue_model(const std::vector<server_group>& servers, double load, asking how, int cut = 0);

// question::queue is the jobs at each server, that in service included. Hold is not legal.
process immediate_model(const std::vector<double>& speeds, double load, int cut = 0);

// question::queue is the waiting jobs of each class, the one asked for included. Slots 1 and 2.
process affinity_model(double off, double load, asking how, int cut = 45);

// The smallest number of waiting jobs (that asked for included) at which a slower server is used while all
// faster ones work, for the servers of group `g`; -1: never below the cut. Model: queue, until_held.
int threshold_of(const process& p, const optimum& o, const std::vector<server_group>& servers, int g);

// M/M/k, closed form: mean number of jobs, infinite when unstable.
double erlang_jobs(int servers, double arrivals_per_service);

}  // namespace tactus::sim
