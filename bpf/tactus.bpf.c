/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The Tactus scheduler: sched_ext ops, mechanism only.
 *
 * Threads of registered pools (managed workers) are placed by the decision map
 * that the agent publishes; all other threads get plain fair virtual time, one
 * queue per domain. What to do is decided in policy.h and decide.bpf.h (from
 * what view.bpf.h sees); this file moves tasks between queues:
 *
 *   queue of one CPU    what may run only there
 *   queue of a place    workers whose decision was that place (a CPU, up to 16 CPUs)
 *   held, per domain    workers whose decision was to wait for something better
 *   others, per domain  unmanaged threads
 *
 * A free CPU takes the head with the smallest virtual time among the queues it
 * serves; a held or foreign head only if its row says so; a head past its
 * bound without asking. A timer per domain ends holds: it marks what is late
 * and kicks an idle CPU, which takes it (timer.bpf.h, queues.bpf.h).
 *
 * Works well: pools with distinct task classes on unequal or contended CPUs.
 * Works as fair round robin: everything else. Fails safe: without an agent,
 * rows or a per-task record a worker is placed by the fallback heuristic.
 *
 * Races that are meant: queue lengths, idle masks and vtime_now are read
 * without locks; errors are contained to one decision and temporary.
 */
#include "unmanaged.bpf.h"

char _license[] SEC("license") = "GPL";

/* ---- waking up ------------------------------------------------------------ */

/* A worker starts a new stint: what does it say it will run? */
static __always_inline void begin_stint(struct tactus_self *self, u64 now)
{
	self->t->stint++;
	read_tag(self->w, self->t, self->conf);
	account_present(self->w, self->t, self->conf, now);
}

/* Moment (a): decided, and carried out as far as a CPU was idle, or to be carried out by ops.enqueue. */
static __always_inline void wake_worker(struct task_struct *p, struct tactus_self *self,
					struct tactus_placement *place)
{
	struct tactus_task *t = self->t;

	t->last_cpu = place->prev_cpu;
	begin_stint(self, place->now);
	decide_wake(p, t, place);
	t->pending = TACTUS_PENDING_NONE;
	if (place->cpu < 0) {
		t->pending = place->action;
		return;
	}
	count(wake_idle);
	waiting_ends(t);
	t->waiting_since_ns = place->now;
}

s32 BPF_STRUCT_OPS(tactus_select_cpu, struct task_struct *p, s32 prev_cpu, u64 wake_flags)
{
	struct tactus_placement place = { .prev_cpu = prev_cpu };
	struct tactus_self self;
	bool insert = false;
	u64 flags = 0;
	s32 cpu;

	if (likely(!managed(p, &self))) {
		count(unmanaged_wakes);
		cpu = place_unmanaged(p, prev_cpu, wake_flags, &insert, &flags);
		if (insert)
			kernel_insert(p, K(scx_dsq_id_flags, SCX_DSQ_LOCAL), TACTUS_SLICE_DEFAULT_NS, flags);
		return cpu;
	}
	place.now = bpf_ktime_get_ns();
	wake_worker(p, &self, &place);
	if (place.cpu >= 0) {
		kernel_insert(p, K(scx_dsq_id_flags, SCX_DSQ_LOCAL), self.t->slice_ns, 0);
		return place.cpu;
	}
	if (place.action < TACTUS_MAX_PLACES) {
		struct tactus_place *pl = place_at(place.action);

		if (pl->nr_cpus == 1 && may_run_on(p, pl->first_cpu))
			return pl->first_cpu;
	}
	return prev_cpu;
}

/* Preempt what runs on a CPU if the waking worker is more urgent and owed it. */
static __always_inline void maybe_preempt(s32 cpu, u64 key, u32 priority, u64 now)
{
	struct tactus_cpu_state *cs = cpu_state_at(cpu);

	if (!cs->start_ns || !tactus_preempts(key, priority, running_key(cs, now), cs->priority))
		return;
	/* what it ran at the last tick may have been something less urgent */
	refresh_priority(cpu);
	if (!tactus_preempts(key, priority, running_key(cs, now), cs->priority))
		return;
	scx_bpf_kick_cpu(cpu, K(scx_kick_flags, SCX_KICK_PREEMPT));
	count(preempts);
}

void BPF_STRUCT_OPS(tactus_enqueue, struct task_struct *p, u64 enq_flags)
{
	struct tactus_self self;
	struct tactus_task *t;
	struct tactus_cpu_state *cs;
	struct tactus_domain *dom;
	struct tactus_place *place;
	bool wake = enq_flags & K(scx_enq_flags, SCX_ENQ_WAKEUP);
	/* who wakes up is not current, whose count has this program's own in it */
	bool bound = is_bound(p) || (wake && p->migration_disabled);
	bool asked;
	s32 cpu;
	u32 action, domain;
	u64 now, key;

	t = known(p);
	asked = t && t->pending != TACTUS_PENDING_NONE; /* ops.select_cpu has looked at it just now */
	if (!asked) {
		if (likely(!managed(p, &self))) {
			enqueue_unmanaged(p, enq_flags);
			return;
		}
		t = self.t;
	}
	waiting_ends(t);
	cpu = kernel_task_cpu(p);
	cs = cpu_state_at(cpu);
	dom = domain_at(cs->domain);
	if (!dom || cs->place >= TACTUS_MAX_PLACES) {
		kernel_insert(p, K(scx_dsq_id_flags, SCX_DSQ_LOCAL), TACTUS_SLICE_DEFAULT_NS, enq_flags);
		return;
	}
	now = bpf_ktime_get_ns();
	domain = cs->domain;
	t->vtime = wake ? tactus_vtime_floor(t->vtime, dom->vtime_now)
			: tactus_vtime_keep(t->vtime, dom->vtime_now);
	if (wake && !bound && !asked) {
		/* It had not left its CPU, so the wake-up was queued here without ops.select_cpu. */
		struct tactus_placement placed = { .prev_cpu = cpu, .now = now };

		wake_worker(p, &self, &placed);
		if (placed.cpu >= 0) {
			kernel_insert(p, K(scx_dsq_id_flags, SCX_DSQ_LOCAL_ON) | placed.cpu, t->slice_ns, enq_flags);
			return;
		}
	}
	action = t->pending;
	t->pending = TACTUS_PENDING_NONE;
	if (bound) {
		/* one CPU: nothing to decide */
		if (wake && !asked)
			begin_stint(&self, now);
		key = tactus_key(t->vtime, dom->vtime_now, t->priority, t->deadline, now);
		if (scx_bpf_test_and_clear_cpu_idle(cpu)) {
			t->waiting_since_ns = now;
			kernel_insert(p, K(scx_dsq_id_flags, SCX_DSQ_LOCAL), t->slice_ns, enq_flags);
			return;
		}
		cs->bound = true;
		waiting_begins(t, TACTUS_QUEUED_BOUND, domain, now);
		kernel_insert_vtime(p, QUEUE_CPU(cpu), t->slice_ns, key, enq_flags);
		maybe_preempt(cpu, key, t->priority, now);
		return;
	}
	key = tactus_key(t->vtime, dom->vtime_now, t->priority, t->deadline, now);
	if (action == TACTUS_HOLD) {
		waiting_begins(t, TACTUS_HOLD, domain, now);
		kernel_insert_vtime(p, QUEUE_HELD(domain), t->slice_ns, key, enq_flags);
		count(wake_held);
		arm_timer(domain, TACTUS_HOLD_LIMIT_NS);
		return;
	}
	if (action >= TACTUS_MAX_PLACES) /* end of slice, or moved: stays where it is (forced) */
		action = cs->place;
	place = place_at(action);
	domain = place->domain;
	waiting_begins(t, action, domain, now);
	kernel_insert_vtime(p, QUEUE_PLACE(action), t->slice_ns, key, enq_flags);
	count(wake_queued);
	arm_timer(domain, TACTUS_HOLD_LIMIT_NS);
	cpu = place->nr_cpus == 1 ? place->first_cpu : cpu;
	if (!cpu_state_at(cpu)->start_ns && may_run_on(p, cpu) && scx_bpf_test_and_clear_cpu_idle(cpu))
		scx_bpf_kick_cpu(cpu, K(scx_kick_flags, SCX_KICK_IDLE));
	else if (wake)
		maybe_preempt(cpu, key, t->priority, now);
}

/* ---- a CPU is free --------------------------------------------------------- */

void BPF_STRUCT_OPS(tactus_dispatch, s32 cpu, struct task_struct *prev)
{
	bool prev_stays = prev && (prev->scx.flags & K(scx_ent_flags, SCX_TASK_QUEUED));
	struct tactus_cpu_state *cs = cpu_state_at(cpu);
	struct tactus_here here = { .cpu = cpu };
	struct tactus_domain *dom;
	u32 i;

	here.place = cs->place & (TACTUS_MAX_PLACES - 1);
	here.domain = cs->domain & (TACTUS_MAX_DOMAINS - 1);
	dom = domain_at(here.domain);
	if (!dom)
		return;
	if (cs->bound) {
		here.nr_bound = scx_bpf_dsq_nr_queued(QUEUE_CPU(cpu));
		cs->bound = here.nr_bound > 0;
	}
	if (dom->nr_waiting <= 0 && here.nr_bound <= 0 && !(prev_stays && cs->tid)) {
		/* no worker waits or goes on: the common case on a machine that does other things */
		if (kernel_move_to_local(QUEUE_OTHERS(here.domain)) || prev_stays)
			return;
		goto elsewhere;
	}
	here.nr_others = scx_bpf_dsq_nr_queued(QUEUE_OTHERS(here.domain));
	if (dom->nr_waiting <= 0 && here.nr_bound <= 0 && here.nr_others <= 0)
		return; /* only prev, which goes on */
	here.now = bpf_ktime_get_ns();
	here.vtime_now = dom->vtime_now;
	if (dom->late_places || dom->late_held) {
		here.busy = true;
		if (take_late(&here))
			return;
		here.busy = false;
	}
	if (prev_stays && cs->start_ns) {
		/* it is in no queue yet: it is compared with the heads of queues all the same */
		refresh_priority(cpu);
		here.prev_runs = true;
		here.prev_key = running_key(cs, here.now);
	}
	switch (take_in_order(&here)) {
	case TACTUS_TOOK:
		return;
	case TACTUS_PREV_GOES_ON:
		count(goes_on);
		cs->slice_ns = here.now;
		if (prev)
			kernel_set_slice(prev, TACTUS_SLICE_DEFAULT_NS);
		return;
	}
	if (prev_stays)
		return; /* it goes on: nothing waits for this CPU in particular */
	if (dom->nr_waiting > 0 && take_foreign(&here))
		return;
elsewhere:
	if (nr_domains <= 1)
		return;
	bpf_for(i, 1, nr_domains) {
		u32 d = here.domain + i >= nr_domains ? here.domain + i - nr_domains : here.domain + i;

		if (scx_bpf_dsq_nr_queued(QUEUE_OTHERS(d)) > 0 && kernel_move_to_local(QUEUE_OTHERS(d)))
			return;
	}
}

/* ---- running --------------------------------------------------------------- */

void BPF_STRUCT_OPS(tactus_running, struct task_struct *p)
{
	s32 cpu = kernel_task_cpu(p);
	struct tactus_cpu_state *cs = cpu_state_at(cpu);
	struct tactus_domain *dom = domain_at(cs->domain);
	struct tactus_task *t = known(p);
	u64 vtime, now = bpf_ktime_get_ns();

	count(running);
	if (!dom)
		return;
	if (!t) {
		vtime = p->scx.dsq_vtime;
		cs->priority = TACTUS_PRIORITY_NORMAL;
		cs->deadline = 0;
		cs->tid = 0;
	} else {
		waiting_ends(t);
		vtime = t->vtime;
		t->ran_ns = p->se.sum_exec_runtime;
		t->unreported_wait_ns += now - t->waiting_since_ns;
		if (t->last_cpu != cpu) {
			t->migrations++;
			t->last_cpu = cpu;
			count(migrations);
		}
		t->running = 1;
		cs->priority = t->priority;
		cs->deadline = t->deadline;
		cs->tid = t->tid;
	}
	cs->weight = p->scx.weight;
	cs->start_ns = now;
	cs->slice_ns = now;
	cs->drained_ns = now;
	cs->ran_ns = p->se.sum_exec_runtime;
	if (tactus_before(dom->vtime_now, vtime))
		dom->vtime_now = vtime;
	cs->start_key = tactus_vtime_floor(vtime, dom->vtime_now);
}

/* Pass on what a worker's page says: tasks present, then records of finished tasks. */
static __always_inline void drain(struct task_struct *p, struct tactus_task *t, u32 stopped, u64 now)
{
	struct tactus_worker *w = bpf_task_storage_get(&tactus_workers, p, 0, 0);
	u32 pool = t->pool & (TACTUS_MAX_POOLS - 1);
	struct tactus_pool_conf *conf = bpf_map_lookup_elem(&tactus_pools, &pool);
	struct tactus_tag_page *page;

	if (!w || !conf || conf->serial != t->serial)
		return;
	account_present(w, t, conf, now);
	if (stopped != 1)
		read_tag(w, t, conf); /* it may have gone from one task to another since it woke up */
	page = w->page;
	if (page && report(t, page, stopped, now))
		report(t, page, 0, now);
}

static __always_inline void charge(struct task_struct *p, struct tactus_task *t)
{
	u64 ran = p->se.sum_exec_runtime - t->ran_ns;

	t->ran_ns += ran;
	t->unreported_run_ns += ran;
	t->vtime += virtual_time(ran, p->scx.weight);
}

void BPF_STRUCT_OPS(tactus_stopping, struct task_struct *p, bool runnable)
{
	struct tactus_task *t = known(p);
	struct tactus_cpu_state *cs = cpu_state_at(kernel_task_cpu(p));
	u64 now;

	if (!t && cs->start_ns)
		kernel_set_vtime(p, p->scx.dsq_vtime + virtual_time(p->se.sum_exec_runtime - cs->ran_ns, p->scx.weight));
	cs->start_ns = 0;
	if (!t || !t->running)
		return;
	now = bpf_ktime_get_ns();
	t->running = 0;
	charge(p, t);
	if (runnable) {
		t->preemptions++;
		t->waiting_since_ns = now;
	}
	drain(p, t, runnable ? 2 : 1, now);
}

void BPF_STRUCT_OPS(tactus_tick, struct task_struct *p)
{
	struct tactus_cpu_state *cs = cpu_state_at(kernel_task_cpu(p));
	struct tactus_task *t;
	u64 now;

	if (!cs->tid)
		return;
	now = bpf_ktime_get_ns();
	if (now - cs->drained_ns < TACTUS_DRAIN_NS)
		return;
	cs->drained_ns = now;
	t = known(p);
	if (!t || !t->running)
		return;
	charge(p, t);
	drain(p, t, 0, now);
}

/* ---- life of a task and of the scheduler ------------------------------------ */

void BPF_STRUCT_OPS(tactus_enable, struct task_struct *p)
{
	struct tactus_domain *dom = domain_at(cpu_state_at(kernel_task_cpu(p))->domain);

	if (dom)
		kernel_set_vtime(p, dom->vtime_now);
}

void BPF_STRUCT_OPS(tactus_exit_task, struct task_struct *p, struct scx_exit_task_args *args)
{
	struct tactus_task *t = known(p);
	struct tactus_pool_state *state;
	struct tactus_pool_conf *conf;
	struct tactus_domain *dom;
	u32 pool;

	if (!t)
		return;
	waiting_ends(t);
	t->epoch = 0;
	pool = t->pool & (TACTUS_MAX_POOLS - 1);
	conf = bpf_map_lookup_elem(&tactus_pools, &pool);
	state = bpf_map_lookup_elem(&tactus_pool_state, &pool);
	if (!conf || !state || state->serial != t->serial)
		return;
	/* the last worker takes with it what the pool never finished */
	if (__sync_fetch_and_add(&state->alive, -1) == 1) {
		s64 left = __sync_lock_test_and_set(&state->present, 0);

		dom = domain_at(conf->home_domain);
		if (dom)
			area_add(dom, -tactus_present_clamp(left, state->workers), bpf_ktime_get_ns());
	}
}

GLOBAL make_place_mask(u32 k)
{
	u32 key = k & (TACTUS_MAX_PLACES - 1), cpu;
	struct tactus_place *place = place_at(key);
	struct tactus_place_mask *pm = bpf_map_lookup_elem(&tactus_place_masks, &key);
	struct bpf_cpumask *mask, *old;

	if (!pm)
		return -1;
	mask = bpf_cpumask_create();
	if (!mask)
		return -1;
	bpf_for(cpu, 0, nr_cpus) {
		u32 word = (cpu / 64) & (TACTUS_MAX_CPUS / 64 - 1);

		if (place->cpus[word] >> (cpu % 64) & 1)
			bpf_cpumask_set_cpu(cpu, mask);
	}
	old = bpf_kptr_xchg(&pm->mask, mask);
	if (old)
		bpf_cpumask_release(old);
	return 0;
}

/* The parts of ops.init are functions of their own so that each is verified alone. */
GLOBAL copy_places(void)
{
	u32 i;

	bpf_for(i, 0, TACTUS_MAX_PLACES) {
		u32 key = i & (TACTUS_MAX_PLACES - 1);
		struct tactus_place *place = bpf_map_lookup_elem(&tactus_places, &key);

		barrier_var(i);
		if (place)
			*place_at(i) = *place;
	}
	return 0;
}

GLOBAL init_cpus(void)
{
	u32 i;
	int err = 0;

	bpf_for(i, 0, nr_cpus) {
		struct tactus_cpu *c = cpu_at(i);
		struct tactus_cpu_state *cs;
		struct tactus_place *place;

		err = scx_bpf_create_dsq(QUEUE_CPU(i), -1);
		if (err || !c)
			break;
		if (c->present && c->core != i)
			has_smt = true;
		cs = cpu_state_at(i);
		cs->place = c->place;
		cs->domain = c->domain & (TACTUS_MAX_DOMAINS - 1);
		cs->present = c->present;
		place = place_at(c->place);
		cs->alone = c->present && place->nr_cpus == 1;
	}
	return err;
}

GLOBAL init_places(void)
{
	u32 i;
	int err = 0;

	cpus_are_places = nr_cpus <= 64;
	bpf_for(i, 0, TACTUS_MAX_PLACES) {
		struct tactus_place *place = place_at(i);

		if (!place->nr_cpus)
			break;
		err = scx_bpf_create_dsq(QUEUE_PLACE(i), -1);
		if (!err && place->nr_cpus > 1)
			err = make_place_mask(i);
		if (err)
			break;
		if (place->nr_cpus != 1 || place->first_cpu != i)
			cpus_are_places = false;
		nr_places = i + 1;
	}
	return err;
}

GLOBAL init_domain(u32 d)
{
	struct tactus_domain *dom = domain_at(d);
	int err;

	if (!dom || !dom->nr_cpus)
		return 1;
	dom->present = 0;
	dom->moment = 0;
	dom->nr_waiting = 0;
	dom->nr_held = 0;
	dom->late_places = 0;
	dom->late_held = 0;
	dom->changes_ended = dom->changes_begun;
	err = scx_bpf_create_dsq(QUEUE_HELD(d), -1);
	if (!err)
		err = scx_bpf_create_dsq(QUEUE_OTHERS(d), -1);
	return err;
}

GLOBAL init_pools(void)
{
	u32 i;

	bpf_for(i, 0, TACTUS_MAX_POOLS) {
		u32 key = i & (TACTUS_MAX_POOLS - 1);
		struct tactus_pool_state *state = bpf_map_lookup_elem(&tactus_pool_state, &key);

		if (state) {
			state->serial = 0;
			state->present = 0;
			state->alive = 0;
		}
	}
	return 0;
}

s32 BPF_STRUCT_OPS_SLEEPABLE(tactus_init)
{
	u32 i;
	int err;

	nr_cpus = scx_bpf_nr_cpu_ids();
	if (nr_cpus > TACTUS_MAX_CPUS)
		return -7; /* E2BIG: more CPUs than this build knows */
	epoch = bpf_ktime_get_ns() | 1;
	copy_places();
	err = init_cpus();
	if (!err)
		err = init_places();
	if (err)
		return err;
	bpf_for(i, 0, TACTUS_MAX_DOMAINS) {
		u32 key = i & (TACTUS_MAX_DOMAINS - 1);
		struct tactus_timer *timer = bpf_map_lookup_elem(&tactus_timers, &key);

		err = init_domain(i);
		if (err || !timer)
			break;
		nr_domains = i + 1;
		bpf_timer_init(&timer->timer, &tactus_timers, 1 /* CLOCK_MONOTONIC */);
		bpf_timer_set_callback(&timer->timer, domain_timer);
	}
	if (err < 0)
		return err;
	init_pools();
	return nr_places && nr_domains ? 0 : -61; /* ENODATA: the loader wrote no topology */
}

void BPF_STRUCT_OPS(tactus_exit_op, struct scx_exit_info *ei)
{
	u32 zero = 0;
	struct tactus_exit *e = bpf_map_lookup_elem(&tactus_exit, &zero);

	if (!e)
		return;
	e->time_ns = bpf_ktime_get_ns();
	e->code = ei->exit_code;
	bpf_probe_read_kernel_str(e->reason, sizeof(e->reason), ei->reason);
	bpf_probe_read_kernel_str(e->message, sizeof(e->message), ei->msg);
	e->kind = ei->kind;
}

void BPF_STRUCT_OPS(tactus_dump, struct scx_dump_ctx *dctx)
{
	u32 i;

	bpf_for(i, 0, nr_domains) {
		struct tactus_domain *dom = domain_at(i);

		if (dom)
			kernel_dump("tactus domain %llu: waiting %lld held %lld present %lld lost %llu",
				    i, dom->nr_waiting, dom->nr_held, dom->present, dom->lost);
	}
}

void BPF_STRUCT_OPS(tactus_dump_task, struct scx_dump_ctx *dctx, struct task_struct *p)
{
	struct tactus_task *t = known(p);

	if (t)
		kernel_dump("tactus: slot %llu queued %llu priority %llu waited %llu ns", t->slot,
			    t->queued, t->priority, bpf_ktime_get_ns() - t->waiting_since_ns);
}

SEC(".struct_ops.link")
struct sched_ext_ops tactus_ops = {
	.select_cpu = (void *)tactus_select_cpu,
	.enqueue = (void *)tactus_enqueue,
	.dispatch = (void *)tactus_dispatch,
	.tick = (void *)tactus_tick,
	.running = (void *)tactus_running,
	.stopping = (void *)tactus_stopping,
	.enable = (void *)tactus_enable,
	.exit_task = (void *)tactus_exit_task,
	.init = (void *)tactus_init,
	.exit = (void *)tactus_exit_op,
	.dump = (void *)tactus_dump,
	.dump_task = (void *)tactus_dump_task,
	.timeout_ms = 30000,
	.name = "tactus",
};
