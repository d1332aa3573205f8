/* export: which pixels of a run give points: those with finite coordinates and enough confidence, inside the masks
 * (doc/formats.md 1.3, 1.4), off the edges of objects and where other frames agree (4.11). Decided when the stream is
 * over, from the frame spool; one byte a pixel (clean.h) waits in a temporary file. Owns that file and the masks. */
#include "export/clean.h"
#include <stdlib.h>
#include <string.h>

enum { MOST_THREADS = 16 };

/* Where the bytes of a frame are. */
typedef struct bytes {
	uint64_t at;
	size_t n;
} bytes;

struct e3_clean {
	const e3_cloud_options *opt;
	e3_frame_spool *frames;
	e3_locator where;
	e3_masks *masks;
	uint8_t *mask; /* of the frame that comes next */
	uint8_t *out;  /* what masks of the stream leave out of it */
	bool marked;   /* there were some */
	size_t mask_cap;
	e3_views *views; /* of cleaning */
	e3_pool *pool;
	FILE *f; /* bytes */
	bytes *frame;
	uint64_t n, cap;
	e3_pct conf;
	float threshold;
	uint64_t below, ties, masked;     /* candidates: as in e3_export_facts */
	uint64_t dropped[E3_DROPPED + 1]; /* points, by why */
	double middle[3], far;
	float agreement[E3_AGREED + 1];
	uint8_t *keep; /* of one frame */
	float *inverse;
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

static bool has_masks(const e3_clean *c) { return c->masks || c->opt->n_masks; }

static int mask_room(e3_clean *c, size_t n, e3_err *err)
{
	if (n <= c->mask_cap)
		return 0;
	if (e3_grow((void **)&c->mask, n, 1, "a mask", err) || e3_grow((void **)&c->out, n, 1, "a mask", err))
		return -1;
	c->mask_cap = n;
	return 0;
}

int e3_clean_mask(e3_clean *c, const e3_pred *p, int64_t ordinal, e3_err *err)
{
	size_t n = (size_t)p->w * (size_t)p->h;
	if (!has_masks(c))
		return 0;
	if (mask_room(c, n, err) || (c->masks && e3_masks_get(c->masks, p, ordinal, c->mask, err)))
		return -1;
	if (!c->masks)
		memset(c->mask, 1, n);
	for (size_t k = 0; c->marked && k < n; k++)
		c->mask[k] = c->mask[k] && !c->out[k];
	c->marked = false;
	return 0;
}

int e3_clean_leave_out(e3_clean *c, const e3_pred *p, const e3_mask *mask, e3_err *err)
{
	size_t n = (size_t)p->w * (size_t)p->h;
	if (mask_room(c, n, err))
		return -1;
	if (!c->marked)
		memset(c->out, 0, n);
	c->marked = true;
	return e3_mask_mark(mask, p, c->opt->upstream, c->out, err);
}

const uint8_t *e3_clean_masked(const e3_clean *c) { return has_masks(c) ? c->mask : NULL; }

const e3_locator *e3_clean_where(const e3_clean *c) { return &c->where; }

unsigned e3_clean_parts(const e3_clean *c, const e3_pred *p)
{
	return E3_PART_RGB | e3_locator_parts(&c->where, p) | (has_masks(c) ? E3_PART_MASK : 0);
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
			(c->views && e3_grow((void **)&c->inverse, pixels, sizeof *c->inverse, "a frame", err)))
			return -1;
		c->keep_cap = pixels;
	}
	c->frame[c->n] = (bytes){c->n ? c->frame[c->n - 1].at + c->frame[c->n - 1].n : 0, pixels};
	c->n++;
	return 0;
}

static int store(e3_clean *c, uint64_t ordinal, e3_err *err)
{
	if (fseeko(c->f, (off_t)c->frame[ordinal].at, SEEK_SET))
		return e3_fail_sys(err, "writing to a temporary file (TMPDIR chooses where)");
	if (e3_spool_write(c->f, c->keep, c->frame[ordinal].n, err))
		return -1;
	return fflush(c->f) ? e3_fail_sys(err, "writing to a temporary file (TMPDIR chooses where)") : 0;
}

static int load(e3_clean *c, uint64_t ordinal, uint8_t *keep, e3_err *err)
{
	if (ordinal >= c->n)
		return e3_fail(err, "reading a temporary file: it has %llu frames", (unsigned long long)c->n);
	if (fseeko(c->f, (off_t)c->frame[ordinal].at, SEEK_SET))
		return e3_fail_sys(err, "reading a temporary file");
	return e3_spool_read(c->f, keep, c->frame[ordinal].n, err);
}

int e3_clean_keep(e3_clean *c, uint64_t ordinal, uint8_t *keep, e3_err *err)
{
	if (load(c, ordinal, keep, err))
		return -1;
	for (size_t k = 0; k < c->frame[ordinal].n; k++)
		keep[k] = keep[k] > E3_DROPPED;
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

/* What the percentile is about: the confidence, and how far other frames agree. */
static float reliability(const e3_clean *c, const e3_located *at, const uint8_t *mask, size_t k)
{
	return conf_of(at, mask, k) * c->agreement[c->keep[k]];
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
		c->keep[k] = finite ? E3_AGREED : E3_NO_POINT;
		if (!sampled(c, p, k))
			continue;
		facts->points += finite;
		facts->non_finite += !finite;
	}
	facts->skipped_frames += !at->xyz;
	facts->borrowed_frames += at->xyz && e3_locator_borrows(&c->where, p);
}

static bool is_kept(const e3_clean *c, const e3_pred *p, float conf, size_t k)
{
	if (!(conf > 1e-5f) || !(conf >= (float)c->opt->conf_min))
		return false;
	if (!p->rgb)
		return !c->opt->mask_white;
	const uint8_t *rgb = p->rgb + 3 * k;
	if (c->opt->mask_black && rgb[0] + rgb[1] + rgb[2] < 16)
		return false;
	return !(c->opt->mask_white && rgb[0] > 240 && rgb[1] > 240 && rgb[2] > 240);
}

/* The last word on a frame: thresholds, masks, colours. */
static void filter(e3_clean *c, const e3_located *at, const uint8_t *mask)
{
	const e3_pred *p = at->frame.pred;
	size_t n = (size_t)p->w * (size_t)p->h;
	for (size_t k = 0; k < n; k++) {
		uint8_t byte = c->keep[k];
		if (byte == E3_NO_POINT)
			continue;
		float conf = conf_of(at, mask, k), is = conf * c->agreement[byte];
		if (sampled(c, p, k)) {
			c->below += is < c->threshold, c->ties += is == c->threshold, c->masked += mask && !mask[k];
			if (byte <= E3_DROPPED)
				c->dropped[byte]++;
		}
		if (byte > E3_DROPPED && (!(is >= c->threshold) || !is_kept(c, p, conf, k)))
			c->keep[k] = E3_NO_POINT;
	}
}

static void drop_far(e3_clean *c, const e3_located *at)
{
	size_t n = (size_t)at->frame.pred->w * (size_t)at->frame.pred->h;
	for (size_t k = 0; k < n && at->xyz; k++) {
		const float *x = at->xyz + 3 * k;
		double d[3] = {x[0] - c->middle[0], x[1] - c->middle[1], x[2] - c->middle[2]};
		if (c->keep[k] > E3_DROPPED && d[0] * d[0] + d[1] * d[1] + d[2] * d[2] > c->far * c->far)
			c->keep[k] = E3_TOO_FAR;
	}
}

/* By the other frames. */
static int judge(e3_clean *c, uint64_t ordinal, e3_err *err)
{
	uint64_t others[E3_VIEWS_OTHERS];
	e3_agree a = {.n = e3_views_choose(c->views, ordinal, others)};
	for (int k = 0; k < a.n; k++)
		if (!(a.other[k] = e3_views_read(c->views, others[k], err)))
			return -1;
	if (!(a.view = e3_views_read(c->views, ordinal, err)))
		return -1;
	if (a.view->usable)
		e3_agree_judge(&a, c->pool, c->keep);
	return 0;
}

/* What a pass over the frames does with each. */
typedef enum task { FIND, CLEAN, REFINE, FILTER } task;

/* The last of the tasks before the percentile counts the confidences, and is the last one when there is none. */
static void count_or_filter(e3_clean *c, const e3_located *at, const uint8_t *mask)
{
	const e3_pred *p = at->frame.pred;
	size_t n = (size_t)p->w * (size_t)p->h;
	if (!(c->opt->conf_pct > 0))
		filter(c, at, mask);
	for (size_t k = 0; k < n && c->opt->conf_pct > 0; k++)
		if (c->keep[k] != E3_NO_POINT && sampled(c, p, k))
			e3_pct_add(&c->conf, reliability(c, at, mask, k));
}

static int find(e3_clean *c, const e3_located *at, const uint8_t *mask, e3_export_facts *facts, e3_err *err)
{
	const e3_pred *p = at->frame.pred;
	if (begin_frame(c, (size_t)p->w * (size_t)p->h, err))
		return -1;
	find_candidates(c, at, mask, facts);
	if (!c->views) {
		count_or_filter(c, at, mask);
		return 0;
	}
	e3_views_inverse(at, c->inverse);
	e3_edges_drop(c->inverse, p->w, p->h, c->keep);
	return e3_views_add(c->views, at, c->inverse, err);
}

static int clean(e3_clean *c, uint64_t ordinal, const e3_located *at, const uint8_t *mask, e3_err *err)
{
	drop_far(c, at);
	if (c->opt->clean == E3_CLEAN_CONSISTENT && judge(c, ordinal, err))
		return -1;
	count_or_filter(c, at, mask);
	return 0;
}

static int do_task(e3_clean *c, task t, uint64_t ordinal, const e3_located *at, e3_export_facts *facts, e3_err *err)
{
	const uint8_t *mask = e3_frame_spool_mask(c->frames);
	if (t != FIND && load(c, ordinal, c->keep, err))
		return -1;
	if (t == FIND && find(c, at, mask, facts, err))
		return -1;
	if (t == CLEAN && clean(c, ordinal, at, mask, err))
		return -1;
	if (t == FILTER)
		filter(c, at, mask);
	for (size_t k = 0; t == REFINE && k < c->frame[ordinal].n; k++)
		if (c->keep[k] != E3_NO_POINT && sampled(c, at->frame.pred, k))
			e3_pct_refine(&c->conf, reliability(c, at, mask, k));
	return t == REFINE ? 0 : store(c, ordinal, err);
}

static int pass(e3_clean *c, task t, e3_export_facts *facts, e3_err *err)
{
	const e3_pred *p;
	bool place = t == FIND || t == CLEAN;
	unsigned parts = e3_clean_parts(c, NULL);
	if (!place)
		parts &= E3_PART_CONF | E3_PART_MASK | (t == FILTER ? E3_PART_RGB : 0);
	for (uint64_t i = 0;; i++) {
		e3_located at;
		if (e3_frame_spool_seek(c->frames, i, err))
			return -1;
		int rc = e3_frame_spool_next(c->frames, parts, &p, err);
		if (rc != 1)
			return rc;
		/* cleaning reads the depth of other frames in between, and the spool has one prediction: its colours and
		 * confidences stay, since no others are read */
		const e3_pred own = *p;
		if (place && e3_locate(&c->where, &own, &at, err))
			return -1;
		if (!place)
			at = (e3_located){.frame.pred = &own,
				.conf = c->where.source == E3_POINTS_DEPTH && !e3_locator_borrows(&c->where, &own) ? own.depth_conf
																								   : own.points_conf};
		if (do_task(c, t, i, &at, facts, err))
			return -1;
	}
}

static int begin(e3_clean *c, e3_err *err)
{
	for (int k = 0; k <= E3_AGREED; k++)
		c->agreement[k] = e3_agreement((uint8_t)k);
	if (c->opt->conf_pct > 0 && e3_pct_init(&c->conf, &c->opt->conf_pct, 1, err))
		return -1;
	if (c->opt->clean == E3_CLEAN_NONE)
		return 0;
	c->views = e3_views_open(c->frames, &c->where, err);
	c->pool = c->views ? e3_pool_open(e3_processors(MOST_THREADS), E3_POOL_SLEEP, err) : NULL;
	return c->pool ? 0 : -1;
}

int e3_clean_settle(e3_clean *c, e3_export_facts *facts, e3_err *err)
{
	facts->from_depth = c->where.source == E3_POINTS_DEPTH;
	if (begin(c, err) || pass(c, FIND, facts, err))
		return -1;
	if (c->views && (e3_views_extent(c->views, c->middle, &c->far, err) || pass(c, CLEAN, facts, err)))
		return -1;
	if (c->opt->conf_pct > 0) {
		if (e3_pct_second_pass(&c->conf, err) || pass(c, REFINE, facts, err))
			return -1;
		facts->threshold = e3_pct_value(&c->conf, 0);
		c->threshold = (float)facts->threshold;
		e3_pct_release(&c->conf);
		if (pass(c, FILTER, facts, err))
			return -1;
	}
	e3_views_close(c->views);
	c->views = NULL;
	facts->below = c->below, facts->ties = c->ties, facts->masked = c->masked;
	facts->at_edges = c->dropped[E3_AT_EDGE], facts->seen_through = c->dropped[E3_SEEN_THROUGH];
	facts->too_far = c->dropped[E3_TOO_FAR];
	return 0;
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
	e3_views_close(c->views);
	e3_pool_close(c->pool);
	free(c->mask);
	free(c->out);
	free(c->frame);
	free(c->keep);
	free(c->inverse);
	free(c);
}
