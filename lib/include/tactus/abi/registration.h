/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * How a pool registers with the agent: SOCK_SEQPACKET on TACTUS_SOCKET.
 *
 *   pool                                  agent
 *   HELLO (+ up to 250 pidfds)      ->    checks SO_PEERPIDFD, that every thread is the peer's
 *   [WORKERS (+ pidfds) ...]        ->    more threads, until nr_workers are named
 *   [CLASSES ...]                   ->    class descriptors, any time
 *                                   <-    PAGES (+ page memfd, + rows memfd), or REFUSED
 *   MAPPED                          ->    seals the memfd, verifies, stores the uptrs
 *                                   <-    REGISTERED (class map, generation)
 *   CLASSES                         ->    later: new classes
 *                                   <-    CLASS_MAP
 *   (connection closed)                   agent forgets the pool
 *
 * The connection stays open while the pool lives; when it breaks the pool goes
 * on with what it has and tries again in the background (its pages become
 * private again). All integers are little endian; reserved fields are zero.
 */
#ifndef TACTUS_ABI_REGISTRATION_H
#define TACTUS_ABI_REGISTRATION_H

#include "types.h"

#define TACTUS_SOCKET "/run/tactus/agent.sock"
#define TACTUS_SOCKET_ENV "TACTUS_SOCKET" /* overrides the path; set to "" to never register */

enum tactus_message_type {
	TACTUS_MSG_HELLO = 1,
	TACTUS_MSG_WORKERS = 2,
	TACTUS_MSG_CLASSES = 3,
	TACTUS_MSG_MAPPED = 4,
	TACTUS_MSG_PAGES = 16,
	TACTUS_MSG_REGISTERED = 17,
	TACTUS_MSG_CLASS_MAP = 18,
	TACTUS_MSG_REFUSED = 19,
};

enum tactus_refusal {
	TACTUS_REFUSED_ABI = 1,
	TACTUS_REFUSED_FOREIGN_THREAD = 2, /* a named thread is not the peer's */
	TACTUS_REFUSED_QUOTA = 3,
	TACTUS_REFUSED_MALFORMED = 4,
	TACTUS_REFUSED_SEALS = 5,
	TACTUS_REFUSED_NO_SCHEDULER = 6, /* try again later */
	TACTUS_REFUSED_INTERNAL = 7,
};

struct tactus_msg_head {
	__u32 magic; /* TACTUS_MAGIC */
	__u16 type;
	__u16 reserved;
	__u32 abi_version;
	__u32 bytes; /* whole message */
};

#define TACTUS_FDS_PER_MESSAGE 250

struct tactus_msg_workers { /* HELLO and WORKERS: pidfds of threads ride along, same order */
	struct tactus_msg_head head;
	__u32 nr_workers_total;
	__u32 first_worker;
	__u32 nr_here;
	__u32 reserved;
	char pool_name[32];
	__s32 tid[TACTUS_FDS_PER_MESSAGE]; /* as the pool sees them; informative */
};

/* Indices of the task features, each 0..255 for 0..1; see LEARNING.md and FEATURES.md E */
enum tactus_feature {
	TACTUS_FEATURE_COMPUTE_INTENSITY = 0,
	TACTUS_FEATURE_SEQUENTIAL_ACCESS = 1,
	TACTUS_FEATURE_DATA_SIZE_LOG2 = 2,
	TACTUS_FEATURE_CACHE_LOCALITY = 3,
	TACTUS_FEATURE_LOOP_DEPTH = 4,
	TACTUS_FEATURE_DEPENDENCIES = 5,
	TACTUS_FEATURE_BRANCH_DIVERGENCE = 6,
	TACTUS_FEATURE_VECTORIZATION = 7,
	TACTUS_FEATURE_LATENCY_SENSITIVITY = 8,
	TACTUS_FEATURE_PRIORITY = 9,
	TACTUS_FEATURE_DEADLINE_PRESSURE = 10,
	TACTUS_FEATURE_RUN_TIME = 11,
	TACTUS_FEATURE_PREFERRED_NODE = 12,
	TACTUS_NR_FEATURES = 16,
};

struct tactus_class_desc {
	__u16 local_class; /* 1 .. 63 */
	__u8 priority;	   /* 0..3 */
	__u8 weight;	   /* 1..255: weight of its tasks in the cost */
	__u32 declared;	   /* bit f: feature f was declared by the user */
	__u32 deadline_us; /* usual relative deadline, 0 = none */
	__u32 reserved;
	__u64 fingerprint[2]; /* 128 bits, stable across runs and ASLR */
	char name[32];
	__u8 features[TACTUS_NR_FEATURES];
};

#define TACTUS_CLASSES_PER_MESSAGE 64
struct tactus_msg_classes {
	struct tactus_msg_head head;
	__u32 nr_classes;
	__u32 reserved;
	struct tactus_class_desc classes[TACTUS_CLASSES_PER_MESSAGE];
};

/* PAGES: two fds: the pages (read and write), the route table (read only) */
struct tactus_msg_pages {
	struct tactus_msg_head head;
	__u64 page_bytes;
	__u64 route_bytes;
	__u64 generation;
	__u32 set_sched_ext; /* 1: --partial is loaded: make the workers SCHED_EXT */
	__u32 reserved;
};

struct tactus_msg_registered { /* REGISTERED and CLASS_MAP */
	struct tactus_msg_head head;
	__u64 generation;
	__u32 pool;
	__u32 reserved;
	__u8 slot_of[TACTUS_MAX_LOCAL_CLASSES]; /* 0 = shares the unknown slot */
};

struct tactus_msg_refused {
	struct tactus_msg_head head;
	__u32 reason; /* enum tactus_refusal */
	__u32 retry_ms; /* 0 = do not */
	char text[120];
};

/*
 * The route table: rows of the pool's own classes, kept up to date by the
 * agent, read by workers to prefer tasks that suit the place they are on.
 * suit[c][p] says how likely the policy chooses place p for a task of local class
 * c, 0..255 of the likeliest place, averaged over
 * the situations seen. Sequence is odd while the agent writes; 0 = no policy.
 */
struct tactus_route_table {
	__u32 magic;
	__u32 sequence;
	__u32 nr_places;
	__u32 version;
	__u32 reserved[12];
	__u8 place_of_cpu[TACTUS_MAX_CPUS];
	__u8 suit[TACTUS_MAX_LOCAL_CLASSES][TACTUS_MAX_PLACES];
};

#endif
