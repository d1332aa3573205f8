/* image: scales and crops or pads a picture to the size that the network takes (doc/network.md 3.1). */
#include "e3/image.h"
#include "resize.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TARGET = 8192, MAX_SIDE = 65535 };

/* The other side when `side` of the picture becomes `target`: a multiple of the patch, rounded half to even, in doubles
 * evaluated in the reference's order. */
static double other_side(int other, int side, int target, int patch)
{
	return nearbyint(other * ((double)target / side) / patch) * patch;
}

int e3_fit_plan_make(int w, int h, const e3_fit_rule *rule, e3_fit_plan *plan, e3_err *err)
{
	int target = rule->target, patch = rule->patch;
	*plan = (e3_fit_plan){0};
	if (patch < 1 || target < patch || target > MAX_TARGET || target % patch)
		return e3_fail(err, "fitting a picture: target %d: expected a multiple of the patch size %d up to %d", target,
			patch, MAX_TARGET);
	if (w < 1 || h < 1 || w > MAX_SIDE || h > MAX_SIDE)
		return e3_fail(err, "fitting a picture: %d × %d: sizes go from 1 to %d", w, h, MAX_SIDE);
	bool upright = rule->mode != E3_FIT_CROP && w < h;
	double other = upright ? other_side(w, h, target, patch) : other_side(h, w, target, patch);
	if (other < 1)
		return e3_fail(err, "fitting a picture: %d × %d: too %s: its %s would be 0 at %d", w, h,
			upright ? "tall" : "wide", upright ? "width" : "height", target);
	if (other > MAX_SIDE)
		return e3_fail(err, "fitting a picture: %d × %d: too tall: its height would be %.0f at width %d", w, h, other,
			target);
	plan->scaled_w = upright ? (int)other : target;
	plan->scaled_h = upright ? target : (int)other;
	if (rule->mode == E3_FIT_PAD) {
		plan->w = plan->h = target;
		plan->pad_x = (target - plan->scaled_w) / 2;
		plan->pad_y = (target - plan->scaled_h) / 2;
	} else {
		plan->w = plan->scaled_w;
		plan->h = plan->scaled_h > target ? target : plan->scaled_h;
		plan->crop_y = (plan->scaled_h - plan->h) / 2;
	}
	return 0;
}

double e3_fit_cut(const e3_fit_plan *plan)
{
	return plan->h < plan->scaled_h ? 1 - (double)plan->h / plan->scaled_h : 0;
}

e3_fit e3_fit_compose(e3_fit before, const e3_fit_plan *plan, int w, int h)
{
	double sx = (double)plan->scaled_w / w, sy = (double)plan->scaled_h / h;
	return (e3_fit){before.sx * sx, before.sy * sy, before.tx * sx + plan->pad_x,
		before.ty * sy + plan->pad_y - plan->crop_y};
}

struct e3_fitter {
	resizer resizer;
	e3_image scaled; /* before it is padded */
	e3_pool *pool;   /* NULL: one thread */
};

e3_fitter *e3_fitter_open(int threads, e3_err *err)
{
	e3_fitter *f = e3_alloc(1, sizeof *f, "a resizer", err);
	if (f && threads > 1)
		f->pool = e3_pool_open(threads, E3_POOL_SLEEP, err);
	if (!f || threads <= 1 || f->pool)
		return f;
	free(f);
	return NULL;
}

void e3_fitter_close(e3_fitter *f)
{
	if (!f)
		return;
	resizer_release(&f->resizer);
	e3_image_release(&f->scaled);
	e3_pool_close(f->pool);
	free(f);
}

/* White around the scaled picture. */
static int pad(const e3_image *scaled, const e3_fit_plan *plan, e3_image *out, e3_err *err)
{
	if (out->w != plan->w || out->h != plan->h || out->channels != 3) {
		e3_image_release(out);
		if (e3_image_init(out, plan->w, plan->h, 3, err))
			return -1;
	}
	size_t row = 3 * (size_t)plan->w, from = 3 * (size_t)scaled->w;
	memset(out->px, 255, row * (size_t)plan->h);
	for (int y = 0; y < scaled->h; y++)
		memcpy(out->px + (size_t)(y + plan->pad_y) * row + 3 * (size_t)plan->pad_x, scaled->px + (size_t)y * from,
			from);
	return 0;
}

int e3_fitter_apply(e3_fitter *f, const e3_strips *in, const e3_fit_plan *plan, e3_image *out, e3_err *err)
{
	if (in->channels != 3)
		return e3_fail(err, "fitting a picture: %d channels: expected 3", in->channels);
	bool padded = plan->w != plan->scaled_w || plan->h > plan->scaled_h;
	resize_window window = {
		.w = plan->scaled_w,
		.h = plan->scaled_h,
		.row = plan->crop_y,
		.rows = padded ? plan->scaled_h : plan->h,
		.filter = RESIZE_BICUBIC,
	};
	e3_image *to = padded ? &f->scaled : out;
	if (resizer_apply(&f->resizer, in, &window, f->pool, to, err))
		return -1;
	return padded ? pad(to, plan, out, err) : 0;
}

int e3_fit_apply(const e3_image *in, const e3_fit_plan *plan, e3_image *out, e3_err *err)
{
	*out = (e3_image){0};
	e3_fitter f = {.pool = NULL};
	e3_strips rows = e3_image_strips(in);
	int rc = e3_fitter_apply(&f, &rows, plan, out, err);
	resizer_release(&f.resizer);
	e3_image_release(&f.scaled);
	if (rc)
		e3_image_release(out);
	return rc;
}
