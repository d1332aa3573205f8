/* sets: Neural RGB-D: rendered scenes, numbered without zeros, one poses.txt each (doc/evaluation.md 2.6). */
#include "write.h"
#include <stdlib.h>
#include <string.h>

static const char *const published[] = {"breakfast_room", "complete_kitchen", "green_room", "grey_white_room",
	"kitchen", "morning_apartment", "staircase", "thin_geometry", "whiteroom", NULL};

static const e3_intrinsics camera = {554.2562584220408, 554.2562584220408, 320, 240, 640, 480};

static int list(e3_set *s, e3_err *err) { return sets_list_folders(s, s->base, (sets_pattern){0}, published, err); }

static int add_frame(const char *home, int64_t k, const double pose[12], e3_seq *q, e3_err *err)
{
	sets_frame *f = sets_add(q, sets_path(err, "%s/images/img%lld.png", home, (long long)k), k, err);
	if (!f || !(f->depth = sets_path(err, "%s/depth/depth%lld.png", home, (long long)k)))
		return -1;
	memcpy(f->pose, pose, sizeof f->pose);
	f->has_pose = true, f->k = camera;
	return sets_need(f->image, "expected a picture", err) || sets_need(f->depth, "expected a depth map", err) ? -1 : 0;
}

static int open_sequence(const e3_set *s, const char *name, e3_seq *q, e3_err *err)
{
	sets_names images = {0}, depths = {0};
	e3_traj t = {0};
	char *home = sets_path(err, "%s%s", s->base, name), *poses = home ? sets_path(err, "%s/poses.txt", home) : NULL;
	char *folder[2] = {poses ? sets_path(err, "%s/images", home) : NULL,
		poses ? sets_path(err, "%s/depth", home) : NULL};
	int rc = folder[0] && folder[1] ? 0 : -1;
	if (!rc)
		rc = sets_listing(folder[0], (sets_pattern){"img", ".png", false}, "pictures", &images, err) ||
			sets_listing(folder[1], (sets_pattern){"depth", ".png", false}, "depth maps", &depths, err) ||
			e3_traj_load(poses, E3_TRAJ_NRGBD, &t, err);
	q->counts = (e3_seq_counts){.images = (int64_t)images.n, .depths = (int64_t)depths.n, .poses = (int64_t)t.n};
	if (!rc && t.n < images.n)
		rc = e3_fail(err, "reading: %s: %zu pose%s: expected one for each of the %zu pictures", poses, t.n, SETS_S(t.n),
			images.n);
	int64_t n = (int64_t)images.n, step = s->o.stride < n / 2 ? s->o.stride : n / 2,
			most = s->o.max_frames ? s->o.max_frames : INT64_MAX;
	for (int64_t k = 0; !rc && k < n && (int64_t)q->n<most; k += step> 0 ? step : 1)
		rc = add_frame(home, k, t.pose[k], q, err);
	q->strided = true;
	sets_names_release(&images);
	sets_names_release(&depths);
	e3_traj_release(&t);
	free(home), free(poses), free(folder[0]), free(folder[1]);
	return rc ? -1 : 0;
}

/* --- writing --- */

static int put(e3_set_writer *w, const e3_set_shot *s, e3_err *err)
{
	long long k = w->n;
	if (sets_save_rgb(sets_to_write(w, err, "%s/images/img%lld.png", w->name, k), s, err))
		return -1;
	return sets_save_depth16(sets_to_write(w, err, "%s/depth/depth%lld.png", w->name, k), E3_DEPTH16_NRGBD, s, err);
}

static int finish(e3_set_writer *w, e3_err *err)
{
	e3_buf text = {0};
	if (e3_buf_printf(&text, err, "%.17g\n", w->focal) ||
		sets_save_text(sets_to_write(w, err, "%s/focal.txt", w->name), &text, err))
		return -1;
	return sets_save_poses(sets_to_write(w, err, "%s/poses.txt", w->name), E3_TRAJ_NRGBD, &w->poses, err);
}

const sets_row sets_nrgbd = {
	.info =
		{
			.label = "NRGBD",
			.tasks = SETS_MAY(RECON),
			.usual = E3_TASK_RECON,
			.stride = 500,
			.format = {640, 480, 554.2562584220408, true, "breakfast_room"},
		},
	.homes = {"", "neural_rgbd/", "nrgbd/", "neural_rgbd_data/"},
	.folder = {"", "", true},
	.inside = "poses.txt",
	.expected = "SCENE/poses.txt",
	.map = SETS_PNG16,
	.kind = E3_DEPTH16_NRGBD,
	.unit = "m",
	.list = list,
	.open = open_sequence,
	.form = "NAME",
	.mark = "%s",
	.put = put,
	.finish = finish,
};
