/* SPDX-License-Identifier: Apache-2.0 */
/* Loads a plug-in, runs it in a thread, unloads it, checks that it is gone; many times. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

static void *run(void *fn) { return (void *)(long)((int (*)(void))fn)(); }

int main(int argc, char **argv)
{
	int i;
	if (argc != 2)
		return 2;
	for (i = 0; i < 20; i++) {
		pthread_t thread;
		void *result, *fn, *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
		if (!plugin || !(fn = dlsym(plugin, "plugin_run"))) {
			printf("%s\n", dlerror());
			return 1;
		}
		pthread_create(&thread, NULL, run, fn);
		pthread_join(thread, &result);
		if ((long)result != 1012) {
			printf("round %d: %ld instead of 1012\n", i, (long)result);
			return 1;
		}
		dlclose(plugin);
		plugin = dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD);
		if (plugin) {
			printf("round %d: still loaded after dlclose\n", i);
			return 1;
		}
	}
	printf("loaded and unloaded %d times\n", i);
	return 0;
}
