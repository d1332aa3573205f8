/* e3-dump: what both forms of output need to know of a value. */
#include "dump.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { SMALL = 64 }; /* --arrays shows the elements of arrays of at most so many */

dump_range dump_measure(const e3_array *a)
{
	dump_range r = {INFINITY, -INFINITY, 0, 0};
	for (size_t k = 0; k < a->count; k++) {
		double v = e3_array_at(a, k);
		if (!isfinite(v))
			continue;
		r.min = v < r.min ? v : r.min, r.max = v > r.max ? v : r.max;
		r.mean += v, r.finite++;
	}
	r.mean /= (double)(r.finite ? r.finite : 1);
	return r;
}

bool dump_is_array(e3_cursor c, e3_array *a)
{
	e3_cursor from = c;
	e3_value map;
	return e3_value_next(&c, &map) == 0 && map.type == E3_V_MAP && map.n == 3 && e3_array_read(&from, a, NULL) == 0;
}

bool dump_elements(const dump_look *look, const e3_array *a)
{
	return look->full || (look->arrays && a->count <= SMALL);
}

void dump_digits(double v, bool single, char to[32])
{
	int most = single ? 9 : 17;
	if (!isfinite(v)) {
		snprintf(to, 32, "%s", isnan(v) ? "nan" : v > 0 ? "inf" : "-inf");
		return;
	}
	for (int digits = 6; digits <= most; digits++) {
		snprintf(to, 32, "%.*g", digits, v);
		if (single ? strtof(to, NULL) == (float)v : strtod(to, NULL) == v)
			return;
	}
}
