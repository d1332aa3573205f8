/* surface: depth maps of known cameras to one coloured triangle mesh: truncated signed distances, fused in sparse
 * blocks of voxels, and the zero of that field as triangles (doc/formats.md 4.10).
 *
 * Usage: e3_gauge_add for every view, then e3_gauge_size proposes voxel and truncation; e3_surface_open;
 * e3_surface_mark for every view (which blocks are near a surface), and again from the first view after
 * e3_surface_coarsen when it returns 1; e3_surface_fuse for every view; e3_surface_mesh. Memory is that of the blocks
 * and of one view: it depends on the surface that was seen, not on how often. The same views in the same order give the
 * same bytes for any number of threads.
 */
#ifndef E3_SURFACE_H
#define E3_SURFACE_H

#include "e3/err.h"
#include "e3/geom.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One depth map. Borrowed during a call. */
typedef struct e3_depth_view {
	const float *depth;  /* [k.h][k.w] z depth; what e3_depth_known refuses is unknown */
	const float *conf;   /* [k.h][k.w], above 0: the weight of a pixel; NULL: all the same */
	const uint8_t *rgb;  /* [k.h][k.w][3], sRGB; NULL: white */
	const uint8_t *keep; /* [k.h][k.w], 0: the pixel says nothing of a surface; NULL: all speak */
	e3_pose pose;
	e3_intrinsics k; /* finite, positive focal lengths; the centre of the first pixel is at 0.5, 0.5 */
} e3_depth_view;

/* --- gauge.c: how fine the views are, and how well they agree --- */

typedef struct e3_gauge e3_gauge;

e3_gauge *e3_gauge_open(e3_err *err);
int e3_gauge_add(e3_gauge *g, const e3_depth_view *v, e3_err *err);

typedef struct e3_gauge_size {
	double depth, conf; /* medians of the known pixels; 0: there are none */
	double pixel;       /* median width of a pixel where it meets the surface */
	double noise;       /* how far views disagree, as a part of the depth: 1.48 times the median difference */
} e3_gauge_size;

e3_gauge_size e3_gauge_result(const e3_gauge *g);
void e3_gauge_close(e3_gauge *g);

/* --- surface.c, fuse.c: the field --- */

typedef struct e3_surface_options {
	double voxel;       /* edge of a voxel, > 0 */
	double trunc;       /* distances are cut here; at least E3_SURFACE_BAND voxels are taken */
	double depth, conf; /* of a pixel of weight 1: nearer ones and surer ones weigh more. conf 0: all the same */
	uint64_t max_bytes; /* of all blocks; at least 64 of them are allowed, about 0.5 MiB */
	int threads;        /* >= 1 */
} e3_surface_options;

#define E3_SURFACE_BAND 3.0

typedef struct e3_surface e3_surface;

e3_surface *e3_surface_open(const e3_surface_options *o, e3_err *err);
/* Makes room near the surface that a view sees: 0; 1 when that would take more than max_bytes; -1. */
int e3_surface_mark(e3_surface *s, const e3_depth_view *v, e3_err *err);
/* Forgets everything and goes on with voxels that are larger by the square root of 2. */
void e3_surface_coarsen(e3_surface *s);
int e3_surface_fuse(e3_surface *s, const e3_depth_view *v, e3_err *err);
double e3_surface_voxel(const e3_surface *s);
double e3_surface_trunc(const e3_surface *s);
uint64_t e3_surface_bytes(const e3_surface *s); /* of the blocks */
void e3_surface_close(e3_surface *s);

/* --- mesh.c, pieces.c: its zero --- */

/* Triangles: counter-clockwise seen from the side that cameras were on. Owns its arrays. */
typedef struct e3_mesh {
	uint32_t n, n_triangles;
	float (*xyz)[3];          /* [n] */
	float (*normal)[3];       /* [n] unit length, towards the free side */
	uint16_t (*rgb)[3];       /* [n] linear light, 65535 is white */
	uint32_t (*triangle)[3];  /* [n_triangles] */
	uint32_t pieces, dropped; /* connected pieces that are in it, and that were too small */
} e3_mesh;

/* The mesh without pieces whose area is below `least` squared voxels or below 1/1000 of the largest piece. A mesh may
 * have no triangle. -1 also when it has more than 2^32 - 1 vertices or triangles. */
int e3_surface_mesh(e3_surface *s, double least, e3_mesh *m, e3_err *err);
void e3_mesh_release(e3_mesh *m);

#endif
