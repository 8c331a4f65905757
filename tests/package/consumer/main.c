/* SPDX-License-Identifier: Apache-2.0 */
#include <tactus/tactus.h>

static void set(void *context) { *(int *)context = 1; }

int main(void)
{
	int ran = 0;
	tactus_pool *pool = tactus_pool_create(0);
	if (!pool || tactus_submit(pool, 0, set, &ran) || tactus_wait(pool))
		return 1;
	tactus_pool_destroy(pool);
	return !ran;
}
