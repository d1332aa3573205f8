/* export: depth as 16-bit PNG with one factor for the run, and as pictures in one colour range for the run
 * (doc/formats.md 4.9). Factor and range need every frame, so both formats write at the end of the stream. Unknown
 * depth is 0, and neutral grey. */
#include "e3/version.h"
#include "export/depth_factor.h"
#include "export/depth_map.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* The path of a frame's picture. */
static int picture_path(const e3_format_writer *w, const e3_pred *p, char *to, size_t size, e3_err *err)
{
	char name[64];
	snprintf(name, sizeof name, "%06" PRId64 ".png", p->s.i);
	return e3_outdir_name(&w->dir, name, to, size, err);
}

static size_t pixels(const e3_depth_map *m) { return (size_t)m->w * (size_t)m->h; }

/* --- 16-bit values --- */

typedef struct depth {
	e3_format_writer base;
	e3_depth_map map; /* of one frame */
	e3_depth_hist hist;
	uint64_t known, too_far, too_near, coarse; /* depths; of them: not held by the factor; rounded by more than 1 % */
	uint16_t *values;                          /* of one frame */
	size_t cap;
} depth;

static int depth_open(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	return e3_depth_hist_open(&((depth *)w)->hist, err);
}

static int depth_add(e3_format_writer *w, e3_export_run *run, const e3_export_frame *frame, e3_err *err)
{
	depth *s = (depth *)w;
	if (e3_depth_map_make(&s->map, frame->pred, run->opt->depth_at_source, err))
		return -1;
	for (size_t k = 0; k < pixels(&s->map); k++)
		if (e3_depth_known(s->map.d[k]))
			e3_depth_hist_add(&s->hist, s->map.d[k]);
	return 0;
}

/* 0: unknown, or beyond what 16 bits hold with this factor. */
static uint16_t value_of(depth *s, float d, double factor)
{
	if (!e3_depth_known(d))
		return 0;
	double v = nearbyint((double)d * factor);
	s->known++;
	s->too_far += v > 65535, s->too_near += v < 1, s->coarse += v >= 1 && v < 50;
	return v > 65535 ? 0 : (uint16_t)v;
}

static int write_values(depth *s, e3_export_run *run, const e3_pred *p, e3_err *err)
{
	char path[4096], factor[32];
	const char *const text[] = {
		"Software",
		"e3-export " E3_VERSION,
		"depth_scale",
		factor,
		"Comment",
		"depth = value / depth_scale, up to the model's scale; 0 = unknown",
		NULL,
	};
	if (e3_depth_map_make(&s->map, p, run->opt->depth_at_source, err))
		return -1;
	size_t n = pixels(&s->map);
	if (n > s->cap) {
		if (e3_grow((void **)&s->values, n, sizeof *s->values, "a depth image", err))
			return -1;
		s->cap = n;
	}
	for (size_t k = 0; k < n; k++)
		s->values[k] = value_of(s, s->map.d[k], run->facts.depth_scale);
	snprintf(factor, sizeof factor, "%.9g", run->facts.depth_scale);
	if (picture_path(&s->base, p, path, sizeof path, err))
		return -1;
	return e3_png16_save(path, s->values, s->map.w, s->map.h, text, err);
}

static void tell_what_is_lost(const depth *s, double factor)
{
	const char *path = s->base.dir.path;
	if (s->too_far)
		e3_tell(E3_TELL_WARN,
			"%s: wrote 0 (unknown) for %" PRIu64 " of %" PRIu64 " depths, too large for the factor %g", path,
			s->too_far, s->known, factor);
	if (s->too_near)
		e3_tell(E3_TELL_WARN,
			"%s: wrote 0 (unknown) for %" PRIu64 " of %" PRIu64 " depths, too small for the factor %g", path,
			s->too_near, s->known, factor);
	if (s->coarse > s->known / 100)
		e3_tell(E3_TELL_WARN,
			"%s: the factor %g rounds %" PRIu64 " of %" PRIu64 " depths by more than 1 %%: 32-bit formats hold them",
			path, factor, s->coarse, s->known);
}

static int depth_write(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	depth *s = (depth *)w;
	const e3_pred *p;
	int rc;
	run->facts.depth_scale = run->opt->depth_scale > 0 ? run->opt->depth_scale : e3_depth_factor(&s->hist);
	e3_frame_spool_rewind(run->frames);
	while ((rc = e3_frame_spool_next(run->frames, E3_PART_DEPTH, &p, err)) == 1)
		if (write_values(s, run, p, err))
			return -1;
	run->facts.depth_clipped = s->too_far + s->too_near;
	tell_what_is_lost(s, run->facts.depth_scale);
	return rc;
}

static void depth_release(e3_format_writer *w)
{
	e3_depth_map_release(&((depth *)w)->map);
	e3_depth_hist_release(&((depth *)w)->hist);
	free(((depth *)w)->values);
}

const e3_format_ops e3_depth_format = {
	.size = sizeof(depth),
	.parts = E3_PART_DEPTH,
	.open = depth_open,
	.check = e3_depth_map_check,
	.add = depth_add,
	.write = depth_write,
	.release = depth_release,
};

/* --- colours --- */

typedef struct depth_color {
	e3_format_writer base;
	e3_depth_map map; /* of one frame */
	e3_pct inverse;   /* 1/depth, in the pixels of the network */
} depth_color;

static int color_open(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	return e3_pct_init(&((depth_color *)w)->inverse, (double[]){2, 98, 25, 75}, 4, err);
}

static int color_add(e3_format_writer *w, e3_export_run *run, const e3_export_frame *frame, e3_err *err)
{
	const e3_pred *p = frame->pred;
	for (size_t k = 0; k < (size_t)p->w * (size_t)p->h; k++)
		if (e3_depth_known(p->depth[k]))
			e3_pct_add(&((depth_color *)w)->inverse, 1 / p->depth[k]);
	return 0;
}

/* Limits of 1/depth: as the options say, or the 2nd and 98th percentiles of the run, but at most ten times the middle
 * half away from it: a few percent that are very near must not make one colour of all the rest. */
static int find_range(depth_color *s, e3_export_run *run, double range[2], e3_err *err)
{
	const e3_export_options *o = run->opt;
	const e3_pred *p;
	int rc;
	if (o->depth_range[1] > o->depth_range[0]) {
		range[0] = 1 / o->depth_range[1];
		range[1] = 1 / o->depth_range[0];
		return 0;
	}
	if (e3_pct_second_pass(&s->inverse, err))
		return -1;
	e3_frame_spool_rewind(run->frames);
	while ((rc = e3_frame_spool_next(run->frames, E3_PART_DEPTH, &p, err)) == 1)
		for (size_t k = 0; k < (size_t)p->w * (size_t)p->h; k++)
			if (e3_depth_known(p->depth[k]))
				e3_pct_refine(&s->inverse, 1 / p->depth[k]);
	double low = e3_pct_value(&s->inverse, 2), high = e3_pct_value(&s->inverse, 3), most = 10 * (high - low);
	range[0] = e3_pct_value(&s->inverse, 0);
	range[1] = e3_pct_value(&s->inverse, 1);
	if (most > 0)
		range[0] = fmax(range[0], low - most), range[1] = fmin(range[1], high + most);
	return rc;
}

static int write_colors(depth_color *s, const e3_export_options *o, const double range[2], const e3_pred *p,
	e3_err *err)
{
	const e3_depth_map *m = &s->map;
	e3_image im;
	char path[4096];
	double span = range[1] - range[0];
	if (e3_depth_map_make(&s->map, p, o->depth_at_source, err) || e3_image_init(&im, m->w, m->h, 3, err))
		return -1;
	for (size_t k = 0; k < pixels(m); k++) {
		double v = 1 / (double)m->d[k];
		double x = span > 0 ? (v - range[0]) / span : v < range[0] ? 0 : v > range[1] ? 1 : 0.5;
		e3_cmap_rgb(o->depth_cmap, m->d[k] > 0 ? x : (double)NAN, im.px + 3 * k);
	}
	int rc = picture_path(&s->base, p, path, sizeof path, err);
	if (!rc)
		rc = e3_png_save_text(path, &im, (const char *const[]){"Software", "e3-export " E3_VERSION, NULL}, err);
	e3_image_release(&im);
	return rc;
}

static int color_write(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	depth_color *s = (depth_color *)w;
	const e3_pred *p;
	double range[2] = {0, 0};
	int rc;
	if (find_range(s, run, range, err))
		return -1;
	e3_frame_spool_rewind(run->frames);
	while ((rc = e3_frame_spool_next(run->frames, E3_PART_DEPTH, &p, err)) == 1)
		if (write_colors(s, run->opt, range, p, err))
			return -1;
	return rc;
}

static void color_release(e3_format_writer *w)
{
	e3_depth_map_release(&((depth_color *)w)->map);
	e3_pct_release(&((depth_color *)w)->inverse);
}

const e3_format_ops e3_depth_color_format = {
	.size = sizeof(depth_color),
	.parts = E3_PART_DEPTH,
	.open = color_open,
	.check = e3_depth_map_check,
	.add = color_add,
	.write = color_write,
	.release = color_release,
};
