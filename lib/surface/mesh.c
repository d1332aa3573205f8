/* surface: the zero of the field as triangles. A vertex lies on an edge between two neighbouring voxels of different
 * sign, so it belongs to the block of the lower one, and its number is found by counting bits: neighbouring cells share
 * vertices without a search. Blocks are done in parallel, twice: counted, then written where the counts say. */
#include "surface/field.h"
#include "e3/mem.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 3 * SF_VOXELS / 64, WIDE = SF_SIDE + 3 /* a block with the voxels around it: -1 to 9 */ };

/* Where a voxel is deeper than that, in voxels, its neighbour outside did not see the same surface: it is empty space
 * beside what another view hides. */
#define DEEP 1.5f
#define STEEP 1.2f
/* A voxel is believed from this weight on: a share of what is usual at a surface, but not more than two good looks. */
#define LEAST_SHARE 0.07f
#define LEAST_WEIGHT 2.0f

/* The vertices and triangles of one block. Bit of a vertex: 512 axis + its voxel. */
typedef struct cut {
	uint64_t bit[WORDS];
	uint32_t rank[WORDS]; /* vertices before this word, in the block */
	uint32_t first, n, first_triangle, n_triangles;
} cut;

typedef struct job {
	const e3_surface *s;
	sf_cubes cubes;
	cut *of;     /* [blocks] */
	float least; /* weight of a voxel that is believed */
	e3_mesh *m;
} job;

/* A block and what is around it. d is NaN where nothing is known. */
typedef struct around {
	float d[WIDE][WIDE][WIDE];
	uint32_t block[3][3][3];
} around;

static void gather(const sf_field *f, const sf_block *b, float least, around *a)
{
	int32_t at[3];
	for (int z = 0; z < 3; z++)
		for (int y = 0; y < 3; y++)
			for (int x = 0; x < 3; x++) {
				at[0] = b->at[0] + x - 1, at[1] = b->at[1] + y - 1, at[2] = b->at[2] + z - 1;
				uint32_t k = sf_find(f, at);
				a->block[z][y][x] = k != SF_NONE && f->block[k].v ? k : SF_NONE;
			}
	for (int z = 0; z < WIDE; z++)
		for (int y = 0; y < WIDE; y++)
			for (int x = 0; x < WIDE; x++) {
				int i = x + SF_SIDE - 1, j = y + SF_SIDE - 1, l = z + SF_SIDE - 1; /* from the corner of the 27 */
				uint32_t k = a->block[l / SF_SIDE][j / SF_SIDE][i / SF_SIDE];
				int n = (l % SF_SIDE * SF_SIDE + j % SF_SIDE) * SF_SIDE + i % SF_SIDE;
				const sf_voxels *v = k == SF_NONE ? NULL : f->block[k].v;
				a->d[z][y][x] = v && v->w[n] >= least ? v->d[n] : NAN;
			}
}

/* The value of a voxel of the block, -1 to 9 on each axis. */
static float value(const around *a, const int at[3]) { return a->d[at[2] + 1][at[1] + 1][at[0] + 1]; }

static bool crosses(float a, float b, float deep) { return (a < 0) != (b < 0) && a >= -deep && b >= -deep; }

/* Inside corners of the cell at x, y, z; 0 when something there is not known. */
static int inside_of(const around *a, const int at[3], float deep)
{
	float d[8];
	int inside = 0;
	for (int k = 0; k < 8; k++) {
		d[k] = value(a, (int[]){at[0] + (k & 1), at[1] + (k >> 1 & 1), at[2] + (k >> 2)});
		if (isnan(d[k]))
			return 0;
		inside |= (d[k] < 0) << k;
	}
	for (int e = 0; e < 12 && inside && inside != 255; e++) {
		float x = d[sf_edge_corner[e]], y = d[sf_edge_corner[e] | 1 << sf_edge_axis[e]];
		if ((x < 0) != (y < 0) && !crosses(x, y, deep))
			return 0;
	}
	return inside == 255 ? 0 : inside;
}

/* The edge e of the cell at `at`: the bit of its vertex; block: 0 or 1 on each axis, whose it is. */
static int bit_of(const int at[3], int e, int block[3])
{
	int c = sf_edge_corner[e], n = 0;
	for (int k = 2; k >= 0; k--) {
		int x = at[k] + (c >> k & 1);
		block[k] = x / SF_SIDE;
		n = n * SF_SIDE + x % SF_SIDE;
	}
	return sf_edge_axis[e] * SF_VOXELS + n;
}

static void count_block(void *ctx, int task, int thread)
{
	job *j = ctx;
	const sf_field *f = &j->s->field;
	cut *c = &j->of[task];
	around a;
	float deep = DEEP * (float)j->s->o.voxel;
	if (!f->block[task].v)
		return;
	gather(f, &f->block[task], j->least, &a);
	for (int n = 0; n < SF_VOXELS; n++) {
		int at[3] = {n % SF_SIDE, n / SF_SIDE % SF_SIDE, n / SF_SIDE / SF_SIDE};
		float d = value(&a, at);
		for (int axis = 0; axis < 3; axis++) {
			int next[3] = {at[0] + (axis == 0), at[1] + (axis == 1), at[2] + (axis == 2)};
			if (crosses(d, value(&a, next), deep))
				c->bit[(axis * SF_VOXELS + n) / 64] |= 1ull << (n % 64);
		}
		int inside = inside_of(&a, at, deep);
		c->n_triangles += inside ? j->cubes.of[inside].n : 0;
	}
	for (int k = 0; k < WORDS; k++) {
		c->rank[k] = c->n;
		c->n += (uint32_t)__builtin_popcountll(c->bit[k]);
	}
}

/* The slope of the field at a voxel, for each edge of a voxel. A distance changes by no more than that edge: what
 * differs by more, or is not known, is left out. */
static void gradient(const around *a, const int at[3], float edge, float g[3])
{
	float d = value(a, at);
	for (int k = 0; k < 3; k++) {
		int low[3] = {at[0], at[1], at[2]}, high[3] = {at[0], at[1], at[2]};
		low[k]--, high[k]++;
		float x = d - value(a, low), y = value(a, high) - d;
		bool far_x = !(fabsf(x) <= STEEP * edge), far_y = !(fabsf(y) <= STEEP * edge);
		if (far_x && far_y)
			far_x = isnan(x), far_y = isnan(y);
		g[k] = far_x ? far_y ? 0 : y : far_y ? x : (x + y) / 2;
	}
}

static const sf_voxels *voxel_of(const job *j, const around *a, const int at[3], int *n)
{
	int block[3];
	for (int k = 0; k < 3; k++)
		block[k] = (at[k] + SF_SIDE) / SF_SIDE;
	*n = at[2] % SF_SIDE * SF_SIDE * SF_SIDE + at[1] % SF_SIDE * SF_SIDE + at[0] % SF_SIDE;
	return j->s->field.block[a->block[block[2]][block[1]][block[0]]].v;
}

/* t: how far the vertex is from voxel `at` to voxel `next`. */
static void write_vertex(const job *j, const around *a, const int *const end[2], const int32_t block[3], uint32_t to)
{
	float d[2] = {value(a, end[0]), value(a, end[1])}, t = d[0] / (d[0] - d[1]), g[2][3], length = 0;
	float *normal = j->m->normal[to];
	for (int k = 0; k < 2; k++)
		gradient(a, end[k], (float)j->s->o.voxel, g[k]);
	for (int k = 0; k < 3; k++) {
		double x = block[k] * (double)SF_SIDE + end[0][k] + (double)t * (end[1][k] - end[0][k]);
		j->m->xyz[to][k] = (float)(x * j->s->o.voxel);
		normal[k] = g[0][k] + t * (g[1][k] - g[0][k]);
		length += normal[k] * normal[k];
	}
	for (int k = 0; k < 3; k++) /* without a slope: along the edge */
		normal[k] = length > 0 ? normal[k] / sqrtf(length) : (float)(end[1][k] - end[0][k]) * (d[0] < 0 ? 1 : -1);
	float share[2], sum = 0;
	const sf_voxels *v[2];
	int n[2];
	for (int k = 0; k < 2; k++) {
		v[k] = voxel_of(j, a, end[k], &n[k]);
		share[k] = v[k]->rgb_w[n[k]] ? (k ? t : 1 - t) + 1e-6f : 0;
		sum += share[k];
	}
	for (int c = 0; c < 3; c++)
		j->m->rgb[to][c] =
			sum > 0 ? (uint16_t)((share[0] * v[0]->rgb[c][n[0]] + share[1] * v[1]->rgb[c][n[1]]) / sum + 0.5f) : 32768;
}

static void write_triangles(const job *j, const around *a, const int at[3], int inside, uint32_t to)
{
	const sf_cube *cube = &j->cubes.of[inside];
	for (int k = 0; k < cube->n; k++)
		for (int c = 0; c < 3; c++) {
			int block[3], bit = bit_of(at, cube->edge[k][c], block);
			const cut *of = &j->of[a->block[block[2] + 1][block[1] + 1][block[0] + 1]];
			uint64_t before = of->bit[bit / 64] & ((1ull << (bit % 64)) - 1);
			j->m->triangle[to + (uint32_t)k][c] =
				of->first + of->rank[bit / 64] + (uint32_t)__builtin_popcountll(before);
		}
}

static void write_block(void *ctx, int task, int thread)
{
	const job *j = ctx;
	const sf_field *f = &j->s->field;
	const cut *c = &j->of[task];
	around a;
	float deep = DEEP * (float)j->s->o.voxel;
	uint32_t vertex = c->first, triangle = c->first_triangle;
	if (!c->n && !c->n_triangles)
		return;
	gather(f, &f->block[task], j->least, &a);
	for (int bit = 0; bit < 3 * SF_VOXELS; bit++) {
		int n = bit % SF_VOXELS, axis = bit / SF_VOXELS;
		if (!(c->bit[bit / 64] >> (bit % 64) & 1))
			continue;
		int at[3] = {n % SF_SIDE, n / SF_SIDE % SF_SIDE, n / SF_SIDE / SF_SIDE};
		int next[3] = {at[0] + (axis == 0), at[1] + (axis == 1), at[2] + (axis == 2)};
		write_vertex(j, &a, (const int *const[2]){at, next}, f->block[task].at, vertex++);
	}
	for (int n = 0; n < SF_VOXELS; n++) {
		int at[3] = {n % SF_SIDE, n / SF_SIDE % SF_SIDE, n / SF_SIDE / SF_SIDE};
		int inside = inside_of(&a, at, deep);
		if (!inside)
			continue;
		write_triangles(j, &a, at, inside, triangle);
		triangle += j->cubes.of[inside].n;
	}
}

static int allocate(e3_mesh *m, uint64_t n, uint64_t triangles, e3_err *err)
{
	static const char what[] = "the mesh";
	if (n > UINT32_MAX || triangles > UINT32_MAX)
		return e3_fail(err, "making the mesh: more than 2^32 vertices or triangles: use larger voxels");
	m->n = (uint32_t)n, m->n_triangles = (uint32_t)triangles;
	m->xyz = e3_alloc(n, sizeof *m->xyz, what, err);
	m->normal = m->xyz ? e3_alloc(n, sizeof *m->normal, what, err) : NULL;
	m->rgb = m->normal ? e3_alloc(n, sizeof *m->rgb, what, err) : NULL;
	m->triangle = m->rgb ? e3_alloc(triangles, sizeof *m->triangle, what, err) : NULL;
	return m->triangle ? 0 : -1;
}

/* From the median weight of the voxels that are nearer than one to a surface, within a sixteenth of an octave. */
static float least_weight(const e3_surface *s)
{
	enum { OCTAVE = 16, LOW = 40, BINS = 80 * OCTAVE };
	uint64_t count[BINS] = {0}, n = 0;
	for (uint32_t k = 0; k < s->field.n; k++) {
		const sf_voxels *v = s->field.block[k].v;
		for (int j = 0; v && j < SF_VOXELS; j++)
			if (v->w[j] > 0 && fabsf(v->d[j]) < (float)s->o.voxel) {
				float bin = (log2f(v->w[j]) + LOW) * OCTAVE;
				count[bin < 0 ? 0 : bin > BINS - 1 ? BINS - 1 : (int)bin]++;
				n++;
			}
	}
	int median = 0;
	for (uint64_t left = n / 2; n && left >= count[median]; median++)
		left -= count[median];
	float share = LEAST_SHARE * exp2f(((float)median + 0.5f) / OCTAVE - LOW);
	return fmaxf(fminf(share, LEAST_WEIGHT), FLT_MIN);
}

int e3_surface_mesh(e3_surface *s, double least, e3_mesh *m, e3_err *err)
{
	uint64_t n = 0, triangles = 0;
	uint32_t blocks = s->field.n;
	job j = {.s = s, .of = e3_alloc(blocks, sizeof *j.of, "the mesh", err), .m = m};
	*m = (e3_mesh){.n = 0};
	if (!j.of)
		return -1;
	sf_cubes_fill(&j.cubes);
	j.least = least_weight(s);
	e3_parallel_for(s->pool, (int)blocks, count_block, &j);
	for (uint32_t k = 0; k < blocks; k++) {
		j.of[k].first = (uint32_t)n, j.of[k].first_triangle = (uint32_t)triangles;
		n += j.of[k].n, triangles += j.of[k].n_triangles;
	}
	int rc = allocate(m, n, triangles, err);
	if (!rc) {
		e3_parallel_for(s->pool, (int)blocks, write_block, &j);
		rc = sf_pieces(m, least * s->o.voxel * s->o.voxel, err);
	}
	free(j.of);
	if (rc)
		e3_mesh_release(m);
	return rc;
}

void e3_mesh_release(e3_mesh *m)
{
	free(m->xyz), free(m->normal), free(m->rgb), free(m->triangle);
	*m = (e3_mesh){.n = 0};
}
