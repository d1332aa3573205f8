/* eval: the error sheet: keeps frames evenly spaced over a stream of any length, and draws picture, truth, aligned
 * prediction and error. */
#include "eval/tasks.h"
#include "e3/image.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	KEPT = 16,
	SHOWN = 8,
	SIDE = 240,
	TEXT = 2,
	LINE = 8 * TEXT,
	GAP = 8,
	MARGIN = 16,
	ROWS = 4,
	BAR = 14,
	TICKS = 6
};

static const uint8_t board[3] = {22, 24, 29}, ink[3] = {226, 230, 238}, soft[3] = {140, 147, 160};

typedef struct shot {
	int64_t i;
	int w, h;
	uint8_t *rgb;           /* [h][w][3] */
	float *truth, *aligned; /* [h][w]; NaN where unknown or not seen */
	double abs_rel;
} shot;

/* Keeps every stride-th frame with depth. When the room is full, drops every other one and doubles the stride. */
struct e3_eval_shots {
	shot at[KEPT];
	int n;
	int64_t stride, seen;
};

static void shot_release(shot *s)
{
	free(s->rgb), free(s->truth), free(s->aligned);
	*s = (shot){0};
}

void eval_shots_free(e3_eval_shots *x)
{
	for (int k = 0; x && k < x->n; k++)
		shot_release(&x->at[k]);
	free(x);
}

static int fill(shot *s, const eval_sample *p, const e3_eval_options *o, e3_err *err)
{
	const e3_resampler *on = p->resampler;
	const e3_truth *t = p->truth->map;
	e3_pixels px = {.f = p->pixels, .n = p->n_pixels};
	e3_depth_rule rule = {E3_DEPTH_MEDIAN, o->disparity, o->clip, 1};
	e3_depth_fit fit;
	e3_depth_score score;
	if (e3_depth_align_fit(&px, &rule, &fit, err))
		return -1;
	e3_depth_evaluate(&px, &rule, &fit, &score);
	double scale = fmin(1, (double)SIDE / t->w);
	*s = (shot){.i = p->pred->s.i,
		.w = (int)fmax(1, floor(t->w * scale)),
		.h = (int)fmax(1, floor(t->h * scale)),
		.abs_rel = score.abs_rel};
	size_t n = (size_t)s->w * (size_t)s->h;
	s->rgb = e3_alloc(n, 3, "a picture", err);
	s->truth = e3_alloc(n, sizeof *s->truth, "a depth map", err);
	s->aligned = e3_alloc(n, sizeof *s->aligned, "a depth map", err);
	if (!s->rgb || !s->truth || !s->aligned) {
		shot_release(s);
		return -1;
	}
	for (int y = 0; y < s->h; y++)
		for (int x = 0; x < s->w; x++) {
			int tx = (int)((int64_t)x * t->w / s->w), ty = (int)((int64_t)y * t->h / s->h);
			size_t to = (size_t)y * (size_t)s->w + (size_t)x, k = (size_t)ty * (size_t)t->w + (size_t)tx;
			bool seen = tx >= on->seen[0] && tx < on->seen[2] && ty >= on->seen[1] && ty < on->seen[3];
			double scale_x = on->same ? 1 : on->scale[0], scale_y = on->same ? 1 : on->scale[1];
			int px_x = (int)floor((tx + 0.5) * scale_x + on->move[0]),
				px_y = (int)floor((ty + 0.5) * scale_y + on->move[1]);
			s->truth[to] = t->depth[k] > 0 ? t->depth[k] : NAN;
			s->aligned[to] = NAN;
			memcpy(s->rgb + 3 * to, board, 3);
			if (!seen)
				continue;
			double q = fit.s * p->depth[k] + fit.t;
			s->aligned[to] = (float)(o->disparity ? 1 / q : q);
			px_x = px_x < 0          ? 0
				: px_x >= p->pred->w ? p->pred->w - 1
									 : px_x,
			px_y = px_y < 0          ? 0
				: px_y >= p->pred->h ? p->pred->h - 1
									 : px_y;
			if (p->pred->rgb)
				memcpy(s->rgb + 3 * to, p->pred->rgb + 3 * ((size_t)px_y * (size_t)p->pred->w + (size_t)px_x), 3);
		}
	return 0;
}

int eval_shots_add(e3_eval_shots **to, const eval_sample *p, const e3_eval_options *o, e3_err *err)
{
	e3_eval_shots *x = *to;
	if (!x) {
		if (!(x = *to = e3_alloc(1, sizeof *x, "pictures", err)))
			return -1;
		x->stride = 1;
	}
	if (x->seen++ % x->stride)
		return 0;
	if (x->n == KEPT) {
		for (int k = 0; k < KEPT; k++)
			if (k % 2)
				shot_release(&x->at[k]);
			else
				x->at[k / 2] = x->at[k], x->at[k] = k ? (shot){0} : x->at[0];
		x->n = KEPT / 2, x->stride *= 2;
		if ((x->seen - 1) % x->stride)
			return 0;
	}
	if (fill(&x->at[x->n], p, o, err))
		return -1;
	x->n++;
	return 0;
}

/* The range of inverse depth for the colours: percentiles 2 and 98 of the truth. */
static int range_of(const e3_eval_shots *x, double range[2], e3_err *err)
{
	e3_pct p;
	int rc = e3_pct_init(&p, (double[]){2, 98}, 2, err);
	for (int pass = 0; !rc && pass < 2; pass++) {
		for (int k = 0; k < x->n; k++)
			for (size_t j = 0; j < (size_t)x->at[k].w * (size_t)x->at[k].h; j++)
				if (x->at[k].truth[j] > 0)
					(pass ? e3_pct_refine : e3_pct_add)(&p, 1 / x->at[k].truth[j]);
		if (!pass)
			rc = e3_pct_second_pass(&p, err);
	}
	range[0] = rc ? 0 : e3_pct_value(&p, 0), range[1] = rc ? 1 : e3_pct_value(&p, 1);
	e3_pct_release(&p);
	return rc;
}

static void draw_maps(e3_image *sheet, int at_x, int at_y, const shot *s, int step, const double range[2])
{
	double span = range[1] > range[0] ? range[1] - range[0] : 1;
	for (int y = 0; y < s->h; y++)
		for (int x = 0; x < s->w; x++) {
			size_t k = (size_t)y * (size_t)s->w + (size_t)x;
			double g = s->truth[k], q = s->aligned[k];
			uint8_t rgb[3];
			e3_draw_fill(sheet, at_x + x, at_y + y, 1, 1, s->rgb + 3 * k);
			if (g > 0) {
				e3_cmap_rgb(E3_TURBO, (1 / g - range[0]) / span, rgb);
				e3_draw_fill(sheet, at_x + x, at_y + step + y, 1, 1, rgb);
			}
			if (isfinite(q)) {
				e3_cmap_rgb(E3_TURBO, q > 0 ? (1 / q - range[0]) / span : 1, rgb);
				e3_draw_fill(sheet, at_x + x, at_y + 2 * step + y, 1, 1, rgb);
			}
			if (g > 0 && isfinite(q)) {
				e3_cmap_rgb(E3_MAGMA, fabs(q - g) / g / EVAL_ERROR_TOP, rgb);
				e3_draw_fill(sheet, at_x + x, at_y + 3 * step + y, 1, 1, rgb);
			}
		}
}

static int bar_room(void) { return GAP + BAR + 8 + e3_text_width(TEXT, "1.23e+04"); }

/* A colour bar on the right of a row: of inverse depth from range[0] to range[1], labelled as depth; or, without a
 * range, of relative error. It has as many ticks as there is room for. */
static void draw_bar(e3_image *sheet, const int at[2], int h, const double *range)
{
	int n = h >= TICKS * (LINE + 4) ? TICKS : 2;
	for (int y = 0; y < h; y++) {
		uint8_t rgb[3];
		e3_cmap_rgb(range ? E3_TURBO : E3_MAGMA, h > 1 ? 1 - (double)y / (h - 1) : 1, rgb);
		e3_draw_fill(sheet, at[0], at[1] + y, BAR, 1, rgb);
	}
	for (int k = 0; k < n; k++) {
		double part = (double)k / (n - 1), y = at[1] + (1 - part) * (h - 1);
		char text[32];
		if (range)
			snprintf(text, sizeof text, "%.3g", 1 / (range[0] + part * (range[1] - range[0])));
		else
			snprintf(text, sizeof text, "%g %%", 100 * part * EVAL_ERROR_TOP);
		e3_draw_fill(sheet, at[0] + BAR, (int)lrint(y), 4, 1, soft);
		e3_draw_text(sheet, at[0] + BAR + 8, (int)fmax(at[1], fmin(y - LINE / 2.0, at[1] + h - LINE)), TEXT, soft,
			text);
	}
}

int eval_shots_draw(const e3_eval_shots *x, const char *title, const char *unit, const char *path, e3_err *err)
{
	char truth[128];
	const char *const label[ROWS] = {NULL, truth, "predicted, aligned by the image's median",
		"error, relative to the truth (25 % or more: lightest)"};
	const shot *pick[SHOWN];
	int n = x->n < SHOWN ? x->n : SHOWN, tile_w = 0, tile_h = 0, least = e3_text_width(TEXT, title);
	double range[2];
	snprintf(truth, sizeof truth, "true depth, in %s", unit);
	for (int k = 0; k < n; k++) {
		pick[k] = &x->at[n > 1 ? (x->n - 1) * k / (n - 1) : 0];
		tile_w = pick[k]->w > tile_w ? pick[k]->w : tile_w, tile_h = pick[k]->h > tile_h ? pick[k]->h : tile_h;
	}
	int step = tile_h + GAP + LINE + 6, top = 2 * MARGIN + LINE;
	int bar = MARGIN + n * (tile_w + GAP), w = bar - GAP + bar_room();
	for (int k = 1; k < ROWS; k++)
		least = e3_text_width(TEXT, label[k]) > least ? e3_text_width(TEXT, label[k]) : least;
	w = w > MARGIN + least ? w : MARGIN + least;
	e3_image sheet;
	if (range_of(x, range, err) || e3_image_init(&sheet, w + MARGIN, top + ROWS * step - GAP + MARGIN, 3, err))
		return -1;
	e3_draw_fill(&sheet, 0, 0, sheet.w, sheet.h, board);
	e3_draw_text(&sheet, MARGIN, MARGIN, TEXT, ink, title);
	for (int k = 0; k < n; k++) {
		char text[64];
		int at = MARGIN + k * (tile_w + GAP);
		snprintf(text, sizeof text, "%" PRId64 ": %.4f", pick[k]->i, pick[k]->abs_rel);
		if (e3_text_width(TEXT, text) <= tile_w)
			e3_draw_text(&sheet, at, top, TEXT, ink, text);
		draw_maps(&sheet, at, top + LINE + 6, pick[k], step, range);
	}
	for (int k = 1; k < ROWS; k++) {
		e3_draw_text(&sheet, MARGIN, top + k * step, TEXT, soft, label[k]);
		if (k == ROWS - 1 || (range[0] > 0 && range[1] > range[0]))
			draw_bar(&sheet, (int[]){bar, top + k * step + LINE + 6}, tile_h, k == ROWS - 1 ? NULL : range);
	}
	int rc = e3_png_save(path, &sheet, err);
	e3_image_release(&sheet);
	return rc;
}
