/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a free CPU finds: late workers first, then the queues it serves in
 * order, then workers that wait elsewhere. The ops that use this are in
 * tactus.bpf.c.
 */
#ifndef TACTUS_QUEUES_BPF_H
#define TACTUS_QUEUES_BPF_H

#include "timer.bpf.h"

#define ASK_AT_MOST 4	/* waiting workers asked per dispatch */

/* The CPU that asks. */
struct tactus_here {
	s32 cpu;
	u32 place;
	u32 domain;
	u64 now;
	u64 vtime_now; /* of the domain */
	s32 nr_bound;  /* tasks that only this CPU may run */
	s32 nr_others; /* unmanaged tasks that wait in the domain */
	u64 prev_key;  /* of what ran here until now .. */
	bool prev_runs; /* .. and could go on */
	bool busy;     /* ages count by weight */
};

/* Key of the first task in a queue that may run on this CPU. */
GLOBAL peek(u64 queue, s32 cpu, u64 *key MEM)
{
	struct task_struct *p;
	bool found = false;
	int looked = 0;

	if (kernel_can_peek()) {
		/* without the queue's lock */
		p = scx_bpf_dsq_peek(queue);
		if (!p)
			return false;
		if (may_run_on(p, cpu)) {
			*key = p->scx.dsq_vtime;
			return true;
		}
	}
	bpf_for_each(scx_dsq, p, queue, 0) {
		if (may_run_on(p, cpu)) {
			*key = p->scx.dsq_vtime;
			found = true;
			break;
		}
		if (++looked >= PEEK_AT_MOST)
			break;
	}
	return found;
}

/*
 * Offer waiting workers of a queue to this CPU. One that has waited too long, or lags, is taken without
 * asking; of the others the row of the first one is asked, unless only the late ones are wanted.
 * Returns whether one was moved to this CPU.
 */
GLOBAL offer(u64 queue, struct tactus_here *here MEM, bool late_only)
{
	struct task_struct *p;
	bool moved = false, asked = late_only;
	int looked = 0;

	bpf_for_each(scx_dsq, p, queue, 0) {
		struct tactus_decided d = {};
		struct tactus_task *t;
		u64 age = 0;

		if (++looked > PEEK_AT_MOST)
			break;
		if (!may_run_on(p, here->cpu))
			continue;
		t = known(p);
		if (t) {
			age = here->now - t->waiting_since_ns;
			if (here->busy)
				age = weighted_age(p, age);
		}
		d.moment = TACTUS_MOMENT_IDLE;
		d.used = TACTUS_HOLD;
		d.cpu = -1;
		if (!t || (s64)age >= (s64)TACTUS_WAIT_LIMIT_NS || tactus_lags(t->vtime, here->vtime_now)) {
			d.source = TACTUS_SOURCE_FORCED_BOUND;
			d.choice.action = here->place;
			d.choice.num = d.choice.den = 1;
			d.legal = 1ull << (here->place & 63);
		} else if (asked) {
			continue; /* one behind it may have waited longer */
		} else if (!decide_take(t, here->place, here->now, &d)) {
			if (d.source == TACTUS_SOURCE_ROW)
				log_decision(t, &d, here->now);
			asked = true;
			continue;
		}
		if (!scx_bpf_dsq_move(BPF_FOR_EACH_ITER, p, K(scx_dsq_id_flags, SCX_DSQ_LOCAL), 0))
			continue;
		moved = true;
		count(held_taken);
		if (t) {
			t->stint++;
			d.used = here->place;
			d.cpu = here->cpu;
			log_decision(t, &d, here->now);
		}
		break;
	}
	return moved;
}

/* What is past its bound goes first, whatever its row says. */
GLOBAL take_late(struct tactus_here *here MEM)
{
	struct tactus_domain *dom;
	u64 late;

	dom = domain_at(here->domain);
	if (!dom)
		return false;
	if (dom->late_held) {
		dom->late_held = 0;
		if (offer(QUEUE_HELD(here->domain), here, true))
			return true;
	}
	late = dom->late_places;
	if (late) {
		u32 from = tactus_first_from(late, here->place);

		__sync_fetch_and_and(&dom->late_places, ~(1ull << from));
		if (offer(QUEUE_PLACE(from), here, true))
			return true;
	}
	return false;
}

enum tactus_taken {
	TACTUS_TOOK_NOTHING = 0,
	TACTUS_TOOK = 1,
	TACTUS_PREV_GOES_ON = 2,
};

/*
 * The four queues that this CPU serves, and what ran on it: the smallest key first, at most one try
 * per queue. enum tactus_taken.
 */
GLOBAL take_in_order(struct tactus_here *here MEM)
{
	struct tactus_domain *dom = domain_at(here->domain);
	u64 key_bound = 0, key_place = 0, key_held = 0, key_others = 0;
	u32 place = here->place & (TACTUS_MAX_PLACES - 1);
	bool has_bound, has_place, has_held, has_others;
	int tries;

	if (!dom)
		return TACTUS_TOOK_NOTHING;
	has_bound = here->nr_bound > 0;
	has_place = depths[place] > 0;
	has_held = dom->nr_held > 0;
	has_others = here->nr_others > 0;
	if (!here->prev_runs && !has_held && has_bound + has_place + has_others == 1) {
		/* nothing to compare */
		u64 only = has_place ? QUEUE_PLACE(place) : has_bound ? QUEUE_CPU(here->cpu) : QUEUE_OTHERS(here->domain);

		return kernel_move_to_local(only) ? TACTUS_TOOK : TACTUS_TOOK_NOTHING;
	}
	has_bound = has_bound && peek(QUEUE_CPU(here->cpu), here->cpu, &key_bound);
	has_place = has_place && peek(QUEUE_PLACE(place), here->cpu, &key_place);
	has_held = has_held && peek(QUEUE_HELD(here->domain), here->cpu, &key_held);
	has_others = has_others && peek(QUEUE_OTHERS(here->domain), here->cpu, &key_others);

	bpf_for(tries, 0, 4) {
		u64 best = 0, queue = 0;

		if (has_bound) {
			best = key_bound;
			queue = QUEUE_CPU(here->cpu);
		}
		if (has_place && (!queue || tactus_before(key_place, best))) {
			best = key_place;
			queue = QUEUE_PLACE(place);
		}
		if (has_others && (!queue || tactus_before(key_others, best))) {
			best = key_others;
			queue = QUEUE_OTHERS(here->domain);
		}
		if (has_held && (!queue || tactus_before(key_held, best))) {
			has_held = false;
			if (offer(QUEUE_HELD(here->domain), here, false))
				return TACTUS_TOOK;
			continue;
		}
		if (!queue)
			break;
		if (here->prev_runs && tactus_before(here->prev_key, best))
			return TACTUS_PREV_GOES_ON;
		if (kernel_move_to_local(queue))
			return TACTUS_TOOK;
		if (queue == QUEUE_CPU(here->cpu))
			has_bound = false;
		else if (queue == QUEUE_PLACE(place))
			has_place = false;
		else
			has_others = false;
	}
	/* what peek did not see behind others that may not run here */
	return here->nr_others > 0 && kernel_move_to_local(QUEUE_OTHERS(here->domain)) ? TACTUS_TOOK
											 : TACTUS_TOOK_NOTHING;
}

/* Of these places the next after one, cyclically; near ones first. */
GLOBAL next_place(u64 places, u64 near, u32 after)
{
	u64 first = places & near;

	return tactus_first_from(first ? first : places, after + 1);
}

/* Nothing of its own: ask workers that wait elsewhere, near ones first. */
GLOBAL take_foreign(struct tactus_here *here MEM)
{
	struct tactus_place *mine = place_at(here->place);
	struct tactus_domain *dom = domain_at(here->domain);
	u64 waiting = 0;
	u32 i;

	if (!dom)
		return false;
	if (dom->nr_held > 0 && offer(QUEUE_HELD(here->domain), here, false))
		return true;
	tactus_for(i, nr_places)
		waiting |= IS_POSITIVE(*depth_of(i)) << (i & 63);
	waiting &= ~(1ull << (here->place & 63));
	for (i = 0; i < ASK_AT_MOST && waiting; i++) {
		u32 place = next_place(waiting, mine->near[0], here->place);

		if (offer(QUEUE_PLACE(place), here, false))
			return true;
		waiting &= ~(1ull << (place & 63));
	}
	return false;
}

#endif
