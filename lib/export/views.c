/* export: the cameras of a run, a few hundred bytes each, which others a frame is compared with, and the depth of some
 * frames, read from the spool when it is needed; as many as are compared at a time, and as many again, stay in memory.
 */
#include "export/clean.h"
#include <stdlib.h>
#include <string.h>

enum { GRID = 4 /* points of a frame that others must see: GRID × GRID */, KEPT = 3 * E3_VIEWS_OTHERS };
/* Frames that others are compared with: every one of a short run, every 8th of a long one, at most so many. */
enum { EVERY_FROM = 64, EVERY = 8, MOST = 1024 };
/* The part of those points that another frame must see. */
#define OVERLAP 0.5
/* Points are too far beyond so many times the distance from the middle that holds most of them. */
#define FAR 5
#define MOST_OF_IT 0.9

typedef struct camera {
	e3_view view;
	float point[GRID * GRID][3]; /* in the world; the first n */
	int n;
} camera;

typedef struct slot {
	uint64_t ordinal, used; /* used: when; 0: empty */
	float *inverse;
	size_t cap;
	e3_view view;
} slot;

struct e3_views {
	e3_frame_spool *frames;
	e3_locator where;
	camera *camera;
	uint64_t n, cap, clock;
	slot slot[KEPT];
};

e3_views *e3_views_open(e3_frame_spool *frames, const e3_locator *where, e3_err *err)
{
	e3_views *v = e3_alloc(1, sizeof *v, "the views", err);
	if (!v)
		return NULL;
	v->frames = frames;
	v->where = *where;
	v->where.world = NULL, v->where.cap = 0;
	return v;
}

void e3_views_inverse(const e3_located *at, float *to)
{
	const e3_pred *p = at->frame.pred;
	const double *r = at->frame.pose.r, *t = at->frame.pose.t;
	size_t n = (size_t)p->w * (size_t)p->h;
	for (size_t k = 0; k < n; k++) {
		float z = 0;
		if (at->depth)
			z = at->depth[k];
		else if (at->xyz && p->has_pose) {
			const float *x = at->xyz + 3 * k;
			z = (float)(r[6] * x[0] + r[7] * x[1] + r[8] * x[2] + t[2]);
		}
		to[k] = e3_depth_known(z) ? 1 / z : 0;
	}
}

int e3_views_add(e3_views *v, const e3_located *at, const float *inverse, e3_err *err)
{
	if (v->n == v->cap) {
		uint64_t cap = v->cap ? 2 * v->cap : 64;
		if (e3_grow((void **)&v->camera, cap, sizeof *v->camera, "the views", err))
			return -1;
		v->cap = cap;
	}
	const e3_export_frame *f = &at->frame;
	camera *c = &v->camera[v->n++];
	int w = f->pred->w, h = f->pred->h;
	*c = (camera){.view = {.pose = f->pose, .k = f->k, .usable = f->pred->has_pose && f->usable_k}};
	for (int k = 0; k < GRID * GRID && at->xyz; k++) {
		size_t u = (size_t)((2 * (k % GRID) + 1) * w / (2 * GRID)),
			   row = (size_t)((2 * (k / GRID) + 1) * h / (2 * GRID));
		size_t pixel = row * (size_t)w + u;
		if (inverse[pixel] > 0)
			memcpy(c->point[c->n++], at->xyz + 3 * pixel, sizeof c->point[0]);
	}
	return 0;
}

static int ascending(const void *a, const void *b)
{
	return (*(const float *)a > *(const float *)b) - (*(const float *)a < *(const float *)b);
}

/* Sorts n values: the q-th of 1. */
static float quantile(float *x, size_t n, double q)
{
	qsort(x, n, sizeof *x, ascending);
	return x[(size_t)(q * (double)(n - 1))];
}

int e3_views_extent(const e3_views *v, double middle[3], double *far, e3_err *err)
{
	size_t n = 0;
	float *x = e3_alloc(v->n * GRID * GRID + 1, sizeof *x, "the extent of the scene", err);
	if (!x)
		return -1;
	*far = INFINITY;
	for (int axis = 0; axis < 3; axis++) {
		n = 0;
		for (uint64_t i = 0; i < v->n; i++)
			for (int k = 0; k < v->camera[i].n; k++)
				x[n++] = v->camera[i].point[k][axis];
		middle[axis] = n ? quantile(x, n, 0.5) : 0;
	}
	n = 0;
	for (uint64_t i = 0; i < v->n; i++)
		for (int k = 0; k < v->camera[i].n; k++) {
			const float *p = v->camera[i].point[k];
			x[n++] = (float)hypot(hypot(p[0] - middle[0], p[1] - middle[1]), p[2] - middle[2]);
		}
	if (n)
		*far = FAR * quantile(x, n, MOST_OF_IT);
	free(x);
	return 0;
}

static bool sees(const e3_view *v, const float x[3])
{
	const double *r = v->pose.r, *t = v->pose.t;
	double z = r[6] * x[0] + r[7] * x[1] + r[8] * x[2] + t[2];
	double u = v->k.fx * (r[0] * x[0] + r[1] * x[1] + r[2] * x[2] + t[0]) / z + v->k.cx;
	double row = v->k.fy * (r[3] * x[0] + r[4] * x[1] + r[5] * x[2] + t[1]) / z + v->k.cy;
	return z > 0 && u >= 0 && u < v->k.w && row >= 0 && row < v->k.h;
}

static bool overlaps(const camera *a, const camera *b)
{
	int n = 0;
	for (int k = 0; k < a->n; k++)
		n += sees(&b->view, a->point[k]);
	return a->n && n >= OVERLAP * a->n;
}

int e3_views_choose(const e3_views *v, uint64_t ordinal, uint64_t others[E3_VIEWS_OTHERS])
{
	const camera *a = &v->camera[ordinal];
	uint64_t step = v->n / EVERY_FROM < 1 ? 1 : v->n / EVERY_FROM < EVERY ? v->n / EVERY_FROM : EVERY;
	if (v->n / step > MOST)
		step = (v->n + MOST - 1) / MOST;
	uint64_t found[MOST + EVERY];
	size_t n = 0;
	int given = 0;
	for (uint64_t k = 0; k < v->n && a->view.usable; k += step)
		if (k != ordinal && v->camera[k].view.usable && overlaps(a, &v->camera[k]))
			found[n++] = k;
	size_t most = n < E3_VIEWS_OTHERS ? n : E3_VIEWS_OTHERS;
	for (size_t k = 0; k < most; k++)
		others[given++] = found[most == n ? k : (2 * k + 1) * n / (2 * most)];
	return given;
}

static int read_into(e3_views *v, slot *s, uint64_t ordinal, e3_err *err)
{
	const e3_pred *p;
	e3_located at;
	unsigned parts = e3_locator_parts(&v->where, NULL) & (E3_PART_DEPTH | E3_PART_POINTS);
	if (e3_frame_spool_seek(v->frames, ordinal, err))
		return -1;
	int rc = e3_frame_spool_next(v->frames, parts, &p, err);
	if (rc != 1)
		return rc ? -1 : e3_fail(err, "reading a temporary file: a frame is missing");
	size_t n = (size_t)p->w * (size_t)p->h;
	if (n > s->cap) {
		if (e3_grow((void **)&s->inverse, n, sizeof *s->inverse, "depth", err))
			return -1;
		s->cap = n;
	}
	at = (e3_located){.xyz = p->points, .depth = v->where.source == E3_POINTS_DEPTH ? p->depth : NULL};
	if (e3_export_frame_init(&at.frame, p, err))
		return -1;
	e3_views_inverse(&at, s->inverse);
	s->ordinal = ordinal;
	s->view = v->camera[ordinal].view;
	s->view.inverse = s->inverse;
	return 0;
}

const e3_view *e3_views_read(e3_views *v, uint64_t ordinal, e3_err *err)
{
	slot *oldest = v->slot;
	for (int k = 0; k < KEPT; k++) {
		slot *s = &v->slot[k];
		if (s->used && s->ordinal == ordinal) {
			s->used = ++v->clock;
			return &s->view;
		}
		if (s->used < oldest->used)
			oldest = s;
	}
	oldest->used = 0;
	if (read_into(v, oldest, ordinal, err))
		return NULL;
	oldest->used = ++v->clock;
	return &oldest->view;
}

void e3_views_close(e3_views *v)
{
	if (!v)
		return;
	for (int k = 0; k < KEPT; k++)
		free(v->slot[k].inverse);
	e3_locator_release(&v->where);
	free(v->camera);
	free(v);
}
