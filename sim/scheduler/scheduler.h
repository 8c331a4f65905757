// SPDX-License-Identifier: Apache-2.0
// The scheduler's BPF code, mirrored function by function around the same bpf/policy.h:
//
//   events.cpp      bpf/events.bpf.h      area, decision and completion events, rings
//   decide.cpp      bpf/view.bpf.h, decide.bpf.h   from the machine's state to a decision
//   queues.cpp      bpf/workers.bpf.h, timer.bpf.h, queues.bpf.h   who waits where, the timer, what a free CPU may take
//   unmanaged.cpp   bpf/unmanaged.bpf.h   threads that no pool registered
//   ops.cpp         bpf/tactus.bpf.c      the sched_ext ops
//   kfuncs.cpp      the kernel's part: kfuncs that move tasks
//
// Functions have the names and the order they have there: a change of one of those files is repeated
// here in the function of the same name. What differs: atomics and locks are gone, a map is a member,
// clock and random numbers come from the host, CPU time is told by that clock, and a fixed rule may stand in for the rows.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "bpf/policy.h"
#include "sim/machine/machine.h"
#include "sim/scheduler/kernel.h"

namespace tactus::sim {

// Who takes the events out of the rings.
class event_sink {
 public:
  virtual ~event_sink() = default;
  virtual void decision(const tactus_decision_event& e) = 0;
  virtual void completion(const tactus_completion_event& e, std::size_t bytes) = 0;
};

// bpf/decide.bpf.h
struct tactus_decided {
  tactus_choice choice{};
  std::uint64_t legal = 0;
  std::uint32_t source = 0, version = 0, situation = 0, bank = 0, waiting = 0, slot = 0, moment = 0, used = 0;
  std::int32_t cpu = -1;
  bool hold_legal = false;
};
struct tactus_placement {
  std::int32_t prev_cpu = 0;  // in
  std::int32_t cpu = -1;      // out: an idle CPU, claimed
  std::uint32_t action = TACTUS_NO_PLACE;
  std::uint64_t now = 0;  // in
};

class scheduler;

// A fixed rule that decides in place of rows and fallback. Its choices are carried out as they are:
// an idle CPU of the place, else the place's queue; no redirect.
class decision_rule {
 public:
  virtual ~decision_rule() = default;
  virtual std::uint32_t wake(const scheduler& s, const kernel_thread& p, const tactus_view& v, const tactus_decided& d) = 0;
  virtual bool take(const scheduler& s, const kernel_thread& p, std::uint32_t place, std::uint32_t others_waiting) = 0;
};
inline constexpr std::uint32_t k_source_rule = TACTUS_NR_SOURCES;

// The ring of one domain: so many bytes, emptied by its reader every poll_ns.
struct ring_model {
  std::uint64_t bytes = 1 << 20, poll_ns = 5'000'000;
};

// Not thread-safe; one per simulated machine.
class scheduler {
 public:
  explicit scheduler(kernel_host& host) : host_(host) {}

  // tactus_init: with another topology all that is known of tasks starts over (a new epoch).
  void init(const machine_topology& topology, std::uint64_t now_ns);

  // The ops, in the order of bpf/tactus.bpf.c. The caller sets now before each.
  std::int32_t select_cpu(kernel_thread& p, std::int32_t prev_cpu, bool wake);
  void enqueue(kernel_thread& p, bool wake);
  void dispatch(std::int32_t cpu, kernel_thread* prev);
  void running(kernel_thread& p);
  void stopping(kernel_thread& p, bool runnable);
  void tick(kernel_thread& p);
  void enable(kernel_thread& p);
  void exit_task(kernel_thread& p);
  void domain_timer(unsigned d);

  // Maps and variables; the names of bpf/maps.bpf.h.
  std::uint64_t now = 0;  // CLOCK_MONOTONIC
  tactus_control control{};
  std::vector<tactus_row> rows;
  std::array<tactus_class_conf, 2 * TACTUS_MAX_SLOTS> classes{};
  std::vector<tactus_pool_conf> pools{TACTUS_MAX_POOLS};
  std::vector<tactus_pool_state> pool_state{TACTUS_MAX_POOLS};
  std::vector<std::uint64_t> pool_external;  // weight_submitted - weight_finished of the pool pages
  std::vector<tactus_cpu> cpus;
  std::array<tactus_place, TACTUS_MAX_PLACES> places{};
  std::array<tactus_domain, TACTUS_MAX_DOMAINS> domains{};
  tactus_stats stats{};
  std::uint64_t rule_decisions = 0;
  std::int32_t depth[TACTUS_MAX_PLACES] = {};
  std::uint32_t nr_places = 0, nr_cpus = 0, nr_domains = 0;
  std::uint64_t epoch = 0;
  struct cpu_state {
    std::uint64_t start_key = 0, start_ns = 0, slice_ns = 0, drained_ns = 0;
    std::uint32_t weight = 0, tid = 0, priority = 0, deadline = 0;
  };
  std::vector<cpu_state> cpu_states;
  bool timer_armed[TACTUS_MAX_DOMAINS] = {};

  // Queues.
  std::vector<dispatch_queue> local, of_cpu;
  std::array<dispatch_queue, TACTUS_MAX_PLACES> of_place;
  std::array<dispatch_queue, TACTUS_MAX_DOMAINS> held, others;
  idle_masks idle;
  std::vector<cpu_mask> domain_cpus;

  // What surrounds it; all may be null or unset.
  decision_rule* rule = nullptr;
  event_sink* sink = nullptr;
  ring_model ring;

 private:
  struct here_cpu {  // struct tactus_here
    std::int32_t cpu = 0;
    std::uint32_t place = 0, domain = 0;
    std::uint64_t now = 0, vtime_now = 0;
    std::uint32_t nr_bound = 0, nr_others = 0;
    std::uint64_t prev_key = 0;
    bool prev_runs = false, busy = false;
  };
  enum class taken { nothing, took, prev_goes_on };  // enum tactus_taken
  struct look {  // struct tactus_look
    std::uint64_t now, idle_limit, vtime_now, busy_limit, oldest;
    bool late;
  };
  struct room {  // struct tactus_room
    std::uint64_t key;
    std::int32_t victim;
    std::uint32_t least, domain;
    bool slow_idle;
  };
  struct ring_state {
    std::uint64_t used = 0, next_poll_ns = 0;
  };

  // kfuncs
  void insert_local(kernel_thread& p, std::int32_t cpu, std::uint64_t slice, bool preempt = false);
  void insert_vtime(kernel_thread& p, dispatch_queue& q, std::uint64_t slice, std::uint64_t vtime);
  bool move_to_local(std::int32_t cpu, dispatch_queue& q);
  void dsq_move(kernel_thread& p, std::int32_t cpu);
  std::int32_t select_cpu_dfl(kernel_thread& p, std::int32_t prev_cpu, bool& is_idle);

  // events.bpf.h
  void area_add(tactus_domain& dom, std::int64_t change, std::uint64_t at);
  std::uint64_t area_of(const tactus_domain& dom, std::uint64_t at) const;
  void pool_add(tactus_pool_state& state, const tactus_pool_conf& conf, std::int64_t change, std::uint64_t at);
  void account_present(kernel_thread& p, tactus_pool_conf& conf, std::uint64_t at);
  bool emit(std::uint32_t domain, std::uint64_t bytes, std::uint32_t tasks);
  void fill_head(tactus_event_head& head, std::uint32_t type, std::uint32_t bytes, std::uint32_t domain, std::uint32_t tid,
                 std::uint64_t at);
  std::uint32_t report(kernel_thread& p, std::uint32_t stopped, std::uint64_t at);

  // decide.bpf.h
  void see_machine(const kernel_thread& p, tactus_view& v) const;
  static std::uint64_t running_key(const cpu_state& cs, std::uint64_t at);
  void refresh_priority(std::int32_t cpu);
  std::int32_t claim_idle(const kernel_thread& p, std::uint32_t place, std::int32_t prev_cpu);
  const tactus_row* row_for(std::uint32_t slot, std::uint32_t situation, std::uint32_t bank, std::uint64_t at,
                            const tactus_class_conf& conf, std::uint32_t& source) const;
  void log_decision(const tactus_task& t, const tactus_decided& d, std::uint64_t at);
  void read_tag(kernel_thread& p, const tactus_pool_conf& conf);
  std::uint64_t without_long_queues(std::uint64_t legal, std::uint64_t idle_places, std::uint32_t limit) const;
  std::uint32_t fallback_action(const tactus_view& v) const;
  void consult_row(tactus_task& t, const tactus_view& v, tactus_decided& d, std::uint64_t at);
  std::int32_t settle_in_tier(const kernel_thread& p, const tactus_view& v, tactus_decided& d, std::int32_t prev_cpu);
  std::uint32_t least_urgent_of_tier(const tactus_decided& d, std::uint32_t priority);
  void decide_wake(kernel_thread& p, tactus_placement& out);
  bool decide_take(kernel_thread& p, std::uint32_t place, std::uint64_t at, tactus_decided& d);

  // queues.bpf.h
  void waiting_begins(tactus_task& t, std::uint32_t queued, std::uint32_t domain, std::uint64_t at);
  void waiting_ends(tactus_task& t);
  void adopt(kernel_thread& p, std::uint32_t pool, std::uint32_t taken);
  bool managed(kernel_thread& p, tactus_pool_conf*& conf);
  tactus_task* known(kernel_thread& p) const { return p.managed && p.t.epoch == epoch ? &p.t : nullptr; }
  static bool is_bound(const kernel_thread& p) { return p.nr_cpus_allowed == 1; }
  void arm_timer(std::uint32_t domain, std::uint64_t delay_ns);
  void look_at_heads(dispatch_queue& q, look& l);
  bool peek(const dispatch_queue& q, std::int32_t cpu, std::uint64_t& key) const;
  bool offer(dispatch_queue& q, const here_cpu& here, bool late_only);
  bool take_late(const here_cpu& here);
  taken take_in_order(const here_cpu& here);
  static std::uint32_t next_place(std::uint64_t waiting, std::uint64_t near, std::uint32_t after);
  bool take_foreign(const here_cpu& here);

  // tactus.bpf.c
  const tactus_class_conf* general_tiers() const;
  std::int32_t fast_idle(const kernel_thread& p, const tactus_class_conf& cc, std::int32_t last);
  void look_for_room(const kernel_thread& p, std::uint32_t cpu, room& r);
  std::int32_t make_room(const kernel_thread& p, std::int32_t last, bool slow_idle);
  std::int32_t place_unmanaged(kernel_thread& p, std::int32_t prev_cpu, bool& insert, bool& preempt);
  void maybe_preempt(std::int32_t cpu, std::uint64_t key, std::uint32_t priority, std::uint64_t at);
  void enqueue_unmanaged(kernel_thread& p, bool wake);
  void take_elsewhere(std::int32_t cpu, std::uint32_t domain);
  void drain(kernel_thread& p, std::uint32_t stopped, std::uint64_t at);
  void charge(kernel_thread& p, std::uint64_t at);

  kernel_host& host_;
  std::array<ring_state, TACTUS_MAX_DOMAINS> rings_{};
  std::uint64_t all_places_ = 0;
  tactus_decision_event decision_event_{};
  tactus_completion_event completion_event_{};
};

}  // namespace tactus::sim
