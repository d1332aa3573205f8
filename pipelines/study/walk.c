/* study: what is measured of a long walk beside e3-eval's figures: errors along the path, the error of the cloud of
 * points, and which frames were joined. Reads a prediction stream that carries the truth; prints one JSON object.
 *
 * Lengths are in units of the truth. The path is aligned with the truth by a similarity over all frames, the cloud by
 * one of its own over all points. The cloud: a grid of 28 x 21 pixels of each frame (every 8th of 224 x 168), by depth
 * and pose, against the true places of the same pixels. */
#include "e3/err.h"
#include "e3/geom.h"
#include "e3/io.h"
#include "e3/json.h"
#include "e3/mem.h"
#include "e3/opt.h"
#include "e3/stream.h"
#include "e3/tool.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BINS = 40, ACROSS = 28, DOWN = 21, POINTS = ACROSS * DOWN };
#define FRAMES_MAX 1000000

typedef struct half {
	bool there;
	e3_pose pose;
	double centre[3];
	float (*points)[3]; /* [POINTS]; NULL: no depth */
} half;

typedef struct frame {
	half truth, guess;
	int w, h; /* of the depth that came first */
} frame;

typedef struct walk {
	frame *frame;
	size_t n, room;
	e3_edge *loop;
	size_t loops, joins, loops_room;
	int64_t segments;
} walk;

/* --- reading --- */

static frame *frame_of(walk *w, int64_t i, e3_err *err)
{
	if (i < 0 || i >= FRAMES_MAX) {
		e3_fail(err, "frame %" PRId64 ": no more than %d are expected", i, FRAMES_MAX);
		return NULL;
	}
	size_t n = (size_t)i + 1;
	if (n > w->room) {
		size_t room = n + n / 2 + 64;
		if (e3_grow((void **)&w->frame, room, sizeof *w->frame, "the frames", err))
			return NULL;
		memset(w->frame + w->room, 0, (room - w->room) * sizeof *w->frame);
		w->room = room;
	}
	w->n = n > w->n ? n : w->n;
	return &w->frame[i];
}

/* The points of a depth map on the grid, in the world. k counts from the centre of the first pixel, as truth does. Both
 * halves must show the same picture. */
static int take_points(frame *f, half *to, const float *depth, const e3_intrinsics *k, e3_err *err)
{
	if (f->w && abs(f->w * k->h - k->w * f->h) > f->w + f->h)
		return e3_fail(err, "truth and prediction show other parts of the picture: %d x %d and %d x %d", f->w, f->h,
			k->w, k->h);
	f->w = k->w, f->h = k->h;
	to->points = e3_alloc(POINTS, sizeof *to->points, "points", err);
	if (!to->points)
		return -1;
	for (int n = 0; n < POINTS; n++) {
		int u = (2 * (n % ACROSS) + 1) * k->w / (2 * ACROSS), v = (2 * (n / ACROSS) + 1) * k->h / (2 * DOWN);
		double d = depth[v * k->w + u], c[3] = {(u - k->cx) * d / k->fx, (v - k->cy) * d / k->fy, d};
		for (int j = 0; j < 3; j++)
			c[j] -= to->pose.t[j];
		for (int j = 0; j < 3; j++)
			to->points[n][j] = e3_depth_known((float)d)
				? (float)(to->pose.r[j] * c[0] + to->pose.r[3 + j] * c[1] + to->pose.r[6 + j] * c[2])
				: NAN;
	}
	return 0;
}

static int take_half(half *to, const float pose[9], e3_err *err)
{
	if (to->there)
		return e3_fail(err, "a frame was sent twice");
	if (e3_pose_decode(pose, &to->pose, err))
		return -1;
	to->there = true;
	e3_pose_center(&to->pose, to->centre);
	return 0;
}

static int take_pred(walk *w, const e3_pred *p, e3_err *err)
{
	frame *f = frame_of(w, p->s.i, err);
	if (!f)
		return -1;
	if (p->has_segment && p->segment >= w->segments)
		w->segments = p->segment + 1;
	if (!p->has_pose)
		return 0;
	if (take_half(&f->guess, p->pose, err))
		return -1;
	if (!p->depth || !e3_intrinsics_usable(p->pose))
		return 0;
	e3_intrinsics k = e3_intrinsics_decode(p->pose, p->w, p->h);
	k.cx -= 0.5, k.cy -= 0.5;
	return take_points(f, &f->guess, p->depth, &k, err);
}

static int take_truth(walk *w, const e3_truth *t, e3_err *err)
{
	frame *f = frame_of(w, t->i, err);
	if (!f || !t->has_pose)
		return f ? 0 : -1;
	if (take_half(&f->truth, t->pose, err))
		return -1;
	if (!t->depth || !t->has_intrinsics)
		return 0;
	e3_intrinsics k = {t->intrinsics[0], t->intrinsics[1], t->intrinsics[2], t->intrinsics[3], t->w, t->h};
	return take_points(f, &f->truth, t->depth, &k, err);
}

static int take_edge(walk *w, const e3_edge *e, e3_err *err)
{
	if (e->type == E3_EDGE_JOIN) {
		w->joins++;
		return 0;
	}
	if (w->loops == w->loops_room) {
		w->loops_room = 2 * w->loops_room + 16;
		if (e3_grow((void **)&w->loop, w->loops_room, sizeof *w->loop, "the loops", err))
			return -1;
	}
	w->loop[w->loops++] = *e;
	return 0;
}

static int read_stream(walk *w, const char *path, e3_err *err)
{
	e3_in *in = e3_in_open(path, NULL, err);
	e3_pred pred = {0};
	e3_truth truth = {0};
	e3_edge edge;
	e3_msg msg;
	int rc = in ? 1 : -1;
	while (rc > 0 && (rc = e3_in_next(in, &msg, err)) > 0) {
		int bad = 0;
		if (msg.kind == E3_PRED)
			bad = e3_pred_decode(&msg, &pred, err) || take_pred(w, &pred, err);
		else if (msg.kind == E3_TRUTH)
			bad = e3_truth_decode(&msg, &truth, err) || take_truth(w, &truth, err);
		else if (msg.kind == E3_EDGE)
			bad = e3_edge_decode(&msg, &edge, err) || take_edge(w, &edge, err);
		else if (msg.kind == E3_CORRECT)
			bad = e3_fail(err, "it contains corrections that are to be applied: use e3-align --final");
		rc = bad ? -1 : 1;
	}
	e3_pred_release(&pred), e3_truth_release(&truth);
	e3_in_close(in);
	return rc ? e3_fail_in(err, "reading %s", path) : 0;
}

/* --- measuring --- */

typedef struct figures {
	e3_similarity path;
	double *error, *turned; /* [frames] position, and rotation in degrees without alignment; NaN: unknown */
	double ate, rotation, length;
	double cloud_mean, cloud_median;
	size_t frames, points;
} figures;

static double distance(const double a[3], const double b[3])
{
	return sqrt((a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]) + (a[2] - b[2]) * (a[2] - b[2]));
}

static double turn_between(const e3_pose *a, const e3_pose *b)
{
	double inverse[4] = {-b->q[0], -b->q[1], -b->q[2], b->q[3]}, q[4];
	e3_quat_mul(a->q, inverse, q);
	return e3_quat_angle(q) * 180 / 3.14159265358979323846;
}

/* Truth and guess of the frames that have both, as points; *from and *to are allocated. */
static int collect(const walk *w, bool points, double (**from)[3], double (**to)[3], size_t *n, e3_err *err)
{
	size_t room = points ? w->n * POINTS : w->n;
	*n = 0;
	*from = e3_alloc(room, sizeof **from, "points", err), *to = e3_alloc(room, sizeof **to, "points", err);
	if (!*from || !*to)
		return -1;
	for (size_t i = 0; i < w->n; i++) {
		const frame *f = &w->frame[i];
		if (!f->truth.there || !f->guess.there)
			continue;
		if (!points) {
			memcpy((*from)[*n], f->guess.centre, sizeof **from);
			memcpy((*to)[(*n)++], f->truth.centre, sizeof **to);
		}
		for (size_t k = 0; points && f->truth.points && f->guess.points && k < POINTS; k++) {
			const float *g = f->guess.points[k], *t = f->truth.points[k];
			if (!isfinite(g[0]) || !isfinite(t[0]))
				continue;
			for (int j = 0; j < 3; j++)
				(*from)[*n][j] = g[j], (*to)[*n][j] = t[j];
			++*n;
		}
	}
	return 0;
}

static int measure_path(const walk *w, figures *f, e3_err *err)
{
	double(*from)[3] = NULL, (*to)[3] = NULL, squares = 0;
	const double *before = NULL;
	int rc = collect(w, false, &from, &to, &f->frames, err);
	if (!rc && f->frames < 3)
		rc = e3_fail(err, "%zu frames have a pose and a true one: three are needed", f->frames);
	if (!rc)
		rc = e3_similarity_fit((const double(*)[3])from, (const double(*)[3])to, f->frames, true, &f->path, err);
	free(from), free(to);
	for (size_t i = 0; !rc && i < w->n; i++) {
		const frame *x = &w->frame[i];
		f->error[i] = f->turned[i] = NAN;
		if (!x->truth.there || !x->guess.there)
			continue;
		double moved[3];
		e3_similarity_apply(&f->path, x->guess.centre, moved);
		f->error[i] = distance(moved, x->truth.centre);
		f->turned[i] = turn_between(&x->guess.pose, &x->truth.pose);
		squares += f->error[i] * f->error[i], f->rotation += f->turned[i] / (double)f->frames;
		f->length += before ? distance(before, x->truth.centre) : 0;
		before = x->truth.centre;
	}
	f->ate = sqrt(squares / (double)f->frames);
	return rc;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static int measure_cloud(const walk *w, figures *f, e3_err *err)
{
	double(*from)[3] = NULL, (*to)[3] = NULL;
	e3_similarity move;
	f->cloud_mean = f->cloud_median = NAN;
	int rc = collect(w, true, &from, &to, &f->points, err);
	if (!rc && f->points > 3) {
		rc = e3_similarity_fit((const double(*)[3])from, (const double(*)[3])to, f->points, true, &move, err);
		double *off = (double *)from; /* the distances replace the points */
		f->cloud_mean = 0;
		for (size_t k = 0; !rc && k < f->points; k++) {
			double moved[3];
			e3_similarity_apply(&move, from[k], moved);
			off[k] = distance(moved, to[k]);
			f->cloud_mean += off[k] / (double)f->points;
		}
		if (!rc) {
			qsort(off, f->points, sizeof *off, by_value);
			f->cloud_median = off[f->points / 2];
		}
	}
	free(from), free(to);
	return rc;
}

/* --- writing --- */

/* The mean of v in each fortieth of the path. */
static void write_along(e3_json *j, const char *key, const double *v, size_t n)
{
	double mean[BINS];
	for (size_t b = 0; b < BINS; b++) {
		double sum = 0;
		size_t known = 0;
		for (size_t i = b * n / BINS; i < (b + 1) * n / BINS; i++)
			if (isfinite(v[i]))
				sum += v[i], known++;
		mean[b] = known ? sum / (double)known : (double)NAN;
	}
	e3_json_reals(j, key, mean, BINS, 6);
}

static double apart(const walk *w, const e3_edge *e)
{
	const int64_t *at = e->frame;
	for (int k = 0; k < 2; k++)
		if (at[k] < 0 || (size_t)at[k] >= w->n || !w->frame[at[k]].truth.there)
			return NAN;
	return distance(w->frame[at[0]].truth.centre, w->frame[at[1]].truth.centre);
}

static int print_figures(const walk *w, const figures *f, e3_err *err)
{
	e3_buf text = {0};
	e3_json j = {.to = &text, .err = err};
	e3_json_object(&j, NULL);
	e3_json_int(&j, "frames", (int64_t)f->frames);
	e3_json_real(&j, "length", f->length, 9);
	e3_json_real(&j, "ate", f->ate, 9);
	e3_json_real(&j, "rotation", f->rotation, 9);
	e3_json_object(&j, "cloud");
	e3_json_real(&j, "mean", f->cloud_mean, 9);
	e3_json_real(&j, "median", f->cloud_median, 9);
	e3_json_int(&j, "points", (int64_t)f->points);
	e3_json_end(&j);
	write_along(&j, "along", f->error, w->n);
	write_along(&j, "turned", f->turned, w->n);
	e3_json_int(&j, "segments", w->segments);
	e3_json_int(&j, "joins", (int64_t)w->joins);
	e3_json_array(&j, "loops"); /* the two frames, and how far apart their true places are */
	for (size_t k = 0; k < w->loops; k++) {
		double v[3] = {(double)w->loop[k].frame[0], (double)w->loop[k].frame[1], apart(w, &w->loop[k])};
		e3_json_reals(&j, NULL, v, 3, 6);
	}
	e3_json_end(&j);
	e3_json_end(&j);
	if (!j.rc && (fwrite(text.data, 1, text.len, stdout) != text.len || putchar('\n') == EOF || fflush(stdout)))
		j.rc = e3_fail_sys(err, "writing the figures");
	e3_buf_release(&text);
	return j.rc;
}

/* For the picture from above: a line for each frame, true place and aligned guess, then the loops. */
static int write_path(const walk *w, const figures *f, const char *path, e3_err *err)
{
	FILE *to = fopen(path, "w");
	if (!to)
		return e3_fail_sys(err, "writing %s", path);
	for (size_t i = 0; i < w->n; i++) {
		const double *t = w->frame[i].truth.centre;
		double g[3];
		if (!isfinite(f->error[i]))
			continue;
		e3_similarity_apply(&f->path, w->frame[i].guess.centre, g);
		fprintf(to, "frame %zu %.6g %.6g %.6g %.6g %.6g %.6g\n", i, t[0], t[1], t[2], g[0], g[1], g[2]);
	}
	for (size_t k = 0; k < w->loops; k++)
		fprintf(to, "loop %" PRId64 " %" PRId64 "\n", w->loop[k].frame[0], w->loop[k].frame[1]);
	int bad = ferror(to);
	return fclose(to) || bad ? e3_fail_sys(err, "writing %s", path) : 0;
}

static const char *path_file;
static const e3_opt table[] = {
	E3_OPT_TEXT("path", &path_file, "FILE", "write the true and the aligned path into FILE, as text"),
	E3_OPT_END,
};

int main(int argc, char **argv)
{
	e3_tool_init("walk");
	static const e3_opts opts = {.tool = "walk",
		.usage = "[options] STREAM",
		.summary = "Errors along the path, of the cloud of points, and the loops of predictions with truth.",
		.table = table};
	int first = e3_opts_parse(&opts, argc, argv);
	if (argc - first != 1)
		e3_usage_error("one stream is expected, %d were given", argc - first);
	walk w = {0};
	figures f = {0};
	e3_err err;
	int rc = read_stream(&w, argv[first], &err);
	if (!rc) {
		f.error = e3_alloc(w.n, sizeof *f.error, "errors", &err);
		f.turned = e3_alloc(w.n, sizeof *f.turned, "errors", &err);
		rc = !f.error || !f.turned || measure_path(&w, &f, &err) || measure_cloud(&w, &f, &err) ? -1 : 0;
	}
	if (!rc && path_file)
		rc = write_path(&w, &f, path_file, &err);
	if (!rc)
		rc = print_figures(&w, &f, &err);
	for (size_t i = 0; i < w.n; i++)
		free(w.frame[i].truth.points), free(w.frame[i].guess.points);
	free(w.frame), free(w.loop), free(f.error), free(f.turned);
	return e3_tool_exit(rc, &err);
}
