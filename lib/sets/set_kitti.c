/* sets: KITTI's depth selection: as gathered for the papers (for each drive a folder of pictures and one of depth
 * maps), or gathered here from KITTI's own archives: the first 110 annotated depth maps of a drive and the pictures of
 * the same numbers in the raw recording (doc/evaluation.md 2.3), or all of them. */
#include "write.h"
#include <stdlib.h>
#include <string.h>

static const char *const published[] = {"2011_09_26_drive_0002_sync_02", "2011_09_26_drive_0005_sync_02",
	"2011_09_26_drive_0013_sync_02", "2011_09_26_drive_0020_sync_02", "2011_09_26_drive_0023_sync_02",
	"2011_09_26_drive_0036_sync_02", "2011_09_26_drive_0079_sync_02", "2011_09_26_drive_0095_sync_02",
	"2011_09_26_drive_0113_sync_02", "2011_09_28_drive_0037_sync_02", "2011_09_29_drive_0026_sync_02",
	"2011_09_30_drive_0016_sync_02", "2011_10_03_drive_0047_sync_02", NULL};

#define GATHERED "depth_selection/val_selection_cropped/"
static const char camera[] = "_02"; /* the papers append this to a drive's name */
static const sets_pattern drives = {NULL, "_sync", true};
enum { FRAMES = 110, DATE = 10 };

/* Looks for one of the two forms below base; lists its drives in *names. */
static bool look(const e3_set *s, bool gathered, sets_names *names)
{
	char *path = sets_path(NULL, "%s%s", s->base, gathered ? GATHERED "groundtruth_depth_gathered" : "val");
	bool yes = path && sets_folder(path, gathered ? (sets_pattern){NULL, NULL, true} : drives, names, NULL) == 0;
	free(path);
	return yes && (gathered || names->n > 0);
}

static bool is_home(const e3_set *s)
{
	sets_names names = {0};
	bool yes = look(s, true, &names) || look(s, false, &names);
	sets_names_release(&names);
	return yes;
}

static int list(e3_set *s, e3_err *err)
{
	int rc = 0;
	for (size_t k = 0; !rc && published[k]; k++)
		rc = sets_entry_add(s, published[k], true, false, err);
	for (int gathered = 1; !rc && gathered >= 0; gathered--) {
		sets_names names = {0};
		look(s, gathered, &names);
		for (size_t k = 0; !rc && k < names.n; k++) {
			char *name = sets_path(err, "%s%s", names.v[k], gathered ? "" : camera);
			rc = name ? sets_entry_add(s, name, false, true, err) : -1;
			free(name);
		}
		sets_names_release(&names);
	}
	return rc;
}

typedef struct folders {
	char *image, *depth;
	size_t most; /* frames */
	bool raw;
} folders;

/* Prefers the gathered form of a drive. */
static int find(const e3_set *s, const char *name, folders *in, e3_err *err)
{
	size_t drive = strlen(name) > strlen(camera) ? strlen(name) - strlen(camera) : 0;
	in->depth = sets_path(err, "%s" GATHERED "groundtruth_depth_gathered/%s", s->base, name);
	in->image = sets_path(err, "%s" GATHERED "image_gathered/%s", s->base, name);
	in->most = SIZE_MAX;
	if (!in->depth || !in->image || (!s->o.whole && sets_is_folder(in->depth)))
		return in->depth && in->image ? 0 : -1;
	free(in->depth), free(in->image);
	in->depth = sets_path(err, "%sval/%.*s/proj_depth/groundtruth/image_02", s->base, (int)drive, name);
	in->image = sets_path(err, "%s%.*s/%.*s/image_02/data", s->base, DATE, name, (int)drive, name);
	in->most = s->o.whole ? SIZE_MAX : FRAMES, in->raw = true;
	return in->depth && in->image ? 0 : -1;
}

/* A raw recording has more pictures than depth maps; gathered folders have equal numbers. */
static int pair(const folders *in, const sets_names *images, const sets_names *depths, e3_seq *q, e3_err *err)
{
	sets_beside of = {in->image, SETS_PICTURES, images, depths, "depth maps"};
	for (size_t k = 0; k < depths->n && k < in->most; k++) {
		char *image = sets_find_beside(&of, depths->v[k], err);
		sets_frame *f = sets_add(q, image, sets_number(depths->v[k]), err);
		if (!f || !(f->depth = sets_path(err, "%s/%s", in->depth, depths->v[k])))
			return -1;
	}
	return in->raw ? 0 : sets_need_all(&of, err);
}

static int open_sequence(const e3_set *s, const char *name, e3_seq *q, e3_err *err)
{
	sets_names images = {0}, depths = {0};
	sets_pattern png = {NULL, ".png", false}, pictures = {NULL, SETS_PICTURES, false};
	folders in = {0};
	int rc = find(s, name, &in, err);
	if (!rc)
		rc = sets_listing(in.image, pictures, "pictures", &images, err) ||
				sets_listing(in.depth, png, "depth maps", &depths, err)
			? -1
			: 0;
	if (!rc)
		rc = pair(&in, &images, &depths, q, err);
	q->counts = (e3_seq_counts){.images = (int64_t)images.n, .depths = (int64_t)depths.n};
	sets_names_release(&images);
	sets_names_release(&depths);
	free(in.image), free(in.depth);
	return rc;
}

/* --- writing --- */

static int put(e3_set_writer *w, const e3_set_shot *s, e3_err *err)
{
	static const char home[] = "depth_selection/val_selection_cropped";
	long long k = w->n;
	if (sets_save_rgb(sets_to_write(w, err, "%s/image_gathered/%s/%010lld.png", home, w->name, k), s, err))
		return -1;
	return sets_save_depth16(sets_to_write(w, err, "%s/groundtruth_depth_gathered/%s/%010lld.png", home, w->name, k),
		E3_DEPTH16_KITTI, s, err);
}

const sets_row sets_kitti = {
	.info =
		{
			.tasks = SETS_MAY(DEPTH) | SETS_MAY(VIDEO_DEPTH),
			.usual = E3_TASK_VIDEO_DEPTH,
			.stride = 1,
			.selects = true,
			.format = {1242, 375, 0, false, "2011_09_26_drive_0002_sync_02"},
		},
	.homes = {"", "kitti/"},
	.expected =
		"depth_selection/val_selection_cropped/groundtruth_depth_gathered/DRIVE_02/*.png, or val/DRIVE/proj_depth/groundtruth/image_02/*.png",
	.map = SETS_PNG16,
	.kind = E3_DEPTH16_KITTI,
	.unit = "m",
	.list = list,
	.open = open_sequence,
	.is_home = is_home,
	.form = "NAME",
	.mark = "depth_selection/val_selection_cropped/image_gathered/%s",
	.put = put,
};
