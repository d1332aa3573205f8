/* sets: Bonn RGB-D dynamic: 110 pictures and depth maps, paired by index; either prepared (rgb_110) or selected here
 * from the original folders, of which the whole recording goes on. Its poses do not correspond to the pictures, so they
 * are not read (doc/evaluation.md 2.2).
 */
#include "write.h"
#include <stdlib.h>

static const char *const published[] = {"balloon2", "crowd2", "crowd3", "person_tracking2", "synchronous", NULL};

static int list(e3_set *s, e3_err *err)
{
	return sets_list_folders(s, s->base, (sets_pattern){"rgbd_bonn_", NULL, true}, published, err);
}

enum { FIRST = 30, FRAMES = 110 };

typedef struct pair {
	char *path[2];
	sets_names names[2];
	size_t first, n;
} pair;

/* Of the original folders at most so many frames. */
static int list_pair(const char *home, bool prepared, size_t most, pair *p, e3_err *err)
{
	static const char *const folder[2][2] = {{"rgb", "depth"}, {"rgb_110", "depth_110"}},
							 *const what[2] = {"pictures", "depth maps"}, *const suffix[2] = {SETS_PICTURES, ".png"};
	for (int k = 0; k < 2; k++) {
		p->path[k] = sets_path(err, "%s/%s", home, folder[prepared][k]);
		if (!p->path[k] || sets_listing(p->path[k], (sets_pattern){NULL, suffix[k], false}, what[k], &p->names[k], err))
			return -1;
	}
	size_t have[2] = {p->names[0].n, p->names[1].n};
	p->first = prepared ? 0 : FIRST;
	p->n = have[0] < have[1] ? have[0] : have[1];
	if (prepared && have[0] != have[1])
		return e3_fail(err, "reading: %s: %zu picture%s, but %zu depth map%s in %s", p->path[0], have[0],
			SETS_S(have[0]), have[1], SETS_S(have[1]), p->path[1]);
	if (p->n <= p->first)
		return e3_fail(err, "reading: %s: %zu pictures and %zu depth maps: numbers %d to %d are wanted", home, have[0],
			have[1], FIRST, FIRST + FRAMES - 1);
	p->n -= p->first;
	p->n = !prepared && p->n > most ? most : p->n;
	return 0;
}

static int open_sequence(const e3_set *s, const char *name, e3_seq *q, e3_err *err)
{
	pair p = {.path = {NULL}};
	char *home = sets_path(err, "%srgbd_bonn_%s", s->base, name),
		 *ready = home ? sets_path(err, "%s/rgb_110", home) : NULL;
	bool whole = s->o.whole;
	int rc = ready ? list_pair(home, !whole && sets_is_folder(ready), whole ? SIZE_MAX : FRAMES, &p, err) : -1;
	for (size_t k = 0; !rc && k < p.n; k++) {
		const char *image = p.names[0].v[p.first + k];
		sets_frame *f = sets_add(q, sets_path(err, "%s/%s", p.path[0], image), (int64_t)k, err);
		if (f) {
			f->stamp = strtod(image, NULL);
			f->depth = sets_path(err, "%s/%s", p.path[1], p.names[1].v[p.first + k]);
		}
		rc = f && f->depth ? 0 : -1;
	}
	q->counts = (e3_seq_counts){.images = (int64_t)p.names[0].n, .depths = (int64_t)p.names[1].n};
	for (int k = 0; k < 2; k++) {
		free(p.path[k]);
		sets_names_release(&p.names[k]);
	}
	free(home), free(ready);
	return rc;
}

/* --- writing --- */

/* The depth camera's frames are a little later than the colour camera's; readers pair by index. */
static const double later = 0.0125;

static int put(e3_set_writer *w, const e3_set_shot *s, e3_err *err)
{
	double t = SETS_RECORDED + s->seconds;
	if (sets_save_rgb(sets_to_write(w, err, "rgbd_bonn_dataset/rgbd_bonn_%s/rgb_110/%.5f.png", w->name, t), s, err))
		return -1;
	return sets_save_depth16(sets_to_write(w, err, "rgbd_bonn_dataset/rgbd_bonn_%s/depth_110/%.5f.png", w->name,
								 t + later),
		E3_DEPTH16_BONN, s, err);
}

static int finish(e3_set_writer *w, e3_err *err)
{
	return sets_save_recorded(w, sets_to_write(w, err, "rgbd_bonn_dataset/rgbd_bonn_%s/groundtruth_110.txt", w->name),
		err);
}

const sets_row sets_bonn = {
	.info =
		{
			.tasks = SETS_MAY(DEPTH) | SETS_MAY(VIDEO_DEPTH),
			.usual = E3_TASK_VIDEO_DEPTH,
			.stride = 1,
			.max_depth = 70,
			.selects = true,
			.format = {640, 480, 0, false, "balloon2"},
		},
	.homes = {"rgbd_bonn_dataset/", "bonn/rgbd_bonn_dataset/", "bonn/", ""},
	.folder = {"rgbd_bonn_", "", true},
	.expected = "rgbd_bonn_dataset/rgbd_bonn_SEQUENCE/",
	.map = SETS_PNG16,
	.kind = E3_DEPTH16_BONN,
	.unit = "m",
	.list = list,
	.open = open_sequence,
	.form = "NAME",
	.mark = "rgbd_bonn_dataset/rgbd_bonn_%s",
	.put = put,
	.finish = finish,
};
