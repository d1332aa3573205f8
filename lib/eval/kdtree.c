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

/* --- search --- */

typedef struct search {
	const e3_kdtree *t;
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

static double square(const double d[3])
{
	return d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
}

static void descend(search *s, span at)
{
	if (at.level == s->t->levels) {
		for (size_t k = at.lo; k < at.hi; k++) {
			const double *x = s->t->x[k], d[3] = {x[0] - s->q[0], x[1] - s->q[1], x[2] - s->q[2]};
			double d2 = square(d);
			if (d2 < s->limit)
				offer(s, k, d2);
		}
		return;
	}
	const struct e3_kdnode *node = &s->t->node[at.node];
	double past = s->q[node->axis] - node->below, ahead = node->above - s->q[node->axis], *off = &s->off[node->axis], kept = *off;
	bool upper = past > ahead;
	descend(s, part(&at, upper));
	*off = fmax(kept, upper ? past : ahead);
	if (square(s->off) < s->limit)
		descend(s, part(&at, !upper));
	*off = kept;
}

size_t e3_kdtree_near(const e3_kdtree *t, const double q[3], size_t k, double limit, size_t *row, double *d2)
{
	search s = {.t = t, .q = q, .row = row, .d2 = d2, .k = k, .limit = limit};
	descend(&s, (span){.hi = t->n});
	return s.found;
}
