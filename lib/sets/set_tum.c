/* sets: TUM RGB-D dynamics: pictures with associated poses, either prepared (rgb_90, groundtruth_90.txt) or selected
 * here from rgb.txt and groundtruth.txt as the preparation does: paired by time, every third pair, 90 of them
 * (doc/evaluation.md 2.7), or all pairs. */
#include "e3/mem.h"
#include "write.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const published[] = {"rgbd_dataset_freiburg3_sitting_halfsphere",
	"rgbd_dataset_freiburg3_sitting_rpy", "rgbd_dataset_freiburg3_sitting_static", "rgbd_dataset_freiburg3_sitting_xyz",
	"rgbd_dataset_freiburg3_walking_halfsphere", "rgbd_dataset_freiburg3_walking_rpy",
	"rgbd_dataset_freiburg3_walking_static", "rgbd_dataset_freiburg3_walking_xyz", NULL};

enum { EVERY = 3, FRAMES = 90 };
static const double within = 0.02;

static int list(e3_set *s, e3_err *err)
{
	if (sets_list_folders(s, s->base, (sets_pattern){NULL, NULL, true}, published, err))
		return -1;
	size_t n = 0; /* other folders may be there too */
	for (size_t k = 0; k < s->n; k++) {
		if (s->entry[k].published || strncmp(s->entry[k].name, "rgbd_dataset_", 13) == 0)
			s->entry[n++] = s->entry[k];
		else
			free(s->entry[k].name);
	}
	s->n = n;
	return 0;
}

static int add(e3_seq *q, char *image, double stamp, const double pose[12], e3_err *err)
{
	sets_frame *f = sets_add(q, image, (int64_t)q->n, err);
	if (!f)
		return -1;
	f->stamp = stamp, f->has_pose = true;
	memcpy(f->pose, pose, sizeof f->pose);
	return 0;
}

/* Pairs the files of rgb_90, in order of their names, with the rows of groundtruth_90.txt. */
static int open_prepared(const char *home, e3_seq *q, e3_err *err)
{
	e3_traj t = {0};
	sets_names names = {0};
	char *folder = sets_path(err, "%s/rgb_90", home), *truth = sets_path(err, "%s/groundtruth_90.txt", home);
	int rc = folder && truth &&
			sets_listing(folder, (sets_pattern){NULL, SETS_PICTURES, false}, "pictures", &names, err) == 0
		? 0
		: -1;
	if (!rc)
		rc = e3_traj_load(truth, E3_TRAJ_TUM, &t, err);
	if (!rc && t.n != names.n)
		rc = e3_fail(err, "reading: %s: %zu pose%s, but %zu picture%s in %s", truth, t.n, SETS_S(t.n), names.n,
			SETS_S(names.n), folder);
	for (size_t k = 0; !rc && k < names.n; k++)
		rc = add(q, sets_path(err, "%s/%s", folder, names.v[k]), t.stamp[k], t.pose[k], err);
	q->counts = (e3_seq_counts){.images = (int64_t)names.n, .poses = (int64_t)t.n};
	sets_names_release(&names);
	e3_traj_release(&t);
	free(folder), free(truth);
	return rc;
}

/* --- the original --- */

typedef struct stamps {
	double *t;
	sets_names path;
} stamps;

static void stamps_release(stamps *x)
{
	free(x->t);
	sets_names_release(&x->path);
}

/* "stamp path" a line; '#' comments. */
static int parse_rgb(const char *path, stamps *out, e3_err *err)
{
	e3_map map;
	*out = (stamps){0};
	if (e3_map_open(&map, path, err))
		return -1;
	const char *p = (const char *)map.data, *end = p + map.size;
	int rc = 0;
	for (int line = 1; !rc && p < end; line++) {
		char text[512], name[256], *stop;
		size_t n = 0;
		while (p < end && *p != '\n') {
			if (n + 1 < sizeof text)
				text[n++] = *p == ',' || *p == '\t' || *p == '\r' ? ' ' : *p;
			p++;
		}
		p++;
		text[n] = 0;
		if (text[0] == '#' || strspn(text, " ") == n)
			continue;
		double t = strtod(text, &stop);
		if (stop == text || !isfinite(t) || sscanf(stop, " %255s", name) != 1)
			rc = e3_fail(err, "reading: %s: line %d: expected a time stamp and a path", path, line);
		else if (sets_names_add(&out->path, name, err) ||
			((out->path.n & (out->path.n - 1)) == 0 &&
				e3_grow((void **)&out->t, 2 * out->path.n, sizeof *out->t, "time stamps", err)))
			rc = -1;
		else
			out->t[out->path.n - 1] = t;
	}
	e3_map_close(&map);
	if (!rc && out->path.n == 0)
		rc = e3_fail(err, "reading: %s: no picture is named in it", path);
	return rc;
}

static int open_original(const char *home, bool whole, e3_seq *q, e3_err *err)
{
	stamps rgb = {0};
	e3_traj t = {0};
	e3_stamp_pairs pairs = {0};
	char *list = sets_path(err, "%s/rgb.txt", home), *truth = sets_path(err, "%s/groundtruth.txt", home);
	int rc = list && truth ? 0 : -1;
	if (!rc)
		rc =
			sets_need(list, whole ? "it names the pictures of the recording" : "neither this nor rgb_90 exists", err) ||
			parse_rgb(list, &rgb, err) || e3_traj_load(truth, E3_TRAJ_TUM, &t, err);
	if (!rc)
		rc = e3_traj_associate((e3_stamps){rgb.t, rgb.path.n}, (e3_stamps){t.stamp, t.n}, within, &pairs, err);
	if (!rc && pairs.n == 0)
		rc = e3_fail(err, "reading: %s: no pose within %g s of a picture", truth, within);
	for (size_t k = 0; !rc && k < pairs.n && (whole || q->n < FRAMES); k += whole ? 1 : EVERY) {
		size_t i = pairs.at[k][0], j = pairs.at[k][1];
		char *image = sets_path(err, "%s/%s", home, rgb.path.v[i]);
		rc = image ? sets_need(image, "named in rgb.txt", err) : -1;
		if (rc)
			free(image);
		else
			rc = add(q, image, t.stamp[j], t.pose[j], err);
	}
	q->counts = (e3_seq_counts){.images = (int64_t)rgb.path.n, .poses = (int64_t)t.n};
	free(pairs.at), free(list), free(truth);
	stamps_release(&rgb);
	e3_traj_release(&t);
	return rc ? -1 : 0;
}

static int open_sequence(const e3_set *s, const char *name, e3_seq *q, e3_err *err)
{
	char *home = sets_path(err, "%s%s", s->base, name), *ready = home ? sets_path(err, "%s/rgb_90", home) : NULL;
	bool whole = s->o.whole;
	int rc = !ready                       ? -1
		: !whole && sets_is_folder(ready) ? open_prepared(home, q, err)
										  : open_original(home, whole, q, err);
	free(home), free(ready);
	return rc;
}

/* --- writing --- */

static int put(e3_set_writer *w, const e3_set_shot *s, e3_err *err)
{
	return sets_save_rgb(sets_to_write(w, err, "%s/rgb_90/%.6f.png", w->name, SETS_RECORDED + s->seconds), s, err);
}

static int finish(e3_set_writer *w, e3_err *err)
{
	return sets_save_recorded(w, sets_to_write(w, err, "%s/groundtruth_90.txt", w->name), err);
}

const sets_row sets_tum = {
	.info =
		{
			.tasks = SETS_MAY(POSE),
			.usual = E3_TASK_POSE,
			.stride = 1,
			.selects = true,
			.format = {640, 480, 0, false, "rgbd_dataset_freiburg3_sitting_static"},
		},
	.homes = {"", "tum/"},
	.folder = {"rgbd_dataset_", "", true},
	.expected = "rgbd_dataset_freiburg3_*/",
	.map = SETS_NO_DEPTH,
	.unit = "m",
	.list = list,
	.open = open_sequence,
	.form = "rgbd_dataset_NAME",
	.mark = "%s",
	.put = put,
	.finish = finish,
};
