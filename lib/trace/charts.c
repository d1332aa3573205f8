/* trace: charts: tokens by layer, memory, shares of the budget, survival, which frames are remembered, where in the
 * picture, and how far layers agree. */
#include "e3/trace_draw.h"
#include "e3/io.h"
#include "e3/mem.h"
#include "e3/plot.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { W = 900, H = 420, MATRIX = 720, KEYED_LAYERS = 12, LEGEND_CHARS = 15 };

static const e3_pen black = {{40, 44, 52}, 2, false}, limit = {{200, 60, 50}, 2, true},
					faint = {{150, 156, 168}, 2, true};

/* Layers from dark to light, without the bright end of the map, which does not show on white. */
static e3_pen layer_pen(int layer, int layers, double width)
{
	e3_pen pen = {.width = width};
	e3_cmap_rgb(E3_VIRIDIS, layers > 1 ? 0.88 * layer / (layers - 1) : 0.4, pen.rgb);
	return pen;
}

/* A key for every layer when there are few, else for the first and the last. */
static void layer_keys(e3_plot *p, int layers)
{
	for (int l = 0; l < layers; l++) {
		char text[24];
		if (layers > KEYED_LAYERS && l && l != layers - 1)
			continue;
		e3_pen pen = layer_pen(l, layers, 3);
		snprintf(text, sizeof text, "layer %d", l);
		e3_plot_key(p, text, &pen);
	}
}

static int save(e3_plot *p, const char *dir, const char *name, e3_err *err)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	int rc = e3_png_save(path, &p->im, err);
	e3_plot_release(p);
	return rc;
}

/* x = 0, 1, 2, ..., n-1, followed by room for a curve of n values. */
static double *columns(int64_t n, e3_err *err)
{
	double *x = e3_alloc(2 * (size_t)(n > 0 ? n : 1), sizeof *x, "a curve", err);
	for (int64_t k = 0; x && k < n; k++)
		x[k] = (double)k;
	return x;
}

/* What the cache would hold without eviction, `grows` more with each frame, and the budget when there is one. step:
 * from columns(). */
static void draw_limits(e3_plot *p, double *step, int64_t steps, double grows, double budget, const char *key)
{
	double *y = step + steps;
	for (int64_t t = 0; t < steps; t++)
		y[t] = grows * (double)(t + 1);
	e3_plot_curve(p, step, y, (size_t)steps, &faint);
	e3_plot_key(p, "no eviction", &faint);
	if (!(budget > 0))
		return;
	for (int64_t t = 0; t < steps; t++)
		y[t] = budget;
	e3_plot_curve(p, step, y, (size_t)steps, &limit);
	e3_plot_key(p, key, &limit);
}

static int draw_tokens(const e3_trace_run *x, const char *dir, e3_err *err)
{
	const e3_replay *r = x->replay;
	int layers = r->shape.layers;
	double top = 0, *step = columns(r->frames, err), *y = step ? step + r->frames : NULL;
	if (!step)
		return -1;
	for (int64_t k = 0; k < r->steps * layers; k++)
		top = fmax(top, r->cell[k].after);
	e3_plot p;
	e3_plot_axes axes = {.w = W,
		.h = H,
		.title = "Cache of each layer after every frame",
		.x_label = "frame",
		.y_label = "tokens",
		.x1 = (double)(r->frames > 1 ? r->frames - 1 : 1),
		.y1 = 1.08 * top,
		.whole_x = true,
		.whole_y = true,
		.key_chars = LEGEND_CHARS};
	if (e3_plot_init(&p, &axes, err)) {
		free(step);
		return -1;
	}
	draw_limits(&p, step, r->frames, r->shape.n, (double)x->head->budget / layers, "mean budget");
	for (int l = 0; l < layers; l++) {
		e3_pen pen = layer_pen(l, layers, 1.6);
		for (int64_t t = 0; t < r->frames; t++)
			y[t] = e3_trace_cell_at(r, r->answer[t], l)->after;
		e3_plot_curve(&p, step, y, (size_t)r->frames, &pen);
	}
	layer_keys(&p, layers);
	free(step);
	return save(&p, dir, "tokens.png", err);
}

static int draw_memory(const e3_trace_run *x, const char *dir, e3_err *err)
{
	const e3_replay *r = x->replay;
	double kv = (double)x->head->kv_token_bytes, unit = kv > 0 ? kv / (1024.0 * 1024.0) : 1,
		   *step = columns(r->frames, err);
	double *y = step ? step + r->frames : NULL, full = (double)r->shape.layers * r->shape.n * unit;
	const char *label = "tokens";
	if (!step)
		return -1;
	if (kv > 0) {
		bool large = full * (double)r->frames >= 10240;
		unit /= large ? 1024 : 1, full /= large ? 1024 : 1;
		label = large ? "GiB" : "MiB";
	}
	e3_plot p;
	e3_plot_axes axes = {.w = W,
		.h = H,
		.title = "Cache of all layers",
		.x_label = "frame",
		.y_label = label,
		.x1 = (double)(r->frames > 1 ? r->frames - 1 : 1),
		.y1 = 1.05 * full * (double)r->frames,
		.whole_x = true,
		.key_chars = LEGEND_CHARS};
	if (e3_plot_init(&p, &axes, err)) {
		free(step);
		return -1;
	}
	draw_limits(&p, step, r->frames, full, (double)x->head->budget * unit, "budget");
	for (int64_t t = 0; t < r->frames; t++)
		y[t] = (double)x->stats->held[t] * unit;
	e3_plot_curve(&p, step, y, (size_t)r->frames, &(e3_pen){{40, 44, 52}, 3, false});
	e3_plot_key(&p, "kept", &black);
	free(step);
	return save(&p, dir, "memory.png", err);
}

static int draw_survival(const e3_trace_run *x, const char *dir, e3_err *err)
{
	int layers = x->replay->shape.layers;
	int64_t n = 0;
	while (n < x->stats->all.n && x->stats->all.at_risk[n])
		n++;
	double *age = columns(n, err);
	if (!age)
		return -1;
	e3_plot p;
	e3_plot_axes axes = {.w = W,
		.h = H,
		.title = x->replay->segments > 1 ? "Survival of patches (frames after the first of a segment)"
										 : "Survival of patches (frames after the first)",
		.x_label = "age, frames",
		.y_label = "share still in the cache",
		.x1 = (double)(n > 1 ? n - 1 : 1),
		.y1 = 1,
		.whole_x = true,
		.key_chars = LEGEND_CHARS};
	if (e3_plot_init(&p, &axes, err)) {
		free(age);
		return -1;
	}
	for (int l = 0; l < layers; l++) {
		e3_pen pen = layer_pen(l, layers, 1.4);
		e3_plot_curve(&p, age, x->stats->layer[l].s, (size_t)n, &pen);
	}
	e3_plot_curve(&p, age, x->stats->all.s, (size_t)n, &(e3_pen){{40, 44, 52}, 3.5, false});
	e3_plot_key(&p, "all layers", &(e3_pen){{40, 44, 52}, 3.5, false});
	layer_keys(&p, layers);
	free(age);
	return save(&p, dir, "survival.png", err);
}

/* Bars: the tokens that each layer keeps at the last eviction; lines: its budget. */
static int draw_budget(const e3_trace_run *x, const char *dir, e3_err *err)
{
	const e3_replay *r = x->replay;
	int layers = r->shape.layers;
	int64_t t = x->stats->last_eviction;
	if (t < 0)
		return 0;
	double top = 0;
	for (int l = 0; l < layers; l++) {
		const e3_trace_cell *c = e3_trace_cell_at(r, t, l);
		top = fmax(top, fmax(c->after, isfinite(c->budget) ? fmin(c->budget, 2.0 * c->before) : 0));
	}
	char title[96];
	snprintf(title, sizeof title, "Tokens kept and budget, frame %" PRId64, r->step[t].i);
	e3_plot p;
	e3_plot_axes axes = {.w = W,
		.h = H,
		.title = title,
		.x_label = "layer",
		.y_label = "tokens",
		.x0 = -0.6,
		.x1 = layers - 0.4,
		.y1 = 1.08 * top,
		.whole_x = true,
		.whole_y = true,
		.key_chars = LEGEND_CHARS};
	if (e3_plot_init(&p, &axes, err))
		return -1;
	static const uint8_t bar[3] = {70, 130, 180}, prot[3] = {38, 84, 124};
	for (int l = 0; l < layers; l++) {
		const e3_trace_cell *c = e3_trace_cell_at(r, t, l);
		e3_plot_bar(&p, l - 0.36, l + 0.36, c->after, bar);
		e3_plot_bar(&p, l - 0.36, l + 0.36, fmin(c->prot, c->after), prot);
		e3_plot_curve(&p, (double[2]){l - 0.46, l + 0.46}, (double[2]){c->budget, c->budget}, 2,
			&(e3_pen){{200, 60, 50}, 3, false});
	}
	e3_plot_key(&p, "kept", &(e3_pen){{70, 130, 180}, 10, false});
	e3_plot_key(&p, "protected", &(e3_pen){{38, 84, 124}, 10, false});
	e3_plot_key(&p, "budget", &(e3_pen){{200, 60, 50}, 3, false});
	return save(&p, dir, "budget.png", err);
}

typedef struct heat {
	const char *name, *title, *x_label, *y_label, *scale;
	const double *v;
	int rows, cols, w, h;
	double bin; /* units that a column (and a row of a square matrix) stands for */
	double range[2];
	e3_cmap map;
} heat;

static int draw_heat(const heat *m, const char *dir, e3_err *err)
{
	e3_plot p;
	e3_plot_axes axes = {.w = m->w,
		.h = m->h,
		.title = m->title,
		.x_label = m->x_label,
		.y_label = m->y_label,
		.x0 = -0.5,
		.x1 = m->cols * m->bin - 0.5,
		.y0 = m->rows * (m->rows == m->cols ? m->bin : 1) - 0.5,
		.y1 = -0.5,
		.whole_x = true,
		.whole_y = true,
		.key_chars = 9};
	if (e3_plot_init(&p, &axes, err))
		return -1;
	e3_plot_heat(&p, m->v, m->rows, m->cols, m->map, m->range);
	e3_plot_scale(&p, m->map, m->range, m->scale);
	return save(&p, dir, m->name, err);
}

/* Steps are averaged when there are more of them than pixels. */
static int draw_alpha(const e3_trace_run *x, const char *dir, e3_err *err)
{
	const e3_replay *r = x->replay;
	int layers = r->shape.layers, bin = (int)((r->frames + W - 1) / W), cols = (int)((r->frames + bin - 1) / bin);
	double *v = e3_alloc((size_t)layers * (size_t)cols, sizeof *v, "shares of the layers", err), top = 0;
	if (!v)
		return -1;
	for (int l = 0; l < layers; l++)
		for (int c = 0; c < cols; c++) {
			double sum = 0;
			int n = 0;
			for (int64_t t = (int64_t)c * bin; t < (int64_t)(c + 1) * bin && t < r->frames; t++) {
				double a = e3_trace_cell_at(r, r->answer[t], l)->alpha;
				if (isfinite(a) && a > 0)
					sum += a, n++;
			}
			v[l * cols + c] = n ? sum / n : NAN;
			top = n ? fmax(top, sum / n) : top;
		}
	int rc = top > 0
		? draw_heat(&(heat){"alpha.png", "Share of the budget", "frame", "layer", "alpha", v, layers, cols, W,
						layers * 30 > 240 ? layers * 30 > 600 ? 600 : layers * 30 : 240, bin, {0, top}, E3_VIRIDIS},
			  dir, err)
		: 0;
	free(v);
	return rc;
}

static int draw_remembered(const e3_trace_run *x, const char *dir, e3_err *err)
{
	int size, bin;
	double *m = e3_trace_remembered(x->replay, MATRIX, &size, &bin, err);
	if (!m)
		return -1;
	int rc =
		draw_heat(&(heat){"remembered.png", "Frames remembered: share of their patches in the cache, mean over layers",
					  "of frame", "after frame", "share", m, size, size, MATRIX, MATRIX, bin, {0, 1}, E3_VIRIDIS},
			dir, err);
	free(m);
	return rc;
}

static int draw_agreement(const e3_trace_run *x, const char *dir, e3_err *err)
{
	int layers = x->replay->shape.layers, side = layers * 40 > 640 ? 640 : layers * 40 < 240 ? 240 : layers * 40;
	return draw_heat(&(heat){"agreement.png", "Same patches at the end (Jaccard)", "layer", "layer", "Jaccard",
						 x->stats->agreement, layers, layers, side, side, 1, {0, 1}, E3_VIRIDIS},
		dir, err);
}

/* Small maps: the mean of all layers first, then one per layer. */
static int draw_spatial(const e3_trace_run *x, const char *dir, e3_err *err)
{
	const e3_trace_shape *sh = &x->replay->shape;
	int n = sh->layers + 1, size = sh->rows * sh->cols, cell = 230 / (sh->cols > sh->rows ? sh->cols : sh->rows);
	int across = n < 5 ? n : 5, rows = (n + across - 1) / across;
	cell = cell > 1 ? cell : 1;
	int w = sh->cols * cell, h = sh->rows * cell, step_x = (w > 130 ? w : 130) + 14, step_y = h + 34;
	double *mean = e3_alloc((size_t)size, sizeof *mean, "mean map", err), top = 0;
	if (!mean)
		return -1;
	for (int k = 0; k < sh->layers * size; k++)
		mean[k % size] += x->stats->spatial[k] / sh->layers, top = fmax(top, x->stats->spatial[k]);
	e3_plot p;
	e3_plot_axes axes = {.w = across * step_x,
		.h = rows * step_y,
		.title = "Where memory lasts: share of its time a patch is kept",
		.y_label = "by place in the picture, mean over frames",
		.no_x_ticks = true,
		.no_y_ticks = true,
		.key_chars = 9};
	if (e3_plot_init(&p, &axes, err)) {
		free(mean);
		return -1;
	}
	double range[2] = {0, top > 0 ? top : 1};
	for (int k = 0; k < n; k++) {
		int left = p.x + 8 + k % across * step_x, y = p.y + 28 + k / across * step_y;
		const double *v = k ? x->stats->spatial + (k - 1) * size : mean;
		e3_plot small = {.im = p.im, .x = left, .y = y, .w = w, .h = h};
		char text[24] = "all layers";
		if (k)
			snprintf(text, sizeof text, "layer %d", k - 1);
		e3_draw_text(&p.im, left, y - 20, 2, (uint8_t[3]){40, 44, 52}, text);
		e3_plot_heat(&small, v, sh->rows, sh->cols, E3_VIRIDIS, range);
	}
	e3_plot_scale(&p, E3_VIRIDIS, range, "share");
	free(mean);
	return save(&p, dir, "spatial.png", err);
}

int e3_trace_charts(const e3_trace_run *x, const char *dir, e3_err *err)
{
	return e3_mkdirs(dir, err) || draw_tokens(x, dir, err) || draw_memory(x, dir, err) || draw_budget(x, dir, err) ||
			draw_alpha(x, dir, err) || draw_survival(x, dir, err) || draw_remembered(x, dir, err) ||
			draw_agreement(x, dir, err) || draw_spatial(x, dir, err)
		? -1
		: 0;
}
