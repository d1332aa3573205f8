/* export: which pixels of a run give points: those with finite coordinates and enough confidence, inside the masks
 * (doc/formats.md 1.3, 1.4). Decided when the stream is over, from the frame spool; one bit a pixel waits in a
 * temporary file. Owns that file and the masks. */
#include "export/points.h"
#include <stdlib.h>
#include <string.h>

/* Where the bits of a frame are. */
typedef struct bits {
	uint64_t at;
	size_t n; /* pixels */
} bits;

struct e3_clean {
	const e3_cloud_options *opt;
	e3_frame_spool *frames;
	e3_locator where;
	e3_masks *masks;
	uint8_t *mask; /* of the frame that comes next */
	size_t mask_cap;
	FILE *f; /* bits */
	bits *frame;
	uint64_t n, cap;
	e3_pct conf;
	float threshold;
	uint64_t below, ties, masked; /* candidates: as in e3_export_facts */
	uint8_t *keep, *packed;       /* of one frame: bytes, bits */
	size_t keep_cap;
};

e3_clean *e3_clean_open(const e3_cloud_options *opt, e3_frame_spool *frames, e3_err *err)
{
	e3_clean *c = e3_alloc(1, sizeof *c, "cleaning", err);
	if (!c)
		return NULL;
	*c = (e3_clean){.opt = opt, .frames = frames, .f = e3_spool(err)};
	if (!c->f || (opt->mask_dir && !(c->masks = e3_masks_open(opt->mask_dir, err)))) {
		e3_clean_close(c);
		return NULL;
	}
	return c;
}

int e3_clean_check(e3_clean *c, const e3_pred *p, e3_err *err) { return e3_locator_choose(&c->where, c->opt, p, err); }

int e3_clean_mask(e3_clean *c, const e3_pred *p, int64_t ordinal, e3_err *err)
{
	size_t n = (size_t)p->w * (size_t)p->h;
	if (!c->masks)
		return 0;
	if (n > c->mask_cap) {
		if (e3_grow((void **)&c->mask, n, 1, "a mask", err))
			return -1;
		c->mask_cap = n;
	}
	return e3_masks_get(c->masks, p, ordinal, c->mask, err);
}

const uint8_t *e3_clean_masked(const e3_clean *c) { return c->masks ? c->mask : NULL; }

const e3_locator *e3_clean_where(const e3_clean *c) { return &c->where; }

unsigned e3_clean_parts(const e3_clean *c)
{
	return E3_PART_RGB | e3_locator_parts(&c->where) | (c->masks ? E3_PART_MASK : 0);
}

/* Room for the bits of the frame that is read next. */
static int begin_frame(e3_clean *c, size_t pixels, e3_err *err)
{
	if (c->n == c->cap) {
		uint64_t cap = c->cap ? 2 * c->cap : 64;
		if (e3_grow((void **)&c->frame, cap, sizeof *c->frame, "the frames", err))
			return -1;
		c->cap = cap;
	}
	if (pixels > c->keep_cap) {
		if (e3_grow((void **)&c->keep, pixels, 1, "a frame", err) ||
			e3_grow((void **)&c->packed, pixels / 8 + 1, 1, "a frame", err))
			return -1;
		c->keep_cap = pixels;
	}
	uint64_t at = c->n ? c->frame[c->n - 1].at + (c->frame[c->n - 1].n + 7) / 8 : 0;
	c->frame[c->n++] = (bits){at, pixels};
	return 0;
}

static int store(e3_clean *c, uint64_t ordinal, const uint8_t *keep, e3_err *err)
{
	const bits *b = &c->frame[ordinal];
	size_t bytes = (b->n + 7) / 8;
	memset(c->packed, 0, bytes);
	for (size_t k = 0; k < b->n; k++)
		c->packed[k / 8] |= (uint8_t)(keep[k] << k % 8);
	if (fseeko(c->f, (off_t)b->at, SEEK_SET))
		return e3_fail_sys(err, "writing to a temporary file (TMPDIR chooses where)");
	if (e3_spool_write(c->f, c->packed, bytes, err))
		return -1;
	return fflush(c->f) ? e3_fail_sys(err, "writing to a temporary file (TMPDIR chooses where)") : 0;
}

int e3_clean_keep(e3_clean *c, uint64_t ordinal, uint8_t *keep, e3_err *err)
{
	if (ordinal >= c->n)
		return e3_fail(err, "reading a temporary file: it has %llu frames", (unsigned long long)c->n);
	const bits *b = &c->frame[ordinal];
	if (fseeko(c->f, (off_t)b->at, SEEK_SET))
		return e3_fail_sys(err, "reading a temporary file");
	if (e3_spool_read(c->f, c->packed, (b->n + 7) / 8, err))
		return -1;
	for (size_t k = 0; k < b->n; k++)
		keep[k] = c->packed[k / 8] >> k % 8 & 1;
	return 0;
}

/* Is pixel k one that --stride takes? */
static bool sampled(const e3_clean *c, const e3_pred *p, size_t k)
{
	size_t stride = (size_t)c->opt->stride;
	return stride == 1 || (k / (size_t)p->w % stride == 0 && k % (size_t)p->w % stride == 0);
}

static float conf_of(const e3_located *at, const uint8_t *mask, size_t k)
{
	return mask && !mask[k] ? 0 : at->conf ? at->conf[k] : 1;
}

/* Candidates: finite coordinates and confidence. */
static void find_candidates(e3_clean *c, const e3_located *at, const uint8_t *mask, e3_export_facts *facts)
{
	const e3_pred *p = at->frame.pred;
	size_t n = (size_t)p->w * (size_t)p->h;
	memset(c->keep, 0, n);
	for (size_t k = 0; at->xyz && k < n; k++) {
		if (at->depth && isfinite(at->depth[k]) && at->depth[k] <= E3_DEPTH_MIN)
			continue;
		const float *xyz = at->xyz + 3 * k;
		bool finite = isfinite(xyz[0]) && isfinite(xyz[1]) && isfinite(xyz[2]) && (!at->conf || isfinite(at->conf[k]));
		c->keep[k] = finite;
		if (!sampled(c, p, k))
			continue;
		facts->points += finite;
		facts->non_finite += !finite;
		if (finite && c->opt->conf_pct > 0)
			e3_pct_add(&c->conf, conf_of(at, mask, k));
	}
	facts->skipped_frames += !at->xyz;
}

static bool is_kept(const e3_clean *c, const e3_pred *p, float conf, size_t k)
{
	if (!(conf >= c->threshold) || !(conf > 1e-5f) || !(conf >= (float)c->opt->conf_min))
		return false;
	if (!p->rgb)
		return !c->opt->mask_white;
	const uint8_t *rgb = p->rgb + 3 * k;
	if (c->opt->mask_black && rgb[0] + rgb[1] + rgb[2] < 16)
		return false;
	return !(c->opt->mask_white && rgb[0] > 240 && rgb[1] > 240 && rgb[2] > 240);
}

static void filter(e3_clean *c, const e3_located *at, const uint8_t *mask)
{
	const e3_pred *p = at->frame.pred;
	size_t n = (size_t)p->w * (size_t)p->h;
	for (size_t k = 0; k < n; k++) {
		if (!c->keep[k])
			continue;
		float conf = conf_of(at, mask, k);
		if (sampled(c, p, k))
			c->below += conf < c->threshold, c->ties += conf == c->threshold, c->masked += mask && !mask[k];
		c->keep[k] = is_kept(c, p, conf, k);
	}
}

/* First pass: candidates, and their confidences. Without a percentile it is the last one too. */
static int first_pass(e3_clean *c, e3_export_facts *facts, e3_err *err)
{
	const e3_pred *p;
	e3_located at;
	int rc;
	e3_frame_spool_rewind(c->frames);
	while ((rc = e3_frame_spool_next(c->frames, e3_clean_parts(c), &p, err)) == 1) {
		const uint8_t *mask = e3_frame_spool_mask(c->frames);
		if (e3_locate(&c->where, p, &at, err) || begin_frame(c, (size_t)p->w * (size_t)p->h, err))
			return -1;
		find_candidates(c, &at, mask, facts);
		if (!(c->opt->conf_pct > 0))
			filter(c, &at, mask);
		if (store(c, c->n - 1, c->keep, err))
			return -1;
	}
	return rc;
}

/* Passes over the candidates and their confidences: finds the percentile, then applies the threshold. */
static int second_pass(e3_clean *c, bool refine, e3_err *err)
{
	const e3_pred *p;
	int rc;
	unsigned parts = e3_clean_parts(c) & (E3_PART_CONF | E3_PART_MASK | (refine ? 0 : E3_PART_RGB));
	e3_frame_spool_rewind(c->frames);
	for (uint64_t i = 0; (rc = e3_frame_spool_next(c->frames, parts, &p, err)) == 1; i++) {
		const uint8_t *mask = e3_frame_spool_mask(c->frames);
		e3_located at = {.frame.pred = p, .conf = c->where.source == E3_POINTS_DEPTH ? p->depth_conf : p->points_conf};
		if (e3_clean_keep(c, i, c->keep, err))
			return -1;
		for (size_t k = 0, n = c->frame[i].n; refine && k < n; k++)
			if (c->keep[k] && sampled(c, p, k))
				e3_pct_refine(&c->conf, conf_of(&at, mask, k));
		if (refine)
			continue;
		filter(c, &at, mask);
		if (store(c, i, c->keep, err))
			return -1;
	}
	return rc;
}

int e3_clean_settle(e3_clean *c, e3_export_facts *facts, e3_err *err)
{
	bool pct = c->opt->conf_pct > 0;
	facts->from_depth = c->where.source == E3_POINTS_DEPTH;
	if (pct && e3_pct_init(&c->conf, &c->opt->conf_pct, 1, err))
		return -1;
	if (first_pass(c, facts, err))
		return -1;
	if (!pct)
		return 0;
	if (e3_pct_second_pass(&c->conf, err) || second_pass(c, true, err))
		return -1;
	facts->threshold = e3_pct_value(&c->conf, 0);
	c->threshold = (float)facts->threshold;
	e3_pct_release(&c->conf);
	int rc = second_pass(c, false, err);
	facts->below = c->below, facts->ties = c->ties, facts->masked = c->masked;
	return rc;
}

void e3_clean_close(e3_clean *c)
{
	if (!c)
		return;
	if (c->f)
		fclose(c->f);
	e3_masks_close(c->masks);
	e3_pct_release(&c->conf);
	e3_locator_release(&c->where);
	free(c->mask);
	free(c->frame);
	free(c->keep);
	free(c->packed);
	free(c);
}
