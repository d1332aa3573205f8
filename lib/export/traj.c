/* export: trajectories and intrinsics as text (doc/formats.md 4.4, 4.5): a line per frame, written as the frame
 * arrives. */
#include "export/sink.h"
#include <stdlib.h>
#include <string.h>

typedef struct text text;
typedef int line_fn(text *t, e3_run *run, const e3_view *v, e3_err *err); /* negative on failure */

struct text {
	e3_sink sink;
	e3_file file;
	line_fn *line;
	bool begun;
	double last_q[4];      /* TUM: the quaternion before, for sign continuity */
	double from_first[12]; /* KITTI: camera from world of the first frame */
};

static int line_tum(text *t, e3_run *run, const e3_view *v, e3_err *err)
{
	double c[3], q[4], dot = 0;
	e3_pose_center(&v->pose, c);
	e3_pose_quat_to_world(&v->pose, q);
	for (int k = 0; k < 4; k++)
		dot += q[k] * (t->begun ? t->last_q[k] : k == 3);
	for (int k = 0; k < 4; k++)
		t->last_q[k] = q[k] = dot < 0 ? -q[k] : q[k];
	return fprintf(t->file.f, "%.6f %.9g %.9g %.9g %.9g %.9g %.9g %.9g\n", v->pred->s.pts, c[0], c[1], c[2], q[0], q[1],
		q[2], q[3]);
}

static int line_kitti(text *t, e3_run *run, const e3_view *v, e3_err *err)
{
	double m[12];
	e3_pose_to_world(&v->pose, m);
	if (run->opt->kitti_first_identity) {
		if (!t->begun)
			for (int row = 0; row < 3; row++) {
				for (int col = 0; col < 3; col++)
					t->from_first[4 * row + col] = v->pose.r[3 * row + col];
				t->from_first[4 * row + 3] = v->pose.t[row];
			}
		e3_rigid_mul(t->from_first, m, m);
	}
	return fprintf(t->file.f, "%.9e %.9e %.9e %.9e %.9e %.9e %.9e %.9e %.9e %.9e %.9e %.9e\n", m[0], m[1], m[2], m[3],
		m[4], m[5], m[6], m[7], m[8], m[9], m[10], m[11]);
}

static int line_intrinsics(text *t, e3_run *run, const e3_view *v, e3_err *err)
{
	e3_intrinsics k = v->k;
	if (!run->opt->model_intrinsics && e3_intrinsics_to_source(&v->k, &v->pred->s, &k, err))
		return -1;
	return fprintf(t->file.f, "%.9g %.9g %.9g %.9g %d %d\n", k.fx, k.fy, k.cx, k.cy, k.w, k.h);
}

static int text_add(e3_sink *sink, e3_run *run, const e3_view *v, e3_err *err)
{
	text *t = (text *)sink;
	if (!v->pred->has_pose)
		return e3_fail(err, "writing: %s: the stream has no pose for frame %lld (see e3-infer --outputs)", t->file.path,
			(long long)v->pred->s.i);
	if (err)
		err->text[0] = 0;
	if (t->line(t, run, v, err) < 0)
		return err && err->text[0] ? -1 : e3_fail_sys(err, "writing: %s", t->file.path);
	t->begun = true;
	/* what cannot be taken back anyway leaves before the next frame is read */
	return t->file.temp ? 0 : e3_sink_flush(&t->file, err);
}

static int text_write(e3_sink *sink, e3_run *run, e3_err *err) { return e3_sink_flush(&((text *)sink)->file, err); }

static int text_commit(e3_sink *sink, e3_err *err) { return e3_file_commit(&((text *)sink)->file, err); }

static void text_free(e3_sink *sink)
{
	e3_file_discard(&((text *)sink)->file);
	free(sink);
}

static const e3_sink_ops ops = {text_add, text_write, text_commit, text_free};

static e3_sink *text_open(const char *path, line_fn *line, const char *header, e3_err *err)
{
	text *t = e3_alloc(1, sizeof *t, "a text file", err);
	if (!t)
		return NULL;
	*t = (text){.sink = {&ops}, .line = line};
	if (e3_file_renew(&t->file, path, err) || e3_file_write(&t->file, header, strlen(header), err)) {
		text_free(&t->sink);
		return NULL;
	}
	return &t->sink;
}

e3_sink *e3_tum_open(e3_run *run, e3_err *err)
{
	return text_open(run->opt->tum, line_tum, "# timestamp tx ty tz qx qy qz qw (world from camera)\n", err);
}

e3_sink *e3_kitti_open(e3_run *run, e3_err *err) { return text_open(run->opt->kitti, line_kitti, "", err); }

e3_sink *e3_intrinsics_open(e3_run *run, e3_err *err)
{
	return text_open(run->opt->intrinsics, line_intrinsics, "", err);
}
