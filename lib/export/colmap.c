/* export: a COLMAP model with its pictures, and the same scene as transforms.json (doc/formats.md 4.3, 4.6): the
 * format. Keeps a few hundred bytes of each frame; pixels wait in the frame spool. */
#include "export/colmap.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 400 };

typedef struct colmap {
	e3_format_writer base;
	const e3_colmap_options *opt;
	colmap_image *frame;
	size_t n, cap;
} colmap;

static int colmap_open(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	colmap *s = (colmap *)w;
	s->opt = &run->opt->colmap;
	if (s->opt->images) {
		DIR *d = opendir(s->opt->images);
		if (!d)
			return e3_fail_sys(err, "reading pictures: %s", s->opt->images);
		closedir(d);
	}
	return colmap_dir_claim(&w->dir, err);
}

static int colmap_check(const e3_format_writer *w, const e3_pred *pred, e3_err *err)
{
	return pred->has_pose
		? 0
		: e3_fail(err, "writing: %s: the stream has no pose for frame %lld: e3-infer ran without the output pose",
			  w->dir.path, (long long)pred->s.i);
}

static int colmap_add(e3_format_writer *w, e3_export_run *run, const e3_export_frame *frame, e3_err *err)
{
	colmap *s = (colmap *)w;
	const e3_pred *p = frame->pred;
	if (s->opt->images && !p->name)
		return e3_fail(err, "reading pictures: frame %lld of the stream does not say what its picture is called; %s",
			(long long)p->s.i, "e3-decode gives names when it writes the pictures or reads a folder of them");
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 64;
		if (e3_grow((void **)&s->frame, cap, sizeof *s->frame, "the frames", err))
			return -1;
		s->cap = cap;
	}
	colmap_image *to = &s->frame[s->n];
	*to = (colmap_image){.ordinal = s->n, .s = p->s, .w = p->w, .h = p->h, .pose = frame->pose};
	to->enc[0] = p->pose[7], to->enc[1] = p->pose[8];
	if (s->opt->unit != E3_EVERY_ALL)
		to->sharp = colmap_sharpness(p);
	if (p->name && !(to->name = strdup(p->name)))
		return e3_fail(err, "reading frames: out of memory");
	s->n++;
	return 0;
}

static int make(colmap *s, colmap_model *m, e3_export_run *run, e3_err *err)
{
	const e3_outdir *dir = &s->base.dir;
	const e3_colmap_options *o = s->opt;
	double up[9];
	e3_axes_matrix(E3_AXES_Z_UP, run, up);
	if ((o->images && colmap_images_look(m, o->images, err)) || colmap_names(m, err) || colmap_dir_check(m, dir, err) ||
		colmap_cameras(m, o->camera_per_image, err))
		return -1;
	if (m->network)
		e3_tell(E3_TELL_NOTE, "%s: the pictures are those of the network, %d × %d: those of the source were not given",
			dir->path, m->image[0].w, m->image[0].h);
	if (o->unit == E3_EVERY_ALL && m->n_images > MANY)
		e3_tell(E3_TELL_NOTE, "%s: %zu pictures: 100 to 400 are usual for Gaussian splatting: keyframes would be fewer",
			dir->path, m->n_images);
	if (colmap_points(m, run, (size_t)o->points, err) || (!o->single && colmap_tracks(m, run, err)))
		return -1;
	return colmap_images_write(m, o->images, run, dir, err) || colmap_model_write(m, o->single, dir, err) ||
			colmap_scene_write(m, up, dir, err)
		? -1
		: 0;
}

static int colmap_write(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	colmap *s = (colmap *)w;
	size_t n = (uint64_t)w->frames < s->n ? (size_t)w->frames : s->n;
	colmap_model m = {.image = s->frame, .n_images = colmap_keyframes(s->frame, n, s->opt), .network = !s->opt->images};
	int rc = make(s, &m, run, err);
	if (!rc) {
		w->points = m.n_points;
		run->facts.pictures = m.n_images;
	}
	free(m.camera);
	free(m.point);
	free(m.obs);
	return rc;
}

static void colmap_release(e3_format_writer *w)
{
	colmap *s = (colmap *)w;
	for (size_t k = 0; k < s->n; k++) {
		free(s->frame[k].name);
		free(s->frame[k].written);
	}
	free(s->frame);
}

const e3_format_ops e3_colmap_format = {.size = sizeof(colmap),
	.parts = E3_PART_RGB | E3_PART_KEEP,
	.whole = true,
	.open = colmap_open,
	.check = colmap_check,
	.add = colmap_add,
	.write = colmap_write,
	.release = colmap_release};
