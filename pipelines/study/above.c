/* study: paths from above: the true path, the predicted one and the loops that were found, a panel for each file that
 * `walk --path` wrote. "Above" is the plane in which the true path lies. */
#include "e3/err.h"
#include "e3/image.h"
#include "e3/mem.h"
#include "e3/opt.h"
#include "e3/tool.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 360, EDGE = 16, HEADER = 44, PANELS_MAX = 8, FRAMES_MAX = 1000000 };

static const uint8_t white[3] = {255, 255, 255}, ink[3] = {40, 44, 52}, grey[3] = {150, 150, 150},
					 blue[3] = {44, 110, 190}, red[3] = {214, 69, 65};

typedef struct place {
	bool there;
	double truth[3], guess[3];
} place;

typedef struct panel {
	char label[32];
	place *place;
	size_t n, room;
	long (*loop)[2];
	size_t loops, loops_room;
	double rms;
} panel;

typedef struct view {
	double middle[3], across[3], along[3], scale; /* pixels a unit */
} view;

/* --- reading --- */

static int add_place(panel *p, long i, const place *v, e3_err *err)
{
	if (i < 0 || i >= FRAMES_MAX)
		return e3_fail(err, "frame %ld: no more than %d are expected", i, FRAMES_MAX);
	if ((size_t)i >= p->room) {
		size_t room = 2 * (size_t)i + 64;
		if (e3_grow((void **)&p->place, room, sizeof *p->place, "a path", err))
			return -1;
		memset(p->place + p->room, 0, (room - p->room) * sizeof *p->place);
		p->room = room;
	}
	p->place[i] = *v, p->place[i].there = true;
	p->n = (size_t)i + 1 > p->n ? (size_t)i + 1 : p->n;
	return 0;
}

static int add_line(panel *p, const char *line, e3_err *err)
{
	place v = {0};
	double *t = v.truth, *g = v.guess;
	long at[2];
	if (sscanf(line, "frame %ld %lf %lf %lf %lf %lf %lf", at, t, t + 1, t + 2, g, g + 1, g + 2) == 7)
		return add_place(p, at[0], &v, err);
	if (sscanf(line, "loop %ld %ld", at, at + 1) != 2)
		return e3_fail(err, "expected 'frame' with seven numbers or 'loop' with two");
	if (p->loops == p->loops_room) {
		p->loops_room = 2 * p->loops_room + 16;
		if (e3_grow((void **)&p->loop, p->loops_room, sizeof *p->loop, "the loops", err))
			return -1;
	}
	memcpy(p->loop[p->loops++], at, sizeof at);
	return 0;
}

/* LABEL=FILE */
static int read_panel(panel *p, const char *arg, e3_err *err)
{
	const char *path = strchr(arg, '=');
	if (!path || path == arg || path - arg >= (int)sizeof p->label)
		return e3_fail(err, "%s: expected LABEL=FILE, with a label of up to %zu characters", arg, sizeof p->label - 1);
	memcpy(p->label, arg, (size_t)(path - arg));
	path++;
	FILE *f = fopen(path, "r");
	if (!f)
		return e3_fail_sys(err, "reading %s", path);
	char line[512];
	int rc = 0;
	for (size_t row = 1; !rc && fgets(line, sizeof line, f); row++)
		if (add_line(p, line, err))
			rc = e3_fail_in(err, "reading %s: line %zu", path, row);
	if (!rc && ferror(f))
		rc = e3_fail_sys(err, "reading %s", path);
	fclose(f);
	size_t known = 0;
	for (size_t i = 0; i < p->n; i++)
		for (int k = 0; k < 3 && p->place[i].there; k++) {
			double d = p->place[i].truth[k] - p->place[i].guess[k];
			known += k == 0, p->rms += d * d;
		}
	p->rms = sqrt(p->rms / (double)known);
	return rc || known ? rc : e3_fail(err, "reading %s: it contains no frame", path);
}

/* --- the plane of the path --- */

static double dot(const double a[3], const double b[3]) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

/* v becomes a direction of unit length; false when there is none. */
static bool normalise(double v[3])
{
	double length = sqrt(dot(v, v));
	for (int k = 0; k < 3; k++)
		v[k] /= length;
	return length > 1e-12;
}

/* The direction in which the true places spread most, apart from `but` (NULL: all directions): power iteration. */
static void spread(const panel *p, const double middle[3], const double *but, double v[3])
{
	double cov[9] = {0}, next[3];
	for (size_t i = 0; i < p->n; i++)
		for (int a = 0; a < 3 && p->place[i].there; a++)
			for (int b = 0; b < 3; b++)
				cov[3 * a + b] += (p->place[i].truth[a] - middle[a]) * (p->place[i].truth[b] - middle[b]);
	v[0] = 1, v[1] = 0.01, v[2] = but ? 1 : 0.1;
	for (int step = 0; step < 200; step++) {
		for (int k = 0; k < 3; k++)
			next[k] = dot(cov + 3 * k, v);
		for (int k = 0; but && k < 3; k++)
			next[k] -= dot(but, v) * dot(cov + 3 * k, but);
		double off = but ? dot(next, but) : 0;
		for (int k = 0; but && k < 3; k++)
			next[k] -= off * but[k];
		if (!normalise(next))
			break; /* it does not spread: any direction does */
		memcpy(v, next, sizeof next);
	}
}

/* Both paths of all panels fit. */
static view look_down(const panel *p, size_t n)
{
	view v = {.scale = 1};
	size_t known = 0;
	double reach = 1e-9;
	for (size_t i = 0; i < p->n; i++)
		known += p->place[i].there;
	for (size_t i = 0; i < p->n; i++)
		for (int k = 0; k < 3 && p->place[i].there; k++)
			v.middle[k] += p->place[i].truth[k] / (double)known;
	spread(p, v.middle, NULL, v.across);
	spread(p, v.middle, v.across, v.along);
	for (size_t m = 0; m < n; m++)
		for (size_t i = 0; i < p[m].n; i++)
			for (int which = 0; which < 2 && p[m].place[i].there; which++) {
				const double *x = which ? p[m].place[i].guess : p[m].place[i].truth;
				double from[3] = {x[0] - v.middle[0], x[1] - v.middle[1], x[2] - v.middle[2]};
				reach = fmax(reach, fmax(fabs(dot(from, v.across)), fabs(dot(from, v.along))));
			}
	v.scale = (SIDE / 2 - EDGE) / reach;
	return v;
}

/* --- drawing --- */

static void project(const view *v, const double x[3], int left, double to[2])
{
	double from[3] = {x[0] - v->middle[0], x[1] - v->middle[1], x[2] - v->middle[2]};
	to[0] = left + SIDE / 2 + v->scale * dot(from, v->across);
	to[1] = HEADER + SIDE / 2 - v->scale * dot(from, v->along);
}

static void draw_path(e3_image *im, const view *v, const panel *p, int left, bool truth)
{
	double before[2], at[2];
	bool have = false;
	for (size_t i = 0; i < p->n; i++) {
		if (!p->place[i].there)
			continue;
		project(v, truth ? p->place[i].truth : p->place[i].guess, left, at);
		if (have)
			e3_draw_stroke(im, before, at, truth ? 3 : 1.6, truth ? grey : blue);
		memcpy(before, at, sizeof at), have = true;
	}
}

static void draw_panel(e3_image *im, const view *v, const panel *p, int left)
{
	char text[64];
	draw_path(im, v, p, left, true);
	draw_path(im, v, p, left, false);
	for (size_t k = 0; k < p->loops; k++) {
		const long *f = p->loop[k];
		double a[2], b[2];
		if (f[0] < 0 || f[1] < 0 || (size_t)f[0] >= p->n || (size_t)f[1] >= p->n)
			continue;
		project(v, p->place[f[0]].guess, left, a), project(v, p->place[f[1]].guess, left, b);
		e3_draw_stroke(im, a, b, 1.2, red);
		e3_draw_stroke(im, a, a, 4, red), e3_draw_stroke(im, b, b, 4, red);
	}
	snprintf(text, sizeof text, ": ATE %.3f, %zu loops", p->rms, p->loops);
	int x = left + EDGE + e3_draw_text(im, left + EDGE, 24, 1, ink, p->label);
	e3_draw_text(im, x, 24, 1, ink, text);
}

static int draw(const panel *p, size_t n, const char *title, const char *to, e3_err *err)
{
	e3_image im;
	if (e3_image_init(&im, SIDE * (int)n, HEADER + SIDE, 3, err))
		return -1;
	e3_draw_fill(&im, 0, 0, im.w, im.h, white);
	view v = look_down(p, n);
	int x = EDGE + e3_draw_text(&im, EDGE, 8, 1, ink, title);
	x += e3_draw_text(&im, x, 8, 1, grey, "   true path");
	x += e3_draw_text(&im, x, 8, 1, blue, "   predicted");
	e3_draw_text(&im, x, 8, 1, red, "   loops");
	for (size_t k = 0; k < n; k++)
		draw_panel(&im, &v, &p[k], SIDE * (int)k);
	int rc = e3_png_save(to, &im, err);
	e3_image_release(&im);
	return rc;
}

static const char *title = "", *output;
static const e3_opt table[] = {
	E3_OPT_TEXT("title", &title, "TEXT", "above the panels"),
	E3_OPT_TEXT("output,o", &output, "FILE", "the picture, PNG"),
	E3_OPT_END,
};

int main(int argc, char **argv)
{
	e3_tool_init("above");
	static const e3_opts opts = {.tool = "above",
		.usage = "-o FILE [options] LABEL=PATH...",
		.summary = "Draws paths from above: the true one, the predicted one, and the loops between them.",
		.table = table};
	int first = e3_opts_parse(&opts, argc, argv);
	if (!output || argc - first < 1 || argc - first > PANELS_MAX)
		e3_usage_error("-o and 1 to %d paths are expected", PANELS_MAX);
	static panel panels[PANELS_MAX];
	size_t n = (size_t)(argc - first);
	e3_err err;
	int rc = 0;
	for (size_t k = 0; !rc && k < n; k++)
		rc = read_panel(&panels[k], argv[first + (int)k], &err);
	if (!rc)
		rc = draw(panels, n, title, output, &err);
	for (size_t k = 0; k < n; k++)
		free(panels[k].place), free(panels[k].loop);
	return e3_tool_exit(rc, &err);
}
