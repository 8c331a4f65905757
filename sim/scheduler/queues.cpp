// SPDX-License-Identifier: Apache-2.0
// Mirrors bpf/workers.bpf.h, timer.bpf.h and queues.bpf.h: who waits where, the timer that ends holds, what a free CPU may take.
#include "sim/scheduler/scheduler.h"

namespace tactus::sim {
namespace {

// The values of bpf/timer.bpf.h and queues.bpf.h.
constexpr int k_ask_at_most = 4;
constexpr std::uint64_t k_timer_shortest_ns = 500'000;
constexpr int k_peek_at_most = 8;
constexpr std::uint32_t k_queued_not = 255, k_pending_none = 255;

// A light task's turn comes later by as much as it is lighter.
std::uint64_t weighted_age(const kernel_thread& p, std::uint64_t age) {
  return p.weight != 0 && p.weight < 100 ? age * p.weight / 100 : age;
}

}  // namespace

// ---- bookkeeping of waiting workers

void scheduler::waiting_begins(tactus_task& t, std::uint32_t queued, std::uint32_t domain, std::uint64_t at) {
  t.queued = static_cast<std::uint8_t>(queued);
  t.queued_domain = static_cast<std::uint8_t>(domain);
  t.waiting_since_ns = at;
  ++domains[domain].nr_waiting;
  if (queued == TACTUS_HOLD) ++domains[domain].nr_held;
  if (queued < TACTUS_MAX_PLACES) ++depth[queued];
}

void scheduler::waiting_ends(tactus_task& t) {
  const std::uint32_t queued = t.queued;
  if (queued == k_queued_not) return;
  t.queued = k_queued_not;
  tactus_domain& dom = domains[t.queued_domain];
  --dom.nr_waiting;
  if (queued == TACTUS_HOLD) --dom.nr_held;
  if (queued < TACTUS_MAX_PLACES) --depth[queued];
}

void scheduler::adopt(kernel_thread& p, std::uint32_t pool, std::uint32_t taken) {
  const tactus_pool_conf& conf = pools[pool];
  tactus_pool_state& state = pool_state[pool];
  if (state.serial != conf.serial) {
    state.serial = conf.serial;
    area_add(domains[conf.home_domain], -tactus_present_clamp(state.present, state.workers), now);
    state.present = 0;
    state.workers = conf.nr_workers;
    state.seen_external = 0;
    state.alive = 0;
  }
  tactus_task& t = p.t;
  t = {};
  t.queued = k_queued_not;
  t.pending = k_pending_none;
  t.serial = conf.serial;
  t.vtime = p.dsq_vtime;
  t.tid = p.tid;
  t.stint = static_cast<std::uint64_t>(p.tid) << 32;
  t.pool = static_cast<std::uint16_t>(pool);
  t.taken = taken;
  t.last_cpu = static_cast<std::uint16_t>(p.cpu);
  t.priority = TACTUS_PRIORITY_NORMAL;
  t.slice_ns = TACTUS_SLICE_DEFAULT_NS;
  ++state.alive;
  t.epoch = epoch;
}

// The record of a managed worker; false for everybody else.
bool scheduler::managed(kernel_thread& p, tactus_pool_conf*& conf) {
  if (!p.managed) return false;
  conf = &pools[p.t.pool];
  if (conf->in_use == 0) return false;
  if (p.t.epoch != epoch || p.t.serial != conf->serial) adopt(p, p.t.pool, p.page.tail);
  return true;
}

// ---- timer: the end of holds

void scheduler::arm_timer(std::uint32_t domain, std::uint64_t delay_ns) {
  if (timer_armed[domain]) return;
  timer_armed[domain] = true;
  host_.timer_start(domain, delay_ns);
}

void scheduler::look_at_heads(dispatch_queue& q, look& l) {
  std::uint64_t oldest = 0;
  bool kicked = false, late = false;
  int looked = 0;
  for (kernel_thread* p = q.first; p != nullptr; p = p->behind) {
    const tactus_task* t = known(*p);
    if (t == nullptr || ++looked > k_peek_at_most) break;
    std::uint64_t age = l.now - t->waiting_since_ns;
    if (age >> 63) age = 1;
    if (age > oldest) oldest = age;
    if (tactus_lags(t->vtime, l.vtime_now) || weighted_age(*p, age) > l.busy_limit) late = true;
    if (age >= l.idle_limit && !kicked) {
      kicked = true;
      const std::int32_t cpu = idle.pick(nullptr, p->allowed, false);
      if (cpu >= 0) {
        host_.kick_cpu(static_cast<unsigned>(cpu), false);
        ++stats.timer_kicks;
      }
    }
  }
  l.oldest = oldest;
  l.late = late;
}

void scheduler::domain_timer(unsigned d) {
  tactus_domain& dom = domains[d];
  timer_armed[d] = false;
  ++stats.timer_fires;
  std::int32_t waiting = dom.nr_waiting;
  if (waiting <= 0) {
    dom.late_places = 0;
    dom.late_held = 0;
    return;
  }
  std::uint64_t idle_limit = control.hold_limit_ns;
  if (idle_limit - 1 >= TACTUS_HOLD_LIMIT_NS) idle_limit = TACTUS_HOLD_LIMIT_NS;
  waiting += static_cast<std::int32_t>(others[d].nr);
  const std::uint64_t busy_limit = tactus_queue_limit(waiting, dom.nr_cpus) * TACTUS_SLICE_DEFAULT_NS * 3 / 4;

  look l{now, idle_limit, dom.vtime_now, busy_limit, 0, false};
  std::uint64_t oldest = 0, late = 0;
  for (std::uint32_t k = 0; k < nr_places; ++k) {
    if (places[k].domain != d || depth[k] <= 0) continue;
    look_at_heads(of_place[k], l);
    if (l.oldest > oldest) oldest = l.oldest;
    if (l.late) late |= 1ull << k;
  }
  l.oldest = 0;
  l.late = false;
  if (dom.nr_held > 0) look_at_heads(held[d], l);
  if (l.oldest > oldest) oldest = l.oldest;
  dom.late_held = l.late;
  dom.late_places = late;
  std::uint64_t delay = oldest < idle_limit ? idle_limit - oldest : idle_limit / 2;
  if (delay < k_timer_shortest_ns) delay = k_timer_shortest_ns;
  arm_timer(d, delay);
}

// ---- what a free CPU finds

bool scheduler::peek(const dispatch_queue& q, std::int32_t cpu, std::uint64_t& key) const {
  int looked = 0;
  for (const kernel_thread* p = q.first; p != nullptr; p = p->behind) {
    if (p->may_run_on(static_cast<unsigned>(cpu))) {
      key = p->dsq_vtime;
      return true;
    }
    if (++looked >= k_peek_at_most) break;
  }
  return false;
}

// One that has waited too long, or lags, is taken without asking; of the others the row of the first
// one is asked, unless only the late ones are wanted.
bool scheduler::offer(dispatch_queue& q, const here_cpu& here, bool late_only) {
  bool asked = late_only;
  int looked = 0;
  for (kernel_thread* p = q.first; p != nullptr; p = p->behind) {
    tactus_decided d;
    std::uint64_t age = 0;
    if (++looked > k_peek_at_most) break;
    if (!p->may_run_on(static_cast<unsigned>(here.cpu))) continue;
    tactus_task* t = known(*p);
    if (t != nullptr) {
      age = here.now - t->waiting_since_ns;
      if (here.busy) age = weighted_age(*p, age);
    }
    d.moment = TACTUS_MOMENT_IDLE;
    d.used = TACTUS_HOLD;
    d.cpu = -1;
    if (t == nullptr || static_cast<std::int64_t>(age) >= static_cast<std::int64_t>(TACTUS_WAIT_LIMIT_NS) ||
        tactus_lags(t->vtime, here.vtime_now)) {
      d.source = TACTUS_SOURCE_FORCED_BOUND;
      d.choice = {here.place, 1, 1};
      d.legal = 1ull << (here.place & 63);
    } else if (asked) {
      continue;  // one behind it may have waited longer
    } else if (!decide_take(*p, here.place, here.now, d)) {
      if (d.source == TACTUS_SOURCE_ROW || d.source == k_source_rule) log_decision(*t, d, here.now);
      asked = true;
      continue;
    }
    dsq_move(*p, here.cpu);
    ++stats.held_taken;
    if (t != nullptr) {
      ++t->stint;
      d.used = here.place;
      d.cpu = here.cpu;
      log_decision(*t, d, here.now);
    }
    return true;
  }
  return false;
}

// What is past its bound goes first, whatever its row says.
bool scheduler::take_late(const here_cpu& here) {
  tactus_domain& dom = domains[here.domain];
  if (dom.late_held != 0) {
    dom.late_held = 0;
    if (offer(held[here.domain], here, true)) return true;
  }
  const std::uint64_t late = dom.late_places;
  if (late != 0) {
    const std::uint32_t from = tactus_first_from(late, here.place);
    dom.late_places &= ~(1ull << from);
    if (offer(of_place[from], here, true)) return true;
  }
  return false;
}

// The four queues that this CPU serves, and what ran on it: the smallest key first, at most one try
// per queue.
scheduler::taken scheduler::take_in_order(const here_cpu& here) {
  dispatch_queue &q_bound = of_cpu[static_cast<unsigned>(here.cpu)], &q_place = of_place[here.place];
  dispatch_queue &q_held = held[here.domain], &q_others = others[here.domain];
  std::uint64_t key_bound = 0, key_place = 0, key_held = 0, key_others = 0;
  bool has_bound = here.nr_bound > 0, has_place = depth[here.place] > 0;
  bool has_held = domains[here.domain].nr_held > 0, has_others = here.nr_others > 0;
  if (!here.prev_runs && !has_held && has_bound + has_place + has_others == 1) {  // nothing to compare
    dispatch_queue& only = has_place ? q_place : has_bound ? q_bound : q_others;
    return move_to_local(here.cpu, only) ? taken::took : taken::nothing;
  }
  has_bound = has_bound && peek(q_bound, here.cpu, key_bound);
  has_place = has_place && peek(q_place, here.cpu, key_place);
  has_held = has_held && peek(q_held, here.cpu, key_held);
  has_others = has_others && peek(q_others, here.cpu, key_others);

  for (int tries = 0; tries < 4; ++tries) {
    std::uint64_t best = 0;
    dispatch_queue* queue = nullptr;
    if (has_bound) {
      best = key_bound;
      queue = &q_bound;
    }
    if (has_place && (queue == nullptr || tactus_before(key_place, best))) {
      best = key_place;
      queue = &q_place;
    }
    if (has_others && (queue == nullptr || tactus_before(key_others, best))) {
      best = key_others;
      queue = &q_others;
    }
    if (has_held && (queue == nullptr || tactus_before(key_held, best))) {
      has_held = false;
      if (offer(q_held, here, false)) return taken::took;
      continue;
    }
    if (queue == nullptr) break;
    if (here.prev_runs && tactus_before(here.prev_key, best)) return taken::prev_goes_on;
    if (move_to_local(here.cpu, *queue)) return taken::took;
    if (queue == &q_bound) has_bound = false;
    else if (queue == &q_place) has_place = false;
    else has_others = false;
  }
  // what peek did not see behind others that may not run here
  return here.nr_others > 0 && move_to_local(here.cpu, q_others) ? taken::took : taken::nothing;
}

// Of these places the next after one, cyclically; near ones first.
std::uint32_t scheduler::next_place(std::uint64_t waiting, std::uint64_t near, std::uint32_t after) {
  const std::uint64_t first = waiting & near;
  return tactus_first_from(first != 0 ? first : waiting, after + 1);
}

// Nothing of its own: ask workers that wait elsewhere, near ones first.
bool scheduler::take_foreign(const here_cpu& here) {
  const tactus_place& mine = places[here.place];
  if (domains[here.domain].nr_held > 0 && offer(held[here.domain], here, false)) return true;
  std::uint64_t waiting = 0;
  for (std::uint32_t k = 0; k < nr_places; ++k)
    if (depth[k] > 0) waiting |= 1ull << k;
  waiting &= ~(1ull << here.place);
  for (int i = 0; i < k_ask_at_most && waiting != 0; ++i) {
    const std::uint32_t place = next_place(waiting, mine.near[0], here.place);
    if (offer(of_place[place], here, false)) return true;
    waiting &= ~(1ull << place);
  }
  return false;
}

}  // namespace tactus::sim
