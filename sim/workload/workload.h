// SPDX-License-Identifier: Apache-2.0
// A work load as the simulator knows it: pools, task classes, and flows that submit tasks.
//
// A flow makes instances (a frame, a request, a batch). An instance runs through its stages: so many
// tasks of a class at once, the next stage when the last of them has ended. Instances come by an
// arrival process, or a fixed number of them is under way at any time (closed).
// Plain data; the file format stands in docs/simulator.md.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "sim/machine/machine.h"
#include "sim/workload/distribution.h"

namespace tactus::sim {

struct pool_spec {
  std::string name;
  unsigned workers = 0;    // 0: one per CPU it may use
  int spares = -1;         // -1: as many as workers, at most 4
  std::vector<unsigned> cpus = {};  // affinity; empty: all
  int node = -1;           // where its memory lies; -1: everywhere alike
  bool steals = true;      // workers take tasks from workers that were woken and got no CPU yet
};

struct task_class_spec {
  std::string name;
  unsigned pool = 0;
  unsigned priority = 1;  // 0..3
  unsigned weight = 1;    // in the cost
  std::uint64_t deadline_ns = 0;  // after it is due; 0: none
  distribution work;      // ns at speed 1
  double footprint = 1;   // times the machine's migration costs
  double memory = 0;      // share of the work that waits for memory
  std::vector<std::pair<std::string, double>> speed;  // factor on CPUs of a core type
  unsigned most_pending = 100'000;  // more are dropped, and counted
};

struct stage_spec {
  unsigned task_class = 0;
  double tasks = 1;           // fixed number ..
  bool tasks_per_cpu = false;  // .. or times the CPUs of the pool
  distribution pause;         // before it
};

struct arrival_spec {
  enum class kind { periodic, poisson, mmpp, on_off, closed, listed } how = kind::poisson;
  double mean_gap_ns = 0;  // open ones; 0: by `load`
  double load = 0;         // of the machine's usable speed, by this flow
  double phase = 0;        // periodic: of a period
  // Bursts: mmpp has burst_ratio times the quiet rate for burst_share of the time; on_off is quiet
  // altogether outside them. Lengths are exponential.
  double burst_ratio = 5, burst_share = 0.2, burst_ns = 50e6;
  double in_flight = 1;  // closed
  bool in_flight_per_cpu = false;
  distribution think;  // closed: from the end of one to the next
};

struct listed_task {
  std::uint64_t at_ns = 0, work_ns = 0;
  unsigned task_class = 0;
};

struct flow_spec {
  std::string name;
  arrival_spec arrivals;
  std::vector<stage_spec> stages;
  std::uint64_t driver_ns = 0;  // a thread submits, which needs so much work for it; 0: submitting costs nothing
  bool serial = false;     // an instance waits for the one before it
  unsigned most_waiting = 16;  // serial: more instances are dropped
  double per_cpus = 0;     // one copy per so many CPUs; 0: one copy
  std::uint64_t loops = 0;  // instances in all; 0: no end
  std::vector<listed_task> tasks;  // kind listed, in order of time
};

struct workload {
  std::string name, what;
  std::vector<pool_spec> pools;
  std::vector<task_class_spec> classes;
  std::vector<flow_spec> flows;
};

// "frame", a path that ends in .toml, .json (rt-app) or .csv (app,func,end_timestamp,duration).
workload load_workload(const std::string& name_or_path);
workload parse_workload(const std::string& name, const std::string& text);
workload parse_rt_app(const std::string& name, const std::string& text);
// Durations and timestamps in s. speedup: timestamps are divided by it.
workload parse_invocations(const std::string& name, const std::string& text, double speedup = 1);

}  // namespace tactus::sim
