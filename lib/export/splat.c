/* export: a PLY that viewers of 3D Gaussians open (doc/formats.md 4.10): each point a flat disc on the surface, as wide
 * as the points are apart, with its colour and no view dependence. Holds the points in memory: up to 48 bytes each. */
#include "e3/kdtree.h"
#include "e3/num.h"
#include "e3/thread.h"
#include "e3/version.h"
#include "export/writer.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	MAX_POINTS = 1000000, /* unless the options say otherwise: 68 MB, which browsers draw smoothly */
	NEAREST = 8,          /* neighbours that say how far points are apart */
	MAX_THREADS = 16,
	FLOATS = 17, /* of a record */
	CHUNK = 1024
};

/* doc/formats.md 4.10: chosen by rendering. The width suits clouds that were thinned at random: dense ones look sharper
 * with 0.4, but these would have gaps. */
#define WIDTH 0.6                /* standard deviation of a disc, of the distance between points */
#define THICKNESS 0.05           /* of its width */
#define OPACITY 0.95             /* in the middle */
#define LARGEST 0.02             /* a lonely point's width, of the scene scale */
#define SH_0 0.28209479177387814 /* the constant of the spherical harmonics: sqrt(1 / 4 pi) */

/* What does not change its order with the tree. */
typedef struct look {
	uint8_t rgb[3];
	int8_t normal[3];
} look;

typedef struct splat {
	e3_format_writer base;
	double (*xyz)[3]; /* [n] */
	look *look;       /* [n] */
	size_t n;
	e3_kdtree tree;
	float *record; /* [CHUNK][FLOATS] */
	double turn[9], largest;
	e3_axes axes;
	size_t first; /* of the chunk that is made */
} splat;

static int take_points(splat *s, e3_export_run *run, const e3_point_selection *selection, e3_err *err)
{
	e3_point_batch b;
	int rc;
	s->xyz = e3_alloc((size_t)selection->n, sizeof *s->xyz, "splats", err);
	s->look = e3_alloc((size_t)selection->n, sizeof *s->look, "splats", err);
	if (!s->xyz || !s->look)
		return -1;
	e3_cloud_rewind(run->cloud);
	while ((rc = e3_cloud_next(run->cloud, selection, &b, err)) == 1)
		for (size_t k = 0; k < b.n; k++, s->n++) {
			for (int a = 0; a < 3; a++)
				s->xyz[s->n][a] = b.p[k].xyz[a];
			memcpy(s->look[s->n].rgb, b.p[k].rgb, 3);
			memcpy(s->look[s->n].normal, b.p[k].normal, 3);
		}
	return rc;
}

/* The normal of a point that has none: the direction in which its neighbours vary least. false: no direction does. */
static bool fit_normal(const double (*off)[3], size_t n, double normal[3])
{
	double c[9] = {0}, u[9], d[3], v[9];
	for (size_t k = 0; k < n; k++)
		for (int a = 0; a < 9; a++)
			c[a] += off[k][a / 3] * off[k][a % 3];
	e3_svd3(c, u, d, v);
	for (int a = 0; a < 3; a++)
		normal[a] = v[3 * a + 2];
	return n >= 3 && d[1] > 2 * d[2];
}

/* The rotation that turns z into n: the shortest one. w x y z. */
static void quaternion_to(const double n[3], float q[4])
{
	double w = 1 + n[2], length = sqrt(w * w + n[0] * n[0] + n[1] * n[1]);
	bool behind = length < 1e-6;
	q[0] = behind ? 0 : (float)(w / length);
	q[1] = behind ? 1 : (float)(-n[1] / length);
	q[2] = behind ? 0 : (float)(n[0] / length);
	q[3] = 0;
}

/* How far apart points are around this one, in its tangent plane: the edge of the square that each has for itself. */
static double spacing(const double (*off)[3], size_t n, const double normal[3])
{
	double far = 0;
	for (size_t k = 0; k < n; k++) {
		double along = off[k][0] * normal[0] + off[k][1] * normal[1] + off[k][2] * normal[2];
		double d2 = off[k][0] * off[k][0] + off[k][1] * off[k][1] + off[k][2] * off[k][2] - along * along;
		far = d2 > far ? d2 : far;
	}
	return n ? sqrt(3.14159265358979 * far / (double)n) : 0;
}

static void make_record(const splat *s, size_t i, float r[FLOATS])
{
	size_t row[NEAREST + 1];
	double d2[NEAREST + 1], off[NEAREST][3], n[3];
	const double *x = s->tree.x[i];
	const look *l = &s->look[s->tree.was[i]];
	size_t found = e3_kdtree_near(&s->tree, x, NEAREST + 1, INFINITY, row, d2), near = 0;
	for (size_t k = 0; k < found && near < NEAREST; k++)
		if (row[k] != i) {
			for (int a = 0; a < 3; a++)
				off[near][a] = s->tree.x[row[k]][a] - x[a];
			near++;
		}
	float xyz[3] = {(float)x[0], (float)x[1], (float)x[2]}, normal[3];
	e3_point_normal(&(e3_point){.normal = {l->normal[0], l->normal[1], l->normal[2]}}, normal);
	bool seen = normal[0] != 0 || normal[1] != 0 || normal[2] != 0;
	for (int a = 0; a < 3; a++)
		n[a] = normal[a];
	bool flat = seen || fit_normal((const double(*)[3])off, near, n);
	double apart = spacing((const double(*)[3])off, near, flat ? n : (double[3]){0, 0, 0});
	double width = fmin(fmax(WIDTH * apart, 1e-3 * s->largest), s->largest);
	for (int a = 0; a < 3; a++)
		normal[a] = (float)n[a];
	e3_axes_turn(s->axes, s->turn, xyz, r);
	e3_axes_turn(s->axes, s->turn, normal, normal);
	for (int a = 0; a < 3; a++) {
		n[a] = normal[a];
		r[3 + a] = flat ? normal[a] : 0;
		r[6 + a] = (float)((l->rgb[a] / 255.0 - 0.5) / SH_0);
		r[10 + a] = (float)log(flat && a == 2 ? THICKNESS * width : width);
	}
	r[9] = (float)log(OPACITY / (1 - OPACITY));
	quaternion_to(flat ? n : (double[3]){0, 0, 1}, r + 13);
}

static void make_some(void *ctx, int task, int thread)
{
	const splat *s = ctx;
	enum { EACH = CHUNK / MAX_THREADS };
	for (size_t k = (size_t)task * EACH; k < (size_t)(task + 1) * EACH && s->first + k < s->n; k++)
		make_record(s, s->first + k, s->record + k * FLOATS);
}

static int write_header(const splat *s, const e3_export_run *run, e3_file *to, e3_err *err)
{
	char world[256];
	static const char *const names[FLOATS] = {"x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity",
		"scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"};
	e3_world_text(run, s->axes, world, sizeof world);
	int rc = fprintf(to->f,
		"ply\nformat binary_little_endian 1.0\ncomment e3-export " E3_VERSION "; 3D Gaussians; %s\n"
		"element vertex %zu\n",
		world, s->n);
	for (int k = 0; k < FLOATS && rc >= 0; k++)
		rc = fprintf(to->f, "property float %s\n", names[k]);
	return rc < 0 || fputs("end_header\n", to->f) < 0 ? e3_fail_sys(err, "writing: %s", e3_file_name(to)) : 0;
}

static int write_records(splat *s, e3_export_run *run, e3_pool *pool, e3_err *err)
{
	uint8_t bytes[4 * FLOATS];
	for (s->first = 0; s->first < s->n; s->first += CHUNK) {
		if (run->opt->stop && run->opt->stop())
			return e3_fail(err, "exporting: interrupted");
		e3_parallel_for(pool, MAX_THREADS, make_some, s);
		for (size_t k = 0; k < CHUNK && s->first + k < s->n; k++) {
			for (int a = 0; a < FLOATS; a++)
				e3_put_lef32(bytes + 4 * a, s->record[k * FLOATS + (size_t)a]);
			if (e3_file_write(&s->base.file, bytes, sizeof bytes, err))
				return -1;
		}
	}
	return 0;
}

static bool asked_to_stop(void *ctx)
{
	const e3_export_run *run = ctx;
	return run->opt->stop && run->opt->stop();
}

static int splat_write(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	splat *s = (splat *)w;
	int64_t max = run->opt->cloud.max_points;
	int threads = e3_processors(MAX_THREADS);
	e3_work work = {.threads = threads, .stop = asked_to_stop, .ctx = run};
	e3_point_selection selection;
	if (e3_cloud_select(run->cloud, max < 0 ? MAX_POINTS : (uint64_t)max, &selection, err))
		return -1;
	selection.normals = true;
	s->axes = run->opt->axes;
	e3_axes_matrix(s->axes, run, s->turn);
	s->largest = LARGEST * run->facts.scene_scale > 0 ? LARGEST * run->facts.scene_scale : 1;
	s->record = e3_alloc((size_t)CHUNK * FLOATS, sizeof *s->record, "splats", err);
	if (!s->record || take_points(s, run, &selection, err))
		return -1;
	w->points = s->n;
	if (s->n && e3_kdtree_init(&s->tree, s->xyz, s->n, &work, err))
		return -1;
	e3_pool *pool = e3_pool_open(threads, E3_POOL_SLEEP, err);
	int rc = !pool || write_header(s, run, &w->file, err) || write_records(s, run, pool, err) ? -1 : 0;
	e3_pool_close(pool);
	return rc;
}

static void splat_release(e3_format_writer *w)
{
	splat *s = (splat *)w;
	e3_kdtree_release(&s->tree);
	free(s->xyz), free(s->look), free(s->record);
}

const e3_format_ops e3_splat_format = {.size = sizeof(splat),
	.parts = E3_PART_NORMALS,
	.write = splat_write,
	.release = splat_release};
