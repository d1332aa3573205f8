/* dev: finding the CUDA backend: a shared object opened by name, so that only it needs CUDA. Refuses one of another
 * version. */
#include "e3/dev.h"
#include "e3/plugin.h"
#include <dlfcn.h>

e3_dev *e3_dev_cuda(bool strict, e3_err *err)
{
	char why[512] = "";
	void *handle = e3_plugin_open("libe3-cuda.so", why, sizeof why);
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
