/* sets: which data sets there are and which sequences one has. Refuses tasks it has no truth for. */
#include "e3/mem.h"
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAY(t) (1u << E3_TASK_##t)

static const sets_row rows[E3_SET_IDS] = {
	[E3_SET_SINTEL] = {"sintel", {"", "sintel/"}, {"training", "", true}, "final",
		"training/final/SEQUENCE/frame_0001.png", MAY(DEPTH) | MAY(VIDEO_DEPTH) | MAY(POSE), E3_TASK_VIDEO_DEPTH, 1,
		SETS_DPT, 0, "Sintel unit", sets_sintel_list, sets_sintel_open},
	[E3_SET_KITTI] = {"kitti", {"", "kitti/"}, {"depth_selection", "", true}, "val_selection_cropped",
		"depth_selection/val_selection_cropped/groundtruth_depth_gathered/DRIVE_02/*.png, or val/DRIVE/proj_depth/groundtruth/image_02/*.png",
		MAY(DEPTH) | MAY(VIDEO_DEPTH), E3_TASK_VIDEO_DEPTH, 1, SETS_PNG16, E3_DEPTH16_KITTI, "m", sets_kitti_list,
		sets_kitti_open},
	[E3_SET_BONN] = {"bonn", {"rgbd_bonn_dataset/", "bonn/rgbd_bonn_dataset/", "bonn/", ""}, {"rgbd_bonn_", "", true},
		NULL, "rgbd_bonn_dataset/rgbd_bonn_SEQUENCE/", MAY(DEPTH) | MAY(VIDEO_DEPTH), E3_TASK_VIDEO_DEPTH, 1,
		SETS_PNG16, E3_DEPTH16_BONN, "m", sets_bonn_list, sets_bonn_open},
	[E3_SET_NYU] = {"nyu", {"", "nyu_v2/", "nyu-v2/", "nyuv2/", "nyu/"}, {"val", "", true}, "nyu_images",
		"val/nyu_images/*.png and val/nyu_depths/*.npy", MAY(DEPTH), E3_TASK_DEPTH, 1, SETS_NPY, 0, "m", sets_nyu_list,
		sets_nyu_open},
	[E3_SET_SCENES7] = {"7scenes", {"", "7scenes/", "7-scenes/"}, {"", "", true}, "TestSplit.txt",
		"SCENE/TestSplit.txt", MAY(RECON), E3_TASK_RECON, 200, SETS_SCENES7, E3_DEPTH16_SCENES7, "m", sets_scenes7_list,
		sets_scenes7_open},
	[E3_SET_NRGBD] = {"nrgbd", {"", "neural_rgbd/", "nrgbd/", "neural_rgbd_data/"}, {"", "", true}, "poses.txt",
		"SCENE/poses.txt", MAY(RECON), E3_TASK_RECON, 500, SETS_PNG16, E3_DEPTH16_NRGBD, "m", sets_nrgbd_list,
		sets_nrgbd_open},
	[E3_SET_TUM] = {"tum", {"", "tum/"}, {"rgbd_dataset_", "", true}, NULL, "rgbd_dataset_freiburg3_*/", MAY(POSE),
		E3_TASK_POSE, 1, SETS_NO_DEPTH, 0, "m", sets_tum_list, sets_tum_open},
	[E3_SET_SCANNET] = {"scannet", {"", "scannetv2/", "scannet/", "scannet-v2/"}, {"scene", "", true}, NULL,
		"sceneNNNN_NN/", MAY(POSE), E3_TASK_POSE, 1, SETS_NO_DEPTH, 0, "m", sets_scannet_list, sets_scannet_open},
	[E3_SET_CO3D] = {"co3d", {"", "co3d/", "co3dv2/"}, {"", "", true}, NULL,
		"CATEGORY_test.jgz (or, with annotations elsewhere, CATEGORY/)", MAY(PAIRS), E3_TASK_PAIRS, 1, SETS_NO_DEPTH, 0,
		"CO3D unit", sets_co3d_list, sets_co3d_open},
};

static const char *const task_names[E3_TASKS] = {"depth", "video-depth", "recon", "pose", "pairs"};

const char *e3_set_name(e3_set_id id) { return id < E3_SET_IDS ? rows[id].name : NULL; }
const char *e3_task_name(e3_task task) { return task < E3_TASKS ? task_names[task] : NULL; }

/* --- entries --- */

int sets_entry_add(e3_set *s, const char *name, bool published, bool found, e3_err *err)
{
	for (size_t k = 0; k < s->n; k++)
		if (strcmp(s->entry[k].name, name) == 0) {
			s->entry[k].published |= published, s->entry[k].found |= found;
			return 0;
		}
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 32;
		if (e3_grow((void **)&s->entry, cap, sizeof *s->entry, "a list of sequences", err))
			return -1;
		s->cap = cap;
	}
	char *own = strdup(name);
	if (!own)
		return e3_fail(err, "listing sequences: out of memory");
	s->entry[s->n++] = (sets_entry){own, published, found};
	return 0;
}

int sets_list_folders(e3_set *s, const char *path, sets_pattern want, const char *const *published, e3_err *err)
{
	sets_names found;
	for (size_t k = 0; published[k]; k++)
		if (sets_entry_add(s, published[k], true, false, err))
			return -1;
	want.folders = true;
	if (sets_folder(path, want, &found, err))
		return -1;
	size_t before = want.prefix ? strlen(want.prefix) : 0, after = want.suffix ? strlen(want.suffix) : 0;
	int rc = 0;
	for (size_t k = 0; !rc && k < found.n; k++) {
		found.v[k][strlen(found.v[k]) - after] = 0;
		rc = sets_entry_add(s, found.v[k] + before, false, true, err);
	}
	sets_names_release(&found);
	return rc;
}

/* --- opening --- */

static int choose_task(e3_set *s, e3_err *err)
{
	s->task = s->o.task < 0 ? s->row->usual : (e3_task)s->o.task;
	if (s->row->tasks >> s->task & 1)
		return 0;
	e3_buf may = {0};
	for (int t = 0; t < E3_TASKS; t++)
		if (s->row->tasks >> t & 1)
			e3_buf_printf(&may, NULL, "%s%s", may.len ? ", " : "", task_names[t]);
	e3_fail(err, "opening: %s: no truth for the task %s: it has that for %s", s->row->name, task_names[s->task],
		may.data ? may.data : "");
	e3_buf_release(&may);
	return -1;
}

static void use_defaults(e3_set_options *o, const sets_row *row)
{
	o->stride = o->stride ? o->stride : row->stride;
	o->size = o->size ? o->size : 518;
	o->co3d_size = o->co3d_size ? o->co3d_size : 224;
	o->draw = o->draw ? o->draw : 10;
	o->min_frames = o->min_frames ? o->min_frames : 50;
}

e3_set *e3_set_open(const e3_set_options *o, e3_err *err)
{
	e3_set *s = e3_alloc(1, sizeof *s, "a data set", err);
	if (!s)
		return NULL;
	s->o = *o, s->row = &rows[o->set];
	use_defaults(&s->o, s->row);
	if (choose_task(s, err) || sets_find_home(s, err) || s->row->list(s, err)) {
		e3_set_close(s);
		return NULL;
	}
	return s;
}

void e3_set_close(e3_set *s)
{
	if (!s)
		return;
	sets_co3d_release(s);
	for (size_t k = 0; k < s->n; k++)
		free(s->entry[k].name);
	free(s->entry), free(s->base);
	free(s);
}

e3_task e3_set_task(const e3_set *s) { return s->task; }
size_t e3_set_count(const e3_set *s) { return s->n; }

e3_set_entry e3_set_entry_at(const e3_set *s, size_t k)
{
	return (e3_set_entry){s->entry[k].name, s->entry[k].published, s->entry[k].found};
}
