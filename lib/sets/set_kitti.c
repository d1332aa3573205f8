/* sets: KITTI's depth selection as gathered for the papers: a folder of pictures and one of depth maps a drive, paired by name
 * (spec/eval.md 2.3). */
#include "internal.h"
#include <stdlib.h>

static const char *const published[] = {"2011_09_26_drive_0002_sync_02", "2011_09_26_drive_0005_sync_02", "2011_09_26_drive_0013_sync_02",
	"2011_09_26_drive_0020_sync_02", "2011_09_26_drive_0023_sync_02", "2011_09_26_drive_0036_sync_02", "2011_09_26_drive_0079_sync_02",
	"2011_09_26_drive_0095_sync_02", "2011_09_26_drive_0113_sync_02", "2011_09_28_drive_0037_sync_02", "2011_09_29_drive_0026_sync_02",
	"2011_09_30_drive_0016_sync_02", "2011_10_03_drive_0047_sync_02", NULL};

#define HOME "%sdepth_selection/val_selection_cropped"

int sets_kitti_list(e3_set *s, e3_err *err)
{
	char *path = sets_path(err, HOME "/groundtruth_depth_gathered", s->base);
	int rc = path ? sets_list_folders(s, path, (sets_pattern){0}, published, err) : -1;
	free(path);
	return rc;
}

int sets_kitti_open(const e3_set *s, const char *name, e3_seq *q, e3_err *err)
{
	sets_names images = {0}, depths = {0};
	sets_pattern png = {NULL, ".png", false};
	char *image = sets_path(err, HOME "/image_gathered/%s", s->base, name);
	char *depth = sets_path(err, HOME "/groundtruth_depth_gathered/%s", s->base, name);
	int rc = image && depth ? 0 : -1;
	if (!rc)
		rc = sets_listing(image, png, "pictures", &images, err) || sets_listing(depth, png, "depth maps", &depths, err) ? -1 : 0;
	sets_beside beside = {depth, ".png", ".png", &depths, images.n};
	for (size_t k = 0; !rc && k < images.n; k++) {
		sets_frame *f = sets_add(q, sets_path(err, "%s/%s", image, images.v[k]), sets_number(images.v[k]), err);
		rc = f && (f->depth = sets_find_beside(&beside, images.v[k], err)) ? 0 : -1;
	}
	if (!rc && depths.n != images.n) {
		/* the reference skips what has no picture; here it is said */
		beside = (sets_beside){image, ".png", ".png", &images, images.n};
		for (size_t k = 0; !rc && k < depths.n; k++) {
			char *there = sets_find_beside(&beside, depths.v[k], err);
			rc = there ? 0 : -1;
			free(there);
		}
	}
	q->counts = (e3_seq_counts){.images = (int64_t)images.n, .depths = (int64_t)depths.n};
	sets_names_release(&images);
	sets_names_release(&depths);
	free(image), free(depth);
	return rc;
}
