/* export: the point cloud of a run: the pixels that cleaning kept (clean.c), as points, and the rules that select among
 * them (doc/formats.md 4.8). Made from the frame spool again in every pass. Owns the voxel grid.
 *
 * Each stage filters the one before: kept (clean.c), survivors (voxels), selected (their number).
 */
#include "e3/num.h"
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
	e3_voxels *voxels;
	/* the cursor: where e3_cloud_next is */
	e3_located at; /* the frame */
	uint8_t *keep; /* [h][w] its pixels */
	size_t keep_cap;
	uint64_t frame_at; /* frames that were read */
	size_t pixel, pixels;
	uint64_t kept_at, survivor_at, given;
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
	c->frame_at = c->kept_at = c->survivor_at = c->given = 0;
	c->pixel = c->pixels = 0;
}

static int next_frame(e3_cloud *c, e3_err *err)
{
	const e3_pred *p;
	int rc = e3_frame_spool_next(c->frames, E3_PART_RGB | e3_locator_parts(&c->where), &p, err);
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

int e3_cloud_next(e3_cloud *c, const e3_point_selection *selection, e3_point_batch *b, e3_err *err)
{
	int rc = next_kept(c, selection->normals, b, err);
	size_t n = 0;
	for (size_t k = 0; rc == 1 && k < b->n; k++) {
		const e3_point *p = &c->batch[k];
		if (c->voxels && !e3_voxels_kept(c->voxels, p->xyz, c->kept_at + k))
			continue;
		uint64_t survivor = c->survivor_at++;
		if (selection->all || (hash_of(survivor) <= selection->limit && c->given < selection->n)) {
			c->batch[n++] = *p;
			c->given++;
		}
	}
	if (rc == 1)
		c->kept_at += b->n;
	b->n = n;
	return rc;
}

/* Counts the kept points and finds the scene scale: the length of the box between their 5th and 95th percentiles. */
static int measure(e3_cloud *c, e3_export_facts *facts, e3_err *err)
{
	e3_pct axis[3] = {{.n = 0}};
	e3_point_batch b;
	int rc = 0;
	double sum = 0;
	for (int k = 0; k < 3 && !rc; k++)
		rc = e3_pct_init(&axis[k], (double[]){5, 95}, 2, err);
	for (int pass = 0; pass < 2 && !rc; pass++) {
		e3_cloud_rewind(c);
		while ((rc = next_kept(c, false, &b, err)) == 1)
			for (size_t k = 0; k < b.n; k++)
				for (int j = 0; j < 3; j++)
					(pass ? e3_pct_refine : e3_pct_add)(&axis[j], b.p[k].xyz[j]);
		for (int j = 0; j < 3 && !rc && !pass; j++)
			rc = e3_pct_second_pass(&axis[j], err);
	}
	c->kept = facts->kept = axis[0].n;
	for (int k = 0; k < 3; k++) {
		double d = rc ? 0 : e3_pct_value(&axis[k], 1) - e3_pct_value(&axis[k], 0);
		sum += d * d;
		e3_pct_release(&axis[k]);
	}
	facts->scene_scale = sqrt(sum);
	return rc;
}

static int fill_voxels(e3_cloud *c, e3_export_facts *facts, e3_err *err)
{
	uint64_t most = c->opt->max_points > 0 ? (uint64_t)c->opt->max_points : E3_GLB_MAX_POINTS;
	double size = c->opt->voxel_auto ? facts->scene_scale / 2048 : c->opt->voxel;
	uint64_t index = 0;
	e3_point_batch b;
	int rc;
	if (!(size > 0))
		return 0;
	c->voxels = e3_voxels_open(size, c->opt->voxel_auto ? most : 0, err);
	if (!c->voxels)
		return -1;
	e3_cloud_rewind(c);
	while ((rc = next_kept(c, false, &b, err)) == 1)
		for (size_t k = 0; k < b.n; k++)
			if (e3_voxels_add(c->voxels, b.p[k].xyz, b.p[k].conf, index++, err))
				return -1;
	facts->voxel = e3_voxels_size(c->voxels);
	return rc;
}

int e3_cloud_settle(e3_cloud *c, e3_export_facts *facts, e3_err *err)
{
	c->where = *e3_clean_where(c->clean);
	c->where.world = NULL, c->where.cap = 0;
	if (measure(c, facts, err) || fill_voxels(c, facts, err))
		return -1;
	c->survivors = c->voxels ? e3_voxels_count(c->voxels) : c->kept;
	if (c->kept || c->opt->allow_empty)
		return 0;
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
	e3_voxels_close(c->voxels);
	e3_locator_release(&c->where);
	free(c->batch);
	free(c->keep);
	free(c);
}
