/* base: shared objects that are opened by name, so that only they need what they link. */
#ifndef E3_PLUGIN_H
#define E3_PLUGIN_H

#include <stddef.h>

/* dlopen of `file` ("libe3-cuda.so"): as built and as installed beside the program, then wherever the loader looks.
 * NULL, with the reason in why[size]. */
void *e3_plugin_open(const char *file, char *why, size_t size);

#endif
