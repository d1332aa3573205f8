/* sets: ScanNet v2: the prepared folders (color_90, pose_90.txt), or the .sens file, of which every third of the first
 * 270 frames is used (doc/evaluation.md 2.8). Refuses .sens files whose sizes do not match, colour that is not JPEG,
 * missing poses. */
#include "e3/num.h"
#include "write.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES = 270, EVERY = 3 };

/* The hundred scenes of the papers. */
enum { FIRST = 707, LAST = 806 };

static int list(e3_set *s, e3_err *err)
{
	sets_names found = {0};
	int rc = 0;
	for (int k = FIRST; !rc && k <= LAST; k++) {
		char *name = sets_path(err, "scene%04d_00", k);
		rc = name ? sets_entry_add(s, name, true, false, err) : -1;
		free(name);
	}
	if (!rc)
		rc = sets_folder(s->base, (sets_pattern){"scene", NULL, true}, &found, err);
	for (size_t k = 0; !rc && k < found.n; k++)
		rc = sets_entry_add(s, found.v[k], false, true, err);
	sets_names_release(&found);
	return rc;
}

static int open_prepared(const char *home, e3_seq *q, e3_err *err)
{
	sets_names names = {0};
	e3_traj t = {0};
	char *folder = sets_path(err, "%s/color_90", home), *poses = sets_path(err, "%s/pose_90.txt", home);
	int rc = folder && poses &&
			sets_listing(folder, (sets_pattern){NULL, SETS_PICTURES, false}, "pictures", &names, err) == 0
		? 0
		: -1;
	if (!rc)
		rc = e3_traj_load(poses, E3_TRAJ_4X4, &t, err);
	if (!rc && t.n != names.n)
		rc = e3_fail(err, "reading: %s: %zu pose%s, but %zu picture%s in %s", poses, t.n, SETS_S(t.n), names.n,
			SETS_S(names.n), folder);
	for (size_t k = 0; !rc && k < names.n; k++) {
		sets_frame *f = sets_add(q, sets_path(err, "%s/%s", folder, names.v[k]), sets_number(names.v[k]), err);
		if (f)
			memcpy(f->pose, t.pose[k], sizeof f->pose), f->has_pose = true;
		rc = f ? 0 : -1;
	}
	q->counts = (e3_seq_counts){.images = (int64_t)names.n, .poses = (int64_t)t.n};
	sets_names_release(&names);
	e3_traj_release(&t);
	free(folder), free(poses);
	return rc;
}

/* --- .sens --- */

typedef struct cursor {
	const uint8_t *p;
	size_t left;
} cursor;

static const uint8_t *take(cursor *c, uint64_t n, e3_err *err)
{
	const uint8_t *at = c->p;
	if (n > c->left) {
		e3_fail(err, "truncated: %" PRIu64 " bytes expected, %zu are left", n, c->left);
		return NULL;
	}
	c->p += n, c->left -= n;
	return at;
}

static int read_head(cursor *c, uint64_t *frames, e3_err *err)
{
	enum { MATRICES = 4 * 64, COMPRESSION = 8, SIZES = 16, SHIFT = 4 };
	const uint8_t *p = take(c, 12, err);
	if (!p)
		return -1;
	if (e3_le32(p) != 4)
		return e3_fail(err, ".sens version %u: expected 4", (unsigned)e3_le32(p));
	if (!take(c, e3_le64(p + 4), err) || !(p = take(c, MATRICES + COMPRESSION + SIZES + SHIFT + 8, err)))
		return -1;
	if (e3_le32(p + MATRICES) != 2)
		return e3_fail(err, "colour compression %u: expected 2 (JPEG)", (unsigned)e3_le32(p + MATRICES));
	*frames = e3_le64(p + MATRICES + COMPRESSION + SIZES + SHIFT);
	return 0;
}

static int pose_of(const uint8_t *p, double pose[12], e3_err *err)
{
	for (int k = 0; k < 12; k++) {
		uint32_t u = e3_le32(p + 4 * k);
		float v;
		memcpy(&v, &u, 4);
		if (!isfinite(v))
			return e3_fail(err, "the pose is missing");
		pose[k] = v;
	}
	return sets_check_rotation(pose, err);
}

/* Reads pose, stamps, sizes, then colour and depth. `to` NULL: skips the frame. */
static int read_frame(cursor *c, const e3_map *map, sets_frame *to, e3_err *err)
{
	enum { POSE = 64, STAMPS = 16 };
	const uint8_t *p = take(c, POSE + STAMPS + 16, err);
	const uint8_t *colour = p ? take(c, e3_le64(p + POSE + STAMPS), err) : NULL;
	if (!colour || !take(c, e3_le64(p + POSE + STAMPS + 8), err))
		return -1;
	if (!to)
		return 0;
	to->at = (size_t)(colour - map->data), to->size = (size_t)e3_le64(p + POSE + STAMPS), to->has_pose = true;
	return to->size ? pose_of(p, to->pose, err) : e3_fail(err, "the picture is missing");
}

static int open_sens(const char *path, e3_seq *q, e3_err *err)
{
	uint64_t frames = 0;
	if (sets_need(path, "neither this nor color_90 exists", err) || e3_map_open(&q->pack, path, err))
		return -1;
	cursor c = {q->pack.data, q->pack.size};
	int rc = read_head(&c, &frames, err);
	for (uint64_t k = 0; !rc && k < frames && k < FRAMES; k++) {
		sets_frame *f = k % EVERY ? NULL : sets_add(q, sets_path(err, "%s", path), (int64_t)k, err);
		if (k % EVERY == 0 && !f)
			return -1;
		if (read_frame(&c, &q->pack, f, err))
			rc = e3_fail_in(err, "frame %" PRIu64, k);
	}
	if (!rc && q->n == 0)
		rc = e3_fail(err, "holds no frame");
	q->counts = (e3_seq_counts){.images = (int64_t)frames, .poses = (int64_t)frames};
	return rc ? e3_fail_in(err, "reading: %s", path) : 0;
}

static int open_sequence(const e3_set *s, const char *name, e3_seq *q, e3_err *err)
{
	char *home = sets_path(err, "%s%s", s->base, name), *ready = home ? sets_path(err, "%s/color_90", home) : NULL;
	char *sens = ready ? sets_path(err, "%s/%s.sens", home, name) : NULL;
	int rc = !sens ? -1 : sets_is_folder(ready) ? open_prepared(home, q, err) : open_sens(sens, q, err);
	free(home), free(ready), free(sens);
	return rc;
}

/* --- writing --- */

static int put(e3_set_writer *w, const e3_set_shot *s, e3_err *err)
{
	long long k = w->n;
	if (sets_save_jpeg(sets_to_write(w, err, "%s/color_90/frame_%04lld.jpg", w->name, k), s, err))
		return -1;
	return sets_save_depth16(sets_to_write(w, err, "%s/depth_90/frame_%04lld.png", w->name, k), E3_DEPTH16_NRGBD, s,
		err);
}

static int finish(e3_set_writer *w, e3_err *err)
{
	return sets_save_poses(sets_to_write(w, err, "%s/pose_90.txt", w->name), E3_TRAJ_4X4, &w->poses, err);
}

const sets_row sets_scannet = {
	.info =
		{
			.tasks = SETS_MAY(POSE),
			.usual = E3_TASK_POSE,
			.stride = 1,
			.format = {1296, 968, 0, false, "scene0707_00"},
		},
	.homes = {"", "scannetv2/", "scannet/", "scannet-v2/"},
	.folder = {"scene", "", true},
	.expected = "sceneNNNN_NN/",
	.map = SETS_NO_DEPTH,
	.unit = "m",
	.list = list,
	.open = open_sequence,
	.form = "sceneNNNN_NN",
	.mark = "%s",
	.put = put,
	.finish = finish,
};
