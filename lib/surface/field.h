/* surface: what the files of this layer share: the blocks of the field (field.c), a view as the field reads it
 * (view.c), the triangles of a cell (cubes.c). */
#ifndef E3_SURFACE_FIELD_H
#define E3_SURFACE_FIELD_H

#include "e3/surface.h"
#include "e3/thread.h"

enum { SF_SIDE = 8, SF_VOXELS = SF_SIDE * SF_SIDE * SF_SIDE };

/* Voxel x, y, z is number x + 8 y + 64 z; its value holds at its corner of lowest coordinates, (at + x) voxels from the
 * origin. */
typedef struct sf_voxels {
	float d[SF_VOXELS]; /* distance, positive on the side of the cameras, cut at trunc; valid where w > 0 */
	float w[SF_VOXELS]; /* sum of weights */
	uint16_t rgb[3][SF_VOXELS], rgb_w[SF_VOXELS]; /* mean in linear light; sum of weights, 1/64, saturating */
} sf_voxels;

typedef struct sf_block {
	int32_t at[3]; /* its first voxel is 8 times this */
	sf_voxels *v;  /* NULL: nothing was fused yet */
} sf_block;

/* Blocks by position: numbers in the order in which they were added. */
typedef struct sf_field {
	sf_block *block;
	uint32_t n, cap;
	uint32_t *slot; /* [slots] number + 1; 0: empty */
	uint32_t slots; /* a power of two */
} sf_field;

#define SF_NONE UINT32_MAX
enum { SF_FEWEST = 64 }; /* blocks that are always allowed: those around the origin stay, however large voxels get */
enum { SF_REACH = 1 << 26 }; /* blocks are at -SF_REACH to SF_REACH: farther points are not kept */

uint32_t sf_find(const sf_field *f, const int32_t at[3]);
/* The number of the block at this position, which is added when it is missing; SF_NONE without memory. */
uint32_t sf_add(sf_field *f, const int32_t at[3], e3_err *err);
void sf_clear(sf_field *f);

/* What a pixel says of the surface. */
typedef struct sf_pixel {
	float inverse;  /* 1 / depth at its centre; 0: it is unknown */
	float slope[2]; /* of that, for each pixel to the right and down */
	float slant;    /* cosine between its ray and the normal of the surface, times the length of the ray at z = 1 */
	float clear;    /* depth up to which space is empty, the least of this pixel and the 8 around it; 0: unknown */
	float weight;   /* of its surface; 0: it says nothing of one, as it is too wide there or looks along it */
	float sure;     /* weight of the space before it; 0: it says nothing at all */
} sf_pixel;

typedef struct sf_view {
	const e3_depth_view *v;
	sf_pixel *p; /* [h][w] */
	size_t cap;
} sf_view;

/* Fills the pixels. Those wider than SF_WIDEST voxels only say what is empty. */
int sf_view_fill(sf_view *to, const e3_depth_view *v, const e3_surface_options *o, e3_err *err);
void sf_view_release(sf_view *v);

#define SF_WIDEST 8.0

/* The polygons of a cell by which of its corners are inside (bit x + 2 y + 4 z). Edge 4 a + ... is numbered by its axis
 * and its lower corner: sf_edge_of. */
typedef struct sf_cube {
	uint8_t n;           /* triangles */
	uint8_t edge[12][3]; /* the edges on which their corners lie, counter-clockwise seen from outside the surface */
} sf_cube;

typedef struct sf_cubes {
	sf_cube of[256];
} sf_cubes;

/* Lower corner and axis of an edge. */
extern const uint8_t sf_edge_corner[12], sf_edge_axis[12];
void sf_cubes_fill(sf_cubes *c);

/* pieces.c: drops pieces whose area is below `least`, and vertices without a triangle. */
int sf_pieces(e3_mesh *m, double least, e3_err *err);

struct e3_surface {
	e3_surface_options o;
	double trunc;
	sf_field field;
	sf_view view;
	e3_pool *pool;
	uint32_t *seen; /* blocks in the present view */
	uint32_t seen_cap;
	float linear[256]; /* of sRGB bytes, 0 to 65535 */
};

#endif
