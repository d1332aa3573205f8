/* eval: nearest neighbours in a cloud of points, exactly. A balanced tree over the points themselves, which it puts into its own
 * order: neighbours in space are neighbours in memory. Refuses coordinates that are not finite.
 *
 * Pruning is exact in floating point too: the bound of a box adds the same three squares in the same order as the distance of a
 * point, each no larger, and rounding keeps order.
 */
#include "e3/eval.h"
#include "e3/mem.h"
#include "eval/each.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAF = 8, ALONE = 5 }; /* points in a leaf at most; levels built before the rest is shared by threads */

/* Splits its points in two halves: below <= above along an axis, with nothing in between. */
struct e3_kdnode {
	double below, above;
	int axis;
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

static double median3(double a, double b, double c)
{
	return fmax(fmin(a, b), fmin(fmax(a, b), c));
}

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

static size_t half(const span *s)
{
	return s->lo + (s->hi - s->lo) / 2;
}

static void split(e3_kdtree *t, const span *s)
{
	struct e3_kdnode *node = &t->node[s->node];
	double low[3], high[3];
	size_t mid = half(s);
	memcpy(low, t->x[s->lo], sizeof low), memcpy(high, t->x[s->lo], sizeof high);
	for (size_t k = s->lo + 1; k < s->hi; k++)
		for (int a = 0; a < 3; a++) {
			low[a] = t->x[k][a] < low[a] ? t->x[k][a] : low[a];
			high[a] = t->x[k][a] > high[a] ? t->x[k][a] : high[a];
		}
	node->axis = 0;
	for (int a = 1; a < 3; a++)
		if (high[a] - low[a] > high[node->axis] - low[node->axis])
			node->axis = a;
	select_along(t, node->axis, s->lo, s->hi, mid);
	node->above = t->x[mid][node->axis], node->below = t->x[s->lo][node->axis];
	for (size_t k = s->lo + 1; k < mid; k++)
		node->below = fmax(node->below, t->x[k][node->axis]);
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
	split(t, &s);
	build(t, part(&s, false), to_level);
	build(t, part(&s, true), to_level);
}

/* The k-th subtree below the levels built alone; e3_each hands out blocks, so each one stands for a block. */
static void build_below(void *ctx, size_t from, size_t to)
{
	e3_kdtree *t = ctx;
	size_t k = from / E3_EACH_BLOCK;
	span s = {.hi = t->n};
	for (int bit = ALONE - 1; bit >= 0; bit--)
		s = part(&s, k >> bit & 1);
	build(t, s, t->levels);
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
	t->node = e3_alloc((size_t)1 << t->levels, sizeof *t->node, "a tree of points", err);
	if (!t->was || !t->node) {
		e3_kdtree_release(t);
		return -1;
	}
	for (size_t k = 0; k < n; k++)
		t->was[k] = (uint32_t)k;
	build(t, (span){.hi = n}, t->levels < ALONE ? t->levels : ALONE);
	if (t->levels > ALONE)
		e3_each(threads, (size_t)E3_EACH_BLOCK << ALONE, build_below, t);
	return 0;
}

void e3_kdtree_release(e3_kdtree *t)
{
	free(t->was), free(t->node);
	*t = (e3_kdtree){0};
}

/* The other way round: every point moves to its row, one by one. */
void e3_kdtree_undo(e3_kdtree *t)
{
	for (size_t k = 0; k < t->n; k++)
		while (t->was[k] != k)
			swap(t, k, t->was[k]);
	e3_kdtree_release(t);
}

/* --- search --- */

static double square(const double d[3])
{
	return d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
}

static double apart(const double a[3], const double b[3])
{
	const double d[3] = {a[0] - b[0], a[1] - b[1], a[2] - b[2]};
	return square(d);
}

/* The three searches go down the tree alike: `node` stands for the rows lo .. hi - 1; behind `inner` nodes come the leaves. */
static size_t inner(const e3_kdtree *t)
{
	return ((size_t)1 << t->levels) - 1;
}

typedef struct search {
	const e3_kdtree *t;
	size_t inner;
	const double *q;
	double off[3]; /* from q to the box at hand, axis by axis */
	size_t *row;   /* [found], nearest first */
	double *d2;    /* [found] */
	size_t found, k;
	double limit;  /* squared distance that is too far */
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
		const double (*x)[3] = (const double (*)[3])s->t->x;
		for (size_t k = lo; k < hi; k++) {
			double d2 = apart(x[k], s->q);
			if (d2 < s->limit)
				offer(s, k, d2);
		}
		return;
	}
	const struct e3_kdnode *at = &s->t->node[node];
	size_t mid = lo + (hi - lo) / 2;
	double past = s->q[at->axis] - at->below, ahead = at->above - s->q[at->axis], *off = &s->off[at->axis], kept = *off;
	if (past > ahead) {
		descend(s, 2 * node + 2, mid, hi);
		*off = kept > past ? kept : past;
		if (square(s->off) < s->limit)
			descend(s, 2 * node + 1, lo, mid);
	} else {
		descend(s, 2 * node + 1, lo, mid);
		*off = kept > ahead ? kept : ahead;
		if (square(s->off) < s->limit)
			descend(s, 2 * node + 2, mid, hi);
	}
	*off = kept;
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
	double off[3], slack;
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
		const double (*x)[3] = (const double (*)[3])s->t->x;
		for (size_t k = lo; k < hi; k++) {
			double d2 = apart(x[k], s->q);
			if (d2 < s->to->rest)
				take(s, k, d2);
		}
		return;
	}
	const struct e3_kdnode *at = &s->t->node[node];
	size_t mid = lo + (hi - lo) / 2;
	double past = s->q[at->axis] - at->below, ahead = at->above - s->q[at->axis], *off = &s->off[at->axis], kept = *off;
	if (past > ahead) {
		descend_nearest(s, 2 * node + 2, mid, hi);
		*off = kept > past ? kept : past;
		if (square(s->off) < s->to->rest)
			descend_nearest(s, 2 * node + 1, lo, mid);
	} else {
		descend_nearest(s, 2 * node + 1, lo, mid);
		*off = kept > ahead ? kept : ahead;
		if (square(s->off) < s->to->rest)
			descend_nearest(s, 2 * node + 2, mid, hi);
	}
	*off = kept;
}

void e3_kdtree_nearest(const e3_kdtree *t, const double q[3], uint32_t guess, double limit, double slack, e3_nearest *to)
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
	double off[3], limit;
	uint32_t *row;
	size_t n, room;
} around;

static void descend_around(around *s, size_t node, size_t lo, size_t hi)
{
	if (node >= s->inner) {
		for (size_t k = lo; k < hi; k++, s->n++)
			if (s->n < s->room)
				s->row[s->n] = (uint32_t)k;
		return;
	}
	const struct e3_kdnode *at = &s->t->node[node];
	size_t mid = lo + (hi - lo) / 2;
	double past = s->low[at->axis] - at->below, ahead = at->above - s->high[at->axis], *off = &s->off[at->axis], kept = *off;
	*off = kept > past ? kept : past;
	if (square(s->off) < s->limit)
		descend_around(s, 2 * node + 1, lo, mid);
	*off = kept > ahead ? kept : ahead;
	if (square(s->off) < s->limit)
		descend_around(s, 2 * node + 2, mid, hi);
	*off = kept;
}

size_t e3_kdtree_around(const e3_kdtree *t, const double low[3], const double high[3], double radius, uint32_t *row, size_t room)
{
	around s = {.t = t, .inner = inner(t), .low = low, .high = high, .limit = radius * radius, .row = row, .room = room};
	descend_around(&s, 0, 0, t->n);
	return s.n;
}
