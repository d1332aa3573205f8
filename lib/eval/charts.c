/* eval: charts: errors over time, the predicted camera path above the true one, accuracy against memory. */
#include "eval/tasks.h"
#include "e3/io.h"
#include "e3/plot.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { W = 900, H = 420, MAP = 640, KEY_CHARS = 24, KEYS = 20 };

static const char *unit_of(const e3_eval_seq *s) { return s->unit[0] ? s->unit : "units of the truth"; }

static const e3_pen black = {{40, 44, 52}, 2, false}, red = {{200, 60, 50}, 2, false},
					blue = {{50, 100, 190}, 2, false};

static int path_in(char *to, size_t size, const char *dir, const char *name, e3_err *err)
{
	return (size_t)snprintf(to, size, "%s/%s", dir, name) < size
		? 0
		: e3_fail(err, "drawing: %s: the path is too long", dir);
}

static int save(e3_plot *p, const char *dir, const char *name, e3_err *err)
{
	char path[4096];
	int rc = path_in(path, sizeof path, dir, name, err) || e3_png_save(path, &p->im, err) ? -1 : 0;
	e3_plot_release(p);
	return rc;
}

typedef struct curve {
	const char *key;
	const double *y;
	const e3_pen *pen;
} curve;

/* Curves over the frames x. */
typedef struct chart {
	const char *file, *title, *unit;
	const curve *curve;
	int curves;
	const double *x;
	size_t n;
} chart;

static int draw_curves(const char *dir, const chart *c, e3_err *err)
{
	double top = 0;
	for (int k = 0; k < c->curves; k++)
		for (size_t j = 0; j < c->n; j++)
			top = isfinite(c->curve[k].y[j]) ? fmax(top, c->curve[k].y[j]) : top;
	e3_plot p;
	e3_plot_axes axes = {.w = W,
		.h = H,
		.title = c->title,
		.x_label = "frame",
		.y_label = c->unit,
		.x0 = c->x[0],
		.x1 = c->x[c->n - 1],
		.y1 = top > 0 ? 1.08 * top : 1,
		.whole_x = true,
		.key_chars = KEY_CHARS};
	if (e3_plot_init(&p, &axes, err))
		return -1;
	for (int k = 0; k < c->curves; k++) {
		e3_plot_curve(&p, c->x, c->curve[k].y, c->n, c->curve[k].pen);
		e3_plot_key(&p, c->curve[k].key, c->curve[k].pen);
	}
	return save(&p, dir, c->file, err);
}

/* Error of depth in each frame: aligned by itself, and with the alignment of the sequence. */
static int draw_depth(const e3_eval_seq *s, const char *dir, e3_err *err)
{
	size_t n = s->n_frame_errors;
	double *v = e3_alloc(n ? n : 1, 3 * sizeof *v, "a curve", err), *alone = v + n, *together = v + 2 * n;
	char title[256], key[64];
	if (!v)
		return -1;
	bool has = false;
	for (size_t k = 0; k < n; k++) {
		v[k] = (double)s->frame_error[k].i, alone[k] = s->frame_error[k].image,
		together[k] = s->frame_error[k].sequence;
		has |= isfinite(together[k]);
	}
	snprintf(title, sizeof title, "%.100s: error of depth", s->name);
	snprintf(key, sizeof key, "sequence: %s", s->curve_align ? s->curve_align : "");
	const curve c[2] = {{"each image's median", alone, &blue}, {key, together, &red}};
	const chart all = {"depth.png", title, "AbsRel", c, has ? 2 : 1, v, n};
	int rc = n ? draw_curves(dir, &all, err) : 0;
	free(v);
	return rc;
}

static double turn_of(const e3_camera_pose *a, const e3_camera_pose *b)
{
	const double back[4] = {-a->q[0], -a->q[1], -a->q[2], a->q[3]};
	double q[4];
	e3_quat_mul(back, b->q, q);
	return e3_quat_angle(q) * 180 / 3.14159265358979323846;
}

static int draw_pose(const e3_eval_seq *s, const char *dir, e3_err *err)
{
	size_t n = (size_t)s->path.frames;
	double *v = e3_alloc(n, 2 * sizeof *v, "a curve", err), *turn = v + n;
	char title[256];
	if (!v)
		return -1;
	for (size_t k = 0; k < n; k++)
		v[k] = (double)k, turn[k] = turn_of(&s->true_pose[k], &s->pose[k]);
	snprintf(title, sizeof title, "%.100s: distance from the true position, path aligned", s->name);
	const curve position = {"position", s->ate, &red}, rotation = {"rotation", turn, &blue};
	int rc = draw_curves(dir, &(chart){"position.png", title, unit_of(s), &position, 1, v, n}, err);
	snprintf(title, sizeof title, "%.100s: rotation error, not aligned", s->name);
	if (!rc)
		rc = draw_curves(dir, &(chart){"rotation.png", title, "degrees", &rotation, 1, v, n}, err);
	free(v);
	return rc;
}

/* Top view, x to the right and z (forward) upwards: both paths in the world of the truth. */
static int draw_path(const e3_eval_seq *s, const char *dir, e3_err *err)
{
	size_t n = (size_t)s->path.frames;
	double *v = e3_alloc(n, 4 * sizeof *v, "a path", err), lo[2] = {INFINITY, INFINITY}, hi[2] = {-INFINITY, -INFINITY};
	char title[256];
	if (!v)
		return -1;
	for (size_t k = 0; k < n; k++) {
		double y[3];
		e3_similarity_apply(&s->path.score.sim, s->pose[k].x, y);
		v[k] = s->true_pose[k].x[0], v[n + k] = s->true_pose[k].x[2], v[2 * n + k] = y[0], v[3 * n + k] = y[2];
		for (int j = 0; j < 4; j++)
			lo[j & 1] = fmin(lo[j & 1], v[(size_t)j * n + k]), hi[j & 1] = fmax(hi[j & 1], v[(size_t)j * n + k]);
	}
	double half = 0.54 * fmax(fmax(hi[0] - lo[0], hi[1] - lo[1]), 1e-9), x = (lo[0] + hi[0]) / 2,
		   z = (lo[1] + hi[1]) / 2;
	snprintf(title, sizeof title, "%.100s: the path from above, in %s", s->name, unit_of(s));
	e3_plot p;
	e3_plot_axes axes = {.w = MAP,
		.h = MAP,
		.title = title,
		.x_label = "x (right)",
		.y_label = "z (forward)",
		.x0 = x - half,
		.x1 = x + half,
		.y0 = z - half,
		.y1 = z + half,
		.key_chars = KEY_CHARS};
	if (e3_plot_init(&p, &axes, err)) {
		free(v);
		return -1;
	}
	e3_plot_curve(&p, v, v + n, n, &black);
	e3_plot_curve(&p, v + 2 * n, v + 3 * n, n, &red);
	e3_plot_curve(&p, v, v + n, 1, &(e3_pen){{40, 44, 52}, 6, false});
	e3_plot_key(&p, "truth, from the dot", &black), e3_plot_key(&p, "predicted", &red);
	free(v);
	return save(&p, dir, "path.png", err);
}

/* The error that is drawn against memory; NaN where an input was not scored. */
static double depth_error(const e3_eval_seq *s) { return s->curve_score; }

static double path_error(const e3_eval_seq *s) { return s->path.scored ? s->path.score.ate.rmse : NAN; }

static double cloud_error(const e3_eval_seq *s)
{
	return s->recon.scored ? (s->recon.score.acc + s->recon.score.comp) / 2 : NAN;
}

typedef struct memory_chart {
	const char *file, *title, *y;
	double (*error)(const e3_eval_seq *s);
	bool has_unit;
} memory_chart;

static const memory_chart memory_charts[] = {
	{"memory_depth.png", "Error of depth against memory", "AbsRel", depth_error, false},
	{"memory_pose.png", "Error of the path against memory", "ATE", path_error, true},
	{"memory_recon.png", "Error of the points against memory", "mean of Acc and Comp", cloud_error, true},
};

/* One point for each input: the largest size of its cache, and its error. */
static int draw_memory(const e3_eval_report *r, const char *dir, const memory_chart *c, e3_err *err)
{
	char y_label[160];
	double *v = e3_alloc((size_t)r->n, 2 * sizeof *v, "points", err), top[2] = {0};
	int n = 0, *of = e3_alloc((size_t)r->n, sizeof *of, "points", err), rc = v && of ? 0 : -1;
	for (int k = 0; !rc && k < r->n; k++) {
		const e3_eval_seq *s = &r->seq[k];
		double y = c->error(s);
		if (s->failed || !s->has_end || !s->end.cache_full || !isfinite(y))
			continue;
		v[2 * n] = (double)s->end.cache_peak / 1048576, v[2 * n + 1] = y, of[n] = k;
		top[0] = fmax(top[0], v[2 * n]), top[1] = fmax(top[1], y);
		n++;
	}
	snprintf(y_label, sizeof y_label, "%s%s%s", c->y, c->has_unit ? ", " : "", c->has_unit ? unit_of(r->seq) : "");
	e3_plot p = {0};
	e3_plot_axes axes = {.w = W,
		.h = H,
		.title = c->title,
		.x_label = "cache at its largest, MiB",
		.y_label = y_label,
		.x1 = 1.08 * top[0],
		.y1 = top[1] > 0 ? 1.15 * top[1] : 1,
		.key_chars = KEY_CHARS + 4};
	if (!rc && n > 1)
		rc = e3_plot_init(&p, &axes, err);
	for (int k = 0; !rc && n > 1 && k < n; k++) {
		e3_pen pen = {.width = 9};
		e3_cmap_rgb(E3_VIRIDIS, 0.9 * k / (n - 1), pen.rgb);
		e3_plot_curve(&p, &v[2 * k], &v[2 * k + 1], 1, &pen);
		if (n <= KEYS) {
			char key[32];
			snprintf(key, sizeof key, "%.24s", r->seq[of[k]].name);
			e3_plot_key(&p, key, &pen);
		}
	}
	if (!rc && n > 1)
		rc = save(&p, dir, c->file, err);
	free(v), free(of);
	return rc;
}

static int draw_sequence(const e3_eval_seq *s, const char *root, e3_err *err)
{
	char dir[4096], path[4200], title[256];
	if (path_in(dir, sizeof dir, root, s->name, err) || e3_mkdirs(dir, err))
		return -1;
	if (s->shots) {
		snprintf(title, sizeof title, "%.100s: %" PRId64 " frames, AbsRel of each image", s->name, s->frames);
		if (path_in(path, sizeof path, dir, "errors.png", err) ||
			eval_shots_draw(s->shots, title, unit_of(s), path, err))
			return -1;
	}
	if (draw_depth(s, dir, err))
		return -1;
	return s->path.scored && (draw_pose(s, dir, err) || draw_path(s, dir, err)) ? -1 : 0;
}

int e3_eval_charts(const e3_eval_report *r, const char *dir, e3_err *err)
{
	if (e3_mkdirs(dir, err))
		return -1;
	for (int k = 0; k < r->n; k++)
		if (!r->seq[k].failed && draw_sequence(&r->seq[k], dir, err))
			return -1;
	for (size_t k = 0; k < sizeof memory_charts / sizeof *memory_charts; k++)
		if (draw_memory(r, dir, &memory_charts[k], err))
			return -1;
	return 0;
}
