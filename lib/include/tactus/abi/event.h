/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What the kernel scheduler reports to the agent, in one ring buffer per
 * domain (map of maps tactus_rings, each ring pinned as tactus_ring_<domain>).
 *
 * Every event starts with struct tactus_event_head. sequence counts all events
 * of the domain, those that did not fit too: a gap tells the reader that
 * something was lost, and a learner must not bridge it. Times are
 * CLOCK_MONOTONIC ns; area is the domain's time integral of weighted tasks
 * present (ns, modulo 2^64) at that time.
 */
#ifndef TACTUS_ABI_EVENT_H
#define TACTUS_ABI_EVENT_H

#include "types.h"
#include "tag_page.h"
#include "decision_map.h"

enum tactus_event_type {
	TACTUS_EVENT_DECISION = 1,
	TACTUS_EVENT_COMPLETION = 2,
};

struct tactus_event_head {
	__u8 type;
	__u8 domain;
	__u16 bytes; /* of the whole event */
	__u32 tid;   /* kernel thread id of the worker */
	__u64 sequence;
	__u64 time_ns;
	__u64 area;
};

enum tactus_moment {
	TACTUS_MOMENT_WAKE = 0,	    /* (a) a worker woke up */
	TACTUS_MOMENT_IDLE = 1,	    /* (b) a CPU fell idle and asked a queued worker */
	TACTUS_MOMENT_SLICE = 2,    /* end of slice (forced) */
};

struct tactus_decision_event {
	struct tactus_event_head head;
	__u64 stint;	/* id of the stint that this decision starts */
	__u64 legal;	/* mask of legal places */
	__u32 version;	/* of the row; 0 without one */
	__u32 prob_num; /* probability of `chosen` when it was drawn: num / den */
	__u32 prob_den;
	__u16 pool;
	__u8 slot;
	__u8 situation;
	__u8 hold_legal;
	__u8 chosen;	/* place, or TACTUS_HOLD */
	__u8 used;	/* place where it was put; TACTUS_HOLD while held */
	__u8 source;	/* enum tactus_source */
	__u8 moment;	/* enum tactus_moment */
	__u8 prev_place; /* where the worker ran last */
	__u16 cpu;	/* CPU used, 0xffff when queued */
	__u8 bank;
	__u8 priority;
	__u16 nr_waiting; /* managed workers waiting in the domain */
	__u32 reserved;
};
TACTUS_STATIC_ASSERT(sizeof(struct tactus_decision_event) == 32 + 48, "decision event");

/* A batch of finished tasks of one worker, during one stint. */
struct tactus_completion_event {
	struct tactus_event_head head;
	__u64 stint;
	__u64 stint_run_ns;  /* run so far in this stint, since the last report */
	__u64 stint_wait_ns; /* runnable to running, of this stint; only in its first report, else 0 */
	__u16 pool;
	__u16 cpu;
	__u8 place;
	__u8 clock;	  /* enum tactus_clock of the records */
	__u8 nr_records;  /* 0..64; 0: a stint that finished no task */
	__u8 stopped;	  /* 1: the worker stopped; 2: .. and is still runnable (preempted) */
	__u16 preemptions; /* of this worker since the last report */
	__u16 migrations;
	__u8 slot;	  /* slot of the tag when the report was made */
	__u8 reserved[3];
	struct tactus_record records[64]; /* only nr_records are sent */
};
#define TACTUS_EVENT_RECORDS 64u

#endif
