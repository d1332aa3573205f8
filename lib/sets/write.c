/* sets: writing a scene as a data set: which formats there are, the life of a writer, what is taken back when it fails.
 * Refuses names a reader would not look for and sequences that exist. */
#include "e3/mem.h"
#include "write.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct row {
	e3_set_format format;
	const char *form; /* of a sequence's name, in words */
	const char *mark; /* what is there when the sequence is, below the root; %s is its name */
	sets_put *put;
	sets_finish *finish;
} rows[E3_SET_IDS] = {
	[E3_SET_SINTEL] = {{1024, 436, 0, false, "alley_2"}, "NAME", "training/final/%s", sets_put_sintel, NULL},
	[E3_SET_KITTI] = {{1242, 375, 0, false, "2011_09_26_drive_0002_sync_02"}, "NAME",
		"depth_selection/val_selection_cropped/image_gathered/%s", sets_put_kitti, NULL},
	[E3_SET_BONN] = {{640, 480, 0, false, "balloon2"}, "NAME", "rgbd_bonn_dataset/rgbd_bonn_%s", sets_put_bonn,
		sets_finish_bonn},
	[E3_SET_NYU] = {{640, 480, 0, false, "scene"}, "NAME", "val/nyu_images/%s_0000.png", sets_put_nyu, NULL},
	[E3_SET_SCENES7] = {{640, 480, 525, true, "chess/seq-03"}, "SCENE/seq-NN", "%s", sets_put_scenes7,
		sets_finish_scenes7},
	[E3_SET_NRGBD] = {{640, 480, 554.2562584220408, true, "breakfast_room"}, "NAME", "%s", sets_put_nrgbd,
		sets_finish_nrgbd},
	[E3_SET_TUM] = {{640, 480, 0, false, "rgbd_dataset_freiburg3_sitting_static"}, "rgbd_dataset_NAME", "%s",
		sets_put_tum, sets_finish_tum},
	[E3_SET_SCANNET] = {{1296, 968, 0, false, "scene0707_00"}, "sceneNNNN_NN", "%s", sets_put_scannet,
		sets_finish_scannet},
	[E3_SET_CO3D] = {{640, 480, 0, false, "apple/110_13051_23361"}, "CATEGORY/NAME", "%s", sets_put_co3d,
		sets_finish_co3d},
};

e3_set_format e3_set_format_of(e3_set_id set) { return rows[set].format; }

/* Whether a name is of the form: capitals stand for words, N for a digit, all else for itself. */
static bool has_form(const char *name, const char *form)
{
	while (*form) {
		if (form[0] == 'N' && form[1] != 'A') {
			if (!isdigit((unsigned char)*name++))
				return false;
			form++;
		} else if (isupper((unsigned char)*form)) {
			size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.");
			if (n == 0 || name[0] == '.')
				return false;
			name += n;
			while (isupper((unsigned char)*form))
				form++;
		} else if (*name++ != *form++) {
			return false;
		}
	}
	return *name == 0;
}

e3_set_writer *e3_set_writer_open(e3_set_id set, const char *dir, const char *sequence, e3_err *err)
{
	const struct row *row = &rows[set];
	const char *name = sequence ? sequence : row->format.sequence;
	if (!has_form(name, row->form)) {
		e3_fail(err, "writing: %s: sequence %s: expected a name such as %s (%s)", e3_set_name(set), name,
			row->format.sequence, row->form);
		return NULL;
	}
	e3_set_writer *w = e3_alloc(1, sizeof *w, "a data set", err);
	if (!w)
		return NULL;
	w->set = set, w->root = strdup(dir), w->name = strdup(name);
	const char *mark = strstr(row->mark, "%s");
	char *there = sets_path(err, "%s/%.*s%s%s", dir, (int)(mark - row->mark), row->mark, name, mark + 2);
	int rc = w->root && w->name && there ? 0 : e3_fail(err, "writing: %s: out of memory", e3_set_name(set));
	if (!rc && access(there, F_OK) == 0)
		rc = e3_fail(err, "writing: %s: %s: is there already: choose another folder or sequence", e3_set_name(set),
			there);
	free(there);
	if (!rc)
		return w;
	e3_set_writer_discard(w);
	return NULL;
}

char *sets_to_write(e3_set_writer *w, e3_err *err, const char *fmt, ...)
{
	char *inside, *path;
	va_list args;
	va_start(args, fmt);
	int n = vasprintf(&inside, fmt, args);
	va_end(args);
	if (n < 0) {
		e3_fail(err, "making a path: out of memory");
		return NULL;
	}
	path = sets_path(err, "%s/%s", w->root, inside);
	free(inside);
	char *slash = path ? strrchr(path, '/') : NULL;
	if (!slash)
		return NULL;
	*slash = 0;
	int rc = e3_mkdirs(path, err);
	*slash = '/';
	if (!rc && access(path, F_OK)) /* what was there before is not ours to remove */
		rc = sets_names_add(&w->written, path, err);
	if (!rc)
		return path;
	free(path);
	return NULL;
}

int e3_set_writer_add(e3_set_writer *w, const e3_set_shot *shot, e3_err *err)
{
	const e3_set_format *f = &rows[w->set].format;
	if (w->n == 0)
		w->size[0] = shot->rgb->w, w->size[1] = shot->rgb->h, w->focal = shot->k.fx;
	if (shot->rgb->w != w->size[0] || shot->rgb->h != w->size[1] || shot->depth->w != w->size[0] ||
		shot->depth->h != w->size[1])
		return e3_fail(err, "writing: %s: frame %lld: %d × %d, the first was %d × %d", e3_set_name(w->set),
			(long long)w->n, shot->rgb->w, shot->rgb->h, w->size[0], w->size[1]);
	if (f->focal > 0 && w->size[0] * f->h != w->size[1] * f->w)
		return e3_fail(err, "writing: %s: %d × %d: its readers expect the proportions of %d × %d", e3_set_name(w->set),
			w->size[0], w->size[1], f->w, f->h);
	double focal = f->focal * w->size[0] / f->w;
	if (f->focal > 0 && !(shot->k.fx > focal - 1e-3 && shot->k.fx < focal + 1e-3))
		return e3_fail(err, "writing: %s: a focal length of %.3f pixels: its readers take it to be %.3f at this width",
			e3_set_name(w->set), shot->k.fx, focal);
	if (e3_traj_add(&w->poses, shot->seconds, shot->pose, err) || rows[w->set].put(w, shot, err))
		return -1;
	w->n++;
	return 0;
}

static void writer_free(e3_set_writer *w)
{
	if (w->set == E3_SET_CO3D)
		sets_more_release_co3d(w);
	sets_names_release(&w->written);
	e3_traj_release(&w->poses);
	free(w->root), free(w->name);
	free(w);
}

int e3_set_writer_close(e3_set_writer *w, e3_err *err)
{
	int rc = w->n ? 0 : e3_fail(err, "writing: %s: no frame came", e3_set_name(w->set));
	if (!rc && rows[w->set].finish)
		rc = rows[w->set].finish(w, err);
	if (rc)
		e3_set_writer_discard(w);
	else
		writer_free(w);
	return rc;
}

/* Folders go when nothing is left in them, up to the root. */
void e3_set_writer_discard(e3_set_writer *w)
{
	if (!w)
		return;
	for (size_t k = w->written.n; k-- > 0;) {
		char *path = w->written.v[k], *slash;
		unlink(path);
		while ((slash = strrchr(path, '/')) && (size_t)(slash - path) > strlen(w->root)) {
			*slash = 0;
			if (rmdir(path))
				break;
		}
	}
	writer_free(w);
}
