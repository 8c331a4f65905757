/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool for C and for languages that call C.
 *
 *     tactus_pool *pool = tactus_pool_create(NULL);
 *     tactus_class *audio = tactus_class_create("audio", 3, 4, 5000000);
 *     tactus_submit(pool, audio, mix, &track);
 *     tactus_wait(pool);
 *     tactus_class_destroy(audio);
 *     tactus_pool_destroy(pool);
 *
 * Thread-safety: all functions but create and destroy may be called from any
 * thread; a group from the thread that made it, and tactus_group_run() also from
 * the group's tasks.
 * Errors: functions that can fail return one of enum tactus_result, or NULL;
 * tactus_error_text() then says what happened, in this thread.
 * Strings are copied. Times are nanoseconds. What a context points to must live
 * until its task has ended. Where a pool is shut down with TACTUS_CANCEL, tasks
 * that wait are not called at all.
 * A function in C++ may throw: the exception is told by tactus_wait() or
 * tactus_group_wait() as TACTUS_FAILED.
 */
#ifndef TACTUS_H
#define TACTUS_H

#include "export.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tactus_pool tactus_pool;
typedef struct tactus_class tactus_class;
typedef struct tactus_group tactus_group;

typedef void (*tactus_function)(void *context);
/* A part [from, to) of a loop. */
typedef void (*tactus_loop_function)(void *context, size_t from, size_t to);

enum tactus_result {
	TACTUS_OK = 0,
	TACTUS_FAILED = -1,    /* a task ended by an exception */
	TACTUS_STOPPED = -2,   /* the pool was shut down */
	TACTUS_NO_MEMORY = -3, /* or no thread could be made */
	TACTUS_INVALID = -4,   /* a wrong argument, or not allowed from here */
};

enum tactus_stop { TACTUS_DRAIN = 0, TACTUS_CANCEL = 1 };

/* Fill it with tactus_pool_options_init(), then change what is to differ. */
struct tactus_pool_options {
	size_t size;                /* sizeof(struct tactus_pool_options) of the caller */
	const char *name;           /* also the threads' name; up to 31 bytes */
	unsigned workers;           /* 0: by affinity, cpuset and quota */
	unsigned max_workers;       /* for tactus_pool_resize(); 0: workers */
	int spares;                 /* parked workers for urgent classes; -1: min(workers, 4) */
	int register_with_agent;    /* 0 or 1 */
	int outside_threads_help;   /* 0 or 1: may tactus_wait() run tasks in the caller? */
	int64_t look_around_ns;     /* before an idle worker sleeps; -1: the library's choice */
};

/* preset: "basic", "performance", "latency", "throughput", "embedded", "testing"; NULL: "basic".
 * TACTUS_INVALID for another name. */
TACTUS_API int tactus_pool_options_init(struct tactus_pool_options *options, const char *preset);

/* options NULL: the defaults. NULL on failure. */
TACTUS_API tactus_pool *tactus_pool_create(const struct tactus_pool_options *options);
/* Runs what was submitted, joins the threads, frees the pool. NULL is fine. */
TACTUS_API void tactus_pool_destroy(tactus_pool *pool);
TACTUS_API int tactus_pool_shutdown(tactus_pool *pool, enum tactus_stop stop);
/* Number of workers that take tasks. */
TACTUS_API unsigned tactus_pool_workers(const tactus_pool *pool);
/* Sets it, at most max_workers; 0: by affinity, cpuset and quota of now. Returns it. */
TACTUS_API unsigned tactus_pool_resize(tactus_pool *pool, unsigned workers);

/* priority 0 background .. 3 urgent; weight 1..255; deadline from submission, 0 = none.
 * Two of one name are one class; where they differ, what a pool saw last counts for both. Lives until destroyed; pools keep what they need. */
TACTUS_API tactus_class *tactus_class_create(const char *name, int priority, int weight, uint64_t deadline_ns);
/* All that can be declared of a class. Fill it with tactus_class_options_init(). */
enum { TACTUS_FEATURES = 13 };
struct tactus_class_options {
	size_t size;                     /* sizeof(struct tactus_class_options) of the caller */
	int priority, weight;
	uint64_t deadline_ns;
	int drop_missed;                 /* 1: a task that cannot start before its deadline is not called */
	float features[TACTUS_FEATURES]; /* as enum class feature in task_class.hpp, 0..1; below 0: not declared;
	                                    that of the priority is not read */
};
TACTUS_API void tactus_class_options_init(struct tactus_class_options *options);
TACTUS_API tactus_class *tactus_class_create_with(const char *name, const struct tactus_class_options *options);
TACTUS_API void tactus_class_destroy(tactus_class *cls);

/* Where cls may be NULL: a class named "c". */
TACTUS_API int tactus_submit(tactus_pool *pool, const tactus_class *cls, tactus_function fn, void *context);
/* As tactus_submit() after a delay. Not called if the pool is shut down before it is due. */
TACTUS_API int tactus_submit_after(tactus_pool *pool, const tactus_class *cls, uint64_t delay_ns, tactus_function fn,
				   void *context);
/* fn over all of [0, count) in parts, in parallel, the caller takes part; returns when done. */
TACTUS_API int tactus_parallel_for(tactus_pool *pool, const tactus_class *cls, size_t count, tactus_loop_function fn,
				   void *context);
/* Returns when everything submitted so far has ended. TACTUS_INVALID from a task of this pool. */
TACTUS_API int tactus_wait(tactus_pool *pool);

/* Fork and join. A waiting worker runs other tasks meanwhile. */
TACTUS_API tactus_group *tactus_group_create(tactus_pool *pool, const tactus_class *cls);
TACTUS_API int tactus_group_run(tactus_group *group, tactus_function fn, void *context);
TACTUS_API int tactus_group_wait(tactus_group *group);
/* Waits first. NULL is fine. */
TACTUS_API void tactus_group_destroy(tactus_group *group);

struct tactus_class_stats {
	char name[32];          /* "unknown" for class 0 */
	uint64_t fingerprint[2]; /* high, low */
	int priority, weight;
	uint64_t submitted;
	uint64_t finished;      /* cancelled ones too */
	uint64_t missed;        /* ended after their deadline */
	uint64_t failed;        /* ended by an exception */
	uint64_t run_ns;        /* 0 where there is no clock to take it with */
};
/* Writes up to `capacity` classes, index = pool-local class; returns how many there are. */
TACTUS_API size_t tactus_pool_stats(const tactus_pool *pool, struct tactus_class_stats *out, size_t capacity);

/* What the last function that failed in this thread had to say; never NULL. */
TACTUS_API const char *tactus_error_text(void);

/* 10000 x major + 100 x minor + patch of the library at run time. */
TACTUS_API unsigned tactus_version(void);

#ifdef __cplusplus
}
#endif

#endif
