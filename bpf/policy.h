/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The decision functions of Tactus: pure, no maps, no kfuncs, no clocks.
 *
 * Compiled three times: into the BPF scheduler, into the simulator, and into
 * unit tests and benchmarks. Whatever depends only on numbers and decides
 * something belongs here: what a situation is, which actions are legal, how a
 * row is sampled and with which probability, what the fallback does, virtual
 * time keys, preemption, bounds. What touches queues and idle masks stays in
 * tactus.bpf.c.
 *
 * Every loop is bounded by TACTUS_MAX_PLACES. Probabilities are exact: what is
 * logged is what was drawn from.
 */
#ifndef TACTUS_POLICY_H
#define TACTUS_POLICY_H

#if defined(__bpf__)
#include "../lib/include/tactus/abi/decision_map.h"
#include "../lib/include/tactus/abi/tag_page.h"
#else
#include <stdbool.h>
#include <tactus/abi/decision_map.h>
#include <tactus/abi/tag_page.h>
#endif

/* In BPF tactus_for() is kernel.bpf.h's. */
#if defined(__bpf__)
#define TACTUS_FN static __always_inline
#else
#define tactus_for(i, n) for (i = 0; i < (n) && i < TACTUS_MAX_PLACES; i++)
#define TACTUS_FN static inline
#endif

#define TACTUS_SLICE_DEFAULT_NS 4000000ull
#define TACTUS_SLICE_MIN_NS 500000ull
#define TACTUS_SLICE_MAX_NS 20000000ull
#define TACTUS_HOLD_LIMIT_NS 10000000ull  /* rule 2: 12 ms less the timer's slack */
#define TACTUS_WAIT_LIMIT_NS 10000000ull  /* .. for a worker queued at a place beside an idle CPU */
#define TACTUS_HOLD_QUEUE_PER_CPU 16u	  /* hold is illegal above this many waiting per CPU */
#define TACTUS_LAG_KEPT_NS 80000000ull	  /* rule 6: how much a runnable task may be owed .. */
#define TACTUS_LAG_LATE_NS 40000000ull	  /* .. and from when on any CPU takes it, whatever its row says */
#define TACTUS_PREEMPT_AFTER_NS 4000000ull /* an unmanaged wake-up lets what runs have this much .. */
#define TACTUS_PREEMPT_BACKGROUND_NS 3000000ull /* .. and background work this much */
#define TACTUS_DRAIN_NS 7000000ull /* a worker that goes on running is reported at the first tick after this */
#define TACTUS_HEARTBEAT_LIMIT_NS 500000000ull
#define TACTUS_EXPLORE_ONE 1024u	  /* unit of the explored share below the threshold */
#define TACTUS_PRESENT_PER_WORKER 64	  /* weighted tasks present of a pool, per worker, at most */

/* Step of waiting workers: 0, 1, 2, 3-4, 5-7, 8-12, 13-20, more. */
TACTUS_FN __u32 tactus_waiting_step(__s32 waiting)
{
	if (waiting <= 2)
		return waiting < 0 ? 0 : (__u32)waiting;
	if (waiting <= 4)
		return 3;
	if (waiting <= 7)
		return 4;
	if (waiting <= 12)
		return 5;
	return waiting <= 20 ? 6 : 7;
}

/* The situation: which tiers have an idle CPU (bits 0-3), waiting step (bits 4-6). */
TACTUS_FN __u32 tactus_situation(__u32 idle_tiers, __s32 waiting)
{
	return (idle_tiers & 15) | tactus_waiting_step(waiting) << 4;
}

/* Tiers that have an idle place, of a class with these tiers. */
TACTUS_FN __u32 tactus_idle_tiers(const __u8 *tier, __u64 idle, __u32 nr_places)
{
	__u32 bits = 0, i;

	if (!idle)
		return 0;
	tactus_for(i, nr_places) {
		if (idle >> i & 1)
			bits |= 1u << (tier[i] & (TACTUS_MAX_TIERS - 1));
	}
	return bits;
}

/* The places that are equal to this one, for a class with these tiers. */
TACTUS_FN __u64 tactus_same_tier(const __u8 *tier, __u32 place, __u32 nr_places)
{
	__u32 of = tier[place & (TACTUS_MAX_PLACES - 1)], i;
	__u64 same = 0;

	/* without branches, which are dear to BPF's verifier */
	tactus_for(i, nr_places)
		same |= (__u64)((((__u32)tier[i] ^ of) - 1u) >> 31) << i;
	return same;
}

/* Longest queue a place may have and still be chosen (rule 2). */
TACTUS_FN __u32 tactus_queue_limit(__s32 waiting, __u32 nr_cpus)
{
	__u32 cpus = nr_cpus ? nr_cpus : 1;
	__u32 runnable = (waiting > 0 ? (__u32)waiting : 0) + cpus;

	return 2 * ((runnable + cpus - 1) / cpus);
}

TACTUS_FN bool tactus_hold_legal(__s32 waiting, __u32 nr_cpus)
{
	return waiting < (__s32)(TACTUS_HOLD_QUEUE_PER_CPU * (nr_cpus ? nr_cpus : 1));
}

/* Probability of action a, units of 1/65535, as the row says, unmasked. */
TACTUS_FN __u32 tactus_row_mass(const __u16 *cdf, __u32 a)
{
	__u32 upper, lower;

	if (a >= TACTUS_MAX_PLACES)
		return TACTUS_CDF_ONE - cdf[TACTUS_MAX_PLACES - 1];
	upper = cdf[a];
	lower = a ? cdf[(a - 1) & (TACTUS_MAX_PLACES - 1)] : 0;
	return upper > lower ? upper - lower : 0; /* a hostile or torn row may fall */
}

struct tactus_choice {
	__u32 action; /* place or TACTUS_HOLD */
	__u32 num;    /* its probability is num / den */
	__u32 den;    /* 0: the row has no mass on any legal action */
};

/*
 * Draw an action from a row restricted to the legal ones and renormalised.
 * `legal` is a mask of places; rnd is uniform over 32 bits.
 */
TACTUS_FN void tactus_sample(const __u16 *cdf, __u32 nr_places, __u64 legal, bool hold_legal,
			     __u32 rnd, struct tactus_choice *out)
{
	__u32 hold = hold_legal ? TACTUS_CDF_ONE - cdf[TACTUS_MAX_PLACES - 1] : 0;
	__u32 total = hold, lower = 0, sum = 0, i, point;

	out->action = TACTUS_HOLD;
	out->num = hold;
	tactus_for(i, nr_places) {
		__u32 upper;

		upper = cdf[i];
		if (upper > lower) {
			if (legal >> i & 1)
				total += upper - lower;
			lower = upper;
		}
	}
	out->den = total;
	if (!total)
		return;
	point = (__u32)(((__u64)rnd * total) >> 32);
	lower = 0;
	tactus_for(i, nr_places) {
		__u32 upper;

		upper = cdf[i];
		if (upper <= lower)
			continue;
		if (legal >> i & 1) {
			sum += upper - lower;
			if (point < sum) {
				out->action = i;
				out->num = upper - lower;
				return;
			}
		}
		lower = upper;
	}
}

/*
 * Low confidence: with probability explore/1024 follow the row's draw, else the
 * fallback's action. Rewrites *choice with the true mixed probability.
 * p_fallback is the row's renormalised mass (in units of choice->den) of the
 * fallback's action. den stays below 2^32 since it is at most 65535 * 1024.
 */
TACTUS_FN void tactus_mix(struct tactus_choice *choice, __u32 fallback_action, __u32 p_fallback,
			  __u32 explore, __u32 rnd)
{
	__u32 total = choice->den;

	if (explore > TACTUS_EXPLORE_ONE)
		explore = TACTUS_EXPLORE_ONE;
	if ((rnd & (TACTUS_EXPLORE_ONE - 1)) >= explore) {
		choice->action = fallback_action;
		choice->num = p_fallback;
	}
	choice->num *= explore;
	if (choice->action == fallback_action)
		choice->num += (TACTUS_EXPLORE_ONE - explore) * total;
	choice->den = total * TACTUS_EXPLORE_ONE;
}

/* What the fallback sees of the machine, at place granularity. */
struct tactus_view {
	__u64 legal;	 /* places the worker may use */
	__u64 idle;	 /* .. that have an idle CPU it may use */
	__u64 idle_core; /* .. that have a whole idle core */
	__u32 prev;	 /* place where it ran last */
	bool prev_idle;	 /* the very CPU where it ran last is idle */
};

TACTUS_FN __u32 tactus_lowest(__u64 mask)
{
	/* counts the ones below it; BPF has no instruction for that, and branches are dear to its verifier */
	__u64 below = (mask & -mask) - 1;

	below -= below >> 1 & 0x5555555555555555ull;
	below = (below & 0x3333333333333333ull) + (below >> 2 & 0x3333333333333333ull);
	below = (below + (below >> 4)) & 0x0f0f0f0f0f0f0f0full;
	return (__u32)(below * 0x0101010101010101ull >> 56);
}

/* First set place at or after `start`, cyclically, so that ties do not all fall on place 0. */
TACTUS_FN __u32 tactus_first_from(__u64 mask, __u32 start)
{
	__u64 upper = mask & (~0ull << (start & 63));

	return tactus_lowest(upper ? upper : mask);
}

/*
 * The fallback heuristic: previous CPU if idle, an idle place in the same
 * cache, a whole idle core anywhere near, any idle place by distance;
 * TACTUS_NO_PLACE when nothing is idle (then: tactus_fallback_queue).
 * near[0..3] are the places by distance from the previous one.
 */
TACTUS_FN __u32 tactus_fallback_idle(const struct tactus_view *v, const __u64 *near)
{
	__u64 idle = v->idle & v->legal;
	__u64 core = v->idle_core & v->legal;
	__u64 m;

	if (v->prev_idle && v->prev < TACTUS_MAX_PLACES && (v->legal >> v->prev & 1))
		return v->prev;
	if (!idle)
		return TACTUS_NO_PLACE;
	m = core & near[0];
	if (!m)
		m = idle & near[0];
	if (!m)
		m = core & near[1];
	if (!m)
		m = idle & near[1];
	if (!m)
		m = idle & near[2];
	if (!m)
		m = idle;
	return tactus_first_from(m, v->prev);
}

/*
 * The place of a set whose queue is shallowest; ties to `first`, then to `second`, then to the
 * lowest. TACTUS_NO_PLACE for an empty set. depth is the queue length of each place.
 */
TACTUS_FN __u32 tactus_shallowest(__u64 among, const __s32 *depth, __u32 nr_places, __u32 first,
				  __u32 second)
{
	__u32 best = TACTUS_NO_PLACE, i;
	__s32 least = 0x7fffffff;

	first &= TACTUS_MAX_PLACES - 1;
	second &= TACTUS_MAX_PLACES - 1;
	tactus_for(i, nr_places) {
		if (!(among >> i & 1) || depth[i] >= least)
			continue;
		least = depth[i];
		best = i;
	}
	if ((among >> first & 1) && depth[first] == least)
		return first;
	if ((among >> second & 1) && depth[second] == least)
		return second;
	return best;
}

/* Nothing is idle: the shallowest queue among the legal places near the previous one, ties to that. */
TACTUS_FN __u32 tactus_fallback_queue(const struct tactus_view *v, const __u64 *near,
				      const __s32 *depth, __u32 nr_places)
{
	__u64 m = v->legal & near[0];

	return tactus_shallowest(m ? m : v->legal, depth, nr_places, v->prev, v->prev);
}

/* a before b in virtual or wrapping time */
TACTUS_FN bool tactus_before(__u64 a, __u64 b)
{
	return (__s64)(a - b) < 0;
}

/* A sleeper keeps at most one default slice of lag. */
TACTUS_FN __u64 tactus_vtime_floor(__u64 vtime, __u64 vtime_now)
{
	__u64 floor = vtime_now - TACTUS_SLICE_DEFAULT_NS;

	return tactus_before(vtime, floor) ? floor : vtime;
}

/*
 * One that stayed runnable keeps what it is owed, or a crowded place would forget it slice by slice.
 * The limit is for one that comes from a domain whose virtual time is far behind.
 */
TACTUS_FN __u64 tactus_vtime_keep(__u64 vtime, __u64 vtime_now)
{
	__u64 floor = vtime_now - TACTUS_LAG_KEPT_NS;

	return tactus_before(vtime, floor) ? floor : vtime;
}

/* Owed so much that it goes first on any CPU that it may use. */
TACTUS_FN bool tactus_lags(__u64 vtime, __u64 vtime_now)
{
	return tactus_before(vtime, vtime_now - TACTUS_LAG_LATE_NS);
}

/* How far priority and deadline bring a worker forward: at most one default slice (rule 6: no tag buys more). */
TACTUS_FN __u64 tactus_credit(__u32 priority, __u32 deadline_unit, __u64 now_ns)
{
	if (priority >= TACTUS_PRIORITY_URGENT)
		return TACTUS_SLICE_DEFAULT_NS;
	if (deadline_unit) {
		__s32 left = (__s32)(deadline_unit - (__u32)(now_ns >> 10));

		/* due within two slices */
		if (left < (__s32)(2 * TACTUS_SLICE_DEFAULT_NS >> 10))
			return TACTUS_SLICE_DEFAULT_NS;
	}
	return priority == TACTUS_PRIORITY_HIGH ? TACTUS_SLICE_DEFAULT_NS / 2 : 0;
}

/*
 * Key by which waiting tasks are compared. A worker that lags counts as one that has just woken:
 * virtual time is of a domain but queues are of places, so at a crowded place everybody lags, and a
 * worker that wakes there would be owed nothing. What it lags more is made good by tactus_lags().
 */
TACTUS_FN __u64 tactus_key(__u64 vtime, __u64 vtime_now, __u32 priority, __u32 deadline_unit, __u64 now_ns)
{
	return tactus_vtime_floor(vtime, vtime_now) - tactus_credit(priority, deadline_unit, now_ns);
}

/* May a waking worker preempt what runs? More urgent, and owed the CPU. Keys as of now. */
TACTUS_FN bool tactus_preempts(__u64 key, __u32 priority, __u64 running_key, __u32 running_priority)
{
	return priority > running_priority && tactus_before(key, running_key);
}

/*
 * May a waking thread that says nothing of itself preempt what has run for so long of its slice? What
 * runs first gets most of it, so that wake-ups do not cut everything to pieces: a CPU comes round
 * for the thread soon enough.
 */
TACTUS_FN bool tactus_unmanaged_preempts(__u64 key, __u64 running_key, __u32 running_priority, __u64 ran_ns)
{
	__u64 moment = running_priority == TACTUS_PRIORITY_BACKGROUND ? TACTUS_PREEMPT_BACKGROUND_NS
								       : TACTUS_PREEMPT_AFTER_NS;

	return ran_ns > moment && tactus_before(key, running_key);
}

TACTUS_FN __u64 tactus_slice(__u32 slice_10us)
{
	__u64 ns = (__u64)slice_10us * 10000;

	if (!ns)
		return TACTUS_SLICE_DEFAULT_NS;
	if (ns < TACTUS_SLICE_MIN_NS)
		return TACTUS_SLICE_MIN_NS;
	return ns > TACTUS_SLICE_MAX_NS ? TACTUS_SLICE_MAX_NS : ns;
}

/* Present tasks of a pool as the area counts them: untrusted, so clamped. */
TACTUS_FN __s64 tactus_present_clamp(__s64 present, __u32 nr_workers)
{
	__s64 most = (__s64)TACTUS_PRESENT_PER_WORKER * nr_workers;

	if (present < 0)
		return 0;
	return present > most ? most : present;
}

#endif
