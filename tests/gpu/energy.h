/* What an NVIDIA GPU has taken since its driver was loaded. Owns the management library's handle, which is opened at
 * the first call. */
#ifndef E3_TESTS_GPU_ENERGY_H
#define E3_TESTS_GPU_ENERGY_H

#include <dlfcn.h>
#include <math.h>

/* The energy counter of the device, in joules; NaN without NVIDIA's management library. */
static inline double joules(void)
{
	static int (*total)(void *, unsigned long long *);
	static void *device;
	int (*init)(void) = NULL, (*by_index)(unsigned, void **) = NULL;
	unsigned long long mj = 0;
	if (!device) {
		void *lib = dlopen("libnvidia-ml.so.1", RTLD_NOW);
		if (!lib)
			return NAN;
		*(void **)&init = dlsym(lib, "nvmlInit_v2");
		*(void **)&by_index = dlsym(lib, "nvmlDeviceGetHandleByIndex_v2");
		*(void **)&total = dlsym(lib, "nvmlDeviceGetTotalEnergyConsumption");
		if (!init || !by_index || !total || init() || by_index(0, &device))
			return NAN;
	}
	return total(device, &mj) ? NAN : 1e-3 * (double)mj;
}

#endif
