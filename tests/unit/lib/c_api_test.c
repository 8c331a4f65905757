/* SPDX-License-Identifier: Apache-2.0 */
/* The C interface, from C: every function, and what it says of errors. */
#include <tactus/tactus.h>

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;
#define CHECK(what)                                                                      \
	do {                                                                             \
		if (!(what)) {                                                           \
			printf("%s:%d: failed: %s\n", __FILE__, __LINE__, #what);        \
			failures++;                                                      \
		}                                                                        \
	} while (0)

static atomic_int count;
static tactus_pool *pool;

static void add_one(void *context)
{
	(void)context;
	atomic_fetch_add(&count, 1);
}

static void add_parts(void *context, size_t from, size_t to)
{
	CHECK(context == &count);
	atomic_fetch_add(&count, (int)(to - from));
}

struct fib {
	int n;
	long result;
};

static void fib(void *context)
{
	struct fib *f = context;
	struct fib left = {f->n - 1, 0}, right = {f->n - 2, 0};
	tactus_group *group;
	if (f->n < 2) {
		f->result = f->n;
		return;
	}
	group = tactus_group_create(pool, NULL);
	CHECK(group && tactus_group_run(group, fib, &left) == TACTUS_OK);
	fib(&right);
	CHECK(tactus_group_wait(group) == TACTUS_OK);
	tactus_group_destroy(group);
	f->result = left.result + right.result;
}

static void wait_inside(void *context) { *(int *)context = tactus_wait(pool); }

static int nr_threads(void)
{
	char line[256];
	int n = 0;
	FILE *f = fopen("/proc/self/status", "r");
	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "Threads: %d", &n) == 1)
			break;
	if (f)
		fclose(f);
	return n;
}

int main(void)
{
	struct tactus_pool_options options;
	struct tactus_class_stats stats[64];
	struct fib f = {15, 0};
	struct tactus_class_options declared;
	tactus_class *audio, *loops;
	size_t i, n;
	int inside = 0, found = 0;

	/* a sanitizer may have a thread of its own */
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
	CHECK(nr_threads() == 1); /* linking the library starts none */
#else
	(void)nr_threads;
#endif
	CHECK(tactus_version() == 100);
	CHECK(tactus_pool_options_init(&options, "fast") == TACTUS_INVALID);
	CHECK(strstr(tactus_error_text(), "preset"));
	CHECK(tactus_pool_options_init(NULL, NULL) == TACTUS_INVALID);
	CHECK(tactus_pool_options_init(&options, "testing") == TACTUS_OK);
	CHECK(options.workers == 2 && options.spares == 0 && !options.register_with_agent);
	options.size = 4;
	CHECK(!tactus_pool_create(&options));
	options.size = sizeof options;
	options.name = "from-c";
	options.max_workers = 3;
	pool = tactus_pool_create(&options);
	CHECK(pool != NULL);
	if (!pool)
		return 1;
	CHECK(tactus_pool_workers(pool) == 2);
	CHECK(tactus_pool_resize(pool, 3) == 3);

	audio = tactus_class_create("audio", 3, 4, 5000000000u);
	CHECK(audio && !tactus_class_create(NULL, 0, 0, 0));
	tactus_class_options_init(&declared);
	CHECK(declared.priority == 1 && declared.weight == 1 && declared.features[12] < 0);
	declared.features[4] = 0.25f;
	loops = tactus_class_create_with("loops", &declared);
	CHECK(loops && tactus_submit(pool, loops, add_one, NULL) == TACTUS_OK);
	CHECK(tactus_wait(pool) == TACTUS_OK && count == 1);
	count = 0;
	declared.size = 1;
	CHECK(!tactus_class_create_with("loops", &declared));
	for (i = 0; i < 100; i++)
		CHECK(tactus_submit(pool, i % 2 ? audio : NULL, add_one, NULL) == TACTUS_OK);
	CHECK(tactus_wait(pool) == TACTUS_OK);
	CHECK(count == 100);
	CHECK(tactus_parallel_for(pool, audio, 1000, add_parts, &count) == TACTUS_OK);
	CHECK(count == 1100);
	CHECK(tactus_submit_after(pool, NULL, 1000000, add_one, NULL) == TACTUS_OK);
	while (count == 1100)
		;
	CHECK(tactus_submit_after(pool, NULL, UINT64_MAX, add_one, NULL) == TACTUS_OK); /* never due */
	CHECK(tactus_submit(pool, NULL, fib, &f) == TACTUS_OK);
	CHECK(tactus_wait(pool) == TACTUS_OK);
	CHECK(f.result == 610);
	CHECK(tactus_submit(pool, NULL, wait_inside, &inside) == TACTUS_OK);
	CHECK(tactus_wait(pool) == TACTUS_OK);
	CHECK(inside == TACTUS_INVALID);

	n = tactus_pool_stats(pool, stats, 64);
	CHECK(n >= 3 && n <= 64);
	CHECK(tactus_pool_stats(pool, NULL, 0) == n);
	for (i = 0; i < n; i++)
		if (!strcmp(stats[i].name, "audio")) {
			found++;
			CHECK(stats[i].finished >= 50 && stats[i].submitted == stats[i].finished);
			CHECK(stats[i].priority == 3 && stats[i].weight == 4 && stats[i].missed == 0);
		} else if (!strcmp(stats[i].name, "loops")) {
			found++;
			CHECK((stats[i].fingerprint[1] >> 2 * 4 & 3) == 1); /* loop_depth: declared */
			CHECK((stats[i].fingerprint[1] >> 2 * 7 & 3) == 0); /* vectorization: unknown */
		}
	CHECK(found == 2);

	CHECK(tactus_pool_shutdown(pool, TACTUS_CANCEL) == TACTUS_OK);
	CHECK(tactus_submit(pool, NULL, add_one, NULL) == TACTUS_STOPPED);
	CHECK(strstr(tactus_error_text(), "shut down"));
	CHECK(count == 1101);
	tactus_class_destroy(audio);
	tactus_class_destroy(loops);
	tactus_pool_destroy(pool);
	tactus_pool_destroy(NULL);
	tactus_group_destroy(NULL);
	printf("%d failures\n", failures);
	return failures != 0;
}
