/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The maps of the scheduler, and the records that only the kernel keeps.
 *
 * The maps that abi/decision_map.h names are contracts with the agent and
 * survive a reload (the loader reuses the pinned ones). tactus_timers,
 * tactus_scratch and .bss are made anew with every load.
 */
#ifndef TACTUS_MAPS_BPF_H
#define TACTUS_MAPS_BPF_H

#include "kernel.bpf.h"
#include "../lib/include/tactus/abi/event.h"
#include "policy.h"

/* clang leaves types that only an uptr names incomplete in BTF: name them once more. */
struct tactus_tag_page *btf_tag_page;
struct tactus_pool_page *btf_pool_page;

/* Set by the agent, by pidfd: makes a thread a managed worker. */
struct tactus_worker {
	struct tactus_tag_page __uptr *page;
	struct tactus_pool_page __uptr *pool_page;
	u32 pool;
	u32 worker;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct tactus_worker);
} tactus_workers SEC(".maps");

/* Where a runnable worker waits. */
enum tactus_queued {
	TACTUS_QUEUED_NOT = 255,
	TACTUS_QUEUED_BOUND = 254, /* queue of one CPU */
	/* < 64: place; TACTUS_HOLD: held */
};
#define TACTUS_PENDING_NONE 253 /* not asked since it last queued; unlike TACTUS_NO_PLACE */

/* What the scheduler remembers of a worker. Only the CPU that handles the task writes it. */
struct tactus_task {
	u64 epoch;	     /* of the load that initialised it; else: start over */
	u64 vtime;	     /* ns of CPU time, scaled by 100 / weight */
	u64 stint;	     /* id of the current stint */
	u64 waiting_since_ns;
	u64 ran_ns;	     /* CPU time of the thread, all told, up to which it is charged */
	u64 unreported_run_ns;
	u64 unreported_wait_ns;
	u64 seen_weight;     /* weight_submitted - weight_finished of its page, last seen */
	u64 slice_ns;
	u64 allowed;	     /* places it may use, as seen when it woke up; 0: not known */
	u32 taken;	     /* records taken from its page */
	u32 serial;	     /* of its pool */
	u32 deadline;
	u16 preemptions;
	u16 migrations;
	u16 last_cpu;
	u16 pool;
	u32 tid;
	u8 pending;	     /* decided in select_cpu, to be carried out in enqueue */
	u8 queued;	     /* enum tactus_queued, place or TACTUS_HOLD */
	u8 queued_domain;
	u8 priority;
	u8 slot;
	u8 running;
	u8 home;	     /* domain where its pool's tasks present are counted */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct tactus_task);
} tactus_tasks SEC(".maps");

#define TACTUS_ARRAY(name, value_type, n, flags)                                                      \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                  \
		__uint(max_entries, n);                                                            \
		__uint(map_flags, flags);                                                          \
		__type(key, u32);                                                                  \
		__type(value, value_type);                                                         \
	} name SEC(".maps")

TACTUS_ARRAY(tactus_control, struct tactus_control, 1, BPF_F_MMAPABLE);
TACTUS_ARRAY(tactus_rows, struct tactus_row, TACTUS_NR_ROWS, BPF_F_MMAPABLE);
TACTUS_ARRAY(tactus_classes, struct tactus_class_conf, 2 * TACTUS_MAX_SLOTS, BPF_F_MMAPABLE);
TACTUS_ARRAY(tactus_pools, struct tactus_pool_conf, TACTUS_MAX_POOLS, 0);
TACTUS_ARRAY(tactus_pool_state, struct tactus_pool_state, TACTUS_MAX_POOLS, BPF_F_MMAPABLE);
TACTUS_ARRAY(tactus_cpus, struct tactus_cpu, TACTUS_MAX_CPUS, 0);
TACTUS_ARRAY(tactus_places, struct tactus_place, TACTUS_MAX_PLACES, 0);
TACTUS_ARRAY(tactus_domains, struct tactus_domain, TACTUS_MAX_DOMAINS, BPF_F_MMAPABLE);
TACTUS_ARRAY(tactus_exit, struct tactus_exit, 1, 0);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct tactus_stats);
} tactus_stats SEC(".maps");

/* One ring per domain, made by the loader. */
struct tactus_ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, TACTUS_MAX_DOMAINS);
	__type(key, u32);
	__array(values, struct tactus_ring);
} tactus_rings SEC(".maps");

/* Hold bound of a domain; never reused over a reload. */
struct tactus_timer {
	struct bpf_timer timer;
	u32 armed;
	u32 reserved;
};
TACTUS_ARRAY(tactus_timers, struct tactus_timer, TACTUS_MAX_DOMAINS, 0);

/* What runs on a CPU now, written by that CPU, and what never changes of it. */
struct tactus_cpu_state {
	u64 start_key;	/* its virtual time then, lag forgotten as by tactus_key() */
	u64 start_ns;	/* 0: nothing runs */
	u64 slice_ns;	/* when its present slice began */
	u64 drained_ns;	/* when its page was last emptied, or it started */
	u64 ran_ns;	/* CPU time of the thread, all told, when it started */
	u32 weight;
	u32 tid;	/* of a managed worker; 0: somebody else */
	u32 priority;	/* of the worker's task, as of the last look */
	u32 deadline;
	u16 place;	/* of struct tactus_cpu */
	u16 domain;
	u8 present;
	u8 alone;	/* 1: its place has no other CPU */
	u8 bound;	/* somebody may wait in the CPU's own queue; under its run queue's lock */
	u8 pad;
};
_Static_assert(sizeof(struct tactus_cpu_state) == 64, "one cache line per CPU");

/* CPUs of a place as the kernel's idle picker wants them; places of one CPU need none. */
struct tactus_place_mask {
	struct bpf_cpumask __kptr *mask;
};
TACTUS_ARRAY(tactus_place_masks, struct tactus_place_mask, TACTUS_MAX_PLACES, 0);

struct tactus_scratch {
	struct tactus_completion_event completion;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct tactus_scratch);
} tactus_scratch SEC(".maps");

/* Set by the loader before load. */
const volatile bool tactus_partial = false;
const volatile bool tactus_fallback_only = false;

/* Read from the maps in ops.init. */
u32 nr_places;
u32 nr_cpus;
u32 nr_domains;
bool has_smt;
bool cpus_are_places; /* place k is CPU k and nothing else, on a machine of at most 64 CPUs */
u64 epoch;

/* Here rather than in maps of their own: no look-up, and what one op needs lies together. */
s32 depths[TACTUS_MAX_PLACES]; /* queue lengths */
struct tactus_cpu_state cpu_states[TACTUS_MAX_CPUS] __attribute__((aligned(64)));
struct tactus_place places[TACTUS_MAX_PLACES]; /* copied from tactus_places by ops.init */

/*
 * Functions marked GLOBAL are verified once, on their own, instead of once per
 * path of each caller: without that the verifier walks millions of
 * instructions. Their arguments are numbers, memory, or trusted tasks, and are
 * never null; they return a number.
 */
#define GLOBAL __noinline int
#define MEM __arg_nonnull
#define TASK __arg_trusted

#define QUEUE_CPU(cpu) (0x1000ull + (cpu))
#define QUEUE_PLACE(place) (0x2000ull + (place))
#define QUEUE_HELD(domain) (0x3000ull + (domain))
#define QUEUE_OTHERS(domain) (0x4000ull + (domain))

static __always_inline struct tactus_stats *stats_of_cpu(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&tactus_stats, &zero);
}
#define count(field)                                                                               \
	do {                                                                                       \
		struct tactus_stats *__s = stats_of_cpu();                                         \
		if (__s)                                                                           \
			__s->field++;                                                              \
	} while (0)

static __always_inline struct tactus_domain *domain_at(u32 d)
{
	d &= TACTUS_MAX_DOMAINS - 1;
	return bpf_map_lookup_elem(&tactus_domains, &d);
}
static __always_inline struct tactus_cpu *cpu_at(s32 cpu)
{
	u32 c = (u32)cpu & (TACTUS_MAX_CPUS - 1);

	return bpf_map_lookup_elem(&tactus_cpus, &c);
}
static __always_inline struct tactus_cpu_state *cpu_state_at(s32 cpu)
{
	return &cpu_states[(u32)cpu & (TACTUS_MAX_CPUS - 1)];
}
static __always_inline struct tactus_place *place_at(u32 place)
{
	return &places[place & (TACTUS_MAX_PLACES - 1)];
}
static __always_inline s32 *depth_of(u32 place)
{
	return &depths[place & (TACTUS_MAX_PLACES - 1)];
}

/* Of machines of at most 64 CPUs the masks are read, not asked. */
static __always_inline bool may_run_on(struct task_struct *p, s32 cpu)
{
	if (nr_cpus <= 64)
		return p->cpus_ptr->bits[0] >> (cpu & 63) & 1;
	return bpf_cpumask_test_cpu(cpu, p->cpus_ptr);
}

/* CPUs that are idle now and that the task may use; for machines of at most 64 CPUs. */
static __always_inline u64 idle_cpus_of(struct task_struct *p)
{
	const struct cpumask *idle = scx_bpf_get_idle_cpumask();
	u64 word = idle->bits[0] & p->cpus_ptr->bits[0];

	scx_bpf_put_idle_cpumask(idle);
	return word;
}

#endif
