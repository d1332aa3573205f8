/* eval: the reference's own result files (doc/evaluation.md 7), byte for byte where their layout is known:
 * metric.json, result_ALIGN.json, SEQ/pred_traj.txt, pred_focal.txt, pred_intrinsics.txt, SEQ_eval_metric.txt,
 * _error_log.txt, logs_0.txt, logs_all.txt. */
#include "eval/tasks.h"
#include "e3/io.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A number as Python prints it: the fewest digits that read back as the same double. */
static void python_repr(double v, char to[40])
{
	char digits[32];
	int n = 0;
	if (!isfinite(v)) {
		snprintf(to, 40, isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity");
		return;
	}
	do
		snprintf(digits, sizeof digits, "%.*e", n, v);
	while (strtod(digits, NULL) != v && n++ < 17);
	int exponent = atoi(strchr(digits, 'e') + 1);
	if (v != 0 && (exponent < -4 || exponent >= 16)) {
		snprintf(to, 40, "%s", digits);
		return;
	}
	snprintf(to, 40, "%.*f", n > exponent ? n - exponent : 0, v);
	if (!strchr(to, '.'))
		memcpy(to + strlen(to), ".0", 3);
}

static int save(const char *dir, const char *name, const e3_buf *text, e3_err *err)
{
	char path[4096];
	e3_file file;
	if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, name) >= sizeof path)
		return e3_fail(err, "writing results: %s: the path is too long", dir);
	if (e3_file_open(&file, path, err))
		return -1;
	if (text->len && e3_file_write(&file, text->data, text->len, err)) {
		e3_file_discard(&file);
		return -1;
	}
	return e3_file_commit(&file, err);
}

static int depth_json(const char *dir, const char *name, const e3_depth_score *s, e3_err *err)
{
	static const char *const key[] = {"Abs Rel", "Sq Rel", "RMSE", "Log RMSE", "\\u03b4 < 1.", "\\u03b4 < 1.25",
		"\\u03b4 < 1.25^2", "\\u03b4 < 1.25^3"};
	const double v[] = {s->abs_rel, s->sq_rel, s->rmse, s->log_rmse, s->delta[0], s->delta[1], s->delta[2],
		s->delta[3]};
	e3_buf text = {0};
	int rc = 0;
	for (int k = 0; !rc && k < 8; k++) {
		char number[40];
		python_repr(v[k], number);
		rc = e3_buf_printf(&text, err, "%s\"%s\": %s", k ? ", " : "{", key[k], number);
	}
	rc = rc || e3_buf_add(&text, "}", 1, err) || save(dir, name, &text, err) ? -1 : 0;
	e3_buf_release(&text);
	return rc;
}

static int depth_files(const e3_eval_report *r, const char *dir, e3_err *err)
{
	const e3_eval_seq *s = r->average ? r->average : r->seq;
	if (r->o->tasks >> E3_EVAL_DEPTH & 1 && s->depth.score.n > 0 &&
		depth_json(dir, "metric.json", &s->depth.score, err))
		return -1;
	for (int k = 0; k < E3_EVAL_ALIGNS; k++) {
		char name[64];
		snprintf(name, sizeof name, "result_%s.json", e3_depth_align_name((e3_depth_align)k));
		if (s->video[k].score.n > 0 && depth_json(dir, name, &s->video[k].score, err))
			return -1;
	}
	return 0;
}

/* A block of statistics as evo prints it. */
static int stats_block(e3_buf *to, const char *title, const e3_stats *s, e3_err *err)
{
	return e3_buf_printf(to, err,
		"%s(with Sim(3) Umeyama alignment)\n\n%10s\t%.6f\n%10s\t%.6f\n%10s\t%.6f\n%10s\t%.6f\n%10s\t%.6f\n"
		"%10s\t%.6f\n%10s\t%.6f\n",
		title, "max", s->max, "mean", s->mean, "median", s->median, "min", s->min, "rmse", s->rmse, "sse", s->sse,
		"std", s->std);
}

static int metric_text(const char *dir, const e3_eval_seq *s, e3_err *err)
{
	const e3_path_score *p = &s->path.score;
	e3_buf text = {0};
	char name[1024];
	snprintf(name, sizeof name, "%.900s_eval_metric.txt", s->name);
	int rc = e3_buf_printf(&text, err, "Seq: %s \n\n", s->name) ||
			stats_block(&text, "APE w.r.t. translation part (m)\n", &p->ate, err) ||
			stats_block(&text, "RPE w.r.t. rotation angle in degrees (deg)\nfor delta = 1 (frames) using all pairs\n",
				&p->rpe_r, err) ||
			stats_block(&text, "RPE w.r.t. translation part (m)\nfor delta = 1 (frames) using all pairs\n", &p->rpe_t,
				err) ||
			save(dir, name, &text, err)
		? -1
		: 0;
	e3_buf_release(&text);
	return rc;
}

/* Scalar first, although the file looks like a TUM trajectory, as the reference writes it. */
static int traj_text(const char *dir, const e3_eval_seq *s, e3_err *err)
{
	char path[4096];
	e3_traj traj = {0};
	int rc = 0;
	if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, s->name) >= sizeof path - 16)
		return e3_fail(err, "writing results: %s: the path is too long", dir);
	if (e3_mkdirs(path, err))
		return -1;
	for (int64_t k = 0; !rc && k < s->path.frames; k++) {
		double m[12], r[9];
		rc = e3_quat_to_mat(s->pose[k].q, r)
			? e3_fail(err, "writing results: %s: the matrix of a pose is not a rotation", s->name)
			: 0;
		for (int row = 0; row < 3; row++) {
			memcpy(m + 4 * row, r + 3 * row, 3 * sizeof *m);
			m[4 * row + 3] = s->pose[k].x[row];
		}
		rc = rc || e3_traj_add(&traj, (double)k, m, err) ? -1 : 0;
	}
	memcpy(path + strlen(path), "/pred_traj.txt", 15);
	rc = rc || e3_traj_save(path, E3_TRAJ_TUM_WXYZ, &traj, err) ? -1 : 0;
	e3_traj_release(&traj);
	return rc;
}

/* Focal length and K of each frame, in pixels of the network's picture. The reference has square pixels and so one
 * focal length; here the horizontal one is written, which is also K's first number. */
static int intrinsics_text(const char *dir, const e3_eval_seq *s, e3_err *err)
{
	e3_buf focal = {0}, k9 = {0};
	char name[1024];
	int rc = 0;
	for (int64_t k = 0; !rc && k < s->path.frames; k++) {
		const e3_intrinsics *c = &s->intrinsics[k];
		rc = e3_buf_printf(&focal, err, "%.6f\n", c->fx) ||
				e3_buf_printf(&k9, err, "%.6f %.6f %.6f %.6f %.6f %.6f %.6f %.6f %.6f\n", c->fx, 0.0, c->cx, 0.0, c->fy,
					c->cy, 0.0, 0.0, 1.0)
			? -1
			: 0;
	}
	snprintf(name, sizeof name, "%.900s/pred_focal.txt", s->name);
	rc = rc || save(dir, name, &focal, err) ? -1 : 0;
	snprintf(name, sizeof name, "%.900s/pred_intrinsics.txt", s->name);
	rc = rc || save(dir, name, &k9, err) ? -1 : 0;
	e3_buf_release(&focal), e3_buf_release(&k9);
	return rc;
}

/* The value that is read back from the text files, which have six digits after the point. */
static double six(double v)
{
	char text[64];
	snprintf(text, sizeof text, "%.6f", v);
	return strtod(text, NULL);
}

static int error_log(const e3_eval_report *r, const char *dir, e3_err *err)
{
	e3_buf text = {0};
	double sum[3] = {0};
	int n = 0, rc = 0;
	for (int k = 0; !rc && k < r->n; k++) {
		const e3_eval_seq *s = &r->seq[k];
		const double v[3] = {s->path.score.ate.rmse, s->path.score.rpe_t.rmse, s->path.score.rpe_r.rmse};
		if (!s->path.scored) {
			rc = e3_buf_printf(&text, err, "Exception in sequence %s: %s\n", s->name,
				s->failed ? s->why : eval_task_pose.why(s));
			continue;
		}
		rc = e3_buf_printf(&text, err, "%s-%-16s | ATE: %.5f, RPE trans: %.5f, RPE rot: %.5f\n%.5f\n%.5f\n%.5f\n",
			r->o->dataset, s->name, v[0], v[1], v[2], v[0], v[1], v[2]);
		for (int j = 0; j < 3; j++)
			sum[j] += six(v[j]);
		n++;
	}
	rc = rc ||
			(n &&
				e3_buf_printf(&text, err, "Average ATE: %.5f, Average RPE trans: %.5f, Average RPE rot: %.5f\n",
					sum[0] / n, sum[1] / n, sum[2] / n)) ||
			save(dir, "_error_log.txt", &text, err)
		? -1
		: 0;
	e3_buf_release(&text);
	return rc;
}

/* The scene's name in the data set, as in chess/seq-03, when the stream comes from the data set that was named; else
 * the name of the file. */
static void scene_id(const e3_eval_report *r, const e3_eval_seq *s, char to[256])
{
	size_t n = strlen(r->o->dataset);
	const char *from = s->head.source;
	bool of_set =
		from && strcmp(r->o->dataset, "e3") && !strncasecmp(from, r->o->dataset, n) && from[n] == '/' && from[n + 1];
	snprintf(to, 256, "%s", of_set ? from + n + 1 : s->name);
	e3_text_clean(to);
}

/* A line for each scene, with the reference's labels. The reference appends to the file; this replaces it. */
static int recon_lines(const e3_eval_report *r, e3_buf *text, e3_err *err)
{
	for (int k = 0; k < r->n; k++) {
		const e3_recon_score *s = &r->seq[k].recon.score;
		const double v[8] = {s->acc, s->comp, s->nc1, s->nc2, s->acc_med, s->comp_med, s->nc1_med, s->nc2_med};
		char t[8][40], id[256];
		if (!r->seq[k].recon.scored)
			continue;
		for (int j = 0; j < 8; j++)
			python_repr(v[j], t[j]);
		scene_id(r, &r->seq[k], id);
		if (e3_buf_printf(text, err,
				"Idx: %s, Acc: %s, Comp: %s, NC1: %s, NC2: %s - Acc_med: %s, Compc_med: %s, NC1c_med: %s, NC2c_med: %s\n",
				id, t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7]))
			return -1;
	}
	return 0;
}

static int recon_logs(const e3_eval_report *r, const char *dir, e3_err *err)
{
	const e3_recon_score *s = r->average ? &r->average->recon.score : &r->seq->recon.score;
	e3_buf text = {0};
	int rc = recon_lines(r, &text, err) || save(dir, "logs_0.txt", &text, err) ||
			e3_buf_printf(&text, err,
				"%-20s: acc: %.3f | comp: %.3f | nc1: %.3f | nc2: %.3f | acc_med: %.3f | comp_med: %.3f | "
				"nc1_med: %.3f | nc2_med: %.3f | nc: %.3f | nc_med: %.3f | \n",
				"mean", s->acc, s->comp, s->nc1, s->nc2, s->acc_med, s->comp_med, s->nc1_med, s->nc2_med, s->nc,
				s->nc_med) ||
			save(dir, "logs_all.txt", &text, err)
		? -1
		: 0;
	e3_buf_release(&text);
	return rc;
}

int e3_eval_results(const e3_eval_report *r, const char *dir, e3_err *err)
{
	if (e3_mkdirs(dir, err) || depth_files(r, dir, err))
		return -1;
	if (r->o->tasks >> E3_EVAL_RECON & 1 && recon_logs(r, dir, err))
		return -1;
	if (!(r->o->tasks >> E3_EVAL_POSE & 1))
		return 0;
	for (int k = 0; k < r->n; k++) {
		const e3_eval_seq *s = &r->seq[k];
		if (s->path.frames && (traj_text(dir, s, err) || (s->intrinsics && intrinsics_text(dir, s, err))))
			return -1;
		if (s->path.scored && metric_text(dir, s, err))
			return -1;
	}
	return error_log(r, dir, err);
}

int eval_save_npy(const e3_eval_options *o, const char *name, int64_t k, const e3_pred *p, e3_err *err)
{
	char path[4096];
	const e3_depth depth = {p->w, p->h, p->depth};
	if ((size_t)snprintf(path, sizeof path, "%s/%s", o->results, name) >= sizeof path - 64)
		return e3_fail(err, "writing results: %s: the path is too long", o->results);
	if (k == 0 && e3_mkdirs(path, err))
		return -1;
	snprintf(path + strlen(path), 64, "/frame_%04" PRId64 "%s.npy", k, o->tasks == 1u << E3_EVAL_DEPTH ? "depth" : "");
	return e3_npy_save(path, &depth, err);
}
