/* track: direct alignment: pyramids, and Gauss-Newton over pose, gain and offset. */
#include "direct.h"
#include "e3/mem.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COARSEST = 80, ROUNDS = 12, UNKNOWNS = 8, POINTS_LEAST = 100 };
static const double HIDDEN = 0.15;    /* logarithm of depths: more is something else in front, or behind */
static const double SEEN_LEAST = 0.2; /* part of the points */
static const double TURN_MOST = 0.15; /* radians from where it began */
static const double MOVE_MOST = 0.15; /* mean depths */
static const double APART_TURN = 0.05, APART_MOVE = 0.06; /* of the two directions */
static const double ALIKE_LEAST = 0.85;                   /* correlation of what is seen with what was expected */
static const double BETTER = 0.95; /* of the residual before: a pose that is right already stays as it is */
static const double ENOUGH = 1e-6; /* steps below do not matter */

/* ---- pyramids ---- */

int e3_pyramid_room(e3_pyramid *p, int w, int h, e3_err *err)
{
	size_t need = 0;
	p->levels = 0;
	for (int l = 0; l < E3_PYRAMID_LEVELS && (!l || p->w[l - 1] > COARSEST); l++) {
		p->w[l] = l ? p->w[l - 1] / 2 : w, p->h[l] = l ? p->h[l - 1] / 2 : h;
		if (p->h[l] < 8 || p->w[l] < 8)
			break;
		need += (size_t)p->w[l] * (size_t)p->h[l];
		p->levels++;
	}
	if (need > p->room && e3_grow((void **)&p->px[0], need, sizeof **p->px, "a pyramid", err))
		return -1;
	p->room = need > p->room ? need : p->room;
	for (int l = 1; l < p->levels; l++)
		p->px[l] = p->px[l - 1] + (size_t)p->w[l - 1] * (size_t)p->h[l - 1];
	return 0;
}

void e3_pyramid_reduce(e3_pyramid *p)
{
	for (int l = 1; l < p->levels; l++)
		for (int y = 0; y < p->h[l]; y++)
			for (int x = 0; x < p->w[l]; x++) {
				const float *a = p->px[l - 1] + (size_t)(2 * y) * (size_t)p->w[l - 1] + 2 * x, *b = a + p->w[l - 1];
				p->px[l][(size_t)y * (size_t)p->w[l] + (size_t)x] = 0.25f * (a[0] + a[1] + b[0] + b[1]);
			}
}

int e3_pyramid_make(e3_pyramid *p, const uint8_t *rgb, int w, int h, e3_err *err)
{
	if (e3_pyramid_room(p, w, h, err))
		return -1;
	for (size_t k = 0; p->levels && k < (size_t)w * (size_t)h; k++)
		p->px[0][k] = (float)(rgb[3 * k] + rgb[3 * k + 1] + rgb[3 * k + 2]) * (1.0f / 765);
	e3_pyramid_reduce(p);
	return 0;
}

void e3_pyramid_release(e3_pyramid *p)
{
	free(p->px[0]);
	*p = (e3_pyramid){0};
}

/* Brightness at a place, between pixels, with its slope along x and y. The place must be a pixel away from the edge. */
static double sample(const e3_pyramid *p, int level, double x, double y, double slope[2])
{
	int w = p->w[level], x0 = (int)floor(x), y0 = (int)floor(y);
	double u = x - x0, v = y - y0;
	const float *a = p->px[level] + (size_t)y0 * (size_t)w + x0, *b = a + w;
	double top = (double)a[0] + u * (double)(a[1] - a[0]), bottom = (double)b[0] + u * (double)(b[1] - b[0]);
	slope[0] = (1 - v) * (double)(a[1] - a[0]) + v * (double)(b[1] - b[0]);
	slope[1] = bottom - top;
	return top + v * (bottom - top);
}

/* ---- one level ---- */

typedef struct point {
	double x[3];   /* in the camera of `from` */
	double bright; /* of `from`, at this level */
	double r, weight, j[UNKNOWNS];
	double gap; /* logarithm of the depth that it should have in `to`, less that which is there */
} point;

typedef struct search {
	const e3_sight *from, *to;
	point *p, *used;
	int n, n_used;                   /* points with a depth; of those that `to` sees now, in `used` */
	double *order;                   /* [n] work */
	double r[9], t[3], gain, offset; /* camera of `to` from camera of `from` */
	double residual;
} search;

static double pixel(const e3_view *v, int k) { return v->from + (double)k * v->step; }

/* Index k of a pixel at full size, at a level: a level's pixel is the mean of those that it covers. */
static double at_level(double k, int level) { return (k + 0.5) / (1 << level) - 0.5; }

static void take_points(search *s, int level)
{
	const e3_view *v = s->from->view;
	s->n = 0;
	for (int y = 0; y < v->k.h; y++)
		for (int x = 0; x < v->k.w; x++) {
			double d = (double)v->depth[y * v->k.w + x], slope[2];
			double u = at_level(pixel(v, x), level), w = at_level(pixel(v, y), level);
			if (!e3_depth_known((float)d) || u < 0 || w < 0 || u >= s->from->picture->w[level] - 1 ||
				w >= s->from->picture->h[level] - 1)
				continue;
			point *p = &s->p[s->n++];
			p->x[0] = (x - v->k.cx) * d / v->k.fx, p->x[1] = (y - v->k.cy) * d / v->k.fy, p->x[2] = d;
			p->bright = sample(s->from->picture, level, u, w, slope);
		}
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median_of(search *s, int n)
{
	qsort(s->order, (size_t)n, sizeof *s->order, ascending);
	return s->order[n / 2];
}

/* Projects a point; false when it is not seen. Fills residual and slopes. */
static bool project(const search *s, int level, point *p)
{
	const e3_view *v = s->to->view;
	double q[3], slope[2];
	for (int k = 0; k < 3; k++)
		q[k] = s->r[3 * k] * p->x[0] + s->r[3 * k + 1] * p->x[1] + s->r[3 * k + 2] * p->x[2] + s->t[k];
	if (!(q[2] > (double)E3_DEPTH_MIN))
		return false;
	double gx = v->k.fx * q[0] / q[2] + v->k.cx, gy = v->k.fy * q[1] / q[2] + v->k.cy; /* in the grid */
	double x = at_level(v->from + gx * v->step, level), y = at_level(v->from + gy * v->step, level);
	if (!(x >= 1 && y >= 1 && x < s->to->picture->w[level] - 2 && y < s->to->picture->h[level] - 2))
		return false;
	int ix = (int)lround(gx), iy = (int)lround(gy);
	ix = ix < 0 ? 0 : ix >= v->k.w ? v->k.w - 1 : ix, iy = iy < 0 ? 0 : iy >= v->k.h ? v->k.h - 1 : iy;
	double there = (double)v->depth[iy * v->k.w + ix];
	p->gap = log(q[2] / there);
	if (!(fabs(p->gap) < HIDDEN))
		return false;
	p->r = sample(s->to->picture, level, x, y, slope) - s->gain * p->bright - s->offset;
	double fx = v->k.fx * v->step / (1 << level), fy = v->k.fy * v->step / (1 << level);
	double jx = slope[0] * fx / q[2], jy = slope[1] * fy / q[2], jz = -(jx * q[0] + jy * q[1]) / q[2];
	const double j[UNKNOWNS] = {jx, jy, jz, jz * q[1] - jy * q[2], jx * q[2] - jz * q[0], jy * q[0] - jx * q[1],
		-p->bright, -1};
	memcpy(p->j, j, sizeof j);
	return true;
}

/* Residuals of all points that are seen, and their weights. */
static void evaluate(search *s, int level)
{
	s->n_used = 0;
	for (int k = 0; k < s->n; k++)
		if (project(s, level, &s->p[k]))
			s->used[s->n_used++] = s->p[k];
	if (s->n_used < POINTS_LEAST)
		return;
	for (int k = 0; k < s->n_used; k++)
		s->order[k] = fabs(s->used[k].r);
	s->residual = 1.4826 * median_of(s, s->n_used) + 1e-4;
	for (int k = 0; k < s->n_used; k++) {
		double x = s->used[k].r / (2 * s->residual);
		s->used[k].weight = 1 / (1 + x * x);
	}
}

/* Solves a x = b for a symmetric, positive a; false when it is not. */
static bool solve(double a[UNKNOWNS][UNKNOWNS], double b[UNKNOWNS])
{
	for (int k = 0; k < UNKNOWNS; k++) {
		for (int j = 0; j < k; j++)
			for (int i = k; i < UNKNOWNS; i++)
				a[i][k] -= a[i][j] * a[k][j];
		if (!(a[k][k] > DBL_MIN))
			return false;
		double root = sqrt(a[k][k]);
		for (int i = k; i < UNKNOWNS; i++)
			a[i][k] /= root;
	}
	for (int k = 0; k < UNKNOWNS; k++) {
		for (int j = 0; j < k; j++)
			b[k] -= a[k][j] * b[j];
		b[k] /= a[k][k];
	}
	for (int k = UNKNOWNS - 1; k >= 0; k--) {
		for (int j = k + 1; j < UNKNOWNS; j++)
			b[k] -= a[j][k] * b[j];
		b[k] /= a[k][k];
	}
	return true;
}

/* r, t become exp(turn) of themselves, moved. */
static void turn_by(search *s, const double move[3], const double turn[3])
{
	double angle = sqrt(turn[0] * turn[0] + turn[1] * turn[1] + turn[2] * turn[2]), half = angle / 2,
		   f = angle > 1e-12 ? sin(half) / angle : 0.5;
	double r[9], was[9], t[3];
	e3_quat_to_mat((double[]){f * turn[0], f * turn[1], f * turn[2], cos(half)}, r);
	memcpy(was, s->r, sizeof was);
	for (int row = 0; row < 3; row++) {
		for (int col = 0; col < 3; col++)
			s->r[3 * row + col] = r[3 * row] * was[col] + r[3 * row + 1] * was[3 + col] + r[3 * row + 2] * was[6 + col];
		t[row] = r[3 * row] * s->t[0] + r[3 * row + 1] * s->t[1] + r[3 * row + 2] * s->t[2] + move[row];
	}
	memcpy(s->t, t, sizeof t);
}

/* One step of Gauss-Newton from what evaluate left. false: no more. */
static bool step(search *s)
{
	double a[UNKNOWNS][UNKNOWNS] = {{0}}, b[UNKNOWNS] = {0}, trace = 0, most = 0;
	if (s->n_used < POINTS_LEAST)
		return false;
	for (int k = 0; k < s->n_used; k++) {
		const point *p = &s->used[k];
		for (int i = 0; i < UNKNOWNS; i++) {
			double wj = p->weight * p->j[i];
			b[i] -= wj * p->r;
			for (int j = 0; j <= i; j++)
				a[i][j] += wj * p->j[j];
		}
	}
	for (int k = 0; k < UNKNOWNS; k++)
		trace += a[k][k];
	for (int k = 0; k < UNKNOWNS; k++)
		a[k][k] += 1e-9 * trace;
	if (!solve(a, b))
		return false;
	turn_by(s, b, b + 3);
	s->gain += b[6], s->offset += b[7];
	for (int k = 0; k < 6; k++)
		most = fmax(most, fabs(b[k]));
	return most > ENOUGH;
}

/* ---- the alignment ---- */

/* Camera of b from camera of a. */
static void relative(const e3_pose *a, const e3_pose *b, double r[9], double t[3])
{
	for (int row = 0; row < 3; row++) {
		t[row] = b->t[row];
		for (int col = 0; col < 3; col++)
			r[3 * row + col] = b->r[3 * row] * a->r[3 * col] + b->r[3 * row + 1] * a->r[3 * col + 1] +
				b->r[3 * row + 2] * a->r[3 * col + 2];
	}
	for (int row = 0; row < 3; row++)
		for (int k = 0; k < 3; k++)
			t[row] -= r[3 * row + k] * a->t[k];
}

static double angle_between(const double a[9], const double b[9])
{
	double chord = 0;
	for (int k = 0; k < 9; k++)
		chord += (a[k] - b[k]) * (a[k] - b[k]);
	return 2 * asin(fmin(1, sqrt(chord / 8)));
}

static double mean_depth(const search *s)
{
	double sum = 0;
	for (int k = 0; k < s->n; k++)
		sum += s->p[k].x[2];
	return s->n ? sum / s->n : 1;
}

/* The correlation of the brightness that is seen with that of the points, each by its weight. */
static double alike(const search *s)
{
	double n = 0, a = 0, b = 0, aa = 0, bb = 0, ab = 0;
	for (int k = 0; k < s->n_used; k++) {
		const point *p = &s->used[k];
		double x = p->bright, y = p->r + s->gain * p->bright + s->offset, w = p->weight;
		n += w, a += w * x, b += w * y, aa += w * x * x, bb += w * y * y, ab += w * x * y;
	}
	double va = aa - a * a / n, vb = bb - b * b / n;
	return va > 0 && vb > 0 ? (ab - a * b / n) / sqrt(va * vb) : 0;
}

/* How far the depths of both are apart: 1.48 times the median. */
static double depth_gap(search *s)
{
	for (int k = 0; k < s->n_used; k++)
		s->order[k] = fabs(s->used[k].gap);
	return 1.4826 * median_of(s, s->n_used);
}

/* Did the search end near where it began, and where enough is seen? */
static bool plausible(const search *s, const double r0[9], const double t0[3])
{
	double way = 0;
	for (int k = 0; k < 3; k++)
		way += (s->t[k] - t0[k]) * (s->t[k] - t0[k]);
	return s->n_used >= POINTS_LEAST && s->n_used > SEEN_LEAST * s->n && angle_between(s->r, r0) < TURN_MOST &&
		sqrt(way) < MOVE_MOST * mean_depth(s);
}

/* One direction: the camera of `to` from that of `from`. */
static bool align(search *s)
{
	double r0[9], t0[3], before;
	relative(&s->from->view->pose, &s->to->view->pose, s->r, s->t);
	memcpy(r0, s->r, sizeof r0), memcpy(t0, s->t, sizeof t0);
	s->gain = 1, s->offset = 0;
	take_points(s, 0);
	evaluate(s, 0);
	before = s->n_used < POINTS_LEAST ? INFINITY : s->residual;
	for (int level = s->from->picture->levels - 1; level >= 0; level--) {
		take_points(s, level);
		for (int k = 0; k < ROUNDS; k++) {
			evaluate(s, level);
			if (!step(s))
				break;
		}
		evaluate(s, level);
	}
	return plausible(s, r0, t0) && s->residual < BETTER * before && alike(s) > ALIKE_LEAST;
}

/* What is halfway between the two directions; false when they are too far apart. */
static bool meet(const search *there, const search *back, e3_aligned *out)
{
	e3_pose a = {.t = {there->t[0], there->t[1], there->t[2]}}, b = {.t = {0}};
	const e3_pose *from = &there->from->view->pose;
	double q[4], way = 0, dot = 0;
	memcpy(a.r, there->r, sizeof a.r);
	for (int row = 0; row < 3; row++) /* the inverse of the way back */
		for (int col = 0; col < 3; col++) {
			b.r[3 * row + col] = back->r[3 * col + row];
			b.t[row] -= back->r[3 * col + row] * back->t[col];
		}
	if (e3_mat_to_quat(a.r, a.q) || e3_mat_to_quat(b.r, b.q))
		return false;
	for (int k = 0; k < 4; k++)
		dot += a.q[k] * b.q[k];
	for (int k = 0; k < 4; k++)
		q[k] = a.q[k] + (dot < 0 ? -b.q[k] : b.q[k]);
	for (int k = 0; k < 3; k++)
		way += (a.t[k] - b.t[k]) * (a.t[k] - b.t[k]);
	out->turn = angle_between(a.r, b.r), out->move = sqrt(way) / mean_depth(there);
	double r[9];
	if (e3_quat_to_mat(q, r))
		return false;
	for (int row = 0; row < 3; row++) {
		out->pose.t[row] = (a.t[row] + b.t[row]) / 2;
		for (int col = 0; col < 3; col++) {
			out->pose.r[3 * row + col] =
				r[3 * row] * from->r[col] + r[3 * row + 1] * from->r[3 + col] + r[3 * row + 2] * from->r[6 + col];
			out->pose.t[row] += r[3 * row + col] * from->t[col];
		}
	}
	return e3_mat_to_quat(out->pose.r, out->pose.q) == 0 && out->turn < APART_TURN && out->move < APART_MOVE;
}

static bool open_search(search *s, const e3_sight *from, const e3_sight *to)
{
	size_t n = (size_t)from->view->k.w * (size_t)from->view->k.h;
	*s = (search){.from = from, .to = to};
	s->p = e3_alloc(n, sizeof *s->p, "points", NULL);
	s->used = e3_alloc(n, sizeof *s->used, "points", NULL);
	s->order = e3_alloc(n, sizeof *s->order, "points", NULL);
	return s->p && s->used && s->order;
}

int e3_align_direct(const e3_sight *from, const e3_sight *to, e3_aligned *out)
{
	search there, back;
	if (!(from->view->k.fx > 0) || !(to->view->k.fx > 0) || !from->picture->levels || !to->picture->levels)
		return 0;
	bool good = open_search(&there, from, to);
	good = open_search(&back, to, from) && good && align(&there) && align(&back) && meet(&there, &back, out);
	if (good)
		out->depth = fmax(depth_gap(&there), depth_gap(&back));
	free(there.p), free(there.used), free(there.order);
	free(back.p), free(back.used), free(back.order);
	return good;
}
