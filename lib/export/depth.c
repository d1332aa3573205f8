/* export: depth as 16-bit PNG with one factor for the run, and as pictures in one colour range for the run
 * (doc/formats.md 4.9), which is why both wait for the end of the stream. Depth that is not finite or not above 1e-8 is
 * unknown: 0, and neutral grey. */
#include "export/sink.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct depth {
	e3_sink sink;
	e3_outdir grey, colour;
	bool wants_grey, wants_colour;
	float farthest;
	e3_pct inverse; /* 1/depth */
	uint16_t *values;
	size_t cap;
} depth;

static bool known(float d) { return isfinite(d) && d > E3_DEPTH_MIN; }

static int depth_add(e3_sink *sink, e3_run *run, const e3_view *v, e3_err *err)
{
	depth *s = (depth *)sink;
	const e3_pred *p = v->pred;
	if (!p->depth)
		return e3_fail(err, "writing depth: the stream has none for frame %lld (see e3-infer --outputs)",
			(long long)p->s.i);
	for (size_t k = 0; k < (size_t)p->w * (size_t)p->h; k++) {
		if (!known(p->depth[k]))
			continue;
		if (p->depth[k] > s->farthest)
			s->farthest = p->depth[k];
		e3_pct_add(&s->inverse, 1 / p->depth[k]);
	}
	return 0;
}

static double choose_factor(const e3_export_options *o, float farthest)
{
	static const double usual[] = {5000, 1000, 256}; /* TUM, millimetres, KITTI */
	if (o->depth_scale > 0)
		return o->depth_scale;
	for (int k = 0; k < 3; k++)
		if (farthest * usual[k] <= 65535)
			return usual[k];
	double factor = floor(65535 / (double)farthest);
	return factor >= 1 ? factor : 65535 / (double)farthest;
}

static int write_grey(depth *s, e3_run *run, const e3_pred *p, const char *name, e3_err *err)
{
	size_t n = (size_t)p->w * (size_t)p->h;
	char path[4096], factor[32];
	const char *const text[] = {
		"depth_scale",
		factor,
		"Comment",
		"depth = value / depth_scale, up to the model's scale; 0 = unknown",
		NULL,
	};
	if (n > s->cap) {
		if (e3_grow((void **)&s->values, n, sizeof *s->values, "a depth image", err))
			return -1;
		s->cap = n;
	}
	for (size_t k = 0; k < n; k++) {
		double v = known(p->depth[k]) ? nearbyint(p->depth[k] * run->facts.depth_scale) : 0;
		run->facts.depth_clipped += v > 65535;
		s->values[k] = v > 65535 ? 0 : (uint16_t)v;
	}
	snprintf(factor, sizeof factor, "%.9g", run->facts.depth_scale);
	return e3_outdir_name(&s->grey, name, path, sizeof path, err)
		? -1
		: e3_png16_save(path, s->values, p->w, p->h, text, err);
}

static int write_colour(depth *s, e3_cmap map, const double range[2], const e3_pred *p, const char *name, e3_err *err)
{
	e3_image im;
	char path[4096];
	double span = range[1] - range[0];
	if (e3_image_init(&im, p->w, p->h, 3, err))
		return -1;
	for (size_t k = 0; k < (size_t)p->w * (size_t)p->h; k++) {
		double x = span > 0 ? (1 / (double)p->depth[k] - range[0]) / span : 0.5;
		e3_cmap_rgb(map, known(p->depth[k]) ? x : (double)NAN, im.px + 3 * k);
	}
	int rc = e3_outdir_name(&s->colour, name, path, sizeof path, err);
	if (!rc)
		rc = e3_png_save(path, &im, err);
	e3_image_release(&im);
	return rc;
}

/* Limits of 1/depth: as asked, or the 2nd and 98th percentiles of the run. */
static int find_range(depth *s, e3_run *run, double range[2], e3_err *err)
{
	const e3_export_options *o = run->opt;
	const e3_pred *p;
	int rc;
	if (o->depth_far > o->depth_near) {
		range[0] = 1 / o->depth_far;
		range[1] = 1 / o->depth_near;
		return 0;
	}
	if (e3_pct_turn(&s->inverse, err))
		return -1;
	e3_frames_rewind(run->frames);
	while ((rc = e3_frames_next(run->frames, E3_PART_DEPTH, &p, err)) == 1)
		for (size_t k = 0; k < (size_t)p->w * (size_t)p->h; k++)
			if (known(p->depth[k]))
				e3_pct_refine(&s->inverse, 1 / p->depth[k]);
	range[0] = e3_pct_value(&s->inverse, 0);
	range[1] = e3_pct_value(&s->inverse, 1);
	return rc;
}

static int depth_write(e3_sink *sink, e3_run *run, e3_err *err)
{
	depth *s = (depth *)sink;
	const e3_pred *p;
	double range[2] = {0, 0};
	int rc;
	run->facts.depth_scale = choose_factor(run->opt, s->farthest);
	if (s->wants_colour && find_range(s, run, range, err))
		return -1;
	e3_frames_rewind(run->frames);
	while ((rc = e3_frames_next(run->frames, E3_PART_DEPTH, &p, err)) == 1) {
		char name[64];
		snprintf(name, sizeof name, "%06" PRId64 ".png", p->s.i);
		if ((s->wants_grey && write_grey(s, run, p, name, err)) ||
			(s->wants_colour && write_colour(s, run->opt->depth_cmap, range, p, name, err)))
			return -1;
	}
	return rc;
}

static int depth_commit(e3_sink *sink, e3_err *err)
{
	depth *s = (depth *)sink;
	if (s->wants_grey && e3_outdir_commit(&s->grey, err))
		return -1;
	return s->wants_colour ? e3_outdir_commit(&s->colour, err) : 0;
}

static void depth_free(e3_sink *sink)
{
	depth *s = (depth *)sink;
	e3_outdir_discard(&s->grey);
	e3_outdir_discard(&s->colour);
	e3_pct_release(&s->inverse);
	free(s->values);
	free(s);
}

static const e3_sink_ops ops = {depth_add, depth_write, depth_commit, depth_free};

e3_sink *e3_depth_open(e3_run *run, e3_err *err)
{
	const e3_export_options *o = run->opt;
	depth *s = e3_alloc(1, sizeof *s, "depth images", err);
	if (!s)
		return NULL;
	*s = (depth){.sink = {&ops}, .wants_grey = o->depth, .wants_colour = o->depth_color};
	if (e3_pct_init(&s->inverse, (double[]){2, 98}, 2, err) || (o->depth && e3_outdir_open(&s->grey, o->depth, err)) ||
		(o->depth_color && e3_outdir_open(&s->colour, o->depth_color, err))) {
		depth_free(&s->sink);
		return NULL;
	}
	run->parts |= E3_PART_DEPTH;
	return &s->sink;
}
