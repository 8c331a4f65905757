/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The timer of a domain: it ends holds, wakes an idle CPU for whom waits too
 * long beside it, and marks queues in which somebody is late. It goes only
 * while somebody waits.
 */
#ifndef TACTUS_TIMER_BPF_H
#define TACTUS_TIMER_BPF_H

#include "workers.bpf.h"

#define TIMER_SHORTEST_NS 500000ull
#define PEEK_AT_MOST 8	/* heads looked at for one this CPU may run */

static int domain_timer(void *map, u32 *key, struct tactus_timer *timer);

static __always_inline void arm_timer(u32 domain, u64 delay_ns)
{
	u32 d = domain & (TACTUS_MAX_DOMAINS - 1);
	struct tactus_timer *timer = bpf_map_lookup_elem(&tactus_timers, &d);

	if (timer && !READ_ONCE(timer->armed) &&
	    !__sync_val_compare_and_swap(&timer->armed, 0, 1)) {
		if (bpf_timer_start(&timer->timer, delay_ns, 0))
			timer->armed = 0;
	}
}

/* The busy bound is for equal weights: a light task's turn comes later by as much as it is lighter. */
static __always_inline u64 weighted_age(struct task_struct *p, u64 age)
{
	u32 weight = p->scx.weight;

	return weight && weight < 100 ? age * weight / 100 : age;
}

/* What the timer asks of a queue, and what it learns. */
struct tactus_look {
	u64 now;	/* in */
	u64 idle_limit; /* in */
	u64 vtime_now;	/* in: of the domain */
	u64 busy_limit; /* in */
	u64 oldest;	/* out: age of the one that has waited longest; 0: nobody waits */
	bool late;	/* out: one has waited too long for its weight, or is owed too much */
};

/*
 * Look at the first of one queue: the order is that of virtual time, so the one that
 * waits longest need not be the head. For the first that is past its bound an idle CPU
 * that it may use is kicked.
 */
GLOBAL look_at_heads(u64 queue, struct tactus_look *look MEM)
{
	struct task_struct *p;
	u64 oldest = 0;
	bool kicked = false, late = false;
	int looked = 0;

	bpf_rcu_read_lock();
	bpf_for_each(scx_dsq, p, queue, 0) {
		struct tactus_task *t = known(p);
		u64 age;
		s32 cpu;

		if (!t || ++looked > PEEK_AT_MOST)
			break;
		age = look->now - t->waiting_since_ns;
		if (age >> 63)
			age = 1;
		if (age > oldest)
			oldest = age;
		if (tactus_lags(t->vtime, look->vtime_now) ||
		    weighted_age(p, age) > look->busy_limit)
			late = true;
		if (age >= look->idle_limit && !kicked) {
			kicked = true;
			cpu = scx_bpf_pick_idle_cpu(p->cpus_ptr, 0);
			if (cpu >= 0) {
				scx_bpf_kick_cpu(cpu, K(scx_kick_flags, SCX_KICK_IDLE));
				count(timer_kicks);
			}
		}
	}
	bpf_rcu_read_unlock();
	look->oldest = oldest;
	look->late = late;
	return 0;
}

static int domain_timer(void *map, u32 *key, struct tactus_timer *timer)
{
	u32 zero = 0, d = *key & (TACTUS_MAX_DOMAINS - 1);
	struct tactus_domain *dom = domain_at(d);
	struct tactus_control *control = bpf_map_lookup_elem(&tactus_control, &zero);
	u64 now = bpf_ktime_get_ns(), idle_limit, busy_limit, oldest = 0, late = 0, delay;
	struct tactus_look look = {};
	s32 waiting;
	u32 i;

	timer->armed = 0;
	count(timer_fires);
	if (!dom || !control)
		return 0;
	waiting = dom->nr_waiting;
	if (waiting <= 0) {
		dom->late_places = 0;
		dom->late_held = 0;
		return 0;
	}
	idle_limit = control->hold_limit_ns;
	if (idle_limit - 1 >= TACTUS_HOLD_LIMIT_NS) /* 0 and too long: the limit */
		idle_limit = TACTUS_HOLD_LIMIT_NS;
	waiting += scx_bpf_dsq_nr_queued(QUEUE_OTHERS(d));
	busy_limit = tactus_queue_limit(waiting, dom->nr_cpus) * TACTUS_SLICE_DEFAULT_NS * 3 / 4;

	look.now = now;
	look.idle_limit = idle_limit;
	look.busy_limit = busy_limit;
	look.vtime_now = dom->vtime_now;
	bpf_for(i, 0, nr_places) {
		u32 k = i & (TACTUS_MAX_PLACES - 1);
		struct tactus_place *place = place_at(k);

		if (place->domain != d || depths[k] <= 0)
			continue;
		look_at_heads(QUEUE_PLACE(k), &look);
		if (look.oldest > oldest)
			oldest = look.oldest;
		if (look.late)
			late |= 1ull << k;
	}
	look.oldest = 0;
	look.late = false;
	if (dom->nr_held > 0)
		look_at_heads(QUEUE_HELD(d), &look);
	if (look.oldest > oldest)
		oldest = look.oldest;
	dom->late_held = look.late;
	dom->late_places = late;
	/* past the bound with every CPU busy there is no hurry: a CPU that falls idle looks itself */
	delay = oldest < idle_limit ? idle_limit - oldest : idle_limit / 2;
	if (delay < TIMER_SHORTEST_NS)
		delay = TIMER_SHORTEST_NS;
	arm_timer(d, delay);
	return 0;
}

#endif
