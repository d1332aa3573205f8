/* export: COLMAP: cameras, images and points3D, as .bin (little-endian, packed) and as .txt (doc/formats.md 4.3).
 * Numbers from 1. A point that one image alone sees has no observation: COLMAP's bundle adjustment ends at a track of
 * one. */
#include "e3/num.h"
#include "e3/version.h"
#include "export/colmap.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char colmap_mark[] = "# e3-export " E3_VERSION "\n";

enum { PINHOLE = 1 };

/* One of the three, in both forms. Each text line and each record is made in a buffer of its own. */
typedef struct pair {
	e3_file bin, txt;
	e3_buf b, t;
	e3_err *err;
	int rc;
} pair;

static void u8(pair *f, uint8_t v) { f->rc = f->rc || e3_buf_add(&f->b, &v, 1, f->err) ? -1 : 0; }

static void u32(pair *f, uint32_t v)
{
	uint8_t to[4];
	e3_put_le32(to, v);
	f->rc = f->rc || e3_buf_add(&f->b, to, sizeof to, f->err) ? -1 : 0;
}

static void u64(pair *f, uint64_t v)
{
	uint8_t to[8];
	e3_put_le64(to, v);
	f->rc = f->rc || e3_buf_add(&f->b, to, sizeof to, f->err) ? -1 : 0;
}

static void f64(pair *f, double v)
{
	uint64_t bits;
	memcpy(&bits, &v, sizeof bits);
	u64(f, bits);
}

/* Text as printf; the numbers of both files are the same to the last bit. */
#define TEXT(f, ...) ((f)->rc = (f)->rc || e3_buf_printf(&(f)->t, (f)->err, __VA_ARGS__) ? -1 : 0)

static void reals(pair *f, const double *v, int n)
{
	for (int k = 0; k < n; k++) {
		f64(f, v[k]);
		TEXT(f, " %.17g", v[k]);
	}
}

static int flush(pair *f)
{
	if (f->rc || e3_file_write(&f->bin, f->b.data, f->b.len, f->err) ||
		e3_file_write(&f->txt, f->t.data, f->t.len, f->err))
		return -1;
	f->b.len = f->t.len = 0;
	return 0;
}

static int open_one(e3_file *file, const e3_outdir *dir, const char *name, const char *ext, e3_err *err)
{
	char sub[64], path[4096];
	snprintf(sub, sizeof sub, "sparse/0/%s.%s", name, ext);
	return e3_outdir_name(dir, sub, path, sizeof path, err) || e3_file_open(file, path, err) ? -1 : 0;
}

static int open_pair(pair *f, const e3_outdir *dir, const char *name, uint64_t n)
{
	f->rc = open_one(&f->bin, dir, name, "bin", f->err) || open_one(&f->txt, dir, name, "txt", f->err) ? -1 : 0;
	TEXT(f, "%s", colmap_mark);
	u64(f, n);
	return f->rc;
}

static int close_pair(pair *f, int rc)
{
	rc = rc || flush(f) || e3_file_commit(&f->bin, f->err) || e3_file_commit(&f->txt, f->err) ? -1 : 0;
	e3_file_discard(&f->bin);
	e3_file_discard(&f->txt);
	e3_buf_release(&f->b);
	e3_buf_release(&f->t);
	return rc;
}

static int write_cameras(const colmap_model *m, const e3_outdir *dir, e3_err *err)
{
	pair f = {.err = err};
	int rc = open_pair(&f, dir, "cameras", m->n_cameras);
	TEXT(&f, "# CAMERA_ID MODEL WIDTH HEIGHT PARAMS[]\n# Number of cameras: %zu\n", m->n_cameras);
	for (size_t k = 0; k < m->n_cameras && !rc; k++) {
		const e3_intrinsics *c = &m->camera[k];
		u32(&f, (uint32_t)k + 1), u32(&f, PINHOLE);
		u64(&f, (uint64_t)c->w), u64(&f, (uint64_t)c->h);
		TEXT(&f, "%zu PINHOLE %d %d", k + 1, c->w, c->h);
		reals(&f, (double[]){c->fx, c->fy, c->cx, c->cy}, 4);
		TEXT(&f, "\n");
		rc = flush(&f);
	}
	return close_pair(&f, rc);
}

/* How many observations of a point are written. */
static int written(const colmap_point *p, bool single) { return single ? 1 : p->n > 1 ? p->n : 0; }

/* The observations by image: those of image i are order[start[i]] to order[start[i + 1]], by point. */
typedef struct by_image {
	size_t *start;
	size_t *order; /* indices into m->obs */
	bool single;
} by_image;

static int sort_observations(colmap_model *m, by_image *s, e3_err *err)
{
	size_t *at = e3_alloc(m->n_images + 1, sizeof *at, "observations", err);
	s->start = e3_alloc(m->n_images + 1, sizeof *s->start, "observations", err);
	if (!at || !s->start) {
		free(at);
		return -1;
	}
	for (int fill = 0; fill < 2; fill++) {
		for (size_t i = 0; i < m->n_points; i++)
			for (int k = 0; k < written(&m->point[i], s->single); k++) {
				colmap_obs *o = &m->obs[i * COLMAP_TRACK + (size_t)k];
				if (fill) {
					o->index = (uint32_t)(at[o->image] - s->start[o->image]);
					s->order[at[o->image]++] = (size_t)(o - m->obs);
				} else {
					s->start[o->image + 1]++;
				}
			}
		for (size_t i = 0; i < m->n_images && !fill; i++)
			s->start[i + 1] += s->start[i];
		memcpy(at, s->start, (m->n_images + 1) * sizeof *at);
		if (!fill && !(s->order = e3_alloc(s->start[m->n_images], sizeof *s->order, "observations", err)))
			break;
	}
	free(at);
	return s->order ? 0 : -1;
}

static int write_images(const colmap_model *m, const by_image *s, const e3_outdir *dir, e3_err *err)
{
	pair f = {.err = err};
	int rc = open_pair(&f, dir, "images", m->n_images);
	TEXT(&f,
		"# IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME\n# POINTS2D[] as X Y POINT3D_ID\n# Number of images: %zu\n",
		m->n_images);
	for (size_t i = 0; i < m->n_images && !rc; i++) {
		const colmap_image *im = &m->image[i];
		const double *q = im->pose.q, sign = q[3] < 0 ? -1 : 1;
		u32(&f, (uint32_t)i + 1);
		TEXT(&f, "%zu", i + 1);
		reals(&f, (double[]){sign * q[3], sign * q[0], sign * q[1], sign * q[2]}, 4);
		reals(&f, im->pose.t, 3);
		u32(&f, (uint32_t)im->camera + 1);
		TEXT(&f, " %d %s\n", im->camera + 1, im->written);
		for (const char *p = im->written; *p; p++)
			u8(&f, (uint8_t)*p);
		u8(&f, 0);
		u64(&f, s->start[i + 1] - s->start[i]);
		for (size_t k = s->start[i]; k < s->start[i + 1]; k++) {
			const colmap_obs *o = &m->obs[s->order[k]];
			uint64_t id = s->order[k] / COLMAP_TRACK + 1;
			f64(&f, o->x), f64(&f, o->y), u64(&f, id);
			TEXT(&f, "%s%.9g %.9g %" PRIu64, k > s->start[i] ? " " : "", o->x, o->y, id);
		}
		TEXT(&f, "\n");
		rc = flush(&f);
	}
	return close_pair(&f, rc);
}

static int write_points(const colmap_model *m, bool single, const e3_outdir *dir, e3_err *err)
{
	pair f = {.err = err};
	int rc = open_pair(&f, dir, "points3D", m->n_points);
	TEXT(&f, "# POINT3D_ID X Y Z R G B ERROR TRACK[] as IMAGE_ID POINT2D_IDX\n# Number of points: %zu\n", m->n_points);
	for (size_t i = 0; i < m->n_points && !rc; i++) {
		const colmap_point *p = &m->point[i];
		int n = written(p, single);
		u64(&f, i + 1);
		TEXT(&f, "%zu", i + 1);
		reals(&f, p->xyz, 3);
		for (int k = 0; k < 3; k++)
			u8(&f, p->rgb[k]);
		TEXT(&f, " %d %d %d", p->rgb[0], p->rgb[1], p->rgb[2]);
		reals(&f, (double[]){p->error / p->n}, 1);
		u64(&f, (uint64_t)n);
		for (int k = 0; k < n; k++) {
			const colmap_obs *o = &m->obs[i * COLMAP_TRACK + (size_t)k];
			u32(&f, o->image + 1), u32(&f, o->index);
			TEXT(&f, " %" PRIu32 " %" PRIu32, o->image + 1, o->index);
		}
		TEXT(&f, "\n");
		rc = flush(&f);
	}
	return close_pair(&f, rc);
}

int colmap_model_write(colmap_model *m, bool single, const e3_outdir *dir, e3_err *err)
{
	by_image s = {.single = single};
	int rc = e3_outdir_sub(dir, "sparse/0", err) || write_cameras(m, dir, err) || sort_observations(m, &s, err) ||
			write_images(m, &s, dir, err) || write_points(m, single, dir, err)
		? -1
		: 0;
	free(s.start);
	free(s.order);
	return rc;
}
