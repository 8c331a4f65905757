/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The decision map and what surrounds it: the contract between the agent
 * (writer) and the kernel scheduler (reader). All are BPF array maps pinned
 * under /sys/fs/bpf/tactus/ by these names; those marked mmap are written
 * through memory, without system calls.
 *
 *   tactus_control   mmap  1 x struct tactus_control
 *   tactus_rows      mmap  2 banks x 64 slots x 128 situations x struct tactus_row
 *   tactus_classes   mmap  2 banks x 64 slots x struct tactus_class_conf
 *   tactus_pools           256 x struct tactus_pool_conf
 *   tactus_pool_state mmap 256 x struct tactus_pool_state   (kernel writes)
 *   tactus_cpus            1024 x struct tactus_cpu         (loader writes)
 *   tactus_places          64 x struct tactus_place         (loader writes)
 *   tactus_domains   mmap  64 x struct tactus_domain        (kernel writes)
 *   tactus_stats           per CPU, 1 x struct tactus_stats (kernel writes)
 *   tactus_exit            1 x struct tactus_exit           (kernel writes)
 *   tactus_workers         task storage, struct tactus_worker: declared in bpf/
 *
 * Banks: control.bank names the bank in force. The publisher fills the other
 * one and flips, at least 10 ms later than the flip before. A row is valid
 * when version_begin == version_end != 0; the writer stores version_begin,
 * then the body, then version_end with release, and never leaves them equal
 * while it writes (it first zeroes version_end). The reader loads version_end
 * with acquire, copies, loads version_begin.
 */
#ifndef TACTUS_ABI_DECISION_MAP_H
#define TACTUS_ABI_DECISION_MAP_H

#include "types.h"

#define TACTUS_PIN_DIR "/sys/fs/bpf/tactus"

/*
 * One decision row: a distribution over places and hold.
 * cdf[i] is the cumulative probability of places 0..i in units of 1/65535;
 * places beyond the machine's count repeat the last value. The mass of hold is
 * 65535 - cdf[63]. So p(place i) = cdf[i] - cdf[i-1], exactly as sampled.
 */
#define TACTUS_CDF_ONE 65535u
struct tactus_row {
	__u32 version_begin;
	__u16 confidence; /* 0..65535 = 0..1 */
	__u16 slice_10us; /* slice in units of 10 us, 0 = default */
	__u16 cdf[TACTUS_MAX_PLACES];
	__u32 reserved;
	__u32 version_end;
};
TACTUS_STATIC_ASSERT(sizeof(struct tactus_row) == 144, "row");

static inline __u32 tactus_row_index(__u32 bank, __u32 slot, __u32 situation)
{
	return ((bank & 1) * TACTUS_MAX_SLOTS + (slot & (TACTUS_MAX_SLOTS - 1))) *
		       TACTUS_NR_SITUATIONS +
	       (situation & (TACTUS_NR_SITUATIONS - 1));
}
#define TACTUS_NR_ROWS (2 * TACTUS_MAX_SLOTS * TACTUS_NR_SITUATIONS)

/* What holds for one class whatever the situation; same bank as its rows. */
struct tactus_class_conf {
	__u32 version;
	__u16 in_use;	/* 0: no rows, fallback */
	__u16 deadline; /* 1: a deadline class: exploration capped by the agent */
	__u8 tier[TACTUS_MAX_PLACES]; /* tier of each place for this class, 0 = best, < 4 */
	char name[32];		      /* for bpftool and people; zero-ended */
};

enum tactus_mode {
	TACTUS_MODE_FALLBACK = 0, /* rows are never used */
	TACTUS_MODE_LEARNED = 1,
};

struct tactus_control {
	__u32 abi_version;
	__u32 bank;	     /* 0 or 1 */
	__u64 heartbeat_ns;  /* CLOCK_MONOTONIC of the agent's last beat, 0 = never */
	__u64 heartbeat_limit_ns; /* older: fallback; 0 = 500 ms */
	__u32 mode;	     /* enum tactus_mode; what the operator (agent) wants */
	__u32 confidence_threshold; /* 0..65535; below: fallback but for explore_ppm */
	__u32 explore_ppm;   /* share of such decisions that follow the row; default 50000 */
	__u32 version;	     /* version of the rows in force */
	__u64 hold_limit_ns; /* 0 = 10 ms; never above 10 ms */
	__u64 generation;    /* changes with each load of the scheduler (loader writes) */
	__u64 reserved[9];
};
TACTUS_STATIC_ASSERT(sizeof(struct tactus_control) == 128, "control");

/* Registration of one pool; only the agent writes. */
struct tactus_pool_conf {
	__u32 in_use;
	__u32 uid;
	__u32 nr_workers;
	__u32 home_domain; /* where its tasks present are counted */
	__u8 slot_of[TACTUS_MAX_LOCAL_CLASSES]; /* local class -> row slot */
	__u32 serial;	   /* changes with every new tenant of this index */
	__u32 reserved;
	char name[32];
};

/* Kept by the kernel for a pool. */
struct tactus_pool_state {
	__s64 present;	     /* weighted tasks present, unclamped sum of differences */
	__u64 seen_external; /* weight_submitted - weight_finished of the pool page, last seen */
	__u32 serial;
	__u32 workers; /* of that tenant */
	__s32 alive;   /* workers seen and not gone */
	__u32 reserved;
};

/* Topology, written by the loader before the scheduler is attached. */
struct tactus_cpu {
	__u16 place;	/* < 64; TACTUS_NO_PLACE: not present */
	__u16 domain;	/* < 64 */
	__u16 node;
	__u16 core;	/* CPUs with equal core are SMT siblings */
	__u16 capacity; /* 1..1024, kernel's cpu_capacity, 1024 when unknown */
	__u16 present;
	__u32 reserved;
};
struct tactus_place {
	__u16 nr_cpus; /* 0: no such place */
	__u16 domain;
	__u16 node;
	__u16 core_type;    /* 0.. ; CPUs of one type have like capacity */
	__u16 first_cpu;
	__u16 reserved[3];
	__u64 near[4];	    /* places by distance: bitmask same domain, same node, same socket, all */
	__u64 cpus[TACTUS_MAX_CPUS / 64]; /* members */
};

/*
 * Per domain. N = weighted tasks present, M = sum of t_i * change of N, so
 * that area(t) = N * t - M (modulo 2^64) is the time integral of N, in ns.
 */
struct tactus_domain {
	__s64 present; /* N */
	__u64 moment;  /* M */
	__u64 sequence; /* events ever made for this domain's ring, lost ones too */
	__u64 lost;	/* .. of which did not fit */
	__s32 nr_waiting; /* managed workers waiting in queues of this domain */
	__s32 nr_held;
	__u32 nr_cpus; /* loader */
	__u32 reserved;
	__u64 vtime_now; /* virtual time of the domain */
	__u64 late_places; /* bit: head of that place's queue is past its bound */
	__u64 changes_begun; /* changes of N and M begun .. */
	__u64 changes_ended; /* .. and ended: a reader that sees them differ reads again */
	__u64 late_held;     /* 1: head of the held queue is past its bound */
	__u64 reserved1[5];
};
TACTUS_STATIC_ASSERT(sizeof(struct tactus_domain) == 128, "domain");

/* Why a decision did not follow the row, and how the rest came to be. */
enum tactus_source {
	TACTUS_SOURCE_ROW = 0,	       /* sampled from the row */
	TACTUS_SOURCE_MIXED = 1,       /* low confidence: row with explore_ppm, else fallback; logged with the mixed probability */
	TACTUS_SOURCE_FALLBACK_MODE = 2,	/* mode is fallback, or pool without rows */
	TACTUS_SOURCE_FALLBACK_HEARTBEAT = 3, /* agent silent */
	TACTUS_SOURCE_FALLBACK_MISSING = 4, /* class has no rows */
	TACTUS_SOURCE_FALLBACK_TORN = 5,    /* versions differ */
	TACTUS_SOURCE_FALLBACK_ILLEGAL = 6, /* no mass on any legal action */
	TACTUS_SOURCE_FORCED_BOUND = 7,	    /* past its bound: dispatched without asking */
	TACTUS_SOURCE_FORCED_SLICE = 8,	    /* end of slice: stays in its place */
	TACTUS_SOURCE_FORCED_AFFINITY = 9,  /* one CPU allowed, or a queue it may not leave */
	TACTUS_SOURCE_FORCED_STEAL = 10,    /* fallback mode stealing of a queued worker */
	TACTUS_NR_SOURCES = 11,
};

/* Counters, one copy per CPU. Append only. */
struct tactus_stats {
	__u64 decisions[TACTUS_NR_SOURCES];
	__u64 wake_idle;	/* managed wake-ups that got an idle CPU at once */
	__u64 wake_queued;	/* .. queued at a place */
	__u64 wake_held;	/* .. held */
	__u64 held_taken;	/* held workers taken by an idle CPU */
	__u64 redirects;	/* sampled place had no idle CPU, another of its tier had */
	__u64 preempts;		/* wake-up preemptions */
	__u64 timer_fires;
	__u64 timer_kicks;
	__u64 completions;	/* tasks reported in completion events */
	__u64 completion_events;
	__u64 ring_lost;	/* events that did not fit their ring */
	__u64 ring_lost_tasks;	/* tasks in lost completion events */
	__u64 page_overruns;	/* hostile or overrun head: records skipped */
	__u64 no_task_ctx;	/* per-task record missing: treated as default */
	__u64 running;		/* calls of ops.running */
	__u64 unmanaged_wakes;	/* wake-ups of threads that no pool registered */
	__u64 unmanaged_preempts; /* .. that preempted */
	__u64 migrations;
	__u64 goes_on;		/* ends of slices at which what ran was owed more than all that waited */
	__u64 reserved[8];
};

/* Why the scheduler left, kept for `tactus status`; map tactus_exit, 1 entry. */
struct tactus_exit {
	__u64 time_ns;
	__s64 code;
	__u32 kind; /* enum scx_exit_kind of the kernel; 0 = has not left */
	__u32 reserved;
	char reason[64];
	char message[256];
};

#endif
