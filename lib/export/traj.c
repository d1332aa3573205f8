/* export: trajectories and intrinsics as text (doc/formats.md 4.4, 4.5): one line per frame, written as it arrives. */
#include "export/writer.h"

typedef struct text text;
typedef int line_fn(text *t, e3_export_run *run, const e3_export_frame *frame, e3_err *err); /* negative on failure */

struct text {
	e3_format_writer base;
	line_fn *line;
	bool begun;
	int64_t lensless;      /* frames without a usable field of view */
	off_t whole;           /* the end of the last line in the file */
	double last_q[4];      /* TUM: the previous quaternion; q and -q are one rotation, and the sign must not jump */
	double from_first[12]; /* KITTI: camera from world of the first frame */
};

static int line_tum(text *t, e3_export_run *run, const e3_export_frame *frame, e3_err *err)
{
	double c[3], q[4], dot = 0;
	e3_pose_center(&frame->pose, c);
	e3_pose_quat_to_world(&frame->pose, q);
	for (int k = 0; k < 4; k++)
		dot += q[k] * (t->begun ? t->last_q[k] : k == 3);
	for (int k = 0; k < 4; k++)
		t->last_q[k] = q[k] = dot < 0 ? -q[k] : q[k];
	return fprintf(t->base.file.f, "%.6f %.9g %.9g %.9g %.9g %.9g %.9g %.9g\n", frame->pred->s.pts, c[0], c[1], c[2],
		q[0], q[1], q[2], q[3]);
}

static int line_kitti(text *t, e3_export_run *run, const e3_export_frame *frame, e3_err *err)
{
	double m[12];
	e3_pose_to_world(&frame->pose, m);
	if (run->opt->kitti_first_identity) {
		if (!t->begun)
			for (int row = 0; row < 3; row++) {
				for (int col = 0; col < 3; col++)
					t->from_first[4 * row + col] = frame->pose.r[3 * row + col];
				t->from_first[4 * row + 3] = frame->pose.t[row];
			}
		e3_rigid_mul(t->from_first, m, m);
	}
	return fprintf(t->base.file.f, "%.9e %.9e %.9e %.9e %.9e %.9e %.9e %.9e %.9e %.9e %.9e %.9e\n", m[0], m[1], m[2],
		m[3], m[4], m[5], m[6], m[7], m[8], m[9], m[10], m[11]);
}

static int line_intrinsics(text *t, e3_export_run *run, const e3_export_frame *frame, e3_err *err)
{
	e3_intrinsics k = frame->k;
	t->lensless += !frame->usable_k;
	if (!run->opt->model_intrinsics && e3_intrinsics_to_source(&frame->k, &frame->pred->s, &k, err))
		return -1;
	if (!frame->usable_k)
		k.fx = k.fy = 0;
	return fprintf(t->base.file.f, "%.9g %.9g %.9g %.9g %d %d\n", k.fx, k.fy, k.cx, k.cy, k.w, k.h);
}

static int text_check(const e3_format_writer *w, const e3_pred *pred, e3_err *err)
{
	return pred->has_pose
		? 0
		: e3_fail(err, "writing: %s: the stream has no pose for frame %lld: e3-infer ran without the output pose",
			  e3_file_name(&w->file), (long long)pred->s.i);
}

static int text_add(e3_format_writer *w, e3_export_run *run, const e3_export_frame *frame, e3_err *err)
{
	text *t = (text *)w;
	if (err)
		err->text[0] = 0;
	if (t->line(t, run, frame, err) < 0)
		return err && err->text[0] ? -1 : e3_fail_sys(err, "writing: %s", e3_file_name(&w->file));
	t->begun = true;
	/* Each line leaves before the next frame is read: a full disk costs none of those before. */
	if (e3_writer_flush(w, err))
		return -1;
	t->whole = w->file.temp ? ftello(w->file.f) : 0;
	return 0;
}

static int text_cut(e3_format_writer *w, e3_err *err)
{
	off_t whole = ((text *)w)->whole;
	return w->file.temp && whole >= 0 ? e3_spool_cut(w->file.f, (uint64_t)whole, err) : -1;
}

static int tell_lensless(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	e3_tell_lensless(w->file.path, ((text *)w)->lensless, w->frames);
	return 0;
}

static int open_tum(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	static const char header[] = "# timestamp tx ty tz qx qy qz qw (world from camera)\n";
	((text *)w)->line = line_tum;
	return e3_file_write(&w->file, header, sizeof header - 1, err);
}

static int open_kitti(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	((text *)w)->line = line_kitti;
	return 0;
}

static int open_intrinsics(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	((text *)w)->line = line_intrinsics;
	return 0;
}

const e3_format_ops e3_tum_format = {.size = sizeof(text),
	.open = open_tum,
	.check = text_check,
	.add = text_add,
	.cut = text_cut};
const e3_format_ops e3_kitti_format = {.size = sizeof(text),
	.open = open_kitti,
	.check = text_check,
	.add = text_add,
	.cut = text_cut};
const e3_format_ops e3_intrinsics_format = {.size = sizeof(text),
	.open = open_intrinsics,
	.check = text_check,
	.add = text_add,
	.cut = text_cut,
	.write = tell_lensless};
