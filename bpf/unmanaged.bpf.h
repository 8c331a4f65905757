/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Threads that no pool registered: where they wake up and where they wait. Plain fair virtual time;
 * what the agent has measured of the CPUs' speeds is used for them, where there is an agent.
 * The ops that use this are in tactus.bpf.c.
 */
#ifndef TACTUS_UNMANAGED_BPF_H
#define TACTUS_UNMANAGED_BPF_H

#include "queues.bpf.h"

#define VICTIMS_AT_MOST 8 /* CPUs looked at for one that an unmanaged wake-up may have */

/*
 * Tiers of the CPUs for who says nothing of himself: the agent measures, by slot 0, how fast places
 * are in general. Null: nobody knows, all are alike.
 */
static __always_inline struct tactus_class_conf *general_tiers(void)
{
	u32 zero = 0, key;
	struct tactus_control *control = bpf_map_lookup_elem(&tactus_control, &zero);
	struct tactus_class_conf *cc;

	if (!control || tactus_fallback_only || control->mode != TACTUS_MODE_LEARNED)
		return NULL;
	key = (control->bank & 1) * TACTUS_MAX_SLOTS;
	cc = bpf_map_lookup_elem(&tactus_classes, &key);
	return cc && cc->in_use ? cc : NULL;
}

/*
 * Where an unmanaged thread wakes up when speeds are known: an idle CPU of the best tier, claimed, its
 * last one first; -1 if there is none. Places of one CPU only: on larger machines a thread stays in
 * its cache.
 */
static __always_inline s32 fast_idle(struct task_struct *p, struct tactus_class_conf *cc, s32 last)
{
	struct tactus_cpu *home = cpu_at(last);
	u32 from = home ? home->place : 0, i;

	bpf_for(i, 0, nr_places) {
		u32 k = (from + i >= nr_places ? from + i - nr_places : from + i) & (TACTUS_MAX_PLACES - 1);
		struct tactus_place *place = place_at(k);

		if (!place || place->nr_cpus != 1 || cc->tier[k])
			continue;
		if (bpf_cpumask_test_cpu(place->first_cpu, p->cpus_ptr) &&
		    scx_bpf_test_and_clear_cpu_idle(place->first_cpu))
			return place->first_cpu;
	}
	return -1;
}

/*
 * Of some CPUs of the domain, its last one first, the one where an unmanaged thread that wakes up may
 * preempt: a fast one, or of equally fast ones the one that runs the least urgent task; -1: none.
 * slow_idle: the thread could have an idle CPU, but a slow one; then only a fast one will do, and
 * background work there makes room at once.
 */
GLOBAL make_room(struct task_struct *p TASK, s32 last, bool slow_idle)
{
	struct tactus_class_conf *cc = general_tiers();
	struct tactus_cpu *home = cpu_at(last);
	struct tactus_domain *dom = home ? domain_at(home->domain) : NULL;
	u64 now = bpf_ktime_get_ns(), key;
	s32 victim = -1;
	u32 least = ~0u, i;

	if (!home || !dom)
		return -1;
	key = tactus_vtime_floor(p->scx.dsq_vtime, dom->vtime_now);
	bpf_for(i, 0, VICTIMS_AT_MOST) {
		s32 cpu = last + i >= nr_cpus ? last + i - nr_cpus : last + i;
		struct tactus_cpu *c = cpu_at(cpu);
		struct tactus_cpu_state *cs = cpu_state_at(cpu);
		u32 rank, tier;

		if (i >= nr_cpus)
			break;
		if (!c || !cs || !c->present || c->domain != home->domain || !cs->start_ns ||
		    !bpf_cpumask_test_cpu(cpu, p->cpus_ptr))
			continue;
		tier = cc ? cc->tier[c->place & (TACTUS_MAX_PLACES - 1)] : 0;
		rank = tier * 4 + (cs->priority & 3);
		if (rank >= least || (slow_idle && tier))
			continue;
		refresh_priority(cpu);
		rank = tier * 4 + (cs->priority & 3);
		if (rank >= least ||
		    !tactus_unmanaged_preempts(key, running_key(cs, now), cs->priority,
					       slow_idle && cs->priority == TACTUS_PRIORITY_BACKGROUND
						       ? TACTUS_SLICE_MAX_NS
						       : now - cs->slice_ns))
			continue;
		victim = cpu;
		least = rank;
		if (!least)
			break;
	}
	return victim;
}

/* Where an unmanaged thread wakes up. *insert: it goes to that CPU's own queue, with these flags. */
static __always_inline s32 place_unmanaged(struct task_struct *p, s32 prev_cpu, u64 wake_flags, bool *insert,
					   u64 *enq_flags)
{
	struct tactus_class_conf *cc = general_tiers();
	struct tactus_cpu *c;
	bool idle = false;
	s32 cpu, other;

	if (cc) {
		cpu = fast_idle(p, cc, prev_cpu);
		if (cpu >= 0) {
			*insert = true;
			return cpu;
		}
	}
	cpu = scx_bpf_select_cpu_dfl(p, prev_cpu, wake_flags, &idle);
	*insert = idle;
	if (idle) {
		c = cpu_at(cpu);
		/* a CPU of less than 0.38 of the best speed is no bargain */
		if (!cc || !c || cc->tier[c->place & (TACTUS_MAX_PLACES - 1)] < 2)
			return cpu;
	}
	other = make_room(p, prev_cpu, idle);
	if (other < 0)
		return cpu;
	if (idle)
		scx_bpf_kick_cpu(cpu, K(scx_kick_flags, SCX_KICK_IDLE)); /* give it back */
	*insert = true;
	*enq_flags = K(scx_enq_flags, SCX_ENQ_PREEMPT);
	count(unmanaged_preempts);
	return other;
}

static __always_inline void enqueue_unmanaged(struct task_struct *p, u64 enq_flags)
{
	s32 cpu = scx_bpf_task_cpu(p);
	struct tactus_cpu *c = cpu_at(cpu);
	struct tactus_cpu_state *cs;
	u64 slice = TACTUS_SLICE_DEFAULT_NS, vtime, now;
	bool bound = is_bound(p), wake = enq_flags & K(scx_enq_flags, SCX_ENQ_WAKEUP);
	struct tactus_domain *dom;

	dom = c ? domain_at(c->domain) : NULL;
	if (!c || !dom || ((p->flags & PF_KTHREAD) && bound)) {
		kernel_insert(p, K(scx_dsq_id_flags, SCX_DSQ_LOCAL), slice, enq_flags);
		return;
	}
	vtime = wake ? tactus_vtime_floor(p->scx.dsq_vtime, dom->vtime_now)
		     : tactus_vtime_keep(p->scx.dsq_vtime, dom->vtime_now);
	if (bound) {
		if (scx_bpf_test_and_clear_cpu_idle(cpu)) {
			kernel_insert(p, K(scx_dsq_id_flags, SCX_DSQ_LOCAL), slice, enq_flags);
			return;
		}
		kernel_insert_vtime(p, QUEUE_CPU(cpu), slice, vtime, enq_flags);
		cs = cpu_state_at(cpu);
		now = bpf_ktime_get_ns();
		if (wake && cs && cs->start_ns &&
		    tactus_unmanaged_preempts(vtime, running_key(cs, now), cs->priority, now - cs->slice_ns)) {
			scx_bpf_kick_cpu(cpu, K(scx_kick_flags, SCX_KICK_PREEMPT));
			count(unmanaged_preempts);
		}
	} else {
		s32 idle;

		kernel_insert_vtime(p, QUEUE_OTHERS(c->domain), slice, vtime, enq_flags);
		idle = scx_bpf_pick_idle_cpu(p->cpus_ptr, 0);
		if (idle >= 0)
			scx_bpf_kick_cpu(idle, K(scx_kick_flags, SCX_KICK_IDLE));
	}
}

#endif
