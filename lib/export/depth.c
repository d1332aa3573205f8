/* export: depth as 16-bit PNG with one factor for the run, and as pictures in one colour range for the run
 * (doc/formats.md 4.9). Factor and range need every frame, so both formats write at the end of the stream. Unknown
 * depth is 0, and neutral grey. */
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
	float farthest;
	uint16_t *values; /* of one frame */
	size_t cap;
} depth;

static int depth_add(e3_format_writer *w, e3_export_run *run, const e3_export_frame *frame, e3_err *err)
{
	depth *s = (depth *)w;
	if (e3_depth_map_make(&s->map, frame->pred, run->opt->depth_at_source, err))
		return -1;
	for (size_t k = 0; k < pixels(&s->map); k++)
		if (s->map.d[k] > s->farthest)
			s->farthest = s->map.d[k];
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

static int write_values(depth *s, e3_export_run *run, const e3_pred *p, e3_err *err)
{
	char path[4096], factor[32];
	const char *const text[] = {
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
	for (size_t k = 0; k < n; k++) {
		double v = nearbyint(s->map.d[k] * run->facts.depth_scale);
		run->facts.depth_clipped += v > 65535;
		s->values[k] = v > 65535 ? 0 : (uint16_t)v;
	}
	snprintf(factor, sizeof factor, "%.9g", run->facts.depth_scale);
	if (picture_path(&s->base, p, path, sizeof path, err))
		return -1;
	return e3_png16_save(path, s->values, s->map.w, s->map.h, text, err);
}

static int depth_write(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	depth *s = (depth *)w;
	const e3_pred *p;
	int rc;
	run->facts.depth_scale = choose_factor(run->opt, s->farthest);
	e3_frame_spool_rewind(run->frames);
	while ((rc = e3_frame_spool_next(run->frames, E3_PART_DEPTH, &p, err)) == 1)
		if (write_values(s, run, p, err))
			return -1;
	if (run->facts.depth_clipped)
		e3_tell(E3_TELL_WARN, "%s: wrote 0 (unknown) for %" PRIu64 " depth%s too large for the factor %g", w->dir.path,
			run->facts.depth_clipped, run->facts.depth_clipped == 1 ? "" : "s", run->facts.depth_scale);
	return rc;
}

static void depth_release(e3_format_writer *w)
{
	e3_depth_map_release(&((depth *)w)->map);
	free(((depth *)w)->values);
}

const e3_format_ops e3_depth_format = {
	.size = sizeof(depth),
	.parts = E3_PART_DEPTH,
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
	return e3_pct_init(&((depth_color *)w)->inverse, (double[]){2, 98}, 2, err);
}

static int color_add(e3_format_writer *w, e3_export_run *run, const e3_export_frame *frame, e3_err *err)
{
	const e3_pred *p = frame->pred;
	for (size_t k = 0; k < (size_t)p->w * (size_t)p->h; k++)
		if (e3_depth_known(p->depth[k]))
			e3_pct_add(&((depth_color *)w)->inverse, 1 / p->depth[k]);
	return 0;
}

/* Limits of 1/depth: as the options say, or the 2nd and 98th percentiles of the run. */
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
	range[0] = e3_pct_value(&s->inverse, 0);
	range[1] = e3_pct_value(&s->inverse, 1);
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
		double x = span > 0 ? (1 / (double)m->d[k] - range[0]) / span : 0.5;
		e3_cmap_rgb(o->depth_cmap, m->d[k] > 0 ? x : (double)NAN, im.px + 3 * k);
	}
	int rc = picture_path(&s->base, p, path, sizeof path, err);
	if (!rc)
		rc = e3_png_save(path, &im, err);
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
