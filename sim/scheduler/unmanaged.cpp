// SPDX-License-Identifier: Apache-2.0
// Mirrors bpf/unmanaged.bpf.h: threads that no pool registered.
#include "sim/scheduler/scheduler.h"

namespace tactus::sim {
namespace {

constexpr std::uint32_t k_victims_at_most = 8;  // VICTIMS_AT_MOST

}  // namespace

// Tiers of the CPUs for who says nothing of himself. Null: nobody knows, all are alike.
const tactus_class_conf* scheduler::general_tiers() const {
  if (control.mode != TACTUS_MODE_LEARNED) return nullptr;
  const tactus_class_conf& cc = classes[(control.bank & 1) * TACTUS_MAX_SLOTS];
  return cc.in_use != 0 ? &cc : nullptr;
}

// An idle CPU of the best tier, claimed, its last one first; -1 if there is none. Places of one CPU only.
std::int32_t scheduler::fast_idle(const kernel_thread& p, const tactus_class_conf& cc, std::int32_t last) {
  std::uint64_t fast = 0;
  for (std::uint32_t i = 0; i < nr_cpus; ++i) {
    const std::uint32_t k = cpus[i].place;
    if (cpus[i].present != 0 && places[k].nr_cpus == 1 && cc.tier[k] == 0 && idle.test(i) && p.may_run_on(i)) fast |= 1ull << i;
  }
  if (fast == 0) return -1;
  const std::uint32_t cpu = tactus_first_from(fast, static_cast<std::uint32_t>(last));
  return idle.test_and_clear(cpu) ? static_cast<std::int32_t>(cpu) : -1;
}

// Is this CPU a better one to preempt?
void scheduler::look_for_room(const kernel_thread& p, std::uint32_t cpu, room& r) {
  const tactus_cpu& c = cpus[cpu];
  const cpu_state& cs = cpu_states[cpu];
  std::uint64_t ran = now - cs.slice_ns;
  if (cs.start_ns == 0 || c.present == 0 || c.domain != r.domain) return;
  if (!r.slow_idle && ran <= TACTUS_PREEMPT_BACKGROUND_NS) return;  // too early, whatever runs: the usual case
  if (!p.may_run_on(cpu)) return;
  const tactus_class_conf* cc = general_tiers();
  const std::uint32_t tier = cc != nullptr ? cc->tier[c.place & (TACTUS_MAX_PLACES - 1)] : 0u;
  std::uint32_t rank = tier * 4 + (cs.priority & 3);
  if (rank >= r.least || (r.slow_idle && tier != 0)) return;
  refresh_priority(static_cast<std::int32_t>(cpu));
  rank = tier * 4 + (cs.priority & 3);
  if (r.slow_idle && cs.priority == TACTUS_PRIORITY_BACKGROUND) ran = TACTUS_SLICE_MAX_NS;
  if (rank >= r.least || !tactus_unmanaged_preempts(r.key, running_key(cs, now), cs.priority, ran)) return;
  r.victim = static_cast<std::int32_t>(cpu);
  r.least = rank;
}

// Of some CPUs of the domain, its last one first, the one where an unmanaged thread that wakes up may
// preempt; -1: none. slow_idle: the thread could have an idle CPU, but a slow one.
std::int32_t scheduler::make_room(const kernel_thread& p, std::int32_t last, bool slow_idle) {
  const tactus_cpu& home = cpus[static_cast<unsigned>(last)];
  if (home.present == 0) return -1;
  room r{tactus_vtime_floor(p.dsq_vtime, domains[home.domain].vtime_now), -1, ~0u, home.domain, slow_idle};
  for (std::uint32_t i = 0; i < k_victims_at_most && i < nr_cpus && r.least != 0; ++i) {
    const std::uint32_t cpu = static_cast<std::uint32_t>(last) + i;
    look_for_room(p, cpu >= nr_cpus ? cpu - nr_cpus : cpu, r);
  }
  return r.victim;
}

// Where an unmanaged thread wakes up. insert: it goes to that CPU's own queue; preempt: in front.
std::int32_t scheduler::place_unmanaged(kernel_thread& p, std::int32_t prev_cpu, bool& insert, bool& preempt) {
  const tactus_class_conf* cc = general_tiers();
  if (cc != nullptr && nr_cpus <= 64) {
    const std::int32_t fast = fast_idle(p, *cc, prev_cpu);
    if (fast >= 0) {
      insert = true;
      return fast;
    }
  }
  bool is_idle = false;
  const std::int32_t cpu = select_cpu_dfl(p, prev_cpu, is_idle);
  insert = is_idle;
  // a CPU of less than 0.38 of the best speed is no bargain
  if (is_idle && (cc == nullptr || cc->tier[cpus[static_cast<unsigned>(cpu)].place & (TACTUS_MAX_PLACES - 1)] < 2)) return cpu;
  const std::int32_t other = make_room(p, prev_cpu, is_idle);
  if (other < 0) return cpu;
  if (is_idle) host_.kick_cpu(static_cast<unsigned>(cpu), false);  // give it back
  insert = true;
  preempt = true;
  ++stats.unmanaged_preempts;
  return other;
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
    const cpu_state& cs = cpu_states[static_cast<unsigned>(cpu)];
    if (wake && cs.start_ns != 0 && tactus_unmanaged_preempts(vtime, running_key(cs, now), cs.priority, now - cs.slice_ns)) {
      host_.kick_cpu(static_cast<unsigned>(cpu), true);
      ++stats.unmanaged_preempts;
    }
  } else {
    insert_vtime(p, others[domain], slice, vtime);
    const std::int32_t found = idle.pick(nullptr, p.allowed, false);
    if (found >= 0) host_.kick_cpu(static_cast<unsigned>(found), false);
  }
}

}  // namespace tactus::sim
