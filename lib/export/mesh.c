/* export: the surface of a run as one mesh (doc/formats.md 4.10): goes through the frames when all have come, three
 * times (how fine they are, where surfaces are, what they look like) and once more for every voxel size that is too
 * fine. Refuses streams without depth or pose. */
#include "e3/thread.h"
#include "export/mesh.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PARTS = E3_PART_RGB | E3_PART_DEPTH | E3_PART_DEPTH_CONF | E3_PART_MASK, MOST_THREADS = 16 };

/* What `auto` takes: voxels of so many pixels, and a truncation of so many times the noise. */
#define VOXEL_PIXELS 1.5
#define TRUNC_NOISE 3.0
/* Frames that disagree by more have nothing in common that a wider truncation would find: a part of the depth. */
#define TRUNC_MOST 0.5
/* Pieces smaller than so many squared voxels are dropped. */
#define LEAST_AREA 100.0

/* The frames as views. */
typedef struct replay {
	e3_export_run *run;
	int64_t skipped; /* frames without a usable field of view */
} replay;

static void begin(replay *r)
{
	r->skipped = 0;
	e3_frame_spool_rewind(r->run->frames);
}

/* 1, 0 at the end, -1. */
static int next_view(replay *r, e3_depth_view *v, e3_err *err)
{
	const e3_pred *p;
	for (;;) {
		e3_export_frame frame;
		int rc = e3_frame_spool_next(r->run->frames, PARTS, &p, err);
		if (rc != 1)
			return rc;
		if (e3_export_frame_init(&frame, p, err))
			return -1;
		if (!frame.usable_k) {
			r->skipped++;
			continue;
		}
		*v = (e3_depth_view){.depth = p->depth,
			.conf = p->depth_conf,
			.rgb = p->rgb,
			.keep = e3_frame_spool_mask(r->run->frames),
			.pose = frame.pose,
			.k = frame.k};
		return 1;
	}
}

static int gauge(replay *r, e3_gauge_size *to, e3_err *err)
{
	e3_gauge *g = e3_gauge_open(err);
	e3_depth_view v;
	int rc = g ? 1 : -1;
	begin(r);
	while (rc == 1 && (rc = next_view(r, &v, err)) == 1)
		rc = e3_gauge_add(g, &v, err) ? -1 : 1;
	if (!rc)
		*to = e3_gauge_result(g);
	e3_gauge_close(g);
	return rc;
}

/* Room for every view; with larger voxels when it would be too much. */
static int mark(replay *r, e3_surface *s, e3_err *err)
{
	e3_depth_view v;
	int rc;
	begin(r);
	while ((rc = next_view(r, &v, err)) == 1) {
		int full = e3_surface_mark(s, &v, err);
		if (full < 0)
			return -1;
		if (full) {
			e3_surface_coarsen(s);
			begin(r);
		}
	}
	return rc;
}

static int fuse(replay *r, e3_surface *s, e3_err *err)
{
	e3_depth_view v;
	int rc;
	begin(r);
	while ((rc = next_view(r, &v, err)) == 1)
		if (e3_surface_fuse(s, &v, err))
			return -1;
	return rc;
}

static int make(e3_format_writer *w, e3_export_run *run, const e3_gauge_size *size, replay *r, e3_mesh *m, e3_err *err)
{
	const e3_mesh_options *o = &run->opt->mesh;
	e3_surface_options so = {
		.voxel = o->voxel > 0 ? o->voxel : VOXEL_PIXELS * size->pixel,
		.depth = size->depth,
		.conf = size->conf,
		.max_bytes = o->memory,
		.threads = e3_processors(MOST_THREADS),
	};
	so.trunc = o->trunc > 0 ? o->trunc : fmin(TRUNC_NOISE * size->noise, TRUNC_MOST) * size->depth;
	e3_surface *s = e3_surface_open(&so, err);
	int rc = !s || mark(r, s, err) || fuse(r, s, err) || e3_surface_mesh(s, LEAST_AREA, m, err) ? -1 : 0;
	if (!rc) {
		e3_mesh_facts *f = &run->facts.mesh;
		*f = (e3_mesh_facts){
			.vertices = m->n,
			.triangles = m->n_triangles,
			.dropped = m->dropped,
			.skipped_frames = r->skipped,
			.voxel = e3_surface_voxel(s),
			.trunc = e3_surface_trunc(s),
			.noise = size->noise,
			.bytes = e3_surface_bytes(s),
		};
		if (f->voxel > so.voxel)
			e3_tell(E3_TELL_WARN, "%s: voxels of %.4g would take more than %.3g MiB: made with %.4g", w->file.path,
				so.voxel, (double)o->memory / (1 << 20), f->voxel);
	}
	e3_surface_close(s);
	return rc;
}

static bool is_ply(const char *path)
{
	size_t n = strlen(path);
	return n >= 4 && strcasecmp(path + n - 4, ".ply") == 0;
}

static int mesh_write(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	replay r = {.run = run};
	e3_gauge_size size = {0};
	e3_mesh m = {0};
	int rc = gauge(&r, &size, err);
	if (!rc && size.depth > 0)
		rc = make(w, run, &size, &r, &m, err);
	run->facts.mesh.skipped_frames = r.skipped;
	if (!rc && !m.n_triangles && !run->opt->cloud.allow_empty)
		rc = size.depth > 0
			? e3_fail(err,
				  "making the mesh: %s: no surface is left with voxels of %.4g: they are too small or "
				  "too large for it (a pixel is %.4g wide where it meets it), or frames contradict "
				  "each other",
				  w->file.path, run->facts.mesh.voxel, size.pixel)
			: e3_fail(err, "making the mesh: %s: no surface is left: depth is unknown everywhere", w->file.path);
	if (!rc)
		rc = is_ply(w->file.path) ? e3_mesh_write_ply(&w->file, run, &m, err)
								  : e3_mesh_write_glb(&w->file, run, &m, err);
	e3_mesh_release(&m);
	return rc;
}

static int mesh_open(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	if (e3_format_takes(w->format, w->file.path))
		return 0;
	return e3_fail(err, "writing: %s: a mesh is a .glb or a .ply", w->file.path);
}

static int mesh_check(const e3_format_writer *w, const e3_pred *p, e3_err *err)
{
	if (p->depth && p->has_pose)
		return 0;
	return e3_fail(err, "frame %lld: mesh: the stream has no %s; a mesh needs depth and pose of every frame",
		(long long)p->s.i, p->depth ? "pose" : "depth");
}

const e3_format_ops e3_mesh_format = {.size = sizeof(e3_format_writer),
	.parts = PARTS,
	.open = mesh_open,
	.check = mesh_check,
	.write = mesh_write};
