// SPDX-License-Identifier: Apache-2.0
// Plays a work load: says what is submitted when, and goes on with an instance when its tasks end.
// Knows neither CPUs nor workers. Nothing is allocated once the numbers under way stop growing.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "sim/workload/random.h"
#include "sim/workload/workload.h"

namespace tactus::sim {

struct sim_task {
  std::uint64_t work_ns = 0;  // at speed 1
  std::uint64_t submitted_ns = 0, due_ns = 0;
  std::uint32_t task_class = 0;
  std::uint32_t instance = 0;
};

class task_sink {
 public:
  virtual ~task_sink() = default;
  virtual void submit(const sim_task& t) = 0;
  virtual void dropped(unsigned task_class, std::uint64_t due_ns) = 0;
  // An instance of a source with a driver thread is due: its thread wakes, and driver::submits is called
  // when it has run. false: there are no threads here, it is submitted at once.
  virtual bool wake_driver(std::uint32_t) { return false; }
};

class driver {
 public:
  driver(const workload& load, const machine& on, std::uint64_t seed);

  static constexpr std::uint64_t k_never = ~0ull;
  // When fire() is due next; k_never when nothing comes by itself.
  std::uint64_t next_ns() const { return heap_.empty() ? k_never : heap_.front().at_ns; }
  // Submits what is due at `now`.
  void fire(std::uint64_t now, task_sink& sink);
  // A task has ended; submits what follows from it.
  void ended(const sim_task& t, std::uint64_t now, task_sink& sink);
  // A driver thread has done its work for one instance. Whether another is due already.
  bool submits(std::uint32_t source, std::uint64_t now, task_sink& sink);
  std::uint32_t nr_sources() const { return static_cast<std::uint32_t>(sources_.size()); }
  std::uint64_t driver_ns(std::uint32_t source) const { return sources_[source].flow->driver_ns; }

  // Tasks of a class under way.
  std::uint32_t pending(unsigned task_class) const { return pending_[task_class]; }
  // Nothing is under way and nothing will come.
  bool finished() const { return heap_.empty() && under_way_ == 0; }

 private:
  struct stage {
    std::uint32_t task_class = 0, tasks = 1;
    distribution pause;
  };
  struct source {  // one copy of a flow
    const flow_spec* flow = nullptr;
    std::uint32_t first_stage = 0, nr_stages = 0;
    random_stream arrivals, work;
    double gap_ns = 0, quiet_gap_ns = 0;
    std::uint64_t next_due_ns = 0, phase_ends_ns = 0, left = 0;
    bool bursting = false, runs = false;
    std::deque<std::uint64_t> waiting;  // serial: due times
    std::deque<std::uint64_t> undriven;  // due times that the driver thread has not come to
    std::size_t next_listed = 0;
  };
  struct instance {
    std::uint64_t due_ns = 0;
    std::uint32_t source = 0, stage = 0, left = 0;
  };
  struct entry {
    std::uint64_t at_ns, order;
    std::uint32_t code;  // instance whose pause ends, or k_source | source
    bool operator<(const entry& o) const { return at_ns != o.at_ns ? at_ns > o.at_ns : order > o.order; }
  };
  static constexpr std::uint32_t k_source = 1u << 31;

  void add_source(const flow_spec& f, unsigned index, unsigned copy, unsigned copies, const machine& on, std::uint64_t seed);
  double open_gap(source& s, std::uint64_t now);
  void push(std::uint64_t at, std::uint32_t code);
  void arrive(std::uint32_t source, std::uint64_t now, task_sink& sink);
  void come(std::uint32_t source, std::uint64_t due, std::uint64_t now, task_sink& sink);
  void begin(std::uint32_t source, std::uint64_t due, std::uint64_t now, task_sink& sink);
  void enter_stage(std::uint32_t instance, std::uint64_t now, task_sink& sink);
  void run_stage(std::uint32_t instance, std::uint64_t now, task_sink& sink);
  void instance_ended(std::uint32_t instance, std::uint64_t now, task_sink& sink, bool dropped);

  const workload& load_;
  std::vector<source> sources_;
  std::vector<stage> stages_;
  std::vector<instance> instances_;
  std::vector<std::uint32_t> free_;
  std::vector<std::uint32_t> pending_;  // tasks under way, by class
  std::vector<std::uint32_t> most_pending_;
  std::vector<entry> heap_;
  std::uint64_t order_ = 0, under_way_ = 0;
};

}  // namespace tactus::sim
