/* dev: the memory that operations of the CPU backend compute in: one block for each thread, kept from call to call. */
#include "cpu.h"
#include "e3/mem.h"
#include <stdlib.h>

int e3_cpu_scratch(e3_cpu *cpu, int which, size_t floats, float **out, e3_err *err)
{
	if (cpu->scratch[which].floats < floats) {
		free(cpu->scratch[which].p);
		cpu->scratch[which].floats = 0;
		cpu->scratch[which].p = e3_alloc(floats, sizeof(float), "scratch memory", err);
		if (!cpu->scratch[which].p)
			return -1;
		cpu->scratch[which].floats = floats;
	}
	if (out)
		*out = cpu->scratch[which].p;
	return 0;
}

int e3_cpu_scratch_all(e3_cpu *cpu, size_t floats, const char *op, e3_err *err)
{
	for (int t = 0; t < e3_pool_threads(cpu->pool); t++)
		if (e3_cpu_scratch(cpu, t, floats, NULL, err))
			return e3_fail_in(err, "%s", op);
	return 0;
}
