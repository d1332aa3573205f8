/* trace: small pictures of some frames: evenly spaced over a stream of unknown length, in bounded memory.
 *
 * Every stride-th frame is kept. When the room is used up, every second picture is dropped and the stride doubles. The
 * newest frame is always kept too. Depth is kept as its inverse; a histogram gives its range over the whole run.
 */
#include "e3/trace_draw.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TILE = 260, BINS = 1 << 15 };

int e3_trace_shots_init(e3_trace_shots *fr, const e3_trace_shape *shape, int capacity, e3_err *err)
{
	int longer = shape->rows > shape->cols ? shape->rows : shape->cols, cell = TILE / longer;
	*fr = (e3_trace_shots){.shape = *shape, .capacity = capacity, .stride = 1, .cell = cell > 1 ? cell : 1};
	fr->shot = e3_alloc((size_t)capacity + 1, sizeof *fr->shot, "pictures of frames", err);
	fr->histogram = e3_alloc(BINS, sizeof *fr->histogram, "histogram of depth", err);
	return fr->shot && fr->histogram ? 0 : -1;
}

static void shot_release(e3_trace_shot *s)
{
	e3_image_release(&s->rgb);
	free(s->inverse);
	*s = (e3_trace_shot){0};
}

void e3_trace_shots_release(e3_trace_shots *fr)
{
	for (int k = 0; fr->shot && k < fr->n + fr->has_last; k++)
		shot_release(&fr->shot[k]);
	free(fr->shot);
	free(fr->histogram);
	*fr = (e3_trace_shots){0};
}

/* 1 / depth, or 0 where the depth is not usable. */
static float inverse_of(float depth)
{
	float v = 1 / depth;
	return depth > 0 && isfinite(v) && v > 0 ? v : 0;
}

static void count_depth(e3_trace_shots *fr, const e3_pred *p)
{
	size_t n = (size_t)p->w * (size_t)p->h;
	for (size_t k = 0; k < n; k++) {
		float v = inverse_of(p->depth[k]);
		uint32_t bits;
		memcpy(&bits, &v, 4);
		fr->histogram[bits >> 16] += v > 0;
	}
}

/* Each pixel of the small picture gets the mean inverse depth of the pixels that it covers. */
static int shrink_depth(e3_trace_shot *s, const e3_pred *p, e3_err *err)
{
	int w = s->rgb.w, h = s->rgb.h;
	s->inverse = e3_alloc((size_t)w * (size_t)h, sizeof *s->inverse, "small depth map", err);
	if (!s->inverse)
		return -1;
	for (int y = 0; y < h; y++)
		for (int x = 0; x < w; x++) {
			int x0 = (int)((int64_t)x * p->w / w), y0 = (int)((int64_t)y * p->h / h), n = 0;
			int x1 = (int)((int64_t)(x + 1) * p->w / w), y1 = (int)((int64_t)(y + 1) * p->h / h);
			double sum = 0;
			for (int r = y0; r < (y1 > y0 ? y1 : y0 + 1); r++)
				for (int c = x0; c < (x1 > x0 ? x1 : x0 + 1); c++) {
					float v = inverse_of(p->depth[(size_t)r * (size_t)p->w + (size_t)c]);
					sum += v, n += v > 0;
				}
			s->inverse[(size_t)y * (size_t)w + (size_t)x] = n ? (float)(sum / n) : 0;
		}
	return 0;
}

static int take_shot(const e3_trace_shots *fr, int64_t t, const e3_pred *p, e3_trace_shot *s, e3_err *err)
{
	int w = fr->shape.cols * fr->cell, h = fr->shape.rows * fr->cell;
	*s = (e3_trace_shot){.t = t, .i = p->s.i, .pts = p->s.pts};
	e3_image seen = {.w = p->w, .h = p->h, .channels = 3, .px = p->rgb};
	if (e3_resize_bicubic(&seen, w, h, &s->rgb, err) || (p->depth && shrink_depth(s, p, err))) {
		shot_release(s);
		return -1;
	}
	return 0;
}

static void thin_out(e3_trace_shots *fr)
{
	int kept = 0;
	for (int k = 0; k < fr->n; k++)
		if (k % 2)
			shot_release(&fr->shot[k]);
		else
			fr->shot[kept++] = fr->shot[k];
	fr->n = kept;
	fr->stride *= 2;
}

int e3_trace_shots_add(e3_trace_shots *fr, int64_t t, const e3_pred *p, e3_err *err)
{
	e3_trace_shot s;
	if (take_shot(fr, t, p, &s, err))
		return -1;
	if (p->depth)
		count_depth(fr, p);
	if (fr->has_last)
		shot_release(&fr->shot[fr->n]);
	if (t % fr->stride == 0 && fr->n == fr->capacity)
		thin_out(fr);
	fr->has_last = t % fr->stride != 0;
	fr->shot[fr->n] = s;
	fr->n += !fr->has_last;
	return 0;
}

int e3_trace_shots_pick(const e3_trace_shots *fr, int want, const e3_trace_shot **to)
{
	int all = fr->n + fr->has_last, n = 0, next = 0;
	int64_t end = all ? fr->shot[all - 1].t : 0;
	want = want < all ? want : all;
	for (int k = 0; k < want; k++) {
		double at = want > 1 ? (double)end * k / (want - 1) : 0;
		int left = want - 1 - k, best = next; /* leave enough shots for the picks that follow */
		for (int c = next; c < all - left; c++)
			if (fabs((double)fr->shot[c].t - at) < fabs((double)fr->shot[best].t - at))
				best = c;
		to[n++] = &fr->shot[best];
		next = best + 1;
	}
	return n;
}

static double from_bin(int bin)
{
	uint32_t bits = (uint32_t)bin << 16 | 0x8000u;
	float v;
	memcpy(&v, &bits, 4);
	return v;
}

void e3_trace_shots_range(const e3_trace_shots *fr, double low_pct, double high_pct, double range[2])
{
	uint64_t total = 0, seen = 0;
	range[0] = 0, range[1] = 1;
	for (int k = 0; k < BINS; k++)
		total += fr->histogram[k];
	bool have_low = false;
	for (int k = 0; k < BINS && total; k++) {
		seen += fr->histogram[k];
		if (!have_low && (double)seen >= low_pct / 100 * (double)total && seen)
			range[0] = from_bin(k), have_low = true;
		if ((double)seen >= high_pct / 100 * (double)total) {
			range[1] = from_bin(k);
			return;
		}
	}
}
