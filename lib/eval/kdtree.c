/* eval: exact nearest neighbours in a cloud of points. The balanced tree reorders the points, so that neighbours in
 * space are neighbours in memory. Refuses coordinates that are not finite. Every node has the bounding box of its
 * points. Clouds are surfaces, for which a box is a much better bound than a plane that cuts space along one axis.
 * Boxes are in single precision, rounded outwards. Pruning is exact in floating point too: the bound of a box adds the
 * same three squares in the same order as the distance of a point does, each square is no larger, and rounding is
 * monotonic. */
#include "e3/eval.h"
#include "e3/mem.h"
#include "e3/thread.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAF = 16, ALONE = 5 }; /* most points in a leaf; levels that one thread builds before threads share the rest */

struct e3_kdnode {
	float low[3], high[3];
};

typedef struct span {
	size_t node, lo, hi;
	int level;
} span;

static void swap(e3_kdtree *t, size_t a, size_t b)
{
	double x[3];
	uint32_t was = t->was[a];
	memcpy(x, t->x[a], sizeof x);
	memcpy(t->x[a], t->x[b], sizeof x);
	memcpy(t->x[b], x, sizeof x);
	t->was[a] = t->was[b], t->was[b] = was;
}

static double median3(double a, double b, double c) { return fmax(fmin(a, b), fmin(fmax(a, b), c)); }

/* Hoare's selection: nothing before `at` is larger than it, nothing behind it smaller. */
static void select_along(e3_kdtree *t, int axis, size_t lo, size_t hi, size_t at)
{
	while (hi - lo > 1) {
		double pivot = median3(t->x[lo][axis], t->x[lo + (hi - lo) / 2][axis], t->x[hi - 1][axis]);
		size_t i = lo, j = hi - 1;
		for (;;) {
			while (t->x[i][axis] < pivot)
				i++;
			while (t->x[j][axis] > pivot)
				j--;
			if (i >= j)
				break;
			swap(t, i++, j--);
		}
		/* [lo, i) <= pivot <= [i, hi), or with i == j the pivot itself at i */
		if (i == j) {
			if (at == i)
				return;
			if (at > i)
				lo = i + 1;
			else
				hi = i;
		} else if (at >= i)
			lo = i;
		else
			hi = i;
	}
}

static size_t half(const span *s) { return s->lo + (s->hi - s->lo) / 2; }

static float round_to(double v, float towards)
{
	float f = (float)v;
	return (towards < 0 ? (double)f > v : (double)f < v) ? nextafterf(f, towards) : f;
}

/* Computes the bounding box. Returns the axis of its longest side. */
static int box(const e3_kdtree *t, const span *s)
{
	struct e3_kdnode *node = &t->node[s->node];
	double low[3], high[3];
	int axis = 0;
	memcpy(low, t->x[s->lo], sizeof low), memcpy(high, t->x[s->lo], sizeof high);
	for (size_t k = s->lo + 1; k < s->hi; k++)
		for (int a = 0; a < 3; a++) {
			low[a] = t->x[k][a] < low[a] ? t->x[k][a] : low[a];
			high[a] = t->x[k][a] > high[a] ? t->x[k][a] : high[a];
		}
	for (int a = 0; a < 3; a++) {
		node->low[a] = round_to(low[a], -INFINITY), node->high[a] = round_to(high[a], INFINITY);
		axis = high[a] - low[a] > high[axis] - low[axis] ? a : axis;
	}
	return axis;
}

static span part(const span *s, bool upper)
{
	size_t mid = half(s);
	return (span){2 * s->node + 1 + upper, upper ? mid : s->lo, upper ? s->hi : mid, s->level + 1};
}

static void build(e3_kdtree *t, span s, int to_level)
{
	if (s.level >= to_level)
		return;
	int axis = box(t, &s);
	if (s.level == t->levels)
		return;
	select_along(t, axis, s.lo, s.hi, half(&s));
	build(t, part(&s, false), to_level);
	build(t, part(&s, true), to_level);
}

/* The k-th subtree below the levels that one thread builds. */
static void build_below(void *ctx, int k, int thread)
{
	e3_kdtree *t = ctx;
	span s = {.hi = t->n};
	for (int bit = ALONE - 1; bit >= 0; bit--)
		s = part(&s, k >> bit & 1);
	build(t, s, t->levels + 1);
}

int e3_kdtree_init(e3_kdtree *t, double (*x)[3], size_t n, int threads, e3_err *err)
{
	*t = (e3_kdtree){.x = x, .n = n};
	if (n == 0 || n >= UINT32_MAX)
		return e3_fail(err, "a tree of %zu points: expected 1 to %u", n, UINT32_MAX - 1);
	for (size_t k = 0; k < n; k++)
		if (!isfinite(x[k][0]) || !isfinite(x[k][1]) || !isfinite(x[k][2]))
			return e3_fail(err, "a tree of points: point %zu is not finite", k);
	while (n >> t->levels > LEAF)
		t->levels++;
	t->was = e3_alloc(n, sizeof *t->was, "a tree of points", err);
	t->node = e3_alloc((size_t)2 << t->levels, sizeof *t->node, "a tree of points", err);
	if (!t->was || !t->node) {
		e3_kdtree_release(t);
		return -1;
	}
	for (size_t k = 0; k < n; k++)
		t->was[k] = (uint32_t)k;
	build(t, (span){.hi = n}, t->levels < ALONE ? t->levels + 1 : ALONE);
	if (t->levels >= ALONE)
		e3_parallel_once(threads, 1 << ALONE, build_below, t);
	return 0;
}

void e3_kdtree_release(e3_kdtree *t)
{
	free(t->was), free(t->node);
	*t = (e3_kdtree){0};
}

/* The inverse: moves every point back to its row. */
void e3_kdtree_undo(e3_kdtree *t)
{
	for (size_t k = 0; t->was && k < t->n; k++)
		while (t->was[k] != k)
			swap(t, k, t->was[k]);
	e3_kdtree_release(t);
}

/* --- search --- */

static double square(const double d[3]) { return d[0] * d[0] + d[1] * d[1] + d[2] * d[2]; }

static double apart(const double a[3], const double b[3])
{
	const double d[3] = {a[0] - b[0], a[1] - b[1], a[2] - b[2]};
	return square(d);
}

/* Squared distance to a box; 0 inside. */
static double to_box(const struct e3_kdnode *box, const double q[3])
{
	double d[3];
	for (int a = 0; a < 3; a++) {
		double below = box->low[a] - q[a], above = q[a] - box->high[a], out = below > above ? below : above;
		d[a] = out > 0 ? out : 0;
	}
	return square(d);
}

/* The three searches descend in the same way: `node` covers the rows lo .. hi - 1; leaves follow the `inner` nodes. */
static size_t inner(const e3_kdtree *t) { return ((size_t)1 << t->levels) - 1; }

typedef struct search {
	const e3_kdtree *t;
	size_t inner;
	const double *q;
	size_t *row; /* [found], nearest first */
	double *d2;  /* [found] */
	size_t found, k;
	double limit; /* squared distance; only nearer points count */
} search;

static void offer(search *s, size_t row, double d2)
{
	size_t at = s->found < s->k ? s->found++ : s->k - 1;
	for (; at > 0 && s->d2[at - 1] > d2; at--)
		s->d2[at] = s->d2[at - 1], s->row[at] = s->row[at - 1];
	s->d2[at] = d2, s->row[at] = row;
	if (s->found == s->k)
		s->limit = s->d2[s->k - 1];
}

static void descend(search *s, size_t node, size_t lo, size_t hi)
{
	if (node >= s->inner) {
		const double(*x)[3] = (const double(*)[3])s->t->x;
		for (size_t k = lo; k < hi; k++) {
			double d2 = apart(x[k], s->q);
			if (d2 < s->limit)
				offer(s, k, d2);
		}
		return;
	}
	size_t mid = lo + (hi - lo) / 2, child = 2 * node + 1;
	double lower = to_box(&s->t->node[child], s->q), upper = to_box(&s->t->node[child + 1], s->q);
	if (lower <= upper && lower < s->limit)
		descend(s, child, lo, mid);
	if (upper < s->limit)
		descend(s, child + 1, mid, hi);
	if (lower > upper && lower < s->limit)
		descend(s, child, lo, mid);
}

size_t e3_kdtree_near(const e3_kdtree *t, const double q[3], size_t k, double limit, size_t *row, double *d2)
{
	search s = {.t = t, .inner = inner(t), .q = q, .row = row, .d2 = d2, .k = k, .limit = limit};
	descend(&s, 0, 0, t->n);
	return s.found;
}

typedef struct nearest {
	const e3_kdtree *t;
	size_t inner;
	const double *q;
	double slack;
	e3_nearest *to;
} nearest;

static void take(nearest *s, size_t row, double d2)
{
	e3_nearest *to = s->to;
	if (row == to->row)
		return;
	if (d2 < to->d2) {
		double beyond = sqrt(d2) + s->slack, second = to->row == E3_NOWHERE ? to->rest : to->d2;
		to->rest = s->slack > 0 ? fmax(fmin(second, beyond * beyond), d2) : d2;
		to->d2 = d2, to->row = (uint32_t)row;
	} else
		to->rest = d2;
}

static void descend_nearest(nearest *s, size_t node, size_t lo, size_t hi)
{
	if (node >= s->inner) {
		const double(*x)[3] = (const double(*)[3])s->t->x;
		for (size_t k = lo; k < hi; k++) {
			double d2 = apart(x[k], s->q);
			if (d2 < s->to->rest)
				take(s, k, d2);
		}
		return;
	}
	size_t mid = lo + (hi - lo) / 2, child = 2 * node + 1;
	double lower = to_box(&s->t->node[child], s->q), upper = to_box(&s->t->node[child + 1], s->q);
	if (lower <= upper && lower < s->to->rest)
		descend_nearest(s, child, lo, mid);
	if (upper < s->to->rest)
		descend_nearest(s, child + 1, mid, hi);
	if (lower > upper && lower < s->to->rest)
		descend_nearest(s, child, lo, mid);
}

void e3_kdtree_nearest(const e3_kdtree *t, const double q[3], uint32_t guess, double limit, double slack,
	e3_nearest *to)
{
	*to = (e3_nearest){.row = E3_NOWHERE, .d2 = limit, .rest = limit};
	nearest s = {.t = t, .inner = inner(t), .q = q, .slack = slack, .to = to};
	double d2 = guess == E3_NOWHERE ? limit : apart(t->x[guess], q);
	if (d2 < limit)
		take(&s, guess, d2);
	descend_nearest(&s, 0, 0, t->n);
}

/* --- all points near a box --- */

typedef struct around {
	const e3_kdtree *t;
	size_t inner;
	const double *low, *high;
	double limit;
	uint32_t *row;
	size_t n, room;
} around;

/* Squared distance between two boxes. */
static double between(const struct e3_kdnode *box, const around *s)
{
	double d[3];
	for (int a = 0; a < 3; a++) {
		double below = box->low[a] - s->high[a], above = s->low[a] - box->high[a], out = below > above ? below : above;
		d[a] = out > 0 ? out : 0;
	}
	return square(d);
}

static void descend_around(around *s, size_t node, size_t lo, size_t hi)
{
	if (node >= s->inner) {
		for (size_t k = lo; k < hi; k++, s->n++)
			if (s->n < s->room)
				s->row[s->n] = (uint32_t)k;
		return;
	}
	size_t mid = lo + (hi - lo) / 2, child = 2 * node + 1;
	if (between(&s->t->node[child], s) < s->limit)
		descend_around(s, child, lo, mid);
	if (between(&s->t->node[child + 1], s) < s->limit)
		descend_around(s, child + 1, mid, hi);
}

size_t e3_kdtree_around(const e3_kdtree *t, const double low[3], const double high[3], double radius, uint32_t *row,
	size_t room)
{
	around s =
		{.t = t, .inner = inner(t), .low = low, .high = high, .limit = radius * radius, .row = row, .room = room};
	descend_around(&s, 0, 0, t->n);
	return s.n;
}
