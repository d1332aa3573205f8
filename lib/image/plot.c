/* image: the plotter: layout and look of a chart, ticks, curves, bars, heat maps. */
#include "e3/plot.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT = 2, CHAR = 6 * TEXT, LINE = 8 * TEXT, GAP = 10, LEFT_CHARS = 7, SCALE_W = 18 };

static const uint8_t white[3] = {255, 255, 255}, ink[3] = {40, 44, 52}, soft[3] = {120, 126, 138},
					 grid[3] = {228, 231, 236};

void e3_plot_ticks(double lo, double hi, int count, bool whole, double *first, double *step)
{
	double rough = (hi - lo) / (count > 1 ? count : 1);
	if (!(rough > 0) || !isfinite(rough)) {
		*first = lo, *step = 1;
		return;
	}
	double power = pow(10, floor(log10(rough))), m = rough / power;
	*step = power * (m <= 1 ? 1 : m <= 2 ? 2 : m <= 5 ? 5 : 10);
	if (whole && *step < 1)
		*step = 1;
	*first = ceil(lo / *step - 1e-9) * *step;
}

static double to_x(const e3_plot *p, double x) { return p->x + (x - p->x0) / (p->x1 - p->x0) * p->w; }

static double to_y(const e3_plot *p, double y) { return p->y + (p->y1 - y) / (p->y1 - p->y0) * p->h; }

static void number(char *to, size_t size, double v, double step)
{
	int digits = step >= 1 ? 0 : (int)ceil(-log10(step) - 1e-9);
	if (fabs(v) < step * 1e-6)
		v = 0;
	if (fabs(v) >= 1e6 || digits > 5)
		snprintf(to, size, "%.3g", v);
	else
		snprintf(to, size, "%.*f", digits, v);
}

static void x_ticks(e3_plot *p, bool whole)
{
	double first, step, lo = fmin(p->x0, p->x1), hi = fmax(p->x0, p->x1);
	char text[32];
	e3_plot_ticks(lo, hi, p->w / 90, whole, &first, &step);
	for (int k = 0; k <= 64 && first + k * step <= hi + step * 1e-6; k++) {
		int x = (int)floor(to_x(p, first + k * step));
		number(text, sizeof text, first + k * step, step);
		if (x > p->x && x < p->x + p->w - 1)
			e3_draw_fill(&p->im, x, p->y, 1, p->h, grid);
		e3_draw_fill(&p->im, x, p->y + p->h, 1, 5, soft);
		e3_draw_text(&p->im, x - e3_text_width(TEXT, text) / 2 + TEXT / 2, p->y + p->h + 8, TEXT, ink, text);
	}
}

static void y_ticks(e3_plot *p, bool whole)
{
	double first, step, lo = fmin(p->y0, p->y1), hi = fmax(p->y0, p->y1);
	char text[32];
	e3_plot_ticks(lo, hi, p->h / 50, whole, &first, &step);
	for (int k = 0; k <= 64 && first + k * step <= hi + step * 1e-6; k++) {
		int y = (int)floor(to_y(p, first + k * step));
		y = y > p->y + p->h - 1 ? p->y + p->h - 1 : y;
		number(text, sizeof text, first + k * step, step);
		if (y > p->y && y < p->y + p->h - 1)
			e3_draw_fill(&p->im, p->x, y, p->w, 1, grid);
		e3_draw_fill(&p->im, p->x - 5, y, 5, 1, soft);
		e3_draw_text(&p->im, p->x - 8 - e3_text_width(TEXT, text), y - LINE / 2 + 1, TEXT, ink, text);
	}
}

static void frame(e3_plot *p)
{
	e3_draw_fill(&p->im, p->x - 1, p->y - 1, p->w + 2, 1, soft);
	e3_draw_fill(&p->im, p->x - 1, p->y + p->h, p->w + 2, 1, soft);
	e3_draw_fill(&p->im, p->x - 1, p->y - 1, 1, p->h + 2, soft);
	e3_draw_fill(&p->im, p->x + p->w, p->y - 1, 1, p->h + 2, soft);
}

int e3_plot_init(e3_plot *p, const e3_plot_axes *a, e3_err *err)
{
	*p = (e3_plot){.x0 = a->x0,
		.x1 = a->x1 != a->x0 ? a->x1 : a->x0 + 1,
		.y0 = a->y0,
		.y1 = a->y1 != a->y0 ? a->y1 : a->y0 + 1};
	p->w = a->w, p->h = a->h;
	p->x = GAP + LEFT_CHARS * CHAR;
	p->y = GAP + LINE + 8 + (a->y_label ? LINE + 14 : 0);
	int width = p->x + p->w + (a->key_chars ? 2 * GAP + a->key_chars * CHAR : 0) + 3 * GAP;
	int title = 2 * GAP + e3_text_width(TEXT, a->title);
	int height = p->y + p->h + 8 + LINE + GAP + (a->x_label ? LINE + 8 : 0);
	if (e3_image_init(&p->im, width > title ? width : title, height, 3, err))
		return -1;
	e3_draw_fill(&p->im, 0, 0, p->im.w, p->im.h, white);
	e3_draw_text(&p->im, GAP, GAP, TEXT, ink, a->title);
	if (a->y_label)
		e3_draw_text(&p->im, GAP, GAP + LINE + 8, TEXT, soft, a->y_label);
	if (a->x_label)
		e3_draw_text(&p->im, p->x + (p->w - e3_text_width(TEXT, a->x_label)) / 2, p->y + p->h + 8 + LINE + 8, TEXT,
			soft, a->x_label);
	if (!a->no_x_ticks)
		x_ticks(p, a->whole_x);
	if (!a->no_y_ticks)
		y_ticks(p, a->whole_y);
	frame(p);
	return 0;
}

void e3_plot_release(e3_plot *p)
{
	e3_image_release(&p->im);
	*p = (e3_plot){0};
}

/* Liang-Barsky: the part of a-b inside the frame; false when none is. */
static bool clip_segment(const e3_plot *p, double a[2], double b[2])
{
	double lo[2] = {p->x, p->y}, hi[2] = {p->x + p->w, p->y + p->h}, from = 0, to = 1,
		   d[2] = {b[0] - a[0], b[1] - a[1]};
	for (int k = 0; k < 2; k++) {
		if (d[k] == 0) {
			if (a[k] < lo[k] || a[k] > hi[k])
				return false;
			continue;
		}
		double t0 = (lo[k] - a[k]) / d[k], t1 = (hi[k] - a[k]) / d[k];
		from = fmax(from, fmin(t0, t1)), to = fmin(to, fmax(t0, t1));
	}
	if (from > to)
		return false;
	for (int k = 0; k < 2; k++)
		b[k] = a[k] + to * d[k], a[k] += from * d[k];
	return true;
}

/* Draws a-b; dashes continue over the corners of a curve: *run is the length drawn so far. */
static void segment(e3_plot *p, double a[2], double b[2], const e3_pen *pen, double *run)
{
	if (!clip_segment(p, a, b))
		return;
	if (!pen->dashed) {
		e3_draw_stroke(&p->im, a, b, pen->width, pen->rgb);
		return;
	}
	double length = hypot(b[0] - a[0], b[1] - a[1]), dash = 8, at = 0;
	while (at < length) {
		double phase = fmod(*run + at, 2 * dash), rest = (phase < dash ? dash : 2 * dash) - phase;
		double end = fmin(length, at + fmax(rest, 0.01));
		double from[2], to[2];
		for (int k = 0; k < 2; k++)
			from[k] = a[k] + (b[k] - a[k]) * at / length, to[k] = a[k] + (b[k] - a[k]) * end / length;
		if (phase < dash)
			e3_draw_stroke(&p->im, from, to, pen->width, pen->rgb);
		at = end;
	}
	*run += length;
}

void e3_plot_curve(e3_plot *p, const double *x, const double *y, size_t n, const e3_pen *pen)
{
	double run = 0;
	for (size_t k = 0; k < n; k++) {
		bool joins = k && isfinite(x[k - 1]) && isfinite(y[k - 1]),
			 lone = !joins && (k + 1 == n || !isfinite(y[k + 1]));
		if (!isfinite(x[k]) || !isfinite(y[k]) || !(joins || lone))
			continue;
		double b[2] = {to_x(p, x[k]), to_y(p, y[k])}, a[2] = {b[0], b[1]};
		if (joins)
			a[0] = to_x(p, x[k - 1]), a[1] = to_y(p, y[k - 1]);
		e3_pen dot = *pen;
		dot.width += 2, dot.dashed = false;
		segment(p, a, b, lone ? &dot : pen, &run);
	}
}

void e3_plot_bar(e3_plot *p, double x0, double x1, double y, const uint8_t rgb[3])
{
	if (!isfinite(y))
		return;
	double base = fmax(fmin(p->y0, p->y1), fmin(0, fmax(p->y0, p->y1)));
	double lo[2] = {fmax(p->x, to_x(p, x0)), fmax(p->y, fmin(to_y(p, y), to_y(p, base)))};
	double hi[2] = {fmin(p->x + p->w, to_x(p, x1)), fmin(p->y + p->h, fmax(to_y(p, y), to_y(p, base)))};
	int x = (int)lrint(lo[0]), top = (int)lrint(lo[1]);
	e3_draw_fill(&p->im, x, top, (int)lrint(hi[0]) - x, (int)lrint(hi[1]) - top, rgb);
}

void e3_plot_heat(e3_plot *p, const double *v, int rows, int cols, e3_cmap cmap, const double range[2])
{
	double span = range[1] > range[0] ? range[1] - range[0] : 1;
	for (int r = 0; r < rows; r++) {
		int y = (int)((int64_t)r * p->h / rows), y_end = (int)((int64_t)(r + 1) * p->h / rows);
		for (int c = 0; c < cols; c++) {
			int x = (int)((int64_t)c * p->w / cols), x_end = (int)((int64_t)(c + 1) * p->w / cols);
			uint8_t rgb[3];
			e3_cmap_rgb(cmap, (v[(size_t)r * (size_t)cols + (size_t)c] - range[0]) / span, rgb);
			e3_draw_fill(&p->im, p->x + x, p->y + y, x_end - x, y_end - y, rgb);
		}
	}
}

void e3_plot_key(e3_plot *p, const char *text, const e3_pen *pen)
{
	int x = p->x + p->w + 2 * GAP, y = p->y + p->keys * (LINE + 6);
	double at = y + LINE / 2.0, run = 0;
	e3_plot whole = {.im = p->im, .w = p->im.w, .h = p->im.h}; /* clips to the picture instead of the frame */
	segment(&whole, (double[2]){x, at}, (double[2]){x + 24, at}, pen, &run);
	e3_draw_text(&p->im, x + 34, y + 1, TEXT, ink, text);
	p->keys++;
}

void e3_plot_scale(e3_plot *p, e3_cmap cmap, const double range[2], const char *label)
{
	int x = p->x + p->w + 2 * GAP;
	for (int r = 0; r < p->h; r++) {
		uint8_t rgb[3];
		e3_cmap_rgb(cmap, p->h > 1 ? 1 - (double)r / (p->h - 1) : 1, rgb);
		e3_draw_fill(&p->im, x, p->y + r, SCALE_W, 1, rgb);
	}
	double first, step, span = range[1] > range[0] ? range[1] - range[0] : 1;
	char text[32];
	e3_plot_ticks(range[0], range[0] + span, p->h / 60 > 2 ? p->h / 60 : 2, false, &first, &step);
	for (int k = 0; k <= 64 && first + k * step <= range[0] + span * (1 + 1e-9); k++) {
		int y = p->y + (int)lrint((1 - (first + k * step - range[0]) / span) * (p->h - 1));
		number(text, sizeof text, first + k * step, step);
		e3_draw_fill(&p->im, x + SCALE_W, y, 4, 1, soft);
		e3_draw_text(&p->im, x + SCALE_W + 8, y - LINE / 2 + 1, TEXT, ink, text);
	}
	if (label)
		e3_draw_text(&p->im, x, p->y - LINE - 14, TEXT, soft, label);
}
