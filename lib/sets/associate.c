/* sets: pairing two lists of time stamps: nearest first, each stamp once (doc/evaluation.md 2.7). Refuses lists with so
 * many close stamps that the candidates would not fit in memory. */
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

static stamp *sorted(e3_stamps x, e3_err *err)
{
	stamp *s = e3_alloc(x.n, sizeof *s, "time stamps", err);
	for (size_t k = 0; s && k < x.n; k++)
		s[k] = (stamp){x.t[k], k};
	if (s)
		qsort(s, x.n, sizeof *s, by_time);
	return s;
}

typedef struct search {
	const stamp *a, *b; /* sorted */
	size_t n_a, n_b;
	double within;
	candidate *found; /* [n] in any order */
	size_t n, room;
} search;

static int add(search *s, const stamp *a, const stamp *b, double difference, e3_err *err)
{
	if (s->n == MAX_CANDIDATES)
		return e3_fail(err, "pairing time stamps: more than %d pairs are less than %g s apart", MAX_CANDIDATES,
			s->within);
	if (s->n == s->room) {
		size_t more = s->room ? 2 * s->room : 1024;
		if (e3_grow((void **)&s->found, more, sizeof *s->found, "pairs of time stamps", err))
			return -1;
		s->room = more;
	}
	s->found[s->n++] = (candidate){difference, a->t, b->t, {a->at, b->at}};
	return 0;
}

/* All pairs closer than `within`. */
static int find(search *s, e3_err *err)
{
	size_t first = 0;
	for (size_t k = 0; k < s->n_a; k++) {
		double reach = 1.01 * s->within; /* the exact test is below */
		while (first < s->n_b && s->b[first].t < s->a[k].t - reach)
			first++;
		for (size_t j = first; j < s->n_b && s->b[j].t <= s->a[k].t + reach; j++) {
			double difference = fabs(s->a[k].t - s->b[j].t);
			if (difference < s->within && add(s, &s->a[k], &s->b[j], difference, err))
				return -1;
		}
	}
	return 0;
}

int e3_traj_associate(e3_stamps a, e3_stamps b, double within, e3_stamp_pairs *out, e3_err *err)
{
	enum { NONE = -1 };
	stamp *sa = sorted(a, err), *sb = sa ? sorted(b, err) : NULL;
	int64_t *of_a = sb ? e3_alloc(a.n, sizeof *of_a, "pairs", err) : NULL;
	bool *used = of_a ? e3_alloc(b.n, sizeof *used, "pairs", err) : NULL;
	search s = {.a = sa, .b = sb, .n_a = a.n, .n_b = b.n, .within = within};
	*out = (e3_stamp_pairs){.at = used ? e3_alloc(a.n, sizeof *out->at, "pairs", err) : NULL};
	int rc = out->at ? find(&s, err) : -1;
	for (size_t k = 0; !rc && k < a.n; k++)
		of_a[k] = NONE;
	if (!rc && s.n)
		qsort(s.found, s.n, sizeof *s.found, by_difference);
	for (size_t k = 0; !rc && k < s.n; k++) {
		const candidate *c = &s.found[k];
		if (of_a[c->at[0]] == NONE && !used[c->at[1]])
			of_a[c->at[0]] = (int64_t)c->at[1], used[c->at[1]] = true;
	}
	for (size_t k = 0; !rc && k < a.n; k++)
		if (of_a[sa[k].at] != NONE)
			out->at[out->n][0] = sa[k].at, out->at[out->n++][1] = (size_t)of_a[sa[k].at];
	free(s.found), free(sa), free(sb), free(of_a), free(used);
	if (rc) {
		free(out->at);
		*out = (e3_stamp_pairs){0};
	}
	return rc;
}
