/* export: the point cloud of a run: candidates in a temporary file, 20 bytes each, and the rules that select among them
 * (doc/formats.md 1.3, 4.8). A candidate has finite coordinates and confidence. Owns the file and the voxel grid.
 *
 * Each stage filters the one before: candidates, kept (confidence, colour), survivors (voxels), selected (their
 * number).
 */
#include "export/writer.h"
#include "e3/num.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 8192 };

/* Precedes the candidates of each frame. */
typedef struct segment {
	int64_t frame;
	uint64_t n;
} segment;

struct e3_cloud {
	int (*stop)(void);
	e3_cloud_options opt;
	e3_point_source source; /* decided at the first frame */
	e3_masks *masks;
	FILE *f;
	uint64_t bytes, segments, kept, survivors;
	uint64_t whole; /* bytes of the frames that are whole, all on disk */
	e3_pct conf;
	float threshold;
	e3_voxels *voxels;
	/* buffers of e3_cloud_add */
	float *world;
	uint8_t *mask;
	size_t world_cap, mask_cap;
	/* the cursor: where e3_cloud_next is */
	uint64_t segment_at, left, kept_at, survivor_at, given;
	int64_t frame;
	e3_point *batch; /* [BATCH] */
};

e3_cloud *e3_cloud_open(const e3_cloud_options *opt, e3_err *err)
{
	e3_cloud *c = e3_alloc(1, sizeof *c, "the point cloud", err);
	if (!c)
		return NULL;
	c->opt = *opt;
	c->batch = e3_alloc(BATCH, sizeof *c->batch, "points", err);
	c->f = c->batch ? e3_spool(err) : NULL;
	if (!c->f || e3_pct_init(&c->conf, &opt->conf_pct, 1, err) ||
		(opt->mask_dir && !(c->masks = e3_masks_open(opt->mask_dir, err)))) {
		e3_cloud_close(c);
		return NULL;
	}
	return c;
}

static int put(e3_cloud *c, const void *from, size_t n, e3_err *err)
{
	c->bytes += n;
	return e3_spool_write(c->f, from, n, err);
}

static int choose_source(e3_cloud *c, const e3_pred *p, e3_err *err)
{
	bool depth = p->depth && p->has_pose;
	if (c->source == E3_POINTS_AUTO) {
		c->source = c->opt.source != E3_POINTS_AUTO ? c->opt.source : p->points ? E3_POINTS_POINT_MAP : E3_POINTS_DEPTH;
		if (c->opt.upstream && !p->points)
			c->source = E3_POINTS_DEPTH;
	}
	bool copies = c->source == E3_POINTS_DEPTH && c->opt.upstream && p->points;
	if (c->source == E3_POINTS_POINT_MAP && !p->points)
		return e3_fail(err, "frame %lld: points: the stream has no point map; points from depth and pose need none",
			(long long)p->s.i);
	if (c->source == E3_POINTS_DEPTH && !depth && !copies)
		return e3_fail(err, "frame %lld: points: the stream has no %s; points need a point map, or depth and pose",
			(long long)p->s.i, p->depth ? "pose" : "depth");
	return 0;
}

/* The points of a frame, from the point map or from depth. */
typedef struct located {
	const float *points, *conf; /* points: NULL when the frame has none; conf: NULL counts as 1 */
	const float *depth;         /* of points from depth, to skip where it is unknown */
} located;

static int locate(e3_cloud *c, const e3_export_frame *frame, located *at, e3_err *err)
{
	const e3_pred *p = frame->pred;
	bool from_depth = c->source == E3_POINTS_DEPTH;
	*at = (located){.points = p->points, .conf = from_depth ? p->depth_conf : p->points_conf};
	if (!from_depth || (c->opt.upstream && p->points))
		return 0;
	at->points = NULL;
	if (!frame->usable_k)
		return 0;
	size_t n = (size_t)p->w * (size_t)p->h * 3;
	if (n > c->world_cap) {
		if (e3_grow((void **)&c->world, n, sizeof *c->world, "points", err))
			return -1;
		c->world_cap = n;
	}
	e3_intrinsics k = c->opt.upstream ? e3_intrinsics_upstream(&frame->k) : frame->k;
	e3_unproject(&frame->pose, &k, p->depth, c->world);
	at->points = c->world;
	at->depth = p->depth;
	return 0;
}

static int load_mask(e3_cloud *c, const e3_pred *p, e3_err *err)
{
	size_t n = (size_t)p->w * (size_t)p->h;
	if (!c->masks)
		return 0;
	if (n > c->mask_cap) {
		if (e3_grow((void **)&c->mask, n, 1, "a mask", err))
			return -1;
		c->mask_cap = n;
	}
	return e3_masks_get(c->masks, p, (int64_t)c->segments, c->mask, err);
}

/* Makes a candidate of pixel k: false when something is not finite. */
static bool candidate(const e3_cloud *c, const e3_pred *p, const located *at, size_t k, e3_point *to)
{
	const float *xyz = at->points + 3 * k;
	float sure = at->conf ? at->conf[k] : 1;
	if (!isfinite(xyz[0]) || !isfinite(xyz[1]) || !isfinite(xyz[2]) || !isfinite(sure))
		return false;
	*to =
		(e3_point){.xyz = {xyz[0], xyz[1], xyz[2]}, .conf = c->masks && !c->mask[k] ? 0 : sure, .rgb = {255, 255, 255}};
	if (p->rgb)
		memcpy(to->rgb, p->rgb + 3 * k, 3);
	return true;
}

/* Spools the candidates of one row and counts them, BATCH at a time. */
static int add_row(e3_cloud *c, const e3_pred *p, const located *at, int row, e3_export_facts *facts, e3_err *err)
{
	size_t first = (size_t)row * (size_t)p->w, last = first + (size_t)p->w, n = 0;
	for (size_t k = first; k < last; k += (size_t)c->opt.stride) {
		if (at->depth && isfinite(at->depth[k]) && at->depth[k] <= E3_DEPTH_MIN)
			continue;
		if (!candidate(c, p, at, k, &c->batch[n])) {
			facts->non_finite++;
			continue;
		}
		e3_pct_add(&c->conf, c->batch[n++].conf);
		facts->points++;
		if (n == BATCH) {
			if (put(c, c->batch, n * sizeof *c->batch, err))
				return -1;
			n = 0;
		}
	}
	return put(c, c->batch, n * sizeof *c->batch, err);
}

int e3_cloud_check(e3_cloud *c, const e3_pred *p, e3_err *err) { return choose_source(c, p, err); }

int e3_cloud_mask(e3_cloud *c, const e3_pred *p, e3_err *err) { return load_mask(c, p, err); }

int e3_cloud_add(e3_cloud *c, const e3_export_frame *frame, e3_export_facts *facts, e3_err *err)
{
	const e3_pred *p = frame->pred;
	located at;
	if (locate(c, frame, &at, err))
		return -1;
	facts->from_depth = c->source == E3_POINTS_DEPTH;
	facts->skipped_frames += !at.points;
	segment s = {.frame = p->s.i};
	uint64_t before = facts->points;
	off_t start = ftello(c->f);
	if (put(c, &s, sizeof s, err))
		return -1;
	for (int row = 0; at.points && row < p->h; row += c->opt.stride)
		if (add_row(c, p, &at, row, facts, err))
			return -1;
	s.n = facts->points - before;
	if (start < 0 || fseeko(c->f, start, SEEK_SET) || fwrite(&s, sizeof s, 1, c->f) != 1 || fseeko(c->f, 0, SEEK_END))
		return e3_fail_sys(err, "writing to a temporary file (TMPDIR chooses where)");
	c->segments++;
	c->whole = c->bytes;
	return 0;
}

void e3_cloud_rewind(e3_cloud *c)
{
	rewind(c->f);
	c->segment_at = c->left = c->kept_at = c->survivor_at = c->given = 0;
}

/* The next candidates, unfiltered: 1, 0 at the end, -1. */
static int next_candidates(e3_cloud *c, e3_point_batch *b, e3_err *err)
{
	if (!c->left) {
		segment s;
		if (c->segment_at == c->segments)
			return 0;
		if (c->stop && c->stop())
			return e3_fail(err, "exporting: interrupted");
		if (e3_spool_read(c->f, &s, sizeof s, err))
			return -1;
		c->segment_at++;
		c->frame = s.frame;
		c->left = s.n;
	}
	size_t n = c->left < BATCH ? (size_t)c->left : BATCH;
	if (e3_spool_read(c->f, c->batch, n * sizeof *c->batch, err))
		return -1;
	c->left -= n;
	*b = (e3_point_batch){c->batch, n, c->frame, c->segment_at - 1};
	return 1;
}

static bool is_kept(const e3_cloud *c, const e3_point *p)
{
	if (!(p->conf >= c->threshold) || !(p->conf > 1e-5f) || !(p->conf >= (float)c->opt.conf_min))
		return false;
	if (c->opt.mask_black && p->rgb[0] + p->rgb[1] + p->rgb[2] < 16)
		return false;
	return !(c->opt.mask_white && p->rgb[0] > 240 && p->rgb[1] > 240 && p->rgb[2] > 240);
}

static int next_kept(e3_cloud *c, e3_point_batch *b, e3_err *err)
{
	int rc = next_candidates(c, b, err);
	size_t n = 0;
	for (size_t k = 0; rc == 1 && k < b->n; k++)
		if (is_kept(c, &c->batch[k]))
			c->batch[n++] = c->batch[k];
	b->n = n;
	return rc;
}

/* doc/formats.md 4.8. The constant is odd and the finaliser a bijection: the hashes of 0 .. 2^32-1 are all different.
 */
static uint32_t hash_of(uint64_t index) { return e3_fmix32((uint32_t)index * 2654435761u); }

int e3_cloud_next(e3_cloud *c, const e3_point_selection *selection, e3_point_batch *b, e3_err *err)
{
	int rc = next_kept(c, b, err);
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

int e3_cloud_cut(e3_cloud *c, e3_err *err)
{
	e3_point_batch b;
	int rc;
	c->bytes = c->whole;
	e3_pct_release(&c->conf);
	if (e3_spool_cut(c->f, c->whole, err) || e3_pct_init(&c->conf, &c->opt.conf_pct, 1, err))
		return -1;
	e3_cloud_rewind(c);
	while ((rc = next_candidates(c, &b, err)) == 1)
		for (size_t k = 0; k < b.n; k++)
			e3_pct_add(&c->conf, b.p[k].conf);
	return rc;
}

/* The percentile of the confidences, by a second pass over them. */
static int find_threshold(e3_cloud *c, e3_export_facts *facts, e3_err *err)
{
	e3_point_batch b;
	int rc;
	if (c->opt.conf_pct <= 0)
		return 0;
	if (e3_pct_second_pass(&c->conf, err))
		return -1;
	e3_cloud_rewind(c);
	while ((rc = next_candidates(c, &b, err)) == 1)
		for (size_t k = 0; k < b.n; k++)
			e3_pct_refine(&c->conf, b.p[k].conf);
	facts->threshold = e3_pct_value(&c->conf, 0);
	c->threshold = (float)facts->threshold;
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
		while ((rc = next_kept(c, &b, err)) == 1)
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
	uint64_t most = c->opt.max_points > 0 ? (uint64_t)c->opt.max_points : E3_GLB_MAX_POINTS;
	double size = c->opt.voxel_auto ? facts->scene_scale / 2048 : c->opt.voxel;
	uint64_t index = 0;
	e3_point_batch b;
	int rc;
	if (!(size > 0))
		return 0;
	c->voxels = e3_voxels_open(size, c->opt.voxel_auto ? most : 0, err);
	if (!c->voxels)
		return -1;
	e3_cloud_rewind(c);
	while ((rc = next_kept(c, &b, err)) == 1)
		for (size_t k = 0; k < b.n; k++)
			if (e3_voxels_add(c->voxels, b.p[k].xyz, b.p[k].conf, index++, err))
				return -1;
	facts->voxel = e3_voxels_size(c->voxels);
	return rc;
}

int e3_cloud_settle(e3_cloud *c, e3_export_facts *facts, e3_err *err)
{
	if (find_threshold(c, facts, err) || measure(c, facts, err) || fill_voxels(c, facts, err))
		return -1;
	c->survivors = c->voxels ? e3_voxels_count(c->voxels) : c->kept;
	if (c->kept || c->opt.allow_empty)
		return 0;
	return e3_fail(err,
		"selecting points: none of %llu is left (confidence at least %g; %llu more were not finite): "
		"lower the threshold, check the masks, or allow an empty cloud",
		(unsigned long long)facts->points, fmax(facts->threshold, c->opt.conf_min),
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

uint64_t e3_cloud_bytes(const e3_cloud *c) { return c->bytes; }

void e3_cloud_stop_by(e3_cloud *c, int (*stop)(void)) { c->stop = stop; }

void e3_cloud_close(e3_cloud *c)
{
	if (!c)
		return;
	if (c->f)
		fclose(c->f);
	e3_masks_close(c->masks);
	e3_voxels_close(c->voxels);
	e3_pct_release(&c->conf);
	free(c->batch);
	free(c->world);
	free(c->mask);
	free(c);
}
