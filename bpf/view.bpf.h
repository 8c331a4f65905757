/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The state of the machine as decisions see it: which places a worker may use
 * and which of them are idle, what runs on a CPU and how urgent it is, and the
 * claim of an idle CPU. Rows and queues are not touched here.
 */
#ifndef TACTUS_VIEW_BPF_H
#define TACTUS_VIEW_BPF_H

#include "events.bpf.h"

/*
 * 1 if it is so, else 0, without a branch: a loop of branches is too much for the verifier. Where the
 * compiler knows that it is 0 or 1, it makes branches of it again.
 */
#define TOP_BIT(x)                                                                                 \
	({                                                                                         \
		u64 ___top = (u64)(x) >> 63;                                                       \
		barrier_var(___top);                                                               \
		___top;                                                                            \
	})
#define ANY_BIT(x) TOP_BIT((x) | -(x))
#define IS_ZERO(x) (1 - ANY_BIT((u64)(x)))
#define IS_POSITIVE(x) TOP_BIT(-(s64)(x))

/* The same for one place of a machine of more than 64 CPUs. */
static __always_inline void see_place(struct task_struct *p, u32 nr, bool anywhere, const struct cpumask *idle,
				      const struct cpumask *smt, struct tactus_view *v)
{
	u32 key = nr & (TACTUS_MAX_PLACES - 1);
	struct tactus_place *place = place_at(key);
	struct tactus_place_mask *pm = bpf_map_lookup_elem(&tactus_place_masks, &key);
	struct bpf_cpumask *mask = pm ? pm->mask : NULL;
	u64 bit = 1ull << key;

	if (!place->nr_cpus || !mask)
		return;
	if (!anywhere && !bpf_cpumask_intersects(cast_mask(mask), p->cpus_ptr))
		return;
	v->legal |= bit;
	if (bpf_cpumask_intersects(cast_mask(mask), idle))
		v->idle |= bit;
	if (smt && bpf_cpumask_intersects(cast_mask(mask), smt))
		v->idle_core |= bit;
}

/* Places with a CPU that the task may use, and of those the ones with an idle CPU. */
GLOBAL see_machine(struct task_struct *p TASK, struct tactus_view *v MEM)
{
	const struct cpumask *idle, *smt;
	u64 idle_word, smt_word, allowed_word, legal = 0, idle_places = 0, idle_cores = 0;
	bool anywhere;
	u32 i;

	anywhere = p->nr_cpus_allowed >= nr_cpus;
	idle = scx_bpf_get_idle_cpumask();
	smt = has_smt ? scx_bpf_get_idle_smtmask() : NULL;
	idle_word = idle->bits[0];
	smt_word = smt ? smt->bits[0] : idle_word;
	allowed_word = anywhere ? ~0ull : p->cpus_ptr->bits[0];

	if (cpus_are_places) {
		v->legal = allowed_word & (~0ull >> (-nr_places & 63));
		v->idle = v->legal & idle_word;
		v->idle_core = v->legal & smt_word;
	} else if (nr_cpus <= 64) {
		tactus_for(i, nr_places) {
			struct tactus_place *place = place_at(i);
			u32 k = i & (TACTUS_MAX_PLACES - 1);
			u64 mine = place->cpus[0] & allowed_word;

			legal |= ANY_BIT(mine) << k;
			idle_places |= ANY_BIT(mine & idle_word) << k;
			idle_cores |= ANY_BIT(mine & smt_word) << k;
		}
		v->legal = legal;
		v->idle = idle_places;
		v->idle_core = idle_cores;
	} else {
		v->legal = 0;
		v->idle = 0;
		v->idle_core = 0;
		bpf_for(i, 0, nr_places)
			see_place(p, i, anywhere, idle, smt, v);
	}
	if (smt)
		scx_bpf_put_idle_cpumask(smt);
	else
		v->idle_core = v->idle;
	scx_bpf_put_idle_cpumask(idle);
	return 0;
}

/* CPU time as virtual time. */
static __always_inline u64 virtual_time(u64 ns, u32 weight)
{
	return weight == 100 || !weight ? ns : ns * 100 / weight;
}

/* Time since a moment that another CPU may have written after `now` was read. */
static __always_inline u64 since(u64 moment, u64 now)
{
	return tactus_before(now, moment) ? 0 : now - moment;
}

/* Key of what runs on a CPU, as if it waited now. */
static __always_inline u64 running_key(struct tactus_cpu_state *cs, u64 now)
{
	return cs->start_key + virtual_time(since(cs->start_ns, now), cs->weight) -
	       tactus_credit(cs->priority, cs->deadline, now);
}

/* A running worker goes from task to task without telling: look what it is at. */
GLOBAL refresh_priority(s32 cpu)
{
	struct tactus_cpu_state *cs = cpu_state_at(cpu);
	struct task_struct *p;
	struct tactus_worker *w;

	if (!cs->tid)
		return 0;
	p = bpf_task_from_pid(cs->tid);
	if (!p)
		return 0;
	w = bpf_task_storage_get(&tactus_workers, p, 0, 0);
	if (w) {
		struct tactus_tag_page *page = w->page;
		u64 tag = page ? READ_ONCE(page->tag) : 0;

		if (tag & TACTUS_TAG_VALID) {
			cs->priority = tactus_tag_priority(tag);
			cs->deadline = tactus_tag_deadline(tag);
		}
	}
	bpf_task_release(p);
	return 0;
}

/* Claim an idle CPU of a place that the task may use, its last CPU if possible; -1 if none. */
GLOBAL claim_idle(struct task_struct *p TASK, u32 place_nr, s32 prev_cpu)
{
	struct tactus_place *place = place_at(place_nr);
	u32 key = place_nr & (TACTUS_MAX_PLACES - 1);
	struct tactus_place_mask *pm;
	struct bpf_cpumask *mask;
	s32 cpu;
	u32 i;

	if (place->nr_cpus == 1) {
		cpu = place->first_cpu;
		if (may_run_on(p, cpu) && scx_bpf_test_and_clear_cpu_idle(cpu))
			return cpu;
		return -1;
	}
	if (cpu_state_at(prev_cpu)->place == key && may_run_on(p, prev_cpu) &&
	    scx_bpf_test_and_clear_cpu_idle(prev_cpu))
		return prev_cpu;
	pm = bpf_map_lookup_elem(&tactus_place_masks, &key);
	mask = pm ? pm->mask : NULL;
	if (!mask)
		return -1;
	/* The picker takes one mask. With restricted affinity it may offer a CPU
	 * that is not allowed; a few tries, then the caller queues. */
	bpf_for(i, 0, 4) {
		cpu = scx_bpf_pick_idle_cpu(cast_mask(mask), 0);
		if (cpu < 0)
			return -1;
		if (may_run_on(p, cpu))
			return cpu;
		scx_bpf_kick_cpu(cpu, K(scx_kick_flags, SCX_KICK_IDLE)); /* give it back */
	}
	return -1;
}

#endif
