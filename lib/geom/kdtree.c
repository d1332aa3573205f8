/* geom: exact nearest neighbours in a cloud of points: the tree. It is balanced and reorders the points, so that
 * neighbours in space are neighbours in memory. Refuses coordinates that are not finite. A node has the boxes of its
 * four parts, along the coordinates or along the principal axes of the points, whichever is smaller. Clouds are
 * surfaces, and the box of a piece of surface is thin when it is turned with it: then few boxes lie as near to a
 * distant point as the nearest point does. */
#include "e3/kdtree.h"
#include "e3/geom.h"
#include "e3/mem.h"
#include "e3/thread.h"
#include "geom/kdtree.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Most points in a leaf; levels that one thread builds before threads share the rest; points that tell the middle. */
enum { LEAF = 32, ALONE = 5, SOME = 255 };

typedef struct span {
	size_t lo, hi;
	int level; /* 0: the root */
	size_t node,
		at;   /* at every second level: the place of its own node; below the root also the node that has its box */
	int part; /* and in which part */
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

static double along(const double axis[3], const double x[3])
{
	return axis[0] * x[0] + axis[1] * x[1] + axis[2] * x[2];
}

/* The range of the points along three axes, relative to the origin. */
static void extents(const e3_kdtree *t, const span *s, const double axis[9], double low[3], double high[3])
{
	double l[3] = {INFINITY, INFINITY, INFINITY}, h[3] = {-INFINITY, -INFINITY, -INFINITY};
	for (size_t k = s->lo; k < s->hi; k++) {
		const double x[3] = {t->x[k][0] - t->origin[0], t->x[k][1] - t->origin[1], t->x[k][2] - t->origin[2]};
		for (int a = 0; a < 3; a++) {
			double v = along(axis + 3 * a, x);
			l[a] = v < l[a] ? v : l[a], h[a] = v > h[a] ? v : h[a];
		}
	}
	memcpy(low, l, sizeof l), memcpy(high, h, sizeof h);
}

/* The principal axes of the points, rounded to single precision. */
static void principal(const e3_kdtree *t, const span *s, double axis[9])
{
	double mean[3] = {0}, c[9] = {0}, u[9], d[3], v[9];
	const double *about = t->x[s->lo], n = (double)(s->hi - s->lo);
	for (size_t k = s->lo; k < s->hi; k++) {
		const double e[3] = {t->x[k][0] - about[0], t->x[k][1] - about[1], t->x[k][2] - about[2]};
		for (int a = 0; a < 3; a++) {
			mean[a] += e[a];
			for (int b = a; b < 3; b++)
				c[3 * a + b] += e[a] * e[b];
		}
	}
	for (int a = 0; a < 3; a++)
		for (int b = a; b < 3; b++)
			c[3 * a + b] = c[3 * b + a] = c[3 * a + b] - mean[a] * mean[b] / n;
	e3_svd3(c, u, d, v);
	for (int a = 0; a < 3; a++)
		for (int b = 0; b < 3; b++)
			axis[3 * a + b] = (float)v[3 * b + a];
}

static double surface(const double low[3], const double high[3])
{
	const double d[3] = {high[0] - low[0], high[1] - low[1], high[2] - low[2]};
	return d[0] * d[1] + d[1] * d[2] + d[2] * d[0];
}

static const double straight[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};

static int longest(const double low[3], const double high[3])
{
	int axis = high[1] - low[1] > high[0] - low[0];
	return high[2] - low[2] > high[axis] - low[axis] ? 2 : axis;
}

static bool at_one_place(const e3_kdtree *t, const span *s)
{
	size_t k = s->lo + 1;
	while (k < s->hi && t->x[k][0] == t->x[s->lo][0] && t->x[k][1] == t->x[s->lo][1] && t->x[k][2] == t->x[s->lo][2])
		k++;
	return k == s->hi;
}

/* Stores the smaller of the box along the coordinates, which is given, and the one along the principal axes. */
static void store_box(e3_kdtree *t, const span *s, const double low[3], const double high[3])
{
	double turned[9], l[3], h[3];
	struct e3_kdnode *node = &t->node[s->at];
	node->one[s->part] = at_one_place(t, s);
	principal(t, s, turned);
	extents(t, s, turned, l, h);
	bool turn = surface(l, h) < surface(low, high);
	double pad = 0; /* what sums in double precision err by */
	for (int a = 0; a < 3; a++)
		pad += 1e-14 * fmax(fabs(low[a]), fabs(high[a]));
	for (int a = 0; a < 3; a++) {
		for (int b = 0; b < 3; b++)
			node->axis[a][b][s->part] = (float)(turn ? turned : straight)[3 * a + b];
		node->low[a][s->part] = nextafterf((float)((turn ? l : low)[a] - pad), -INFINITY);
		node->high[a][s->part] = nextafterf((float)((turn ? h : high)[a] + pad), INFINITY);
	}
}

/* A half of a span; the halves of halves have boxes. */
static span half(const span *s, bool upper)
{
	size_t mid = s->lo + (s->hi - s->lo) / 2;
	span to = {upper ? mid : s->lo, upper ? s->hi : mid, s->level + 1, s->node, s->node, upper};
	if (to.level % 2 == 0)
		to.part = 2 * s->part + upper, to.node = E3_KD_PARTS * s->node + 1 + (size_t)to.part;
	return to;
}

typedef struct builder {
	e3_kdtree *t;
	const e3_work *work;
} builder;

static void build(const builder *b, span s, int to_level)
{
	e3_kdtree *t = b->t;
	double low[3], high[3];
	if (s.level >= to_level || (s.hi - s.lo > E3_PARALLEL_BLOCK && e3_work_stopped(b->work)))
		return;
	extents(t, &s, straight, low, high);
	if (s.level > 0 && s.level % 2 == 0)
		store_box(t, &s, low, high);
	if (s.level == t->levels)
		return;
	select_along(t, longest(low, high), s.lo, s.hi, s.lo + (s.hi - s.lo) / 2);
	build(b, half(&s, false), to_level);
	build(b, half(&s, true), to_level);
}

/* The k-th subtree below the levels that one thread builds. */
static void build_below(void *ctx, int k, int thread)
{
	const builder *b = ctx;
	span s = {.hi = b->t->n};
	for (int bit = ALONE - 1; bit >= 0; bit--)
		s = half(&s, k >> bit & 1);
	build(b, s, b->t->levels + 1);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* The origin is amid most of the points: the median of each coordinate, of some of them. The middle of all would be far
 * from everything where one point is. */
static void place_origin(e3_kdtree *t)
{
	double v[SOME];
	size_t n = t->n < SOME ? t->n : SOME;
	for (int a = 0; a < 3; a++) {
		for (size_t k = 0; k < n; k++)
			v[k] = t->x[(size_t)((double)k / (double)n * (double)t->n)][a];
		qsort(v, n, sizeof *v, ascending);
		t->origin[a] = v[n / 2];
	}
}

int e3_kdtree_init(e3_kdtree *t, double (*x)[3], size_t n, const e3_work *work, e3_err *err)
{
	*t = (e3_kdtree){.x = x, .n = n};
	if (n == 0 || n >= UINT32_MAX)
		return e3_fail(err, "a tree of %zu points: expected 1 to %u", n, UINT32_MAX - 1);
	for (size_t k = 0; k < n; k++)
		if (!isfinite(x[k][0]) || !isfinite(x[k][1]) || !isfinite(x[k][2]))
			return e3_fail(err, "a tree of points: point %zu is not finite", k);
	while (n >> t->levels > LEAF)
		t->levels += 2;
	t->nodes = (((size_t)1 << t->levels) - 1) / (E3_KD_PARTS - 1);
	t->was = e3_alloc(n, sizeof *t->was, "a tree of points", err);
	t->node = e3_alloc(t->nodes, sizeof *t->node, "a tree of points", err);
	if (!t->was || !t->node) {
		e3_kdtree_release(t);
		return -1;
	}
	for (size_t k = 0; k < n; k++)
		t->was[k] = (uint32_t)k;
	place_origin(t);
	builder b = {t, work};
	build(&b, (span){.hi = n}, t->levels < ALONE ? t->levels + 1 : ALONE);
	if (t->levels >= ALONE)
		e3_parallel_once(work->threads, 1 << ALONE, build_below, &b);
	return e3_work_check(work, err);
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
