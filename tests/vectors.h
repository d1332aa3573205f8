/* The vectors of tests/data/eval/vectors.json for unit tests: loaded once for the group (vectors_load, vectors_unload)
 * and looked up by name. When E3_VECTORS_SEEN names a file, every name looked up is appended to it: eval-vectors.bats
 * checks that no vector is left out. */
#ifndef VECTORS_H
#define VECTORS_H

#include "check.h"
#include <jansson.h>

static json_t *vectors_root;

static int vectors_load(void **state)
{
	vectors_root = json_load_file("tests/data/eval/vectors.json", 0, NULL);
	return vectors_root ? 0 : -1;
}

static int vectors_unload(void **state)
{
	json_decref(vectors_root);
	return 0;
}

static json_t *vector(const char *name)
{
	json_t *v = json_object_get(json_object_get(vectors_root, "vectors"), name);
	if (!v)
		fail_msg("no vector %s", name);
	FILE *seen = getenv("E3_VECTORS_SEEN") ? fopen(getenv("E3_VECTORS_SEEN"), "a") : NULL;
	if (seen) {
		fprintf(seen, "%s\n", name);
		fclose(seen);
	}
	return v;
}

static inline double number(json_t *from, const char *key)
{
	json_t *v = json_object_get(from, key);
	if (!json_is_number(v))
		fail_msg("no number %s", key);
	return json_number_value(v);
}

/* Numbers of nested arrays, row by row: how many. */
static inline size_t flatten(json_t *v, double *to)
{
	if (!json_is_array(v)) {
		*to = json_number_value(v);
		return 1;
	}
	size_t n = 0;
	for (size_t k = 0; k < json_array_size(v); k++)
		n += flatten(json_array_get(v, k), to + n);
	return n;
}

static inline void near(const char *what, double got, double want, double tolerance)
{
	double off = fabs(got - want);
	if (!(off <= tolerance * fmax(1, fabs(want))))
		fail_msg("%s: %.17g, expected %.17g: off by %.2e", what, got, want, off);
}

#endif
