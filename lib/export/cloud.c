/* export: the point cloud of a run: the pixels that cleaning kept (clean.c), as points, made from the frame spool again
 * in every pass; or, merged, the means of those in each cell of a grid, which is in memory; and the rules that select
 * among them (doc/formats.md 4.8). Owns the grid.
 *
 * Each stage filters the one before: kept (clean.c), survivors (all, or cells), selected (their number).
 */
#include "e3/num.h"
#include "export/glb.h"
#include "export/points.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 8192 };

struct e3_cloud {
	const e3_cloud_options *opt;
	e3_frame_spool *frames;
	e3_clean *clean;
	e3_locator where;
	uint64_t kept, survivors;
	e3_cells *cells; /* NULL: points are not merged */
	int64_t *number; /* merged: of each frame, in the stream */
	size_t number_cap;
	float linear[256];
	uint8_t *srgb; /* [65536] of linear values */
	/* the cursor: where e3_cloud_next is */
	e3_located at; /* the frame */
	uint8_t *keep; /* [h][w] its pixels */
	size_t keep_cap;
	uint64_t frame_at; /* frames that were read */
	size_t pixel, pixels;
	uint64_t survivor_at, given;
	e3_point *batch; /* [BATCH] */
};

e3_cloud *e3_cloud_open(const e3_cloud_options *opt, e3_frame_spool *frames, e3_clean *clean, e3_err *err)
{
	e3_cloud *c = e3_alloc(1, sizeof *c, "the point cloud", err);
	if (!c)
		return NULL;
	*c = (e3_cloud){.opt = opt, .frames = frames, .clean = clean};
	c->batch = e3_alloc(BATCH, sizeof *c->batch, "points", err);
	if (!c->batch) {
		e3_cloud_close(c);
		return NULL;
	}
	return c;
}

void e3_cloud_rewind(e3_cloud *c)
{
	e3_frame_spool_rewind(c->frames);
	c->frame_at = c->survivor_at = c->given = 0;
	c->pixel = c->pixels = 0;
}

static int next_frame(e3_cloud *c, e3_err *err)
{
	const e3_pred *p;
	int rc = e3_frame_spool_next(c->frames, E3_PART_RGB | e3_locator_parts(&c->where, NULL), &p, err);
	if (rc != 1)
		return rc;
	size_t n = (size_t)p->w * (size_t)p->h;
	if (n > c->keep_cap) {
		if (e3_grow((void **)&c->keep, n, 1, "a frame", err))
			return -1;
		c->keep_cap = n;
	}
	if (e3_locate(&c->where, p, &c->at, err) || e3_clean_keep(c->clean, c->frame_at++, c->keep, err))
		return -1;
	c->pixel = 0;
	c->pixels = c->at.xyz ? n : 0;
	return 1;
}

static void make_point(const e3_located *at, size_t k, bool normals, e3_point *to)
{
	const e3_pred *p = at->frame.pred;
	const float *xyz = at->xyz + 3 * k;
	*to = (e3_point){.xyz = {xyz[0], xyz[1], xyz[2]}, .conf = at->conf ? at->conf[k] : 1, .rgb = {255, 255, 255}};
	if (p->rgb)
		memcpy(to->rgb, p->rgb + 3 * k, 3);
	if (normals)
		e3_located_normal(at, (int)(k % (size_t)p->w), (int)(k / (size_t)p->w), to->normal);
}

/* The next kept points: 1, 0 at the end, -1. */
static int next_kept(e3_cloud *c, bool normals, e3_point_batch *b, e3_err *err)
{
	size_t n = 0, k = c->pixel, stride = (size_t)c->opt->stride;
	if (k == c->pixels) {
		int rc = next_frame(c, err);
		if (rc != 1)
			return rc;
		k = 0;
	}
	const size_t w = (size_t)c->at.frame.pred->w;
	while (k < c->pixels && n < BATCH) {
		if (c->keep[k])
			make_point(&c->at, k, normals, &c->batch[n++]);
		size_t next = k + stride;
		k = next / w == k / w ? next : (k / w + stride) * w;
	}
	c->pixel = k < c->pixels ? k : c->pixels;
	*b = (e3_point_batch){c->batch, n, c->at.frame.pred->s.i, c->frame_at - 1};
	return 1;
}

/* doc/formats.md 4.8. The constant is odd and the finaliser a bijection: the hashes of 0 .. 2^32-1 are all different.
 */
static uint32_t hash_of(uint64_t index) { return e3_fmix32((uint32_t)index * 2654435761u); }

static void from_cell(const e3_cloud *c, const e3_cell *v, e3_point *to)
{
	double length = sqrt(v->normal[0] * v->normal[0] + v->normal[1] * v->normal[1] + v->normal[2] * v->normal[2]);
	*to = (e3_point){.xyz = {v->xyz[0], v->xyz[1], v->xyz[2]}, .conf = v->conf};
	for (int k = 0; k < 3; k++) {
		to->rgb[k] = c->srgb[lroundf(65535 * v->rgb[k])];
		to->normal[k] = length > 0 ? (int8_t)lrint(127 * v->normal[k] / length) : 0;
	}
}

/* The next merged points, frame by frame: each belongs to the frame that saw it first. */
static int next_merged(e3_cloud *c, e3_point_batch *b)
{
	size_t n = 0;
	uint64_t at = c->survivor_at;
	const uint64_t count = e3_cells_count(c->cells);
	bool more = at < count && e3_cells_get(c->cells, at)->group + 1 == c->frame_at;
	if (!more && c->frame_at == c->number_cap)
		return 0;
	c->frame_at += !more;
	for (; n < BATCH && at < count && e3_cells_get(c->cells, at)->group + 1 == c->frame_at; at++)
		from_cell(c, e3_cells_get(c->cells, at), &c->batch[n++]);
	*b = (e3_point_batch){c->batch, n, c->number[c->frame_at - 1], c->frame_at - 1};
	return 1;
}

int e3_cloud_next(e3_cloud *c, const e3_point_selection *selection, e3_point_batch *b, e3_err *err)
{
	int rc = c->cells ? next_merged(c, b) : next_kept(c, selection->normals, b, err);
	size_t n = 0;
	for (size_t k = 0; rc == 1 && k < b->n; k++) {
		uint64_t survivor = c->survivor_at++;
		if (selection->all || (hash_of(survivor) <= selection->limit && c->given < selection->n)) {
			c->batch[n++] = c->batch[k];
			c->given++;
		}
	}
	b->n = n;
	return rc;
}

/* How wide a pixel is at a point. */
static float pixel_width(const e3_located *at, const e3_point *p)
{
	double eye[3], d = 0;
	e3_pose_center(&at->frame.pose, eye);
	for (int k = 0; k < 3; k++)
		d += (p->xyz[k] - eye[k]) * (p->xyz[k] - eye[k]);
	return (float)(sqrt(d) / at->frame.k.fx);
}

/* Cells along the scene: finer than points are rounded. */
#define MOST_CELLS 0x1p28

enum { WIDTHS = 16 /* of so many points one tells how wide a pixel is */ };

/* Counts the kept points; finds the scene scale, which is the length of the box between their 5th and 95th percentiles,
 * and the median width of a pixel (0 without poses). */
static int measure(e3_cloud *c, e3_export_facts *facts, double *width, e3_err *err)
{
	e3_pct axis[4] = {{.n = 0}};
	e3_point_batch b;
	int rc = 0;
	double sum = 0;
	for (int k = 0; k < 4 && !rc; k++)
		rc = e3_pct_init(&axis[k], k < 3 ? (double[]){5, 95} : (double[]){50, 50}, k < 3 ? 2 : 1, err);
	for (int pass = 0; pass < 2 && !rc; pass++) {
		void (*take)(e3_pct *, float) = pass ? e3_pct_refine : e3_pct_add;
		e3_cloud_rewind(c);
		while ((rc = next_kept(c, false, &b, err)) == 1) {
			bool usable = c->at.frame.pred->has_pose && c->at.frame.usable_k;
			for (size_t k = 0; k < b.n; k++)
				for (int j = 0; j < 3; j++)
					take(&axis[j], b.p[k].xyz[j]);
			for (size_t k = 0; k < b.n && usable; k += WIDTHS)
				take(&axis[3], pixel_width(&c->at, &b.p[k]));
		}
		for (int j = 0; j < 4 && !rc && !pass; j++)
			rc = e3_pct_second_pass(&axis[j], err);
	}
	*width = rc ? 0 : e3_pct_value(&axis[3], 0);
	e3_pct_release(&axis[3]);
	c->kept = facts->kept = axis[0].n;
	for (int k = 0; k < 3; k++) {
		double d = rc ? 0 : e3_pct_value(&axis[k], 1) - e3_pct_value(&axis[k], 0);
		sum += d * d;
		e3_pct_release(&axis[k]);
	}
	facts->scene_scale = sqrt(sum);
	return rc;
}

static int make_tables(e3_cloud *c, e3_err *err)
{
	c->srgb = e3_alloc(65536, 1, "colours", err);
	for (int k = 0; c->srgb && k < 65536; k++) {
		double x = k / 65535.0;
		c->srgb[k] = (uint8_t)lround(255 * (x <= 0.0031308 ? 12.92 * x : 1.055 * pow(x, 1 / 2.4) - 0.055));
	}
	for (int k = 0; k < 256; k++)
		c->linear[k] = (float)e3_linear16((uint8_t)k) / 65535;
	return c->srgb ? 0 : -1;
}

static int add_to_cells(e3_cloud *c, const e3_point_batch *b, e3_err *err)
{
	for (size_t k = 0; k < b->n; k++) {
		const e3_point *p = &b->p[k];
		e3_cell v = {.conf = p->conf, .weight = p->conf, .group = (uint32_t)b->segment};
		for (int j = 0; j < 3; j++) {
			v.xyz[j] = p->xyz[j];
			v.rgb[j] = c->linear[p->rgb[j]];
			v.normal[j] = p->normal[j];
		}
		if (e3_cells_add(c->cells, &v, err))
			return -1;
	}
	return 0;
}

static int merge(e3_cloud *c, bool normals, double width, e3_export_facts *facts, e3_err *err)
{
	uint64_t most = c->opt->voxel_most ? (uint64_t)c->opt->voxel_most : E3_GLB_MAX_POINTS;
	double size = c->opt->voxel_auto ? fmax(facts->scene_scale / 2048, width) : c->opt->voxel;
	e3_point_batch b;
	int rc;
	if (!(size > facts->scene_scale / MOST_CELLS)) /* each point would be alone, and numbers of cells end at 2^31 */
		return 0;
	c->cells = e3_cells_open(size, c->opt->voxel_auto ? most : 0, err);
	c->number_cap = (size_t)e3_frame_spool_count(c->frames);
	c->number = c->cells ? e3_alloc(c->number_cap, sizeof *c->number, "the frames", err) : NULL;
	if (!c->number || make_tables(c, err))
		return -1;
	e3_cloud_rewind(c);
	while ((rc = next_kept(c, normals, &b, err)) == 1) {
		c->number[b.segment] = b.frame;
		if (add_to_cells(c, &b, err))
			return -1;
	}
	facts->voxel = e3_cells_size(c->cells);
	return rc;
}

int e3_cloud_settle(e3_cloud *c, bool normals, e3_export_facts *facts, e3_err *err)
{
	c->where = *e3_clean_where(c->clean);
	c->where.world = NULL, c->where.cap = 0;
	double width;
	if (measure(c, facts, &width, err) || merge(c, normals, width, facts, err))
		return -1;
	c->survivors = c->cells ? e3_cells_count(c->cells) : c->kept;
	if (c->kept || c->opt->allow_empty)
		return 0;
	if (facts->points + facts->non_finite == 0)
		return e3_fail(err,
			"selecting points: no frame has any: they need depth above 0 and a usable field of view, or a point map; "
			"allow an empty cloud for what else is in the scene");
	return e3_fail(err,
		"selecting points: none of %llu is left (confidence at least %g; %llu more were not finite): "
		"lower the threshold, check the masks, or allow an empty cloud",
		(unsigned long long)facts->points, fmax(facts->threshold, c->opt->conf_min),
		(unsigned long long)facts->non_finite);
}

/* The n-th smallest of the survivors' hashes (n from 1): a histogram of the upper halves, then of the lower ones in
 * that bin. */
static int nth_hash(const e3_cloud *c, uint64_t n, uint32_t *limit, e3_err *err)
{
	uint64_t *hist = e3_alloc(65536, sizeof *hist, "a histogram", err);
	uint32_t bin = 0, low = 0;
	if (!hist)
		return -1;
	for (uint64_t k = 0; k < c->survivors; k++)
		hist[hash_of(k) >> 16]++;
	while (hist[bin] < n)
		n -= hist[bin++];
	memset(hist, 0, 65536 * sizeof *hist);
	for (uint64_t k = 0; k < c->survivors; k++)
		if (hash_of(k) >> 16 == bin)
			hist[hash_of(k) & 0xffff]++;
	while (hist[low] < n)
		n -= hist[low++];
	free(hist);
	*limit = bin << 16 | low;
	return 0;
}

int e3_cloud_select(e3_cloud *c, uint64_t max, e3_point_selection *selection, e3_err *err)
{
	*selection = (e3_point_selection){.n = c->survivors, .all = true};
	if (!max || c->survivors <= max)
		return 0;
	*selection = (e3_point_selection){.n = max, .all = false};
	return nth_hash(c, max, &selection->limit, err);
}

void e3_cloud_close(e3_cloud *c)
{
	if (!c)
		return;
	e3_cells_close(c->cells);
	e3_locator_release(&c->where);
	free(c->number);
	free(c->srgb);
	free(c->batch);
	free(c->keep);
	free(c);
}
