// SPDX-License-Identifier: Apache-2.0
// Mirrors bpf/tactus.bpf.c: the sched_ext ops. First the kfuncs that move tasks, which live in the
// kernel there.
#include "sim/scheduler/scheduler.h"

#include <algorithm>

namespace tactus::sim {
namespace {

constexpr std::uint64_t k_preempt_after_ns = 1'000'000;  // PREEMPT_AFTER_NS
constexpr std::uint32_t k_pending_none = 255, k_queued_bound = 254;

}  // namespace

// ---- kfuncs

void scheduler::insert_local(kernel_thread& p, std::int32_t cpu, std::uint64_t slice) {
  p.slice_ns = slice;
  p.cpu = cpu;
  local[static_cast<unsigned>(cpu)].append(p);
  host_.local_inserted(static_cast<unsigned>(cpu));
}

void scheduler::insert_vtime(kernel_thread& p, dispatch_queue& q, std::uint64_t slice, std::uint64_t vtime) {
  p.slice_ns = slice;
  q.insert_vtime(p, vtime);
}

bool scheduler::move_to_local(std::int32_t cpu, dispatch_queue& q) {
  for (kernel_thread* p = q.first; p != nullptr; p = p->behind)
    if (p->may_run_on(static_cast<unsigned>(cpu))) {
      dsq_move(*p, cpu);
      return true;
    }
  return false;
}

// From ops.dispatch: the CPU looks at its local queue afterwards by itself.
void scheduler::dsq_move(kernel_thread& p, std::int32_t cpu) {
  p.queue->remove(p);
  p.cpu = cpu;
  local[static_cast<unsigned>(cpu)].append(p);
}

std::int32_t scheduler::select_cpu_dfl(kernel_thread& p, std::int32_t prev_cpu, bool& is_idle) {
  const auto prev = static_cast<unsigned>(prev_cpu);
  const __u64* cache = nr_domains > 1 && cpus[prev].present != 0 ? domain_cpus[cpus[prev].domain].word : nullptr;
  const bool prev_allowed = cpus[prev].present != 0 && p.may_run_on(prev);
  std::int32_t cpu = -1;
  is_idle = true;
  if (idle.has_smt()) {
    if (prev_allowed && idle.cores().test(prev) && idle.test_and_clear(prev)) return prev_cpu;
    if (cache != nullptr) cpu = idle.pick(cache, p.allowed, true);
    if (cpu < 0) cpu = idle.pick(nullptr, p.allowed, true);
    if (cpu >= 0) return cpu;
  }
  if (prev_allowed && idle.test_and_clear(prev)) return prev_cpu;
  if (cache != nullptr) cpu = idle.pick(cache, p.allowed, false);
  if (cpu < 0) cpu = idle.pick(nullptr, p.allowed, false);
  if (cpu >= 0) return cpu;
  is_idle = false;
  return prev_cpu;
}

// ---- waking up

std::int32_t scheduler::select_cpu(kernel_thread& p, std::int32_t prev_cpu, bool) {
  tactus_pool_conf* conf = nullptr;
  if (!managed(p, conf)) {
    bool is_idle = false;
    const std::int32_t cpu = select_cpu_dfl(p, prev_cpu, is_idle);
    if (is_idle) insert_local(p, cpu, TACTUS_SLICE_DEFAULT_NS);
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

void scheduler::maybe_preempt(std::int32_t cpu, std::uint64_t key, std::uint32_t priority, bool any_priority, std::uint64_t at) {
  const cpu_state& cs = cpu_states[static_cast<unsigned>(cpu)];
  if (cs.start_ns == 0) return;
  const std::uint64_t ran = at - cs.start_ns;
  if (any_priority ? ran > k_preempt_after_ns && tactus_before(key, cs.vtime + ran)
                   : tactus_preempts(key, priority, cs.vtime + ran, cs.priority)) {
    host_.kick_cpu(static_cast<unsigned>(cpu), true);
    ++stats.preempts;
  }
}

void scheduler::enqueue_unmanaged(kernel_thread& p, bool wake) {
  const std::int32_t cpu = p.cpu;
  const tactus_cpu& c = cpus[static_cast<unsigned>(cpu)];
  constexpr std::uint64_t slice = TACTUS_SLICE_DEFAULT_NS;
  const std::uint32_t domain = c.present != 0 ? c.domain : 0;
  const tactus_domain& dom = domains[domain];
  const std::uint64_t vtime =
      wake ? tactus_vtime_floor(p.dsq_vtime, dom.vtime_now) : tactus_vtime_keep(p.dsq_vtime, dom.vtime_now);
  if (is_bound(p)) {
    if (idle.test_and_clear(static_cast<unsigned>(cpu))) {
      insert_local(p, cpu, slice);
      return;
    }
    insert_vtime(p, of_cpu[static_cast<unsigned>(cpu)], slice, vtime);
  } else {
    insert_vtime(p, others[domain], slice, vtime);
    const std::int32_t found = idle.pick(nullptr, p.allowed, false);
    if (found >= 0) {
      host_.kick_cpu(static_cast<unsigned>(found), false);
      return;
    }
  }
  if (wake) maybe_preempt(cpu, vtime, 0, true, now);
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
    maybe_preempt(cpu, key, t.priority, false, now);
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
  else if (wake) maybe_preempt(cpu, key, t.priority, false, now);
}

// ---- a CPU is free

// What ran is still runnable and owed more than the best of those that wait.
bool scheduler::goes_on(kernel_thread* prev, std::int32_t cpu, std::uint64_t best, std::uint64_t at) {
  const cpu_state& cs = cpu_states[static_cast<unsigned>(cpu)];
  if (prev == nullptr || cs.start_ns == 0 || !prev->queued) return false;
  const std::uint64_t ran = at - cs.start_ns;
  const std::uint64_t charged = prev->weight == 100 ? ran : ran * 100 / prev->weight;
  if (!tactus_before(cs.vtime + charged, best)) return false;
  prev->slice_ns = TACTUS_SLICE_DEFAULT_NS;
  return true;
}

void scheduler::dispatch(std::int32_t cpu, kernel_thread* prev) {
  const auto at = static_cast<unsigned>(cpu);
  const tactus_cpu& c = cpus[at];
  if (c.present == 0) return;
  const std::uint32_t domain = c.domain, place = c.place;
  tactus_domain& dom = domains[domain];
  here_cpu here;
  here.cpu = cpu;
  bool has_bound = of_cpu[at].nr > 0;
  if (dom.nr_waiting <= 0 && !has_bound) {
    // no worker waits: the common case on a machine that does other things
    if (others[domain].nr > 0 && move_to_local(cpu, others[domain])) return;
  } else {
    here.place = place;
    here.domain = domain;
    here.now = now;
    here.vtime_now = dom.vtime_now;
    if (dom.late_places != 0 || dom.late_held != 0) {
      here.busy = true;
      if (take_late(here)) return;
      here.busy = false;
    }
    std::uint64_t key_bound = 0, key_place = 0, key_held = 0, key_others = 0;
    bool has_place = depth[place] > 0 && peek(of_place[place], cpu, key_place);
    bool has_held = dom.nr_held > 0 && peek(held[domain], cpu, key_held);
    has_bound = has_bound && peek(of_cpu[at], cpu, key_bound);
    bool has_others = peek(others[domain], cpu, key_others);

    // smallest key first; at most one try per queue
    for (int tries = 0; tries < 4; ++tries) {
      std::uint64_t best = 0;
      dispatch_queue* queue = nullptr;
      if (has_bound) {
        best = key_bound;
        queue = &of_cpu[at];
      }
      if (has_place && (queue == nullptr || tactus_before(key_place, best))) {
        best = key_place;
        queue = &of_place[place];
      }
      if (has_others && (queue == nullptr || tactus_before(key_others, best))) {
        best = key_others;
        queue = &others[domain];
      }
      if (has_held && (queue == nullptr || tactus_before(key_held, best))) {
        has_held = false;
        if (offer(held[domain], here, 0)) return;
        continue;
      }
      if (queue == nullptr) break;
      if (goes_on(prev, cpu, best, here.now)) return;
      if (move_to_local(cpu, *queue)) return;
      if (queue == &of_cpu[at]) has_bound = false;
      else if (queue == &of_place[place]) has_place = false;
      else has_others = false;
    }
    // what peek did not see behind others that may not run here
    if (others[domain].nr > 0 && move_to_local(cpu, others[domain])) return;
    if (prev != nullptr && prev->queued) return;  // it goes on: nothing waits for this CPU in particular
    if (take_foreign(here)) return;
  }
  if (nr_domains <= 1) return;
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
    cs.managed = 0;
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
    cs.managed = 1;
  }
  cs.vtime = vtime;
  cs.start_ns = now;
  if (tactus_before(dom.vtime_now, vtime)) dom.vtime_now = vtime;
}

// Pass on what a worker's page says: tasks present, then records of finished tasks.
void scheduler::drain(kernel_thread& p, std::uint32_t stopped, std::uint64_t at) {
  tactus_pool_conf& conf = pools[p.t.pool];
  if (conf.serial != p.t.serial) return;
  account_present(p, conf, at);
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
