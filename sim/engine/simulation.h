// SPDX-License-Identifier: Apache-2.0
// A machine, a work load and the scheduler, run event by event in integer ns. The same machine, load,
// seed and policy give the same run, bit for bit.
//
//   simulation.cpp  event loop, pools and tasks, figures
//   cpus.cpp        what a CPU does: __schedule as sched_ext has it, speed, throttling, ticks
//   changes.cpp     what happens to CPUs by itself: heat, changes of speed, hotplug
//
// Nothing is allocated in steady state. Not thread-safe; several may run in several threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/engine/event_heap.h"
#include "sim/engine/histogram.h"
#include "sim/engine/pool.h"
#include "sim/scheduler/scheduler.h"
#include "sim/workload/driver.h"

namespace tactus::sim {

// A call of one of the scheduler's ops, with what it was told and what came of it.
struct op_record {
  enum class kind : std::uint8_t { select_cpu, enqueue, dispatch, running, stopping, tick, timer, init, enable } op{};
  std::uint64_t time_ns = 0;
  std::int32_t cpu = -1;      // where; timer: the domain
  std::uint32_t tid = 0;      // of whom; dispatch: of prev, 0 without
  std::uint32_t argument = 0;  // select_cpu: previous CPU; enqueue: 1 on a wake-up;
                               // dispatch, stopping: 1 still runnable; enable: 1 affinity was lifted
  std::int64_t result = 0;     // select_cpu: CPU, +65536 when claimed; enqueue: queue; dispatch: tid taken, 0 none
};

class op_sink {
 public:
  virtual ~op_sink() = default;
  // Before the op: idle is the mask it sees. After it: the record, with the random numbers it drew.
  virtual void begin(const scheduler& s, op_record::kind op, const kernel_thread* p) = 0;
  virtual void end(const scheduler& s, const op_record& r) = 0;
  virtual void drew(std::uint32_t random) = 0;
};

struct class_window {
  std::uint64_t ended = 0, missed = 0, dropped = 0;
  histogram latency;  // due to end
};

// What happened since start_window().
struct figures {
  double seconds = 0, cost = 0;  // cost: time mean of weighted tasks present
  std::vector<class_window> classes;
  std::uint64_t decisions[TACTUS_NR_SOURCES + 1] = {};  // the last: by a fixed rule
  std::uint64_t migrations = 0, preemptions = 0, ring_lost = 0, held = 0, timer_kicks = 0;
  std::uint64_t events = 0, ops = 0;
  std::uint64_t weight_ended = 0;  // of the tasks that ended
  double busy = 0;  // mean share of CPUs that ran something
  std::uint64_t all_decisions() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t d : decisions) sum += d;
    return sum;
  }
  // Weighted mean response time: area under weighted tasks present by weight ended. With given arrivals
  // it orders policies as cost does (Little's law); in a closed loop cost alone says nothing.
  double response_ns() const { return cost * seconds * 1e9 / static_cast<double>(std::max<std::uint64_t>(1, weight_ended)); }
};

struct simulation_options {
  std::uint64_t seed = 1;
  ring_model ring;
  // The agent is silent from .. to: no heartbeat.
  std::uint64_t silent_from_ns = ~0ull, silent_to_ns = ~0ull;
};

class simulation final : private kernel_host, private task_sink {
 public:
  // REQUIRES: machine and load outlive it. Throws description_error when they do not fit together.
  simulation(const machine& m, const workload& w, const simulation_options& options);
  ~simulation() override;
  simulation(const simulation&) = delete;
  simulation& operator=(const simulation&) = delete;

  scheduler& sched() { return sched_; }
  const scheduler& sched() const { return sched_; }
  const machine& on() const { return machine_; }
  const workload& load() const { return load_; }
  const kernel_thread& thread(std::uint32_t tid) const;  // REQUIRES: a worker's
  const machine_topology& topology() const { return topology_; }
  std::uint64_t now_ns() const { return now_; }
  // Slot of the decision map of a class: classes are numbered from 1.
  static unsigned slot_of(unsigned task_class) { return task_class + 1; }

  // At begin_ns and then every period_ns. Call before run_until.
  void every(std::uint64_t period_ns, std::uint64_t begin_ns, std::function<void(std::uint64_t now)> f);
  // Places and domains have changed (hotplug); rows of the old ones mean nothing now.
  void on_topology(std::function<void()> f) { topology_changed_ = std::move(f); }
  void trace(op_sink* sink) { trace_ = sink; }
  // Workers keep records of finished tasks, for an event_sink that reads completions.
  void keep_records();

  void run_until(std::uint64_t ns);
  bool finished() const { return driver_.finished(); }

  void start_window();
  figures window() const;

  // What the simulated machine shows in /proc: cumulative, by CPU.
  std::uint64_t busy_ns(unsigned cpu) const;
  std::uint64_t stolen_ns(unsigned cpu) const;
  static constexpr std::uint64_t k_heat_step_ns = 10'000'000;
  bool online(unsigned cpu) const { return cpu_[cpu].online; }
  double temperature_c() const;  // of the hottest socket
  bool capped() const;           // some socket runs below its speed
  double present_weight() const { return static_cast<double>(present_); }

 private:
  struct sim_cpu {
    sim_thread* curr = nullptr;
    std::uint64_t updated_ns = 0;  // progress and budget are as of then
    std::uint64_t speed_q16 = 0;   // of what runs now; 0 while the host does not run this CPU
    std::uint64_t exec_start_ns = 0;
    std::uint64_t next_tick_ns = 0, wake_at_ns = 0;
    std::uint64_t budget_ns = 0, period_end_ns = 0;  // bandwidth control
    std::uint64_t steal_change_ns = ~0ull;
    std::uint64_t busy_ns = 0, stolen_ns = 0, steal_begin_ns = 0, busy_begin_ns = 0;
    const sim_thread* last = nullptr;
    double factor = 1;  // of events
    std::uint32_t own_q16 = 1 << 16;  // own speed x events x heat x siblings
    std::uint16_t sibling = 0;        // next CPU of the core
    bool waking = false, resched = false, throttled = false, stolen = false, online = true;
    random_stream steal;
  };
  struct heat_zone {
    double temperature_c = 0;
    bool capped = false;
    std::vector<unsigned> cpus;
    std::vector<std::uint64_t> busy_before_ns;
  };
  struct callback {
    std::uint64_t period_ns;
    std::function<void(std::uint64_t)> f;
  };

  // kernel_host, task_sink
  void kick_cpu(unsigned cpu, bool preempt) override;
  void timer_start(unsigned domain, std::uint64_t delay_ns) override;
  std::uint32_t prandom_u32() override;
  void local_inserted(unsigned cpu, bool preempt) override;
  kernel_thread* task_from_pid(std::uint32_t tid) override;
  void submit(const sim_task& t) override;
  void dropped(unsigned task_class, std::uint64_t due_ns) override;
  bool wake_driver(std::uint32_t source) override;

  // simulation.cpp
  void make_pools();
  void make_drivers();
  void make_neighbours();
  void fire(std::uint32_t entry);
  void account(std::int64_t change);
  void wake_up(sim_thread& p);
  void enqueue(sim_thread& p, bool wake);
  bool begin_task(sim_thread& w, unsigned cpu);
  void end_task(sim_thread& w, unsigned cpu);
  void neighbour_wakes(sim_thread& p);
  void op_begin(op_record::kind op, const kernel_thread* p);
  void op_end(op_record::kind op, std::int32_t cpu, std::uint32_t tid, std::uint32_t argument, std::int64_t result);

  // cpus.cpp
  void make_cpus();
  void fire_cpu(unsigned cpu);
  void progress(unsigned cpu);
  std::uint64_t steal_gap(unsigned cpu);
  void set_speed(unsigned cpu);
  void plan(unsigned cpu);
  void schedule(unsigned cpu);
  void start_thread(unsigned cpu, sim_thread& p);
  void sleep_current(unsigned cpu);
  void go_idle(unsigned cpu);
  void busy_changes(unsigned cpu, bool busy);
  void update_curr(unsigned cpu);
  void begin_waking(unsigned cpu);
  void fire_heat();
  void fire_machine_event();
  void change_cpus(const machine_event& e);
  void own_speed(unsigned cpu);
  std::uint64_t migration_ns(const sim_thread& p, unsigned from, unsigned to) const;

  const machine& machine_;
  const workload& load_;
  simulation_options options_;
  scheduler sched_;
  driver driver_;
  machine_topology topology_;
  std::uint64_t now_ = 0;

  event_heap heap_;
  std::uint32_t first_timer_ = 0, driver_entry_ = 0, heat_entry_ = 0, machine_entry_ = 0, first_neighbour_ = 0, first_callback_ = 0;
  std::vector<sim_cpu> cpu_;
  std::deque<sim_thread> threads_;  // workers first, in the order of their tids
  std::vector<sim_pool> pools_;
  std::vector<sim_thread*> drivers_;  // by source of the load; null: none
  std::vector<std::uint32_t> class_speed_q16_;  // [class][CPU]: factor on the CPU's own speed
  std::vector<std::uint8_t> local_class_;        // of its pool, from 1
  std::vector<heat_zone> heat_;
  std::vector<unsigned> zone_of_;
  std::vector<machine_event> machine_events_;
  std::size_t next_machine_event_ = 0;
  std::vector<callback> callbacks_;
  std::function<void()> topology_changed_;
  op_sink* trace_ = nullptr;
  sim_thread* submitter_ = nullptr;  // the worker whose task ended, while the driver goes on
  random_stream kernel_random_, neighbour_random_;
  std::uint64_t tick_ns_ = 4'000'000;
  std::uint64_t events_ = 0, ops_ = 0;

  // figures
  std::int64_t present_ = 0;
  std::uint64_t present_since_ns_ = 0;
  double present_area_ = 0;
  figures window_;
  std::uint64_t window_begin_ns_ = 0;
  tactus_stats stats_before_{};
  std::uint64_t rule_before_ = 0, events_before_ = 0, ops_before_ = 0, busy_before_ns_ = 0;
};

}  // namespace tactus::sim
