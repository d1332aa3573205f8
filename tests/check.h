/* What every unit test includes: cmocka with its prerequisites, and comparisons that print their figures even when they
 * pass. */
#ifndef CHECK_H
#define CHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka last: it needs the headers above */
#include <cmocka.h>

/* The folder of files too large for the tree (tests/data/golden/README.md), or NULL: then the tests that need it skip.
 */
static inline const char *check_shared(void)
{
	const char *dir = getenv("E3_SHARED");
	return dir && *dir ? dir : NULL;
}

/* Relative L2 distance of a from the reference b, printed with the largest difference and the non-finite count. */
static inline double check_distance(const char *label, const float *a, const float *b, size_t n)
{
	double num = 0, den = 0, worst = 0;
	size_t bad = 0;
	for (size_t k = 0; k < n; k++) {
		if (!isfinite(a[k])) {
			bad++;
			continue;
		}
		double d = (double)a[k] - b[k];
		num += d * d, den += (double)b[k] * b[k];
		if (fabs(d) > worst)
			worst = fabs(d);
	}
	double rel = bad ? INFINITY : den > 0 ? sqrt(num / den) : sqrt(num);
	printf("# %-28s relative L2 %.2e  max %.2e  non-finite %zu of %zu\n", label, rel, worst, bad, n);
	return rel;
}

#endif
