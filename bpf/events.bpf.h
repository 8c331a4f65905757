/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is reported: the area under weighted tasks present, decision events,
 * completion events. Nothing here decides anything.
 */
#ifndef TACTUS_EVENTS_BPF_H
#define TACTUS_EVENTS_BPF_H

#include "maps.bpf.h"

#define RING_WAKEUP_BYTES (64 * 1024)
#define RING_LOOK_EVENTS 16

/*
 * N and M of a domain change by two separate atomics. A reader between the two
 * would be wrong by (change x uptime), so changes are counted before and after:
 * area_of() reads again while a change is under way.
 */
static __always_inline void area_add(struct tactus_domain *dom, s64 change, u64 now)
{
	if (!change)
		return;
	__sync_fetch_and_add(&dom->changes_begun, 1);
	__sync_fetch_and_add(&dom->present, change);
	__sync_fetch_and_add(&dom->moment, now * (u64)change);
	__sync_fetch_and_add(&dom->changes_ended, 1);
}

/* Area at `now`; 0 when writers did not let it be read (the agent takes that for a gap). */
static __always_inline u64 area_of(struct tactus_domain *dom, u64 now)
{
	int i;

	for (i = 0; i < 4; i++) {
		u64 ended = __sync_fetch_and_add(&dom->changes_ended, 0);
		u64 area = (u64)READ_ONCE(dom->present) * now - READ_ONCE(dom->moment);

		if (__sync_fetch_and_add(&dom->changes_begun, 0) == ended)
			return area;
	}
	return 0;
}

/* Add to a pool's unclamped sum; the domain gets the change of the clamped one. */
static __always_inline void pool_add(struct tactus_pool_state *state, struct tactus_pool_conf *conf,
				     s64 change, u64 now)
{
	struct tactus_domain *dom = domain_at(conf->home_domain);
	u32 workers = conf->nr_workers;
	s64 before;

	if (!change || !dom)
		return;
	if (workers > TACTUS_MAX_WORKERS)
		workers = TACTUS_MAX_WORKERS;
	before = __sync_fetch_and_add(&state->present, change);
	area_add(dom,
		 tactus_present_clamp(before + change, workers) -
			 tactus_present_clamp(before, workers),
		 now);
}

/* Take over what a worker's page and its pool page say of tasks present. */
static __always_inline void account_present(struct tactus_worker *w, struct tactus_task *t,
					    struct tactus_pool_conf *conf, u64 now)
{
	struct tactus_pool_page *pool_page = w->pool_page;
	struct tactus_tag_page *page = w->page;
	u32 index = w->pool & (TACTUS_MAX_POOLS - 1);
	struct tactus_pool_state *state = bpf_map_lookup_elem(&tactus_pool_state, &index);
	u64 seen;
	s64 change = 0;

	if (!state || state->serial != conf->serial)
		return;
	if (page) {
		seen = page->weight_submitted - page->weight_finished;
		change = (s64)(seen - t->seen_weight);
		t->seen_weight = seen;
	}
	if (pool_page) {
		seen = pool_page->weight_submitted - pool_page->weight_finished;
		if (seen != READ_ONCE(state->seen_external))
			change += (s64)(seen - __sync_lock_test_and_set(&state->seen_external, seen));
	}
	pool_add(state, conf, change, now);
}

static __always_inline void emit(struct tactus_domain *dom, u32 domain, void *event, u64 bytes,
				 u32 tasks)
{
	u32 d = domain & (TACTUS_MAX_DOMAINS - 1);
	void *ring = bpf_map_lookup_elem(&tactus_rings, &d);
	struct tactus_stats *s;
	u64 flags = BPF_RB_NO_WAKEUP;

	if (ring) {
		/* now and then is enough: the mark is far below the size */
		if (!(dom->sequence % RING_LOOK_EVENTS) && bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) > RING_WAKEUP_BYTES)
			flags = BPF_RB_FORCE_WAKEUP;
		if (!bpf_ringbuf_output(ring, event, bytes, flags))
			return;
	}
	__sync_fetch_and_add(&dom->lost, 1);
	s = stats_of_cpu();
	if (s) {
		s->ring_lost++;
		s->ring_lost_tasks += tasks;
	}
}

static __always_inline void fill_head(struct tactus_event_head *head, u32 type, u32 bytes,
				      u32 domain, u32 tid, struct tactus_domain *dom, u64 now)
{
	head->type = type;
	head->domain = domain;
	head->bytes = bytes;
	head->tid = tid;
	head->sequence = __sync_fetch_and_add(&dom->sequence, 1);
	head->time_ns = now;
	head->area = area_of(dom, now);
}

/*
 * Report up to 64 finished tasks of a worker, with its run and wait so far.
 * stopped as in the event. Returns the number of records left behind.
 */
GLOBAL report(struct tactus_task *t MEM, struct tactus_tag_page *page MEM, u32 stopped, u64 now)
{
	u32 zero = 0, n, left = 0, tasks = 0, i, domain = t->home;
	struct tactus_domain *dom = domain_at(domain);
	struct tactus_scratch *scratch = bpf_map_lookup_elem(&tactus_scratch, &zero);
	struct tactus_stats *s = stats_of_cpu();
	struct tactus_completion_event *ev;
	u64 bytes;

	if (!dom || !scratch || !s)
		return 0;
	n = READ_ONCE(page->head) - t->taken;
	if (n > TACTUS_RING_RECORDS) { /* hostile: take what a ring can hold of it */
		s->page_overruns++;
		t->taken += n - TACTUS_EVENT_RECORDS;
		n = TACTUS_EVENT_RECORDS;
	}
	if (n > TACTUS_EVENT_RECORDS) {
		left = n - TACTUS_EVENT_RECORDS;
		n = TACTUS_EVENT_RECORDS;
	}
	if (!n && stopped != 1)
		return 0;
	ev = &scratch->completion;
	for (i = 0; i < n && can_loop; i++) {
		u32 from = (t->taken + i) & (TACTUS_RING_RECORDS - 1);
		u32 to = i & (TACTUS_EVENT_RECORDS - 1);
		struct tactus_record r = page->ring[from];

		tasks += r.count;
		ev->records[to] = r;
	}
	t->taken += n;
	page->tail = t->taken;
	bytes = offsetof(struct tactus_completion_event, records) + n * sizeof(struct tactus_record);
	if (bytes > sizeof(*ev))
		return 0;
	fill_head(&ev->head, TACTUS_EVENT_COMPLETION, bytes, domain, t->tid, dom, now);
	ev->stint = t->stint;
	ev->stint_run_ns = t->unreported_run_ns;
	ev->stint_wait_ns = t->unreported_wait_ns;
	ev->pool = t->pool;
	ev->cpu = t->last_cpu;
	ev->place = cpu_state_at(t->last_cpu)->place;
	ev->clock = page->clock;
	ev->nr_records = n;
	ev->stopped = stopped;
	ev->preemptions = t->preemptions;
	ev->migrations = t->migrations;
	ev->slot = t->slot;
	t->unreported_run_ns = 0;
	t->unreported_wait_ns = 0;
	t->preemptions = 0;
	t->migrations = 0;
	s->completion_events++;
	s->completions += tasks;
	emit(dom, domain, ev, bytes, tasks);
	return left;
}

#endif
