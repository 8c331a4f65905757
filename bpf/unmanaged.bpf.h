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
 * The same as masks, on machines of at most 64 CPUs; made anew when the agent has published. Racing
 * writers write the same.
 */
struct {
	u64 made_for; /* publication */
	u64 fast;     /* CPUs of the best tier that are a place of their own */
	u64 slow;     /* CPUs of less than 0.38 of the best speed: no bargain */
	bool known;
} speeds;

GLOBAL make_speeds(u64 publication)
{
	struct tactus_class_conf *cc = general_tiers();
	u64 fast = 0, slow = 0;
	u32 i;

	if (cc)
		tactus_for(i, nr_cpus) {
			struct tactus_cpu_state *cs = cpu_state_at(i);
			u64 tier = cc->tier[cs->place & (TACTUS_MAX_PLACES - 1)];

			fast |= IS_ZERO(tier) * cs->alone << (i & 63);
			slow |= ANY_BIT(tier >> 1) << (i & 63);
		}
	speeds.fast = fast;
	speeds.slow = slow;
	speeds.known = cc;
	speeds.made_for = publication;
	return 0;
}

/* Are the masks to be gone by? Places of one CPU only: on larger machines a thread stays in its cache. */
static __always_inline bool know_speeds(void)
{
	u32 zero = 0;
	struct tactus_control *control = bpf_map_lookup_elem(&tactus_control, &zero);
	u64 publication;

	if (!control || nr_cpus > 64 || tactus_fallback_only || control->mode != TACTUS_MODE_LEARNED)
		return false;
	publication = (u64)control->version << 1 | (control->bank & 1);
	if (unlikely(speeds.made_for != publication))
		make_speeds(publication);
	return speeds.known;
}

static __always_inline bool is_slow(bool known, s32 cpu)
{
	struct tactus_class_conf *cc;

	if (nr_cpus <= 64)
		return known && speeds.slow >> (cpu & 63) & 1;
	cc = general_tiers();
	return cc && cc->tier[cpu_state_at(cpu)->place & (TACTUS_MAX_PLACES - 1)] >= 2;
}

/* An idle CPU of the best tier, claimed; -1 if there is none. *idle: CPUs that it may use instead. */
static __always_inline s32 fast_idle(struct task_struct *p, s32 prev_cpu, u64 *idle)
{
	u64 fast;
	s32 cpu;

	if (speeds.fast >> (prev_cpu & 63) & 1 && may_run_on(p, prev_cpu) && scx_bpf_test_and_clear_cpu_idle(prev_cpu))
		return prev_cpu;
	*idle = idle_cpus_of(p);
	fast = speeds.fast & *idle;
	if (!fast)
		return -1;
	cpu = tactus_first_from(fast, prev_cpu);
	return scx_bpf_test_and_clear_cpu_idle(cpu) ? cpu : -1;
}

/* What make_room() looks for, and what it has found. */
struct tactus_room {
	u64 key;    /* in: of the thread */
	u64 now;    /* in */
	s32 victim; /* the best CPU so far; -1: none */
	u32 least;  /* its rank: tier, then priority of what runs there */
	u32 domain; /* in */
	bool slow_idle; /* in */
};

/* Is this CPU a better one to preempt? */
GLOBAL look_for_room(struct task_struct *p TASK, s32 cpu, struct tactus_room *room MEM)
{
	struct tactus_cpu_state *cs = cpu_state_at(cpu);
	u64 ran = since(cs->slice_ns, room->now);
	struct tactus_class_conf *cc;
	u32 rank, tier;

	if (!cs->start_ns || !cs->present || cs->domain != room->domain)
		return 0;
	if (!room->slow_idle && ran <= TACTUS_PREEMPT_BACKGROUND_NS)
		return 0; /* too early, whatever runs: the usual case */
	if (!may_run_on(p, cpu))
		return 0;
	cc = general_tiers();
	tier = cc ? cc->tier[cs->place & (TACTUS_MAX_PLACES - 1)] : 0;
	rank = tier * 4 + (cs->priority & 3);
	if (rank >= room->least || (room->slow_idle && tier))
		return 0;
	refresh_priority(cpu);
	rank = tier * 4 + (cs->priority & 3);
	if (room->slow_idle && cs->priority == TACTUS_PRIORITY_BACKGROUND)
		ran = TACTUS_SLICE_MAX_NS;
	if (rank >= room->least ||
	    !tactus_unmanaged_preempts(room->key, running_key(cs, room->now), cs->priority, ran))
		return 0;
	room->victim = cpu;
	room->least = rank;
	return 0;
}

/*
 * Of some CPUs of the domain, its last one first, the one where an unmanaged thread that wakes up may
 * preempt: a fast one, or of equally fast ones the one that runs the least urgent task; -1: none.
 * slow_idle: the thread could have an idle CPU, but a slow one; then only a fast one will do, and
 * background work there makes room at once.
 */
GLOBAL make_room(struct task_struct *p TASK, s32 last, bool slow_idle)
{
	struct tactus_room room = { .victim = -1, .least = ~0u, .slow_idle = slow_idle };
	struct tactus_domain *dom;
	u32 i;

	room.domain = cpu_state_at(last)->domain;
	dom = domain_at(room.domain);
	if (!dom)
		return -1;
	room.now = bpf_ktime_get_ns();
	room.key = tactus_vtime_floor(p->scx.dsq_vtime, dom->vtime_now);
	for (i = 0; i < VICTIMS_AT_MOST && i < nr_cpus && room.least; i++)
		look_for_room(p, last + i >= nr_cpus ? last + i - nr_cpus : last + i, &room);
	return room.victim;
}

/* Where an unmanaged thread wakes up. *insert: it goes to that CPU's own queue, with these flags. */
static __always_inline s32 place_unmanaged(struct task_struct *p, s32 prev_cpu, u64 wake_flags, bool *insert,
					   u64 *enq_flags)
{
	bool known = know_speeds();
	u64 idle = ~0ull;
	s32 cpu, other;

	if (known) {
		cpu = fast_idle(p, prev_cpu, &idle);
		if (cpu >= 0) {
			*insert = true;
			return cpu;
		}
	}
	cpu = idle ? scx_bpf_select_cpu_dfl(p, prev_cpu, wake_flags, insert) : prev_cpu;
	if (*insert && !is_slow(known, cpu))
		return cpu;
	other = make_room(p, prev_cpu, *insert);
	if (other < 0)
		return cpu;
	if (*insert)
		scx_bpf_kick_cpu(cpu, K(scx_kick_flags, SCX_KICK_IDLE)); /* give it back */
	*insert = true;
	*enq_flags = K(scx_enq_flags, SCX_ENQ_PREEMPT);
	count(unmanaged_preempts);
	return other;
}

static __always_inline void enqueue_unmanaged(struct task_struct *p, u64 enq_flags)
{
	s32 cpu = kernel_task_cpu(p);
	struct tactus_cpu_state *cs = cpu_state_at(cpu);
	struct tactus_domain *dom = domain_at(cs->domain);
	u64 slice = TACTUS_SLICE_DEFAULT_NS, vtime, now;
	bool bound = is_bound(p), wake = enq_flags & K(scx_enq_flags, SCX_ENQ_WAKEUP);

	if (!dom || (bound && (p->flags & PF_KTHREAD))) {
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
		cs->bound = true;
		kernel_insert_vtime(p, QUEUE_CPU(cpu), slice, vtime, enq_flags);
		if (!wake || !cs->start_ns)
			return;
		now = bpf_ktime_get_ns();
		if (tactus_unmanaged_preempts(vtime, running_key(cs, now), cs->priority, since(cs->slice_ns, now))) {
			scx_bpf_kick_cpu(cpu, K(scx_kick_flags, SCX_KICK_PREEMPT));
			count(unmanaged_preempts);
		}
	} else {
		s32 idle = -1;

		kernel_insert_vtime(p, QUEUE_OTHERS(cs->domain), slice, vtime, enq_flags);
		if (nr_cpus > 64 || idle_cpus_of(p))
			idle = scx_bpf_pick_idle_cpu(p->cpus_ptr, 0);
		if (idle >= 0)
			scx_bpf_kick_cpu(idle, K(scx_kick_flags, SCX_KICK_IDLE));
	}
}

#endif
