/* dev: finding the CUDA backend: a shared object opened by name, so that only it needs CUDA. Refuses one of another
 * version. */
#include "e3/dev.h"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Beside the program as built and as installed, then wherever the loader looks. */
static void *open_plugin(char *why, size_t size)
{
	static const char *const places[] = {"/../lib/e3/libe3-cuda.so", "/libe3-cuda.so"};
	char path[4200], self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	self[n > 0 ? n : 0] = 0;
	char *slash = strrchr(self, '/');
	if (slash)
		*slash = 0;
	for (size_t k = 0; slash && k < sizeof places / sizeof *places; k++) {
		snprintf(path, sizeof path, "%s%s", self, places[k]);
		if (access(path, F_OK))
			continue;
		void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		if (!handle)
			snprintf(why, size, "%s", dlerror());
		return handle;
	}
	void *handle = dlopen("libe3-cuda.so", RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		snprintf(why, size, "the plug-in libe3-cuda.so is not installed");
	return handle;
}

e3_dev *e3_dev_cuda(bool strict, e3_err *err)
{
	char why[512] = "";
	void *handle = open_plugin(why, sizeof why);
	if (!handle) {
		e3_fail(err, "opening the device: cuda: no CUDA device: %s", why);
		return NULL;
	}
	const e3_dev_plugin *plugin = dlsym(handle, "e3_dev_plugin_cuda");
	if (!plugin || plugin->abi != E3_DEV_ABI) {
		e3_fail(err, "opening the device: cuda: libe3-cuda.so: version %d, expected %d", plugin ? plugin->abi : 0,
			E3_DEV_ABI);
		dlclose(handle);
		return NULL;
	}
	e3_dev *dev =
		plugin->open(strict, err); /* the handle stays open as long as the process: the table's code is in it */
	if (!dev)
		dlclose(handle);
	return dev;
}
