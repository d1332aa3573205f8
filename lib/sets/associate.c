/* sets: pairing two lists of time stamps, nearest first, each stamp once (doc/evaluation.md 2.7). Refuses lists in
 * which so many stamps lie together that the candidates would not fit. */
#include "e3/mem.h"
#include "e3/sets.h"
#include <math.h>
#include <stdlib.h>

enum { MAX_CANDIDATES = 1 << 24 };

typedef struct stamp {
	double t;
	size_t at;
} stamp;

typedef struct candidate {
	double difference, a, b;
	size_t at[2];
} candidate;

static int order(double x, double y) { return (x > y) - (x < y); }

static int by_time(const void *x, const void *y) { return order(((const stamp *)x)->t, ((const stamp *)y)->t); }

static int by_difference(const void *x, const void *y)
{
	const candidate *p = x, *q = y;
	int o = order(p->difference, q->difference);
	o = o ? o : order(p->a, q->a);
	return o ? o : order(p->b, q->b);
}

static stamp *sorted(const double *t, size_t n, e3_err *err)
{
	stamp *s = e3_alloc(n, sizeof *s, "time stamps", err);
	for (size_t k = 0; s && k < n; k++)
		s[k] = (stamp){t[k], k};
	if (s)
		qsort(s, n, sizeof *s, by_time);
	return s;
}

/* All pairs closer than `within`, in any order. */
static int find(const stamp *a, size_t n_a, const stamp *b, size_t n_b, double within, candidate **out, size_t *n,
	e3_err *err)
{
	size_t first = 0, cap = 0;
	*out = NULL, *n = 0;
	for (size_t k = 0; k < n_a; k++) {
		double reach = 1.01 * within; /* the exact test is below */
		while (first < n_b && b[first].t < a[k].t - reach)
			first++;
		for (size_t j = first; j < n_b && b[j].t <= a[k].t + reach; j++) {
			double difference = fabs(a[k].t - b[j].t);
			if (!(difference < within))
				continue;
			if (*n == MAX_CANDIDATES)
				return e3_fail(err, "pairing time stamps: more than %d pairs are less than %g s apart", MAX_CANDIDATES,
					within);
			if (*n == cap) {
				cap = cap ? 2 * cap : 1024;
				if (e3_grow((void **)out, cap, sizeof **out, "pairs of time stamps", err))
					return -1;
			}
			(*out)[(*n)++] = (candidate){difference, a[k].t, b[j].t, {a[k].at, b[j].at}};
		}
	}
	return 0;
}

int e3_traj_associate(const double *a, size_t n_a, const double *b, size_t n_b, double within, size_t (**pair)[2],
	size_t *n, e3_err *err)
{
	enum { NONE = -1 };
	candidate *c = NULL;
	size_t n_c = 0;
	stamp *sa = sorted(a, n_a, err), *sb = sa ? sorted(b, n_b, err) : NULL;
	int64_t *of_a = sb ? e3_alloc(n_a, sizeof *of_a, "pairs", err) : NULL;
	bool *used = of_a ? e3_alloc(n_b, sizeof *used, "pairs", err) : NULL;
	*pair = used ? e3_alloc(n_a, sizeof **pair, "pairs", err) : NULL;
	*n = 0;
	int rc = *pair ? find(sa, n_a, sb, n_b, within, &c, &n_c, err) : -1;
	for (size_t k = 0; !rc && k < n_a; k++)
		of_a[k] = NONE;
	if (!rc && n_c)
		qsort(c, n_c, sizeof *c, by_difference);
	for (size_t k = 0; !rc && k < n_c; k++)
		if (of_a[c[k].at[0]] == NONE && !used[c[k].at[1]]) {
			of_a[c[k].at[0]] = (int64_t)c[k].at[1];
			used[c[k].at[1]] = true;
		}
	for (size_t k = 0; !rc && k < n_a; k++)
		if (of_a[sa[k].at] != NONE)
			(*pair)[*n][0] = sa[k].at, (*pair)[(*n)++][1] = (size_t)of_a[sa[k].at];
	free(c), free(sa), free(sb), free(of_a), free(used);
	if (rc) {
		free(*pair);
		*pair = NULL;
	}
	return rc;
}
