/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Waiting: who waits where, the timer that ends holds, and what a free CPU may
 * take from the queues. The ops that use this are in tactus.bpf.c.
 */
#ifndef TACTUS_QUEUES_BPF_H
#define TACTUS_QUEUES_BPF_H

#include "decide.bpf.h"

#define ASK_AT_MOST 4	/* waiting workers asked per dispatch */
#define TIMER_SHORTEST_NS 500000ull
#define PEEK_AT_MOST 8	/* heads looked at for one this CPU may run */

/* ---- bookkeeping of waiting workers ------------------------------------- */

static __always_inline void waiting_begins(struct tactus_task *t, u32 queued, u32 domain, u64 now)
{
	struct tactus_domain *dom = domain_at(domain);

	t->queued = queued;
	t->queued_domain = domain;
	t->waiting_since_ns = now;
	if (dom) {
		__sync_fetch_and_add(&dom->nr_waiting, 1);
		if (queued == TACTUS_HOLD)
			__sync_fetch_and_add(&dom->nr_held, 1);
	}
	if (queued < TACTUS_MAX_PLACES)
		__sync_fetch_and_add(depth_of(queued), 1);
}

static __always_inline void waiting_ends(struct tactus_task *t)
{
	u32 queued = t->queued;
	struct tactus_domain *dom;

	if (queued == TACTUS_QUEUED_NOT)
		return;
	t->queued = TACTUS_QUEUED_NOT;
	dom = domain_at(t->queued_domain);
	if (dom) {
		__sync_fetch_and_add(&dom->nr_waiting, -1);
		if (queued == TACTUS_HOLD)
			__sync_fetch_and_add(&dom->nr_held, -1);
	}
	if (queued < TACTUS_MAX_PLACES)
		__sync_fetch_and_add(depth_of(queued), -1);
}

/* First sight of a worker since it registered or the scheduler was loaded: start its record over. */
GLOBAL adopt(struct task_struct *p TASK, struct tactus_task *t MEM, u32 pool, u32 taken)
{
	u32 index = pool & (TACTUS_MAX_POOLS - 1);
	struct tactus_pool_conf *conf = bpf_map_lookup_elem(&tactus_pools, &index);
	struct tactus_pool_state *state = bpf_map_lookup_elem(&tactus_pool_state, &index);

	if (!conf || !state)
		return 0;
	if (state->serial != conf->serial) {
		u32 before = state->serial;

		/* a new tenant: whoever comes first takes back what the old one left */
		if (__sync_val_compare_and_swap(&state->serial, before, conf->serial) == before) {
			s64 left = __sync_lock_test_and_set(&state->present, 0);
			struct tactus_domain *dom = domain_at(conf->home_domain);

			if (dom)
				area_add(dom, -tactus_present_clamp(left, state->workers),
					 bpf_ktime_get_ns());
			state->workers = conf->nr_workers;
			state->seen_external = 0;
			state->alive = 0;
		}
	}
	__builtin_memset(t, 0, sizeof(*t));
	t->queued = TACTUS_QUEUED_NOT;
	t->pending = TACTUS_PENDING_NONE;
	t->serial = conf->serial;
	t->vtime = p->scx.dsq_vtime;
	t->tid = p->pid;
	t->stint = (u64)p->pid << 32;
	t->pool = index;
	t->home = conf->home_domain & (TACTUS_MAX_DOMAINS - 1);
	t->taken = taken;
	t->last_cpu = kernel_task_cpu(p);
	t->ran_ns = p->se.sum_exec_runtime;
	t->priority = TACTUS_PRIORITY_NORMAL;
	t->slice_ns = TACTUS_SLICE_DEFAULT_NS;
	__sync_fetch_and_add(&state->alive, 1);
	t->epoch = epoch;
	return 0;
}

/* A managed worker, as the ops see it. */
struct tactus_self {
	struct tactus_worker *w;
	struct tactus_task *t;
	struct tactus_pool_conf *conf;
};

/* Most threads have no storage of any BPF program: no need to look for ours. */
static __always_inline bool has_storage(struct task_struct *p)
{
	return !bpf_core_field_exists(p->bpf_storage) || p->bpf_storage;
}

/* The records of a managed worker; false for everybody else. */
static __always_inline bool managed(struct task_struct *p, struct tactus_self *self)
{
	struct tactus_tag_page *page;
	u32 index;

	if (likely(!has_storage(p)))
		return false;
	self->w = bpf_task_storage_get(&tactus_workers, p, 0, 0);
	if (!self->w)
		return false;
	self->t = bpf_task_storage_get(&tactus_tasks, p, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!self->t) {
		count(no_task_ctx);
		return false;
	}
	index = self->w->pool & (TACTUS_MAX_POOLS - 1);
	self->conf = bpf_map_lookup_elem(&tactus_pools, &index);
	if (!self->conf || !self->conf->in_use)
		return false;
	if (unlikely(self->t->epoch != epoch || self->t->serial != self->conf->serial)) {
		page = self->w->page;
		adopt(p, self->t, index, page ? page->tail : 0);
	}
	return true;
}

/* Its record, if it is managed and known already. */
static __always_inline struct tactus_task *known(struct task_struct *p)
{
	struct tactus_task *t;

	if (likely(!has_storage(p)))
		return NULL;
	t = bpf_task_storage_get(&tactus_tasks, p, 0, 0);
	return t && t->epoch == epoch ? t : NULL;
}

static __always_inline bool is_bound(struct task_struct *p)
{
	return p->nr_cpus_allowed == 1 || p->migration_disabled > 1;
}

/* ---- timer: the end of holds --------------------------------------------- */

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

/* ---- what a free CPU finds -------------------------------------------------- */

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
