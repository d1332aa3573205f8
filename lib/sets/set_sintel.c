/* sets: MPI-Sintel: training/final, depth and camdata_left, each with one file per frame (doc/evaluation.md 2.1). */
#include "write.h"
#include <stdlib.h>
#include <string.h>

static const char *const all[] = {"alley_1", "alley_2", "ambush_2", "ambush_4", "ambush_5", "ambush_6", "ambush_7",
	"bamboo_1", "bamboo_2", "bandage_1", "bandage_2", "cave_2", "cave_4", "market_2", "market_5", "market_6",
	"mountain_1", "shaman_2", "shaman_3", "sleeping_1", "sleeping_2", "temple_2", "temple_3", NULL};
static const char *const posed[] = {"alley_2", "ambush_4", "ambush_5", "ambush_6", "cave_2", "cave_4", "market_2",
	"market_5", "market_6", "shaman_3", "sleeping_1", "sleeping_2", "temple_2", "temple_3", NULL};

static int list(e3_set *s, e3_err *err)
{
	char *path = sets_path(err, "%straining/final", s->base);
	int rc = path ? sets_list_folders(s, path, (sets_pattern){0}, s->task == E3_TASK_POSE ? posed : all, err) : -1;
	free(path);
	return rc;
}

static int load_camera(const char *path, sets_frame *f, e3_err *err)
{
	e3_map map;
	e3_cam cam;
	if (e3_map_open(&map, path, err))
		return -1;
	int rc = e3_cam_decode(map.data, map.size, path, &cam, err);
	e3_map_close(&map);
	if (rc)
		return -1;
	f->k = (e3_intrinsics){cam.k[0], cam.k[4], cam.k[2], cam.k[5], 0, 0};
	e3_rigid_invert(cam.w2c, f->pose);
	f->has_pose = true;
	return 0;
}

typedef struct folders {
	char *path[3]; /* final, depth, camdata_left */
	sets_names names[3];
} folders;

static int add_frame(const e3_set *s, const folders *in, size_t k, e3_seq *q, e3_err *err)
{
	const char *image = in->names[0].v[k];
	sets_beside depth = {in->path[1], ".dpt", &in->names[1], in->names, "pictures"},
				camera = {in->path[2], ".cam", &in->names[2], in->names, "pictures"};
	sets_frame *f = sets_add(q, sets_path(err, "%s/%s", in->path[0], image), sets_number(image), err);
	if (!f)
		return -1;
	if (s->task != E3_TASK_POSE && !(f->depth = sets_find_beside(&depth, image, err)))
		return -1;
	if (in->names[2].n == 0)
		return 0; /* depth needs no cameras; for poses their absence was an error above */
	char *path = sets_find_beside(&camera, image, err);
	int rc = path ? load_camera(path, f, err) : -1;
	free(path);
	return rc;
}

static int open_sequence(const e3_set *s, const char *name, e3_seq *q, e3_err *err)
{
	static const char *const part[3] = {"final", "depth", "camdata_left"},
							 *const suffix[3] = {SETS_PICTURES, ".dpt", ".cam"},
							 *const what[3] = {"pictures", "depth maps", "cameras"};
	folders in = {.path = {NULL}};
	int rc = 0;
	for (int p = 0; !rc && p < 3; p++) {
		in.path[p] = sets_path(err, "%straining/%s/%s", s->base, part[p], name);
		bool needed = p == 0 || (p == 1) == (s->task != E3_TASK_POSE);
		sets_pattern want = {"frame_", suffix[p], false};
		rc = !in.path[p] ? -1 : needed ? sets_listing(in.path[p], want, what[p], &in.names[p], err) : 0;
		if (in.path[p] && !needed && sets_is_folder(in.path[p]))
			rc = sets_folder(in.path[p], want, &in.names[p], err);
	}
	q->counts = (e3_seq_counts){.images = (int64_t)in.names[0].n,
		.depths = (int64_t)in.names[1].n,
		.poses = (int64_t)in.names[2].n};
	for (size_t k = 0; !rc && k < in.names[0].n; k++)
		rc = add_frame(s, &in, k, q, err);
	for (int p = 1; !rc && p < 3; p++)
		rc = sets_need_all(&(sets_beside){in.path[p], suffix[p], &in.names[p], in.names, "pictures"}, err);
	for (int p = 0; p < 3; p++) {
		free(in.path[p]);
		sets_names_release(&in.names[p]);
	}
	return rc;
}

/* --- writing --- */

static int put(e3_set_writer *w, const e3_set_shot *s, e3_err *err)
{
	long long k = w->n + 1;
	e3_cam cam = {.k = {s->k.fx, 0, s->k.cx, 0, s->k.fy, s->k.cy, 0, 0, 1}};
	e3_rigid_invert(s->pose, cam.w2c);
	if (sets_save_rgb(sets_to_write(w, err, "training/final/%s/frame_%04lld.png", w->name, k), s, err))
		return -1;
	char *depth = sets_to_write(w, err, "training/depth/%s/frame_%04lld.dpt", w->name, k);
	char *camera = depth ? sets_to_write(w, err, "training/camdata_left/%s/frame_%04lld.cam", w->name, k) : NULL;
	int rc = camera ? e3_sintel_dpt_save(depth, s->depth, err) : -1;
	if (!rc)
		rc = e3_cam_save(camera, &cam, err);
	free(depth), free(camera);
	return rc;
}

const sets_row sets_sintel = {
	.info =
		{
			.tasks = SETS_MAY(DEPTH) | SETS_MAY(VIDEO_DEPTH) | SETS_MAY(POSE),
			.usual = E3_TASK_VIDEO_DEPTH,
			.stride = 1,
			.max_depth = 70,
			.max_prediction = 70,
			.format = {1024, 436, 0, false, "alley_2"},
		},
	.homes = {"", "sintel/"},
	.folder = {"training", "", true},
	.inside = "final",
	.expected = "training/final/SEQUENCE/frame_0001.png",
	.map = SETS_DPT,
	.unit = "Sintel unit",
	.list = list,
	.open = open_sequence,
	.form = "NAME",
	.mark = "training/final/%s",
	.put = put,
};
