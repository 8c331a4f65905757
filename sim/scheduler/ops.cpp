// SPDX-License-Identifier: Apache-2.0
// Mirrors bpf/tactus.bpf.c: the sched_ext ops.
#include "sim/scheduler/scheduler.h"

#include <algorithm>

namespace tactus::sim {
namespace {

constexpr std::uint32_t k_pending_none = 255, k_queued_bound = 254;

}  // namespace

// ---- waking up

std::int32_t scheduler::select_cpu(kernel_thread& p, std::int32_t prev_cpu, bool) {
  tactus_pool_conf* conf = nullptr;
  if (!managed(p, conf)) {
    bool insert = false, preempt = false;
    ++stats.unmanaged_wakes;
    const std::int32_t cpu = place_unmanaged(p, prev_cpu, insert, preempt);
    if (insert) insert_local(p, cpu, TACTUS_SLICE_DEFAULT_NS, preempt);
    return cpu;
  }
  tactus_task& t = p.t;
  tactus_placement place;
  place.prev_cpu = prev_cpu;
  place.now = now;
  t.last_cpu = static_cast<std::uint16_t>(prev_cpu);
  ++t.stint;
  read_tag(p, *conf);
  account_present(p, *conf, place.now);
  decide_wake(p, place);
  t.pending = k_pending_none;
  if (place.cpu >= 0) {
    ++stats.wake_idle;
    waiting_ends(t);
    t.waiting_since_ns = place.now;
    insert_local(p, place.cpu, t.slice_ns);
    return place.cpu;
  }
  t.pending = static_cast<std::uint8_t>(place.action);
  if (place.action < TACTUS_MAX_PLACES) {
    const tactus_place& pl = places[place.action];
    if (pl.nr_cpus == 1 && p.may_run_on(pl.first_cpu)) return pl.first_cpu;
  }
  return prev_cpu;
}

// Preempt what runs on a CPU if the waking worker is more urgent and owed it.
void scheduler::maybe_preempt(std::int32_t cpu, std::uint64_t key, std::uint32_t priority, std::uint64_t at) {
  const cpu_state& cs = cpu_states[static_cast<unsigned>(cpu)];
  if (cs.start_ns == 0 || !tactus_preempts(key, priority, running_key(cs, at), cs.priority)) return;
  // what it ran at the last tick may have been something less urgent
  refresh_priority(cpu);
  if (!tactus_preempts(key, priority, running_key(cs, at), cs.priority)) return;
  host_.kick_cpu(static_cast<unsigned>(cpu), true);
  ++stats.preempts;
}

void scheduler::enqueue(kernel_thread& p, bool wake) {
  tactus_pool_conf* conf = nullptr;
  if (!managed(p, conf)) {
    enqueue_unmanaged(p, wake);
    return;
  }
  tactus_task& t = p.t;
  waiting_ends(t);
  std::int32_t cpu = p.cpu;
  const tactus_cpu& c = cpus[static_cast<unsigned>(cpu)];
  if (c.place >= TACTUS_MAX_PLACES) {  // that CPU is gone: any that is left
    const std::int32_t any = places[0].first_cpu;
    insert_local(p, any, TACTUS_SLICE_DEFAULT_NS);
    return;
  }
  const tactus_domain& dom = domains[c.domain];
  std::uint32_t domain = c.domain;
  std::uint32_t action = t.pending;
  t.pending = k_pending_none;
  t.vtime = wake ? tactus_vtime_floor(t.vtime, dom.vtime_now) : tactus_vtime_keep(t.vtime, dom.vtime_now);
  if (is_bound(p)) {
    if (wake) {
      ++t.stint;
      read_tag(p, *conf);
      account_present(p, *conf, now);
    }
    const std::uint64_t key = tactus_key(t.vtime, dom.vtime_now, t.priority, t.deadline, now);
    if (idle.test_and_clear(static_cast<unsigned>(cpu))) {
      t.waiting_since_ns = now;
      insert_local(p, cpu, t.slice_ns);
      return;
    }
    waiting_begins(t, k_queued_bound, domain, now);
    insert_vtime(p, of_cpu[static_cast<unsigned>(cpu)], t.slice_ns, key);
    maybe_preempt(cpu, key, t.priority, now);
    return;
  }
  const std::uint64_t key = tactus_key(t.vtime, dom.vtime_now, t.priority, t.deadline, now);
  if (action == TACTUS_HOLD) {
    waiting_begins(t, TACTUS_HOLD, domain, now);
    insert_vtime(p, held[domain], t.slice_ns, key);
    ++stats.wake_held;
    arm_timer(domain, TACTUS_HOLD_LIMIT_NS);
    return;
  }
  if (action >= TACTUS_MAX_PLACES) action = c.place;  // end of slice, or moved: stays where it is (forced)
  const tactus_place& place = places[action];
  domain = place.domain;
  waiting_begins(t, action, domain, now);
  insert_vtime(p, of_place[action], t.slice_ns, key);
  ++stats.wake_queued;
  arm_timer(domain, TACTUS_HOLD_LIMIT_NS);
  cpu = place.nr_cpus == 1 ? place.first_cpu : cpu;
  if (p.may_run_on(static_cast<unsigned>(cpu)) && idle.test_and_clear(static_cast<unsigned>(cpu)))
    host_.kick_cpu(static_cast<unsigned>(cpu), false);
  else if (wake) maybe_preempt(cpu, key, t.priority, now);
}

// ---- a CPU is free

void scheduler::dispatch(std::int32_t cpu, kernel_thread* prev) {
  const auto at = static_cast<unsigned>(cpu);
  const bool prev_stays = prev != nullptr && prev->queued;
  const tactus_cpu& c = cpus[at];
  if (c.present == 0) return;
  cpu_state& cs = cpu_states[at];
  here_cpu here;
  here.cpu = cpu;
  here.place = c.place;
  here.domain = c.domain;
  const tactus_domain& dom = domains[here.domain];
  here.nr_bound = of_cpu[at].nr;
  if (dom.nr_waiting <= 0 && here.nr_bound == 0 && !(prev_stays && cs.tid != 0)) {
    // no worker waits or goes on: the common case on a machine that does other things
    if (move_to_local(cpu, others[here.domain]) || prev_stays) return;
    take_elsewhere(cpu, here.domain);
    return;
  }
  here.nr_others = others[here.domain].nr;
  if (dom.nr_waiting <= 0 && here.nr_bound == 0 && here.nr_others == 0) return;  // only prev, which goes on
  here.now = now;
  here.vtime_now = dom.vtime_now;
  if (dom.late_places != 0 || dom.late_held != 0) {
    here.busy = true;
    if (take_late(here)) return;
    here.busy = false;
  }
  if (prev_stays && cs.start_ns != 0) {
    // it is in no queue yet: it is compared with the heads of queues all the same
    refresh_priority(cpu);
    here.prev_runs = true;
    here.prev_key = running_key(cs, here.now);
  }
  switch (take_in_order(here)) {
    case taken::took: return;
    case taken::prev_goes_on:
      ++stats.goes_on;
      cs.slice_ns = here.now;
      prev->slice_ns = TACTUS_SLICE_DEFAULT_NS;
      return;
    case taken::nothing: break;
  }
  if (prev_stays) return;  // it goes on: nothing waits for this CPU in particular
  if (dom.nr_waiting > 0 && take_foreign(here)) return;
  take_elsewhere(cpu, here.domain);
}

// Label elsewhere of tactus_dispatch.
void scheduler::take_elsewhere(std::int32_t cpu, std::uint32_t domain) {
  for (std::uint32_t i = 1; i < nr_domains; ++i) {
    const std::uint32_t d = domain + i >= nr_domains ? domain + i - nr_domains : domain + i;
    if (others[d].nr > 0 && move_to_local(cpu, others[d])) return;
  }
}

// ---- running

void scheduler::running(kernel_thread& p) {
  const std::int32_t cpu = p.cpu;
  cpu_state& cs = cpu_states[static_cast<unsigned>(cpu)];
  const tactus_cpu& c = cpus[static_cast<unsigned>(cpu)];
  tactus_task* t = known(p);
  std::uint64_t vtime;
  ++stats.running;
  if (c.present == 0) return;
  tactus_domain& dom = domains[c.domain];
  if (t == nullptr) {
    vtime = p.dsq_vtime;
    cs.priority = TACTUS_PRIORITY_NORMAL;
    cs.deadline = 0;
    cs.tid = 0;
  } else {
    waiting_ends(*t);
    vtime = t->vtime;
    t->run_start_ns = now;
    t->unreported_wait_ns += now - t->waiting_since_ns;
    if (t->last_cpu != cpu) {
      ++t->migrations;
      t->last_cpu = static_cast<std::uint16_t>(cpu);
      ++stats.migrations;
    }
    t->running = 1;
    cs.priority = t->priority;
    cs.deadline = t->deadline;
    cs.tid = t->tid;
  }
  cs.weight = p.weight != 0 ? p.weight : 100;
  cs.start_ns = now;
  cs.slice_ns = now;
  cs.drained_ns = now;
  if (tactus_before(dom.vtime_now, vtime)) dom.vtime_now = vtime;
  cs.start_key = tactus_vtime_floor(vtime, dom.vtime_now);
}

// Pass on what a worker's page says: tasks present, then records of finished tasks.
void scheduler::drain(kernel_thread& p, std::uint32_t stopped, std::uint64_t at) {
  tactus_pool_conf& conf = pools[p.t.pool];
  if (conf.serial != p.t.serial) return;
  account_present(p, conf, at);
  if (stopped != 1) read_tag(p, conf);  // it may have gone from one task to another since it woke up
  if (report(p, stopped, at) != 0) report(p, 0, at);
}

void scheduler::charge(kernel_thread& p, std::uint64_t at) {
  tactus_task& t = p.t;
  const std::uint64_t ran = at - t.run_start_ns;
  t.run_start_ns = at;
  t.unreported_run_ns += ran;
  t.vtime += p.weight == 100 ? ran : ran * 100 / p.weight;
}

void scheduler::stopping(kernel_thread& p, bool runnable) {
  tactus_task* t = known(p);
  cpu_state& cs = cpu_states[static_cast<unsigned>(p.cpu)];
  if (t == nullptr) {
    const std::uint64_t ran = cs.start_ns != 0 ? now - cs.start_ns : 0;
    p.dsq_vtime += p.weight == 100 ? ran : ran * 100 / p.weight;
  }
  cs.start_ns = 0;
  if (t == nullptr || t->running == 0) return;
  t->running = 0;
  charge(p, now);
  if (runnable) {
    ++t->preemptions;
    t->waiting_since_ns = now;
  }
  drain(p, runnable ? 2 : 1, now);
}

void scheduler::tick(kernel_thread& p) {
  cpu_state& cs = cpu_states[static_cast<unsigned>(p.cpu)];
  if (cs.tid == 0 || now - cs.drained_ns < TACTUS_DRAIN_NS) return;
  cs.drained_ns = now;
  const tactus_task* t = known(p);
  if (t == nullptr || t->running == 0) return;
  charge(p, now);
  drain(p, 0, now);
}

// ---- life of a task and of the scheduler

void scheduler::enable(kernel_thread& p) {
  const tactus_cpu& c = cpus[static_cast<unsigned>(p.cpu)];
  if (c.present != 0) p.dsq_vtime = domains[c.domain].vtime_now;
}

void scheduler::exit_task(kernel_thread& p) {
  tactus_task* t = known(p);
  if (t == nullptr) return;
  waiting_ends(*t);
  t->epoch = 0;
  const tactus_pool_conf& conf = pools[t->pool];
  tactus_pool_state& state = pool_state[t->pool];
  if (state.serial != t->serial) return;
  // the last worker takes with it what the pool never finished
  if (state.alive-- == 1) {
    area_add(domains[conf.home_domain], -tactus_present_clamp(state.present, state.workers), now);
    state.present = 0;
  }
}

void scheduler::init(const machine_topology& topology, std::uint64_t now_ns) {
  now = now_ns;
  epoch = now_ns | 1;
  cpus = topology.cpus;
  nr_cpus = static_cast<std::uint32_t>(cpus.size());
  nr_places = topology.nr_places;
  nr_domains = topology.nr_domains;
  all_places_ = nr_places == 64 ? ~0ull : (1ull << nr_places) - 1;
  places = {};
  std::copy(topology.places.begin(), topology.places.end(), places.begin());
  for (std::uint32_t d = 0; d < nr_domains; ++d) {
    tactus_domain& dom = domains[d];
    dom.nr_cpus = topology.domain_cpus[d];
    dom.present = 0;
    dom.moment = 0;
    dom.nr_waiting = 0;
    dom.nr_held = 0;
    dom.late_places = 0;
    dom.late_held = 0;
  }
  for (std::int32_t& d : depth) d = 0;
  for (bool& a : timer_armed) a = false;
  cpu_states.assign(nr_cpus, {});
  local.assign(nr_cpus, {});
  of_cpu.assign(nr_cpus, {});
  of_place = {};
  held = {};
  others = {};
  idle.reset(nr_cpus, cpus);
  domain_cpus.assign(nr_domains, {});
  for (std::uint32_t c = 0; c < nr_cpus; ++c)
    if (cpus[c].present != 0) domain_cpus[cpus[c].domain].set(c);
  for (tactus_pool_state& s : pool_state) {
    s.serial = 0;
    s.present = 0;
    s.alive = 0;
  }
  pool_external.resize(TACTUS_MAX_POOLS);
  rows.resize(TACTUS_NR_ROWS);
}

}  // namespace tactus::sim
