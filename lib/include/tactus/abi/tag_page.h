/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The pages a pool shares with the kernel scheduler and the agent.
 *
 * One memfd per pool: page 0 is the pool page, page 1 + i the tag page of
 * worker i. The agent makes the memfd, both map it shared and writable, and
 * the agent stores the addresses as uptrs in the task storage of the threads.
 * A pool without an agent uses private pages of the same layout.
 *
 * Writers (each word has exactly one kind of writer):
 *   worker  tag, head, records, folds, counters of its own tag page
 *   waker   next_tag of the worker it is about to wake
 *   kernel  tail (a hint for the worker: how far the ring has been taken)
 *   anyone  the external counters of the pool page (atomic adds)
 * Readers treat all of it as hostile: clamp, mask, never loop on it. The
 * kernel's own read index lives in its task storage, not here.
 *
 * Order: a worker fills a record, then stores head with release; the kernel
 * loads head with acquire. Counters are plain monotonic sums (modulo 2^32 or
 * 2^64), stored relaxed; a reader takes differences.
 */
#ifndef TACTUS_ABI_TAG_PAGE_H
#define TACTUS_ABI_TAG_PAGE_H

#include "types.h"

/*
 * A tag: what a worker is about to run, in one aligned 64-bit store.
 *   bits  0-15  pool-local class (0 = unknown)
 *   bits 16-17  priority, 0 = background .. 3 = urgent (default 1)
 *   bits 18-30  reserved, zero
 *   bit     31  TACTUS_TAG_VALID; a tag of 0 means "no task" (worker idle)
 *   bits 32-63  deadline: low 32 bits of CLOCK_MONOTONIC ns / 1024, 0 = none
 */
#define TACTUS_TAG_VALID (1ull << 31)
#define TACTUS_TAG_PRIORITY_SHIFT 16
#define TACTUS_TAG_DEADLINE_SHIFT 32
#define TACTUS_DEADLINE_UNIT_NS_LOG2 10
enum tactus_priority {
	TACTUS_PRIORITY_BACKGROUND = 0,
	TACTUS_PRIORITY_NORMAL = 1,
	TACTUS_PRIORITY_HIGH = 2,
	TACTUS_PRIORITY_URGENT = 3,
};

static inline __u64 tactus_tag_make(__u32 local_class, __u32 priority, __u64 deadline_ns)
{
	__u64 deadline = deadline_ns >> TACTUS_DEADLINE_UNIT_NS_LOG2;

	/* 0 means none: a deadline that wraps to 0 moves by one unit */
	if (deadline_ns && !(__u32)deadline)
		deadline = 1;
	return (local_class & 0xffffull) | ((priority & 3ull) << TACTUS_TAG_PRIORITY_SHIFT) |
	       TACTUS_TAG_VALID | (deadline << TACTUS_TAG_DEADLINE_SHIFT);
}
static inline __u32 tactus_tag_class(__u64 tag)
{
	__u32 c = (__u32)(tag & 0xffff);

	return c < TACTUS_MAX_LOCAL_CLASSES ? c : 0;
}
static inline __u32 tactus_tag_priority(__u64 tag)
{
	return (__u32)(tag >> TACTUS_TAG_PRIORITY_SHIFT) & 3;
}
static inline __u32 tactus_tag_deadline(__u64 tag)
{
	return (__u32)(tag >> TACTUS_TAG_DEADLINE_SHIFT);
}

/*
 * One finished task, or a run of consecutive short tasks of one class.
 * Times are ticks of the counter named by tactus_tag_page.clock.
 */
struct tactus_record {
	__u64 end_ticks;  /* when the (last) task ended; 0 when clock is NONE */
	__u32 run_units;  /* sum of run times in units of 16 ticks, saturating */
	__u16 count;	  /* tasks in this record, >= 1 */
	__u8 local_class; /* < TACTUS_MAX_LOCAL_CLASSES */
	__u8 flags;	  /* TACTUS_RECORD_* */
};
#define TACTUS_RUN_UNIT_TICKS_LOG2 4
#define TACTUS_RECORD_MISSED 0x01   /* its deadline had passed when it ended */
#define TACTUS_RECORD_FAILED 0x02   /* it ended by an exception */
#define TACTUS_RECORD_DEADLINE 0x04 /* it had a deadline */

/* What no longer fitted the ring: exact totals per class, cumulative. */
struct tactus_fold {
	__u64 run_units;
	__u32 count;
	__u32 missed;
};

enum tactus_clock {
	TACTUS_CLOCK_NONE = 0, /* no trustworthy counter: run_units are 0 */
	TACTUS_CLOCK_TSC = 1,  /* x86 time-stamp counter, kernel clocksource "tsc" */
	TACTUS_CLOCK_NS = 2,   /* CLOCK_MONOTONIC ns */
};

#define TACTUS_RING_RECORDS 128u

struct tactus_tag_page {
	/* line 0: worker */
	__u64 tag;
	__u32 head;  /* records ever published */
	__u32 clock; /* enum tactus_clock */
	__u64 weight_submitted; /* sum of class weights of tasks this worker submitted */
	__u64 weight_finished;	/* .. and of tasks it finished */
	__u64 folded_classes;	/* bit c: fold[c] is in use */
	__u64 reserved0[3];
	/* line 1: wakers */
	__u64 next_tag;
	__u64 reserved1[7];
	/* line 2: kernel */
	__u32 tail; /* records taken; a hint only */
	__u32 reserved2[15];
	/* line 3 */
	__u64 reserved3[8];
	struct tactus_record ring[TACTUS_RING_RECORDS];
	struct tactus_fold fold[TACTUS_MAX_LOCAL_CLASSES];
	/* per-class tasks ever submitted / finished by this worker, modulo 2^32 */
	__u32 submitted[TACTUS_MAX_LOCAL_CLASSES];
	__u32 finished[TACTUS_MAX_LOCAL_CLASSES];
	__u8 pad[256];
};

/* Page 0. Counters here are of submitters that are no workers: atomic adds. */
struct tactus_pool_page {
	__u32 magic;
	__u32 abi_version;
	__u64 generation;   /* changes when the pool registers anew */
	__u32 nr_workers;
	__u32 reserved0[11];
	__u64 weight_submitted;
	__u64 weight_finished; /* tasks run inline or cancelled outside workers */
	__u64 reserved1[6];
	__u32 submitted[TACTUS_MAX_LOCAL_CLASSES];
	__u32 finished[TACTUS_MAX_LOCAL_CLASSES];
	__u8 pad[3456];
};

TACTUS_STATIC_ASSERT(sizeof(struct tactus_record) == 16, "record");
TACTUS_STATIC_ASSERT(sizeof(struct tactus_tag_page) == TACTUS_PAGE_BYTES, "tag page");
TACTUS_STATIC_ASSERT(sizeof(struct tactus_pool_page) == TACTUS_PAGE_BYTES, "pool page");

#endif
