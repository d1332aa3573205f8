/* sets: NYU-v2's validation pictures: one sequence. Files are paired by name where names are equal, else by sorted
 * order as in the reference (doc/evaluation.md 2.4). */
#include "write.h"
#include <stdlib.h>

static int list(e3_set *s, e3_err *err) { return sets_entry_add(s, "val", true, true, err); }

static int open_sequence(const e3_set *s, const char *name, e3_seq *q, e3_err *err)
{
	sets_names images = {0}, depths = {0};
	char *image = sets_path(err, "%s%s/nyu_images", s->base, name),
		 *depth = sets_path(err, "%s%s/nyu_depths", s->base, name);
	int rc = image && depth ? 0 : -1;
	if (!rc)
		rc = sets_listing(image, (sets_pattern){NULL, SETS_PICTURES, false}, "pictures", &images, err) ||
				sets_listing(depth, (sets_pattern){NULL, ".npy", false}, "depth maps", &depths, err)
			? -1
			: 0;
	if (!rc && images.n != depths.n)
		rc = e3_fail(err, "reading: %s: %zu picture%s, but %zu depth map%s in %s", image, images.n, SETS_S(images.n),
			depths.n, SETS_S(depths.n), depth);
	sets_beside of = {depth, ".npy", &depths, &images, "pictures"};
	char *first = rc ? NULL : sets_find_beside(&of, images.v[0], NULL);
	for (size_t k = 0; !rc && k < images.n; k++) {
		sets_frame *f = sets_add(q, sets_path(err, "%s/%s", image, images.v[k]), (int64_t)k, err);
		rc = f &&
				(f->depth =
						first ? sets_find_beside(&of, images.v[k], err) : sets_path(err, "%s/%s", depth, depths.v[k]))
			? 0
			: -1;
	}
	free(first);
	q->counts = (e3_seq_counts){.images = (int64_t)images.n, .depths = (int64_t)depths.n};
	sets_names_release(&images);
	sets_names_release(&depths);
	free(image), free(depth);
	return rc;
}

/* NYU is distributed as MATLAB and HDF5 files. -1 when the root is or contains one. */
static int refuse_packed(const e3_set *s, e3_err *err)
{
	static const char packed[] = ".mat|.h5";
	sets_names found = {0};
	const char *name = NULL;
	if (sets_is_file(s->o.root))
		name = sets_suffix_of(s->o.root, packed) ? "" : NULL;
	else if (sets_folder(s->o.root, (sets_pattern){NULL, packed, false}, &found, NULL) == 0 && found.n)
		name = found.v[0];
	if (name)
		e3_fail(err,
			"opening: nyu: %s%s%s: expected val/nyu_images and val/nyu_depths, found a MATLAB or HDF5 file: pipelines/eval/nyu.py makes"
			" them of it",
			s->o.root, *name ? "/" : "", name);
	sets_names_release(&found);
	return name ? -1 : 0;
}

/* --- writing --- */

static int put(e3_set_writer *w, const e3_set_shot *s, e3_err *err)
{
	long long k = w->n;
	if (sets_save_rgb(sets_to_write(w, err, "val/nyu_images/%s_%04lld.png", w->name, k), s, err))
		return -1;
	char *path = sets_to_write(w, err, "val/nyu_depths/%s_%04lld.npy", w->name, k);
	int rc = path ? e3_npy_save(path, s->depth, err) : -1;
	free(path);
	return rc;
}

const sets_row sets_nyu = {
	.info =
		{
			.tasks = SETS_MAY(DEPTH),
			.usual = E3_TASK_DEPTH,
			.stride = 1,
			.format = {640, 480, 0, false, "scene"},
		},
	.homes = {"", "nyu_v2/", "nyu-v2/", "nyuv2/", "nyu/"},
	.folder = {"val", "", true},
	.inside = "nyu_images",
	.expected = "val/nyu_images/*.png and val/nyu_depths/*.npy",
	.map = SETS_NPY,
	.unit = "m",
	.list = list,
	.open = open_sequence,
	.refuse = refuse_packed,
	.form = "NAME",
	.mark = "val/nyu_images/%s_0000.png",
	.put = put,
};
