/* geom: exact nearest neighbours in a cloud of points: the searches. Boxes are lower bounds in spite of rounding
 * (kdtree.h), and distances are compared in double precision, so results are exact to E3_KD_EQUAL. */
#include "e3/kdtree.h"
#include "geom/kdtree.h"
#include <math.h>

static double square(const double d[3]) { return d[0] * d[0] + d[1] * d[1] + d[2] * d[2]; }

static double apart(const double a[3], const double b[3])
{
	const double d[3] = {a[0] - b[0], a[1] - b[1], a[2] - b[2]};
	return square(d);
}

/* The parts of a node that are nearer than a limit, the nearest first. */
typedef struct order {
	int n, part[E3_KD_PARTS];
	double bound[E3_KD_PARTS];
} order;

static inline void insert(order *to, int part, double bound)
{
	int at = to->n++;
	for (; at > 0 && to->bound[at - 1] > bound; at--)
		to->bound[at] = to->bound[at - 1], to->part[at] = to->part[at - 1];
	to->bound[at] = bound, to->part[at] = part;
}

/* Do the bounds differ by less than single precision can tell? */
static inline bool alike(const order *o, const e3_kdquery *q, double limit)
{
	double first = o->n ? o->bound[0] : 0;
	return first > 0 &&
		first * (1 + 2e-5) + 4 * (double)q->err * sqrt(first) >= (o->n > 1 ? o->bound[o->n - 1] : limit);
}

static void order_again(const e3_kdtree *t, size_t node, const e3_kdquery *q, double limit, order *to)
{
	const order was = *to;
	to->n = 0;
	for (int k = 0; k < was.n; k++) {
		double d = fmax(was.bound[k], e3_kd_bound_afar(&t->node[node], was.part[k], q->exact));
		if (d < limit)
			insert(to, was.part[k], d);
	}
}

static inline void order_parts(const e3_kdtree *t, size_t node, const e3_kdquery *q, double limit, order *to)
{
	e3_kdlanes bound = e3_kd_bounds(&t->node[node], q);
	to->n = 0;
	for (int k = 0; k < E3_KD_PARTS; k++)
		if ((double)bound[k] < limit)
			insert(to, k, (double)bound[k]);
	if (alike(to, q, limit))
		order_again(t, node, q, limit, to);
}

/* What a search visits: the rows lo .. hi - 1, which `node` covers; leaves follow the nodes. */
typedef struct span {
	size_t node, lo, hi;
} span;

static inline span whole(const e3_kdtree *t) { return (span){.hi = t->n}; }

/* A part of a node; of one whose points are all at one place the first `most`, as a leaf: more would say nothing new.
 * Seen from afar, bounds of points that coincide are all below their distance, since bounds are on the safe side, and
 * every search would visit all of them. */
static inline span enter(const e3_kdtree *t, size_t node, int part, const size_t cut[E3_KD_PARTS + 1], size_t most)
{
	span s = {E3_KD_PARTS * node + 1 + (size_t)part, cut[part], cut[part + 1]};
	if (t->node[node].one[part]) {
		s.node = t->nodes;
		s.hi = s.hi - s.lo > most ? s.lo + most : s.hi;
	}
	return s;
}

typedef struct search {
	const e3_kdtree *t;
	const double *q;
	e3_kdquery at;
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

static void descend(search *s, span in)
{
	if (in.node >= s->t->nodes) {
		const double(*x)[3] = (const double(*)[3])s->t->x;
		for (size_t k = in.lo; k < in.hi; k++) {
			double d2 = apart(x[k], s->q);
			if (d2 < s->limit)
				offer(s, k, d2);
		}
		return;
	}
	size_t cut[E3_KD_PARTS + 1];
	order o;
	e3_kd_cut(in.lo, in.hi, cut);
	order_parts(s->t, in.node, &s->at, s->limit, &o);
	for (int k = 0; k < o.n && o.bound[k] < s->limit; k++)
		descend(s, enter(s->t, in.node, o.part[k], cut, s->k));
}

size_t e3_kdtree_near(const e3_kdtree *t, const double q[3], size_t k, double limit, size_t *row, double *d2)
{
	search s = {.t = t, .q = q, .at = e3_kdquery_of(t, q), .row = row, .d2 = d2, .k = k, .limit = limit};
	descend(&s, whole(t));
	return s.found;
}

typedef struct nearest {
	const e3_kdtree *t;
	const double *q;
	e3_kdquery at;
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

static void descend_nearest(nearest *s, span in)
{
	if (in.node >= s->t->nodes) {
		const double(*x)[3] = (const double(*)[3])s->t->x;
		for (size_t k = in.lo; k < in.hi; k++) {
			double d2 = apart(x[k], s->q);
			if (d2 < s->to->rest)
				take(s, k, d2);
		}
		return;
	}
	size_t cut[E3_KD_PARTS + 1];
	order o;
	e3_kd_cut(in.lo, in.hi, cut);
	order_parts(s->t, in.node, &s->at, s->to->rest, &o);
	for (int k = 0; k < o.n && o.bound[k] < s->to->rest; k++)
		descend_nearest(s, enter(s->t, in.node, o.part[k], cut, 2)); /* the nearest, and the next for `rest` */
}

void e3_kdtree_nearest(const e3_kdtree *t, const double q[3], uint32_t guess, double limit, double slack,
	e3_nearest *to)
{
	*to = (e3_nearest){.row = E3_NOWHERE, .d2 = limit, .rest = limit};
	nearest s = {.t = t, .q = q, .at = e3_kdquery_of(t, q), .slack = slack, .to = to};
	double d2 = guess == E3_NOWHERE ? limit : apart(t->x[guess], q);
	if (d2 < limit)
		take(&s, guess, d2);
	descend_nearest(&s, whole(t));
}

/* --- all points near a box --- */

typedef struct around {
	const e3_kdtree *t;
	e3_kdquery at;
	double limit;
	uint32_t *row;
	size_t n, room;
} around;

static void descend_around(around *s, span in)
{
	if (in.node >= s->t->nodes) {
		for (size_t k = in.lo; k < in.hi && s->n <= s->room; k++, s->n++)
			if (s->n < s->room)
				s->row[s->n] = (uint32_t)k;
		return;
	}
	size_t cut[E3_KD_PARTS + 1];
	e3_kdlanes bound = e3_kd_bounds_of_box(&s->t->node[in.node], &s->at);
	e3_kd_cut(in.lo, in.hi, cut);
	for (int k = 0; k < E3_KD_PARTS && s->n <= s->room; k++)
		if ((double)bound[k] < s->limit)
			descend_around(s, enter(s->t, in.node, k, cut, SIZE_MAX));
}

size_t e3_kdtree_around(const e3_kdtree *t, const double low[3], const double high[3], double radius, uint32_t *row,
	size_t room)
{
	around s = {.t = t, .limit = radius * radius, .row = row, .room = room};
	for (int a = 0; a < 3; a++) {
		s.at.at[a] = (float)(low[a] / 2 + high[a] / 2 - t->origin[a]);
		s.at.half[a] = (float)((high[a] / 2 - low[a] / 2) * (1 + 1e-6));
	}
	descend_around(&s, whole(t));
	return s.n;
}
