/* eval: reconstruction: collects points view by view, aligns them by shift and scale over all views, then compares the
 * clouds (doc/evaluation.md 4). Keeps 48 bytes a point until the scene is scored. */
#include "e3/eval.h"
#include "e3/mem.h"
#include "eval/select.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* rgb NULL: colours are not kept. */
static int push(e3_matched *s, const double pred[3], const double truth[3], const uint8_t *rgb, e3_err *err)
{
	if (s->n == s->room) {
		size_t more = s->room ? s->room + s->room / 2 : 65536;
		if (e3_grow((void **)&s->pred, more, sizeof *s->pred, "predicted points", err) ||
			e3_grow((void **)&s->truth, more, sizeof *s->truth, "true points", err) ||
			(rgb && e3_grow((void **)&s->rgb, more, sizeof *s->rgb, "colours of points", err)))
			return -1;
		s->room = more;
	}
	if (rgb)
		memcpy(s->rgb[s->n], rgb, sizeof *s->rgb);
	memcpy(s->pred[s->n], pred, sizeof *s->pred);
	memcpy(s->truth[s->n++], truth, sizeof *s->truth);
	return 0;
}

int e3_recon_push(e3_recon *r, const double pred[3], const double truth[3], bool inside, e3_err *err)
{
	static const uint8_t grey[3] = {128, 128, 128};
	return push(inside ? &r->inside : &r->outside, pred, truth, inside && r->colours ? grey : NULL, err);
}

static void release(e3_matched *s)
{
	free(s->pred), free(s->truth), free(s->rgb);
	*s = (e3_matched){0};
}

void e3_recon_release(e3_recon *r)
{
	release(&r->inside), release(&r->outside);
	*r = (e3_recon){0};
}

void e3_point_of_depth(const e3_pose *pose, const e3_intrinsics *k, const int at[2], double depth, double x[3])
{
	const double c[3] = {(at[0] - k->cx) * depth / k->fx - pose->t[0], (at[1] - k->cy) * depth / k->fy - pose->t[1],
		depth - pose->t[2]};
	for (int a = 0; a < 3; a++)
		x[a] = pose->r[a] * c[0] + pose->r[3 + a] * c[1] + pose->r[6 + a] * c[2];
}

/* The pixel of the truth that corresponds to a pixel of the network picture; false when there is none. */
static bool beside(const e3_resampler *o, int u, int v, int at[2])
{
	at[0] = o->same ? u : (int)floor((u + 0.5 - o->move[0]) / o->scale[0]);
	at[1] = o->same ? v : (int)floor((v + 0.5 - o->move[1]) / o->scale[1]);
	return at[0] >= o->seen[0] && at[1] >= o->seen[1] && at[0] < o->seen[2] && at[1] < o->seen[3];
}

void e3_recon_crop(int w, int h, int crop, int box[4])
{
	const int size[2] = {w, h};
	for (int a = 0; a < 2; a++) {
		int from = size[a] / 2 - crop / 2, to = size[a] / 2 + (crop + 1) / 2;
		box[a] = crop && from > 0 ? from : 0, box[2 + a] = crop && to < size[a] ? to : size[a];
	}
}

int e3_recon_add(e3_recon *r, const e3_recon_view *view, int crop, e3_err *err)
{
	const e3_resampler *o = view->resampler;
	int box[4], at[2];
	e3_recon_crop(o->from_w, o->from_h, crop, box);
	if (!r->views++)
		r->first = *view->pose;
	for (int v = 0; v < o->from_h; v++)
		for (int u = 0; u < o->from_w; u++) {
			if (!beside(o, u, v, at))
				continue;
			double depth = view->depth[(size_t)at[1] * (size_t)o->w + (size_t)at[0]], world[3], x[3];
			if (!(depth > 0) || !isfinite(depth))
				continue;
			const float *p = view->points + 3 * ((size_t)v * (size_t)o->from_w + (size_t)u);
			const double pred[3] = {p[0], p[1], p[2]};
			e3_point_of_depth(view->pose, view->intrinsics, at, depth, world);
			for (int a = 0; a < 3; a++)
				x[a] = r->first.r[3 * a] * world[0] + r->first.r[3 * a + 1] * world[1] +
					r->first.r[3 * a + 2] * world[2] + r->first.t[a];
			bool inside = u >= box[0] && v >= box[1] && u < box[2] && v < box[3];
			if (e3_recon_push(r, pred, x, inside, err))
				return -1;
			if (inside && r->colours && view->rgb)
				memcpy(r->inside.rgb[r->inside.n - 1], view->rgb + 3 * ((size_t)v * (size_t)o->from_w + (size_t)u), 3);
		}
	return 0;
}

/* --- shift and scale --- */

/* Lower median of the values that are not NaN; NaN without any. */
static double lower_median(double *v, size_t n)
{
	size_t kept = 0;
	for (size_t k = 0; k < n; k++)
		if (!isnan(v[k]))
			v[kept++] = v[k];
	return kept ? e3_select(v, kept, (kept - 1) / 2) : NAN;
}

typedef double (*e3_of_point)(const double x[3], const void *ctx);

static double coordinate(const double x[3], const void *ctx) { return x[*(const int *)ctx]; }

static double distance(const double x[3], const void *ctx)
{
	const double *c = ctx;
	return sqrt((x[0] - c[0]) * (x[0] - c[0]) + (x[1] - c[1]) * (x[1] - c[1]) + (x[2] - c[2]) * (x[2] - c[2]));
}

/* Over the points inside and outside the crop. */
static double median_of(const e3_recon *r, bool pred, e3_of_point value, const void *ctx, double *room)
{
	const e3_matched *set[2] = {&r->inside, &r->outside};
	size_t n = 0;
	for (int s = 0; s < 2; s++)
		for (size_t k = 0; k < set[s]->n; k++)
			room[n++] = value(pred ? set[s]->pred[k] : set[s]->truth[k], ctx);
	return lower_median(room, n);
}

int e3_recon_normalise(e3_recon *r, e3_recon_fit *fit, e3_err *err)
{
	e3_matched *set[2] = {&r->inside, &r->outside};
	double *room = e3_alloc(r->inside.n + r->outside.n, sizeof *room, "medians of points", err);
	static const int z = 2;
	if (!room)
		return -1;
	*fit = (e3_recon_fit){{0}, {0}, {{0}}};
	for (int pred = 0; pred < 2; pred++) {
		fit->shift[pred] = median_of(r, pred, coordinate, &z, room);
		for (int s = 0; s < 2; s++)
			for (size_t k = 0; k < set[s]->n; k++)
				(pred ? set[s]->pred : set[s]->truth)[k][2] -= fit->shift[pred];
		for (int a = 0; a < 3; a++)
			fit->centre[pred][a] = median_of(r, pred, coordinate, &a, room);
		fit->size[pred] = median_of(r, pred, distance, fit->centre[pred], room);
	}
	free(room);
	fit->size[1] = fmin(fmax(fit->size[1], 1e-3), 1e3);
	double scale = fit->size[0] / fit->size[1];
	for (int s = 0; s < 2; s++)
		for (size_t k = 0; k < set[s]->n; k++)
			for (int a = 0; a < 3; a++)
				set[s]->pred[k][a] *= scale;
	return 0;
}

/* --- the clouds --- */

typedef struct side {
	const e3_point_set *from, *to;
	double *distance, *likeness;
} side;

static void compare_some(void *ctx, size_t from, size_t to)
{
	const side *s = ctx;
	e3_nearest to_it = {.row = E3_NOWHERE};
	for (size_t k = from; k < to; k++) {
		e3_kdtree_nearest(&s->to->tree, s->from->tree.x[k], to_it.row, INFINITY, 0, &to_it);
		const double *a = s->from->normal[k], *b = s->to->normal[to_it.row];
		s->distance[k] = sqrt(to_it.d2), s->likeness[k] = fabs(a[0] * b[0] + a[1] * b[1] + a[2] * b[2]);
	}
}

static void mean_median(double *v, size_t n, double *mean, double *median)
{
	double sum = 0;
	for (size_t k = 0; k < n; k++)
		sum += v[k];
	*mean = sum / (double)n;
	*median = (e3_select(v, n, (n - 1) / 2) + e3_select(v, n, n / 2)) / 2;
}

int e3_point_sets_compare(const e3_point_set *pred, const e3_point_set *truth, const e3_work *work, e3_recon_score *to,
	e3_err *err)
{
	size_t n = pred->tree.n > truth->tree.n ? pred->tree.n : truth->tree.n;
	double *v = e3_alloc(n, 2 * sizeof *v, "distances of points", err);
	if (!v)
		return -1;
	side a = {pred, truth, v, v + n}, b = {truth, pred, v, v + n};
	int rc = e3_work_blocks(work, "distances", pred->tree.n, compare_some, &a, err);
	if (!rc) {
		mean_median(a.distance, pred->tree.n, &to->acc, &to->acc_med);
		mean_median(a.likeness, pred->tree.n, &to->nc1, &to->nc1_med);
		rc = e3_work_blocks(work, "distances", truth->tree.n, compare_some, &b, err);
	}
	if (!rc) {
		mean_median(b.distance, truth->tree.n, &to->comp, &to->comp_med);
		mean_median(b.likeness, truth->tree.n, &to->nc2, &to->nc2_med);
		to->nc = (to->nc1 + to->nc2) / 2, to->nc_med = (to->nc1_med + to->nc2_med) / 2;
	}
	free(v);
	return rc;
}

/* Drops a pair of points when any predicted coordinate is not finite (doc/evaluation.md 4.4: e3's own rule). */
static size_t drop_not_finite(e3_matched *s)
{
	size_t kept = 0, n = s->n;
	for (size_t k = 0; k < n; k++) {
		const double *p = s->pred[k];
		if (!isfinite(p[0]) || !isfinite(p[1]) || !isfinite(p[2]))
			continue;
		memmove(s->pred[kept], p, sizeof *s->pred);
		if (s->rgb)
			memmove(s->rgb[kept], s->rgb[k], sizeof *s->rgb);
		memmove(s->truth[kept++], s->truth[k], sizeof *s->truth);
	}
	s->n = kept;
	return n - kept;
}

/* The predicted cameras may have another scale and orientation than the true ones, so a similarity moves the points
 * first. */
static int move_onto(e3_matched *s, e3_err *err)
{
	e3_similarity fit;
	if (e3_similarity_fit((const double(*)[3])s->pred, (const double(*)[3])s->truth, s->n, true, &fit, err))
		return -1;
	for (size_t k = 0; k < s->n; k++)
		e3_similarity_apply(&fit, s->pred[k], s->pred[k]);
	return 0;
}

static int normals_of(e3_point_set *c, const e3_recon_rule *rule, e3_err *err)
{
	if (!(c->normal = e3_alloc(c->tree.n, sizeof *c->normal, "normals", err)))
		return -1;
	return e3_normals_make(&c->tree, E3_NORMAL_NEIGHBOURS, rule->work, c->normal, err);
}

int e3_recon_align(e3_recon *r, const e3_recon_rule *rule, e3_recon_score *to, e3_err *err)
{
	e3_matched *s = &r->inside;
	*to = (e3_recon_score){.points = s->n};
	if (s->n == 0)
		return 0;
	if (e3_recon_normalise(r, &to->fit, err))
		return -1;
	release(&r->outside);
	to->not_finite = drop_not_finite(s);
	to->points = s->n;
	return s->n && rule->similarity ? move_onto(s, err) : 0;
}

/* Colours keep their order, so the points are put back into theirs: where they are used, which is not after a failure
 * or a stop, since that takes a second for ten million points. */
static void leave(e3_point_set *c, bool coloured)
{
	free(c->normal);
	(coloured ? e3_kdtree_undo : e3_kdtree_release)(&c->tree);
}

int e3_recon_compare(e3_recon *r, const e3_recon_rule *rule, e3_recon_score *to, e3_err *err)
{
	e3_matched *s = &r->inside;
	e3_point_set pred = {.normal = NULL}, truth = {.normal = NULL};
	if (to->points == 0)
		return 0;
	int rc = e3_kdtree_init(&truth.tree, s->truth, s->n, rule->work, err) ||
			e3_icp_run(s->pred, s->n, &truth.tree, &(e3_icp_rule){rule->radius, rule->work}, &to->icp, err) ||
			e3_kdtree_init(&pred.tree, s->pred, s->n, rule->work, err) || normals_of(&pred, rule, err) ||
			normals_of(&truth, rule, err) || e3_point_sets_compare(&pred, &truth, rule->work, to, err)
		? -1
		: 0;
	leave(&pred, s->rgb && !rc), leave(&truth, s->rgb && !rc);
	return rc;
}

int e3_recon_evaluate(e3_recon *r, const e3_recon_rule *rule, e3_recon_score *to, e3_err *err)
{
	return e3_recon_align(r, rule, to, err) || e3_recon_compare(r, rule, to, err) ? -1 : 0;
}
