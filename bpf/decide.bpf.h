/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From the state of the machine to a decision: which row holds, what policy.h
 * makes of it, and the event that reports it. Queues are not touched here.
 */
#ifndef TACTUS_DECIDE_BPF_H
#define TACTUS_DECIDE_BPF_H

#include "view.bpf.h"

/* A wake-up decision, carried out by ops.select_cpu and ops.enqueue. */
struct tactus_placement {
	s32 prev_cpu; /* in */
	s32 cpu;      /* out: an idle CPU, claimed; -1: none */
	u32 action;   /* out: place or TACTUS_HOLD; TACTUS_NO_PLACE: no decision */
	u64 now;      /* in */
};

/* Which row holds for a slot in a situation, or why none does. */
static __always_inline struct tactus_row *row_for(u32 slot, u32 situation, u32 bank, u64 now,
						  struct tactus_control *control,
						  struct tactus_class_conf *conf, u32 *source)
{
	u32 index = tactus_row_index(bank, slot, situation);
	struct tactus_row *row;
	u64 limit = control->heartbeat_limit_ns;

	if (limit - 1 >= TACTUS_HEARTBEAT_LIMIT_NS) /* 0 and too long: the limit */
		limit = TACTUS_HEARTBEAT_LIMIT_NS;
	*source = TACTUS_SOURCE_FALLBACK_MODE;
	if (tactus_fallback_only || control->mode != TACTUS_MODE_LEARNED)
		return NULL;
	*source = TACTUS_SOURCE_FALLBACK_HEARTBEAT;
	if (now - control->heartbeat_ns > limit && tactus_before(control->heartbeat_ns, now))
		return NULL;
	*source = TACTUS_SOURCE_FALLBACK_MISSING;
	if (!conf || !conf->in_use)
		return NULL;
	row = bpf_map_lookup_elem(&tactus_rows, &index);
	if (!row || !row->version_end)
		return NULL;
	*source = TACTUS_SOURCE_FALLBACK_TORN;
	if (READ_ONCE(row->version_end) != READ_ONCE(row->version_begin))
		return NULL;
	*source = TACTUS_SOURCE_ROW;
	return row;
}

/* The row was read while being rewritten: its draw means nothing. */
static __always_inline bool row_torn(struct tactus_row *row, u32 version)
{
	return READ_ONCE(row->version_begin) != version || READ_ONCE(row->version_end) != version;
}

struct tactus_decided {
	struct tactus_choice choice;
	u64 legal;
	u32 source;
	u32 version;
	u32 situation;
	u32 bank;
	u32 waiting;
	u32 slot;
	u32 moment; /* enum tactus_moment */
	u32 used;   /* place where it was put, TACTUS_HOLD */
	s32 cpu;    /* CPU used, -1: queued */
	bool hold_legal;
};

GLOBAL log_decision(struct tactus_task *t MEM, struct tactus_decided *d MEM, u64 now)
{
	u32 domain = t->home;
	struct tactus_domain *dom = domain_at(domain);
	struct tactus_stats *s = stats_of_cpu();
	struct tactus_decision_event ev = {};

	if (!dom || !s)
		return 0;
	if (d->source < TACTUS_NR_SOURCES)
		s->decisions[d->source]++;
	fill_head(&ev.head, TACTUS_EVENT_DECISION, sizeof(ev), domain, t->tid, dom, now);
	ev.stint = t->stint;
	ev.legal = d->legal;
	ev.version = d->version;
	ev.prob_num = d->choice.num;
	ev.prob_den = d->choice.den;
	ev.pool = t->pool;
	ev.slot = t->slot;
	ev.situation = d->situation;
	ev.hold_legal = d->hold_legal;
	ev.chosen = d->choice.action;
	ev.used = d->used;
	ev.source = d->source;
	ev.moment = d->moment;
	ev.prev_place = cpu_state_at(t->last_cpu)->place;
	ev.cpu = d->cpu < 0 ? 0xffff : d->cpu;
	ev.bank = d->bank;
	ev.priority = t->priority;
	ev.nr_waiting = d->waiting;
	emit(dom, domain, &ev, sizeof(ev), 0);
	return 0;
}

/* What the worker says it is about to run. Hostile input: everything is clamped. */
static __always_inline void read_tag(struct tactus_worker *w, struct tactus_task *t,
				     struct tactus_pool_conf *conf)
{
	struct tactus_tag_page *page = w->page;
	u64 tag = 0;

	if (page) {
		tag = READ_ONCE(page->tag);
		if (!(tag & TACTUS_TAG_VALID))
			tag = READ_ONCE(page->next_tag);
	}
	if (!(tag & TACTUS_TAG_VALID)) {
		t->slot = 0;
		t->priority = TACTUS_PRIORITY_NORMAL;
		t->deadline = 0;
		return;
	}
	t->priority = tactus_tag_priority(tag);
	t->deadline = tactus_tag_deadline(tag);
	t->slot = conf->slot_of[tactus_tag_class(tag) & (TACTUS_MAX_LOCAL_CLASSES - 1)] &
		  (TACTUS_MAX_SLOTS - 1);
}

/* Legal places less those whose queue is too long (rule 2), unless that leaves none. */
static __always_inline u64 without_long_queues(u64 legal, u64 idle, u32 waiting, u32 limit)
{
	u64 kept = 0;
	u32 i;

	if (waiting <= limit && nr_domains <= 1)
		return legal; /* no queue is longer than all together */
	tactus_for(i, nr_places) {
		u32 k = i & (TACTUS_MAX_PLACES - 1);
		u64 is_long = (u64)((s64)limit - depths[k]) >> 63;

		kept |= (1 - is_long) << k;
	}
	kept = (kept | idle) & legal;
	return kept ? kept : legal;
}

/* A function of its own, or the verifier walks through its loop on every path of who calls it. */
GLOBAL shallowest(u64 among, u32 first, u32 second)
{
	return tactus_shallowest(among, depths, nr_places, first, second);
}

/* What the fallback would do: an idle place, else the shallowest queue. */
GLOBAL fallback_action(struct tactus_view *v MEM)
{
	struct tactus_place *prev = place_at(v->prev);
	u32 action;

	action = tactus_fallback_idle(v, prev->near);
	if (action == TACTUS_NO_PLACE)
		action = tactus_fallback_queue(v, prev->near, depths, nr_places);
	return action;
}

/* Ask the row of the worker's class in this situation; d->choice.den stays 0 when none holds. */
GLOBAL consult_row(struct tactus_task *t MEM, struct tactus_view *v MEM, struct tactus_decided *d MEM,
		   u64 now)
{
	u32 zero = 0, key, fallback, p_fallback = 0;
	struct tactus_control *control = bpf_map_lookup_elem(&tactus_control, &zero);
	struct tactus_class_conf *cc;
	struct tactus_row *row;

	if (!control)
		return 0;
	d->bank = control->bank & 1;
	key = d->bank * TACTUS_MAX_SLOTS + (t->slot & (TACTUS_MAX_SLOTS - 1));
	cc = bpf_map_lookup_elem(&tactus_classes, &key);
	d->situation = tactus_situation(cc ? tactus_idle_tiers(cc->tier, v->idle, nr_places) : 0,
					d->waiting);
	t->slice_ns = TACTUS_SLICE_DEFAULT_NS;
	row = row_for(t->slot, d->situation, d->bank, now, control, cc, &d->source);
	if (!row)
		return 0;
	d->version = row->version_end;
	t->slice_ns = tactus_slice(row->slice_10us);
	tactus_sample(row->cdf, nr_places, d->legal, d->hold_legal, bpf_get_prandom_u32(), &d->choice);
	if (!d->choice.den) {
		d->source = TACTUS_SOURCE_FALLBACK_ILLEGAL;
		return 0;
	}
	if (row->confidence < control->confidence_threshold) {
		fallback = fallback_action(v) & (TACTUS_MAX_PLACES - 1);
		if (d->legal >> fallback & 1)
			p_fallback = tactus_row_mass(row->cdf, fallback);
		tactus_mix(&d->choice, fallback, p_fallback,
			   (u32)(((u64)control->explore_ppm << 10) / 1000000), bpf_get_prandom_u32());
		d->source = TACTUS_SOURCE_MIXED;
	}
	if (row_torn(row, d->version)) {
		d->source = TACTUS_SOURCE_FALLBACK_TORN;
		d->choice.den = 0;
	}
	return 0;
}

/*
 * The row chose a tier: which place of it? Places of a tier are equal to the class, so that what the
 * kernel knows decides: the very CPU where the worker ran last if it is idle, the drawn place if that
 * has an idle CPU, the nearest that has one, and where none has, the shallowest queue. A place that
 * the fallback chose stays unless it has no idle CPU while an equal one has.
 * d->used becomes the place; returns the CPU, claimed; -1: queue there.
 */
GLOBAL settle_in_tier(struct task_struct *p TASK, struct tactus_view *v MEM, struct tactus_decided *d MEM,
		      s32 prev_cpu)
{
	u32 drawn = d->used & (TACTUS_MAX_PLACES - 1), prev = v->prev & (TACTUS_MAX_PLACES - 1), i;
	u32 key = d->bank * TACTUS_MAX_SLOTS + d->slot, used = drawn;
	bool by_row = d->source == TACTUS_SOURCE_ROW || d->source == TACTUS_SOURCE_MIXED;
	struct tactus_class_conf *cc = bpf_map_lookup_elem(&tactus_classes, &key);
	u64 equal, others;
	s32 cpu = -1;

	if (cc && by_row && v->prev_idle && (d->legal >> prev & 1) && cc->tier[prev] == cc->tier[drawn])
		used = prev;
	if (v->idle >> used & 1)
		cpu = claim_idle(p, used, prev_cpu);
	if (cpu < 0 && cc) {
		equal = (d->legal | 1ull << drawn) & tactus_same_tier(cc->tier, drawn, nr_places);
		others = v->idle & equal & ~(1ull << used);
		if (others) {
			bpf_for(i, 1, nr_places) {
				u32 k = drawn + i >= nr_places ? drawn + i - nr_places : drawn + i;

				k &= TACTUS_MAX_PLACES - 1;
				if (!(others >> k & 1))
					continue;
				cpu = claim_idle(p, k, prev_cpu);
				if (cpu >= 0) {
					used = k;
					break;
				}
			}
		}
		if (cpu < 0 && by_row)
			used = shallowest(equal, prev, drawn) & (TACTUS_MAX_PLACES - 1);
	}
	if (used != drawn)
		count(redirects);
	d->used = used;
	return cpu;
}

/*
 * No CPU of the tier is idle: the place of the tier whose CPU runs the least urgent task, where that
 * is less urgent than what the chosen place runs and than the worker. Places of one CPU only.
 */
GLOBAL least_urgent_of_tier(struct tactus_decided *d MEM, u32 priority)
{
	u32 used = d->used & (TACTUS_MAX_PLACES - 1), best = used, i, least;
	u32 key = d->bank * TACTUS_MAX_SLOTS + d->slot;
	struct tactus_class_conf *cc = bpf_map_lookup_elem(&tactus_classes, &key);
	struct tactus_place *place = place_at(used);
	struct tactus_cpu_state *cs;

	if (!cc || place->nr_cpus != 1)
		return used;
	refresh_priority(place->first_cpu);
	least = cpu_state_at(place->first_cpu)->priority;
	bpf_for(i, 0, nr_places) {
		u32 k = i & (TACTUS_MAX_PLACES - 1);

		if (k == used || !(d->legal >> k & 1) || cc->tier[k] != cc->tier[used] || least == TACTUS_PRIORITY_BACKGROUND)
			continue;
		place = place_at(k);
		if (place->nr_cpus != 1)
			continue;
		refresh_priority(place->first_cpu);
		cs = cpu_state_at(place->first_cpu);
		if (cs->start_ns && cs->priority < least && cs->priority < priority) {
			least = cs->priority;
			best = k;
		}
	}
	return best;
}

/* Moment (a). Decides, claims an idle CPU where there is one, logs. */
GLOBAL decide_wake(struct task_struct *p TASK, struct tactus_task *t MEM,
		   struct tactus_placement *out MEM)
{
	struct tactus_cpu_state *prev = cpu_state_at(out->prev_cpu);
	struct tactus_decided d = { .moment = TACTUS_MOMENT_WAKE, .cpu = -1 };
	struct tactus_view v = {};
	struct tactus_domain *dom;
	struct tactus_place *prev_place;

	out->cpu = -1;
	out->action = TACTUS_NO_PLACE;
	dom = domain_at(prev->domain);
	prev_place = place_at(prev->place);
	if (!dom)
		return 0;
	see_machine(p, &v);
	if (!v.legal)
		return 0; /* e.g. only CPUs that are not in the topology: stays where it was */
	t->allowed = v.legal;
	v.prev = prev->place;
	v.prev_idle = prev_place->nr_cpus == 1 && (v.idle >> (prev->place & 63) & 1);
	d.slot = t->slot & (TACTUS_MAX_SLOTS - 1);
	d.waiting = dom->nr_waiting > 0 ? dom->nr_waiting : 0;
	d.legal = without_long_queues(v.legal, v.idle, d.waiting, tactus_queue_limit(d.waiting, dom->nr_cpus));
	d.hold_legal = tactus_hold_legal(d.waiting, dom->nr_cpus);

	consult_row(t, &v, &d, out->now);
	if (!d.choice.den) {
		d.choice.action = fallback_action(&v);
		d.choice.num = 1;
		d.choice.den = 1;
	}
	d.used = d.choice.action;
	if (d.used < TACTUS_MAX_PLACES)
		d.cpu = settle_in_tier(p, &v, &d, out->prev_cpu);
	if (d.used < TACTUS_MAX_PLACES && d.cpu < 0 && t->priority != TACTUS_PRIORITY_BACKGROUND) {
		u32 better = least_urgent_of_tier(&d, t->priority);

		if (better != d.used)
			count(redirects);
		d.used = better;
	}
	out->cpu = d.cpu;
	out->action = d.used;
	log_decision(t, &d, out->now);
	return 0;
}

/*
 * Moment (b): may a CPU of this place take that waiting worker? Its whole row is asked again, in the
 * situation in which this CPU is the idle one: a place of this tier means here and now; hold, or a
 * place of another tier, means that it goes on waiting. The caller logs, a take only once the worker
 * has moved.
 */
GLOBAL decide_take(struct tactus_task *t MEM, u32 place, u64 now, struct tactus_decided *d MEM)
{
	u32 zero = 0, key, tiers;
	struct tactus_control *control = bpf_map_lookup_elem(&tactus_control, &zero);
	struct tactus_domain *dom;
	struct tactus_class_conf *cc;
	struct tactus_row *row;

	if (!control)
		return true;
	dom = domain_at(t->queued_domain);
	if (!dom)
		return true;
	place &= TACTUS_MAX_PLACES - 1;
	d->legal = (t->allowed ? t->allowed : ~0ull >> (64 - nr_places)) | 1ull << place;
	d->hold_legal = true;
	/* others that wait: it is counted itself, and at moment (a) it is not yet */
	d->waiting = dom->nr_waiting > 1 ? dom->nr_waiting - 1 : 0;
	d->bank = control->bank & 1;
	key = d->bank * TACTUS_MAX_SLOTS + (t->slot & (TACTUS_MAX_SLOTS - 1));
	cc = bpf_map_lookup_elem(&tactus_classes, &key);
	tiers = cc ? tactus_idle_tiers(cc->tier, 1ull << place, nr_places) : 0;
	d->situation = tactus_situation(tiers, d->waiting);
	row = row_for(t->slot, d->situation, d->bank, now, control, cc, &d->source);
	d->choice.action = place;
	d->choice.num = 1;
	d->choice.den = 1;
	if (!row || !cc) {
		d->source = TACTUS_SOURCE_FORCED_STEAL;
		return true;
	}
	d->version = row->version_end;
	if (row->confidence < control->confidence_threshold) {
		d->source = TACTUS_SOURCE_FORCED_STEAL; /* the fallback always steals */
		return true;
	}
	tactus_sample(row->cdf, nr_places, d->legal, true, bpf_get_prandom_u32(), &d->choice);
	if (row_torn(row, d->version)) {
		d->source = TACTUS_SOURCE_FORCED_STEAL;
		d->choice.action = place;
		return true;
	}
	if (!d->choice.den) {
		d->source = TACTUS_SOURCE_FALLBACK_ILLEGAL;
		return true;
	}
	return d->choice.action < TACTUS_MAX_PLACES && cc->tier[d->choice.action] == cc->tier[place];
}

#endif
