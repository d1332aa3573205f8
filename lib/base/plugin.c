/* base: plug-ins: where they are. */
#include "e3/plugin.h"
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* OpenBLAS, which one of these may bring, must not start its threads here either (leave.c). */
static void *open_path(const char *path)
{
	bool ours = !getenv("OPENBLAS_NUM_THREADS") && setenv("OPENBLAS_NUM_THREADS", "1", 0) == 0;
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (ours)
		unsetenv("OPENBLAS_NUM_THREADS");
	return handle;
}

void *e3_plugin_open(const char *file, char *why, size_t size)
{
	static const char *const places[] = {"../lib/e3/", ""};
	char path[4300], self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	self[n > 0 ? n : 0] = 0;
	char *slash = strrchr(self, '/');
	if (slash)
		*slash = 0;
	for (size_t k = 0; slash && k < sizeof places / sizeof *places; k++) {
		snprintf(path, sizeof path, "%s/%s%s", self, places[k], file);
		if (access(path, F_OK))
			continue;
		void *handle = open_path(path);
		if (!handle)
			snprintf(why, size, "%s", dlerror());
		return handle;
	}
	void *handle = open_path(file);
	if (handle)
		return handle;
	/* The loader names the file that it did not find: this one, or a library that this one needs. */
	const char *said = dlerror();
	size_t n_file = strlen(file);
	if (strncmp(said, file, n_file) == 0 && said[n_file] == ':')
		snprintf(why, size, "the plug-in %s is not installed", file);
	else
		snprintf(why, size, "%s", said);
	return NULL;
}
