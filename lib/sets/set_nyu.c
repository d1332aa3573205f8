/* sets: NYU-v2's validation pictures: one list, paired by name where they have the same, else by sorted order as the
 * reference does it (doc/evaluation.md 2.4). */
#include "internal.h"
#include <stdlib.h>

int sets_nyu_list(e3_set *s, e3_err *err) { return sets_entry_add(s, "val", true, true, err); }

int sets_nyu_open(const e3_set *s, const char *name, e3_seq *q, e3_err *err)
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
		rc = e3_fail(err, "reading: %s: %zu pictures, but %zu depth maps in %s", image, images.n, depths.n, depth);
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
