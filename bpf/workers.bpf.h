/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The records of managed workers: how one is found and begun, and the counts
 * of those that wait.
 */
#ifndef TACTUS_WORKERS_BPF_H
#define TACTUS_WORKERS_BPF_H

#include "decide.bpf.h"

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

#endif
