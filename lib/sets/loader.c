/* sets: the three image loaders of the reference: A for depth and trajectories, B for reconstruction, C for CO3D
 * (doc/evaluation.md 1.1-1.3). Refuses pictures for which the reference has no rule, or only a random one: squares (A),
 * portrait pictures (B). */
#include "e3/mem.h"
#include "e3/sets.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PATCH = 14, LONG_SIDE = 518 };

static int crop(const e3_image *in, const int box[4], e3_image *out, e3_err *err)
{
	if (e3_image_init(out, box[2], box[3], in->channels, err))
		return -1;
	size_t c = (size_t)in->channels, row = (size_t)box[2] * c;
	for (int y = 0; y < box[3]; y++)
		memcpy(out->px + (size_t)y * row, in->px + ((size_t)(y + box[1]) * (size_t)in->w + (size_t)box[0]) * c, row);
	return 0;
}

int e3_loader_a(const e3_image *in, int size, bool cut, e3_image *out, e3_fit *fit, e3_err *err)
{
	int longest = in->w > in->h ? in->w : in->h;
	int w = (int)nearbyint((double)in->w * size / longest), h = (int)nearbyint((double)in->h * size / longest);
	*out = (e3_image){0};
	if (w == h)
		return e3_fail(err, "loading: %d × %d: the loader has no rule for squares", in->w, in->h);
	int half_w = w / 2 * 2 / PATCH * (PATCH / 2), half_h = h / 2 * 2 / PATCH * (PATCH / 2);
	if (half_w < 1 || half_h < 1)
		return e3_fail(err, "loading: %d × %d: too thin: %d × %d at %d", in->w, in->h, w, h, size);
	e3_image first = {0};
	int rc = longest > size ? e3_resize_lanczos(in, w, h, &first, err) : e3_resize_bicubic(in, w, h, &first, err);
	int left = w / 2 - half_w, top = h / 2 - half_h;
	if (!rc && cut)
		rc = crop(&first, (int[4]){left, top, 2 * half_w, 2 * half_h}, out, err);
	else if (!rc)
		rc = e3_resize_lanczos(&first, 2 * half_w, 2 * half_h, out, err);
	e3_image_release(&first);
	if (rc)
		return -1;
	double to_w = cut ? w : 2 * half_w, to_h = cut ? h : 2 * half_h;
	*fit = (e3_fit){to_w / in->w, to_h / in->h, cut ? -left : 0, cut ? -top : 0};
	return 0;
}

/* --- B --- */

void e3_loaded_release(e3_loaded *x)
{
	e3_image_release(&x->rgb);
	e3_depth_release(&x->depth);
	*x = (e3_loaded){0};
}

/* The steps of loader B. */
typedef struct plan_b {
	int box[4]; /* first cut: left, top, width, height */
	int scaled[2];
	int left, top; /* second cut */
	double scale;
} plan_b;

static int plan_of(const e3_image *in, const e3_intrinsics *k, const int target[2], plan_b *p, e3_err *err)
{
	int cx = (int)nearbyint(k->cx), cy = (int)nearbyint(k->cy);
	int mx = cx < in->w - cx ? cx : in->w - cx, my = cy < in->h - cy ? cy : in->h - cy;
	if (!(mx > in->w / 5.0 && my > in->h / 5.0))
		return e3_fail(err, "loading: %d × %d: the principal point %g, %g is too far from the middle", in->w, in->h,
			k->cx, k->cy);
	*p = (plan_b){.box = {cx - mx, cy - my, 2 * mx, 2 * my}};
	if (p->box[3] > 0.9 * p->box[2])
		return e3_fail(err, "loading: %d × %d: expected a picture clearly wider than high", p->box[2], p->box[3]);
	double sx = (double)target[0] / p->box[2], sy = (double)target[1] / p->box[3];
	p->scale = (sx > sy ? sx : sy) + 1e-8;
	p->scaled[0] = (int)(p->box[2] * p->scale), p->scaled[1] = (int)(p->box[3] * p->scale);
	p->left = (int)nearbyint(0.5 * (p->scaled[0] - target[0]));
	p->top = (int)nearbyint(0.5 * (p->scaled[1] - target[1]));
	return 0;
}

/* Pixel centres are at half pixels, but only for the scaling. */
static e3_intrinsics intrinsics_of(const e3_intrinsics *k, const plan_b *p, const int target[2])
{
	double cx = k->cx - p->box[0] + 0.5, cy = k->cy - p->box[1] + 0.5;
	cx = cx * p->scale - 0.5 * (p->box[2] * p->scale - p->scaled[0]) - 0.5;
	cy = cy * p->scale - 0.5 * (p->box[3] * p->scale - p->scaled[1]) - 0.5;
	return (e3_intrinsics){k->fx * p->scale, k->fy * p->scale, cx - p->left, cy - p->top, target[0], target[1]};
}

static int load_rgb(const e3_image *in, const plan_b *p, const int target[2], e3_image *out, e3_err *err)
{
	e3_image cut = {0}, scaled = {0};
	int rc = crop(in, p->box, &cut, err);
	if (!rc)
		rc = p->scale < 1 ? e3_resize_lanczos(&cut, p->scaled[0], p->scaled[1], &scaled, err)
						  : e3_resize_bicubic(&cut, p->scaled[0], p->scaled[1], &scaled, err);
	if (!rc)
		rc = crop(&scaled, (int[4]){p->left, p->top, target[0], target[1]}, out, err);
	e3_image_release(&cut);
	e3_image_release(&scaled);
	return rc;
}

/* OpenCV's nearest neighbour: without half pixels. */
static int nearest(int at, int in, int out)
{
	int k = (int)floor(at * (1 / ((double)out / in)));
	return k < in ? k : in - 1;
}

static int load_depth(const e3_depth *in, const plan_b *p, const int target[2], e3_depth *out, e3_err *err)
{
	if (e3_depth_init(out, target[0], target[1], err))
		return -1;
	float *to = out->z;
	for (int y = 0; y < target[1]; y++) {
		const float *row =
			in->z + (size_t)(p->box[1] + nearest(y + p->top, p->box[3], p->scaled[1])) * (size_t)in->w + p->box[0];
		for (int x = 0; x < target[0]; x++)
			*to++ = row[nearest(x + p->left, p->box[2], p->scaled[0])];
	}
	return 0;
}

int e3_loader_b(const e3_image *rgb, const e3_depth *depth, const e3_intrinsics *k, const int target[2], e3_loaded *out,
	e3_err *err)
{
	plan_b p;
	*out = (e3_loaded){0};
	if (depth && (depth->w != rgb->w || depth->h != rgb->h))
		return e3_fail(err, "loading: the depth map is %d × %d, its picture %d × %d", depth->w, depth->h, rgb->w,
			rgb->h);
	if (plan_of(rgb, k, target, &p, err))
		return -1;
	if (load_rgb(rgb, &p, target, &out->rgb, err) || (depth && load_depth(depth, &p, target, &out->depth, err))) {
		e3_loaded_release(out);
		return -1;
	}
	out->k = intrinsics_of(k, &p, target);
	double sx = (double)p.scaled[0] / p.box[2], sy = (double)p.scaled[1] / p.box[3];
	out->fit = (e3_fit){sx, sy, -p.box[0] * sx - p.left, -p.box[1] * sy - p.top};
	return 0;
}

/* --- C --- */

int e3_loader_c(const e3_image *in, int size, e3_image *out, e3_fit *fit, e3_err *err)
{
	e3_fit_plan plan = {.scaled_w = size, .scaled_h = size, .w = size, .h = size};
	*out = (e3_image){0};
	if (size == LONG_SIDE && e3_fit_plan_make(in->w, in->h, &(e3_fit_rule){size, PATCH, E3_FIT_CROP}, &plan, err))
		return -1;
	*fit = e3_fit_compose((e3_fit){1, 1, 0, 0}, &plan, in->w, in->h);
	return e3_fit_apply(in, &plan, out, err);
}
