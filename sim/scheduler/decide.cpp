// SPDX-License-Identifier: Apache-2.0
// Mirrors bpf/view.bpf.h and decide.bpf.h: from the state of the machine to a decision, and its event.
#include "sim/scheduler/scheduler.h"

namespace tactus::sim {

void scheduler::see_machine(const kernel_thread& p, tactus_view& v) const {
  if (p.allowed == nullptr) {  // the counts of idle_masks say the same
    v.legal = all_places_;
    v.idle = idle.idle_places();
    v.idle_core = idle.idle_core_places();
    return;
  }
  v.legal = v.idle = v.idle_core = 0;
  const unsigned words = (nr_cpus + 63) / 64;
  for (std::uint32_t i = 0; i < nr_places; ++i)
    for (unsigned w = 0; w < words; ++w) {
      const std::uint64_t mine = places[i].cpus[w] & p.allowed->word[w], bit = 1ull << i;
      if (mine != 0) v.legal |= bit;
      if ((mine & idle.cpus().word[w]) != 0) v.idle |= bit;
      if ((mine & idle.cores().word[w]) != 0) v.idle_core |= bit;
    }
}

// Key of what runs on a CPU, as if it waited now.
std::uint64_t scheduler::running_key(const cpu_state& cs, std::uint64_t at) {
  const std::uint32_t weight = cs.weight != 0 ? cs.weight : 100;
  const std::uint64_t ran = at - cs.start_ns;
  return cs.start_key + (weight == 100 ? ran : ran * 100 / weight) - tactus_credit(cs.priority, cs.deadline, at);
}

// A running worker goes from task to task without telling: look what it is at.
void scheduler::refresh_priority(std::int32_t cpu) {
  cpu_state& cs = cpu_states[static_cast<unsigned>(cpu)];
  if (cs.tid == 0) return;
  const kernel_thread* p = host_.task_from_pid(cs.tid);
  if (p == nullptr || !p->managed) return;
  const std::uint64_t tag = p->page.tag;
  if ((tag & TACTUS_TAG_VALID) == 0) return;
  cs.priority = tactus_tag_priority(tag);
  cs.deadline = tactus_tag_deadline(tag);
}

std::int32_t scheduler::claim_idle(const kernel_thread& p, std::uint32_t place_nr, std::int32_t prev_cpu) {
  const tactus_place& place = places[place_nr & (TACTUS_MAX_PLACES - 1)];
  if (place.nr_cpus == 1) {
    const std::int32_t cpu = place.first_cpu;
    return p.may_run_on(place.first_cpu) && idle.test_and_clear(place.first_cpu) ? cpu : -1;
  }
  const auto prev = static_cast<unsigned>(prev_cpu);
  if (cpus[prev].place == place_nr && p.may_run_on(prev) && idle.test_and_clear(prev)) return prev_cpu;
  for (int i = 0; i < 4; ++i) {
    const std::int32_t cpu = idle.pick(place.cpus, nullptr, false);
    if (cpu < 0) return -1;
    if (p.may_run_on(static_cast<unsigned>(cpu))) return cpu;
    host_.kick_cpu(static_cast<unsigned>(cpu), false);  // give it back
  }
  return -1;
}

const tactus_row* scheduler::row_for(std::uint32_t slot, std::uint32_t situation, std::uint32_t bank, std::uint64_t at,
                                     const tactus_class_conf& conf, std::uint32_t& source) const {
  std::uint64_t limit = control.heartbeat_limit_ns;
  if (limit - 1 >= TACTUS_HEARTBEAT_LIMIT_NS) limit = TACTUS_HEARTBEAT_LIMIT_NS;
  source = TACTUS_SOURCE_FALLBACK_MODE;
  if (control.mode != TACTUS_MODE_LEARNED) return nullptr;
  source = TACTUS_SOURCE_FALLBACK_HEARTBEAT;
  if (at - control.heartbeat_ns > limit && tactus_before(control.heartbeat_ns, at)) return nullptr;
  source = TACTUS_SOURCE_FALLBACK_MISSING;
  if (conf.in_use == 0) return nullptr;
  const tactus_row& row = rows[tactus_row_index(bank, slot, situation)];
  if (row.version_end == 0) return nullptr;
  source = TACTUS_SOURCE_FALLBACK_TORN;
  if (row.version_end != row.version_begin) return nullptr;
  source = TACTUS_SOURCE_ROW;
  return &row;
}

void scheduler::log_decision(const tactus_task& t, const tactus_decided& d, std::uint64_t at) {
  const std::uint32_t domain = pools[t.pool].home_domain;
  if (d.source < TACTUS_NR_SOURCES) ++stats.decisions[d.source];
  else ++rule_decisions;
  tactus_decision_event& ev = decision_event_;
  fill_head(ev.head, TACTUS_EVENT_DECISION, sizeof(ev), domain, t.tid, at);
  const bool fits = emit(domain, sizeof(ev), 0);
  if (!fits || sink == nullptr) return;
  ev.stint = t.stint;
  ev.legal = d.legal;
  ev.version = d.version;
  ev.prob_num = d.choice.num;
  ev.prob_den = d.choice.den;
  ev.pool = t.pool;
  ev.slot = t.slot;
  ev.situation = static_cast<__u8>(d.situation);
  ev.hold_legal = d.hold_legal;
  ev.chosen = static_cast<__u8>(d.choice.action);
  ev.used = static_cast<__u8>(d.used);
  ev.source = static_cast<__u8>(d.source);
  ev.moment = static_cast<__u8>(d.moment);
  ev.prev_place = static_cast<__u8>(cpus[t.last_cpu].place);
  ev.cpu = static_cast<__u16>(d.cpu < 0 ? 0xffff : d.cpu);
  ev.bank = static_cast<__u8>(d.bank);
  ev.priority = t.priority;
  ev.nr_waiting = static_cast<__u16>(d.waiting);
  sink->decision(ev);
}

void scheduler::read_tag(kernel_thread& p, const tactus_pool_conf& conf) {
  std::uint64_t tag = p.page.tag;
  if ((tag & TACTUS_TAG_VALID) == 0) tag = p.page.next_tag;
  if ((tag & TACTUS_TAG_VALID) == 0) {
    p.t.slot = 0;
    p.t.priority = TACTUS_PRIORITY_NORMAL;
    p.t.deadline = 0;
    return;
  }
  p.t.priority = static_cast<std::uint8_t>(tactus_tag_priority(tag));
  p.t.deadline = tactus_tag_deadline(tag);
  p.t.slot = conf.slot_of[tactus_tag_class(tag) & (TACTUS_MAX_LOCAL_CLASSES - 1)] & (TACTUS_MAX_SLOTS - 1);
}

std::uint64_t scheduler::without_long_queues(std::uint64_t legal, std::uint64_t idle_places, std::uint32_t limit) const {
  std::uint64_t kept = 0;
  for (std::uint32_t k = 0; k < nr_places; ++k)
    if ((legal >> k & 1) != 0 && ((idle_places >> k & 1) != 0 || depth[k] <= static_cast<std::int32_t>(limit))) kept |= 1ull << k;
  return kept != 0 ? kept : legal;
}

std::uint32_t scheduler::fallback_action(const tactus_view& v) const {
  const tactus_place& prev = places[v.prev & (TACTUS_MAX_PLACES - 1)];
  std::uint32_t action = tactus_fallback_idle(&v, prev.near);
  if (action == TACTUS_NO_PLACE) action = tactus_fallback_queue(&v, prev.near, depth, nr_places);
  return action;
}

void scheduler::consult_row(tactus_task& t, const tactus_view& v, tactus_decided& d, std::uint64_t at) {
  d.bank = control.bank & 1;
  const tactus_class_conf& cc = classes[d.bank * TACTUS_MAX_SLOTS + t.slot];
  d.situation = tactus_situation(tactus_idle_tiers(cc.tier, v.idle, nr_places), static_cast<std::int32_t>(d.waiting));
  t.slice_ns = TACTUS_SLICE_DEFAULT_NS;
  const tactus_row* row = row_for(t.slot, d.situation, d.bank, at, cc, d.source);
  if (row == nullptr) return;
  d.version = row->version_end;
  t.slice_ns = tactus_slice(row->slice_10us);
  tactus_sample(row->cdf, nr_places, d.legal, d.hold_legal, host_.prandom_u32(), &d.choice);
  if (d.choice.den == 0) {
    d.source = TACTUS_SOURCE_FALLBACK_ILLEGAL;
    return;
  }
  if (row->confidence < control.confidence_threshold) {
    const std::uint32_t fallback = fallback_action(v) & (TACTUS_MAX_PLACES - 1);
    std::uint32_t p_fallback = 0;
    if ((d.legal >> fallback & 1) != 0) p_fallback = tactus_row_mass(row->cdf, fallback);
    tactus_mix(&d.choice, fallback, p_fallback, static_cast<std::uint32_t>((static_cast<std::uint64_t>(control.explore_ppm) << 10) / 1'000'000),
               host_.prandom_u32());
    d.source = TACTUS_SOURCE_MIXED;
  }
}

// The row chose a tier: which place of it? The CPU where the worker ran last if it is idle, the drawn
// place if that has an idle CPU, the nearest that has one, and where none has, the shallowest queue.
// What a rule chose is carried out as it is.
std::int32_t scheduler::settle_in_tier(const kernel_thread& p, const tactus_view& v, tactus_decided& d, std::int32_t prev_cpu) {
  const std::uint32_t drawn = d.used & (TACTUS_MAX_PLACES - 1), prev = v.prev & (TACTUS_MAX_PLACES - 1);
  const bool by_row = d.source == TACTUS_SOURCE_ROW || d.source == TACTUS_SOURCE_MIXED;
  const tactus_class_conf& cc = classes[d.bank * TACTUS_MAX_SLOTS + d.slot];
  std::uint32_t used = drawn;
  std::int32_t cpu = -1;
  if (by_row && v.prev_idle && (d.legal >> prev & 1) != 0 && cc.tier[prev] == cc.tier[drawn]) used = prev;
  if ((v.idle >> used & 1) != 0) cpu = claim_idle(p, used, prev_cpu);
  if (cpu < 0 && rule == nullptr) {
    const std::uint64_t equal = (d.legal | 1ull << drawn) & tactus_same_tier(cc.tier, drawn, nr_places);
    const std::uint64_t others = v.idle & equal & ~(1ull << used);
    for (std::uint32_t i = 1; others != 0 && i < nr_places; ++i) {
      const std::uint32_t k = drawn + i >= nr_places ? drawn + i - nr_places : drawn + i;
      if ((others >> k & 1) == 0) continue;
      cpu = claim_idle(p, k, prev_cpu);
      if (cpu >= 0) {
        used = k;
        break;
      }
    }
    if (cpu < 0 && by_row) used = tactus_shallowest(equal, depth, nr_places, prev, drawn) & (TACTUS_MAX_PLACES - 1);
  }
  if (used != drawn) ++stats.redirects;
  d.used = used;
  return cpu;
}

// No CPU of the tier is idle: the place of the tier whose CPU runs the least urgent task, where that
// is less urgent than what the chosen place runs and than the worker. Places of one CPU only.
std::uint32_t scheduler::least_urgent_of_tier(const tactus_decided& d, std::uint32_t priority) {
  const std::uint32_t used = d.used & (TACTUS_MAX_PLACES - 1);
  const tactus_class_conf& cc = classes[d.bank * TACTUS_MAX_SLOTS + d.slot];
  if (places[used].nr_cpus != 1) return used;
  refresh_priority(places[used].first_cpu);
  std::uint32_t least = cpu_states[places[used].first_cpu].priority, best = used;
  for (std::uint32_t k = 0; k < nr_places; ++k) {
    if ((d.legal >> k & 1) == 0 || cc.tier[k] != cc.tier[used] || least == TACTUS_PRIORITY_BACKGROUND) continue;
    if (places[k].nr_cpus != 1) continue;
    refresh_priority(places[k].first_cpu);
    const cpu_state& cs = cpu_states[places[k].first_cpu];
    if (cs.start_ns != 0 && cs.priority < least && cs.priority < priority) {
      least = cs.priority;
      best = k;
    }
  }
  return best;
}

// Moment (a). Decides, claims an idle CPU where there is one, logs.
void scheduler::decide_wake(kernel_thread& p, tactus_placement& out) {
  tactus_task& t = p.t;
  const tactus_cpu& prev = cpus[static_cast<unsigned>(out.prev_cpu)];
  out.cpu = -1;
  out.action = TACTUS_NO_PLACE;
  if (prev.place >= TACTUS_MAX_PLACES) return;  // that CPU is gone
  const tactus_domain& dom = domains[prev.domain];
  tactus_decided d;
  d.moment = TACTUS_MOMENT_WAKE;
  tactus_view v{};
  see_machine(p, v);
  if (v.legal == 0) return;
  t.allowed = v.legal;
  v.prev = prev.place;
  v.prev_idle = places[prev.place].nr_cpus == 1 && (v.idle >> (prev.place & 63) & 1) != 0;
  d.slot = t.slot;
  d.waiting = dom.nr_waiting > 0 ? static_cast<std::uint32_t>(dom.nr_waiting) : 0;
  d.legal = without_long_queues(v.legal, v.idle, tactus_queue_limit(static_cast<std::int32_t>(d.waiting), dom.nr_cpus));
  d.hold_legal = tactus_hold_legal(static_cast<std::int32_t>(d.waiting), dom.nr_cpus);

  if (rule != nullptr) {
    t.slice_ns = TACTUS_SLICE_DEFAULT_NS;
    d.choice = {rule->wake(*this, p, v, d), 1, 1};
    d.source = k_source_rule;
  } else {
    consult_row(t, v, d, out.now);
  }
  if (d.choice.den == 0) d.choice = {fallback_action(v), 1, 1};
  d.used = d.choice.action;
  if (d.used < TACTUS_MAX_PLACES) d.cpu = settle_in_tier(p, v, d, out.prev_cpu);
  if (d.used < TACTUS_MAX_PLACES && d.cpu < 0 && t.priority != TACTUS_PRIORITY_BACKGROUND && rule == nullptr) {
    const std::uint32_t better = least_urgent_of_tier(d, t.priority);
    if (better != d.used) ++stats.redirects;
    d.used = better;
  }
  out.cpu = d.cpu;
  out.action = d.used;
  log_decision(t, d, out.now);
}

// Moment (b). The caller logs, a take only once the worker has moved.
bool scheduler::decide_take(kernel_thread& p, std::uint32_t place, std::uint64_t at, tactus_decided& d) {
  const tactus_task& t = p.t;
  const tactus_domain& dom = domains[t.queued_domain];
  d.legal = (t.allowed != 0 ? t.allowed : all_places_) | 1ull << place;
  d.hold_legal = true;
  // others that wait: it is counted itself, and at moment (a) it is not yet
  d.waiting = dom.nr_waiting > 1 ? static_cast<std::uint32_t>(dom.nr_waiting) - 1 : 0;
  d.bank = control.bank & 1;
  d.choice = {place, 1, 1};
  if (rule != nullptr) {
    d.source = k_source_rule;
    if (!rule->take(*this, p, place, d.waiting)) d.choice.action = TACTUS_HOLD;
    return d.choice.action == place;
  }
  const tactus_class_conf& cc = classes[d.bank * TACTUS_MAX_SLOTS + t.slot];
  d.situation = tactus_situation(tactus_idle_tiers(cc.tier, 1ull << place, nr_places), static_cast<std::int32_t>(d.waiting));
  const tactus_row* row = row_for(t.slot, d.situation, d.bank, at, cc, d.source);
  if (row == nullptr) {
    d.source = TACTUS_SOURCE_FORCED_STEAL;
    return true;
  }
  d.version = row->version_end;
  if (row->confidence < control.confidence_threshold) {
    d.source = TACTUS_SOURCE_FORCED_STEAL;  // the fallback always steals
    return true;
  }
  tactus_sample(row->cdf, nr_places, d.legal, true, host_.prandom_u32(), &d.choice);
  if (d.choice.den == 0) {
    d.source = TACTUS_SOURCE_FALLBACK_ILLEGAL;
    return true;
  }
  return d.choice.action < TACTUS_MAX_PLACES && cc.tier[d.choice.action] == cc.tier[place];
}

}  // namespace tactus::sim
