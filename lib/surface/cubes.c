/* surface: the polygons that separate the inside corners of a cell from the others, derived instead of listed. On every
 * face the corners inside are cut off from those outside; where two lie opposite each other, each by itself. The rule
 * sees only the face, so neighbouring cells agree on it, and the mesh has no cracks. Each cut enters a face on one edge
 * and leaves it on another; on the next face the edge it left is the one it enters: the cuts close to polygons. */
#include "surface/field.h"
#include <string.h>

const uint8_t sf_edge_corner[12] = {0, 2, 4, 6, 0, 1, 4, 5, 0, 1, 2, 3};
const uint8_t sf_edge_axis[12] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2};

/* The corners of each face, counter-clockwise seen from outside the cell. */
static const uint8_t faces[6][4] = {{0, 4, 6, 2}, {1, 3, 7, 5}, {0, 1, 5, 4}, {2, 6, 7, 3}, {0, 2, 3, 1}, {4, 5, 7, 6}};

static int edge_between(int a, int b)
{
	int low = a < b ? a : b, axis = (a ^ b) >> 1;
	for (int e = 0; e < 12; e++)
		if (sf_edge_corner[e] == low && sf_edge_axis[e] == axis)
			return e;
	return -1;
}

static void fill_one(int inside, sf_cube *c)
{
	int next[12], done = 0;
	memset(next, -1, sizeof next);
	for (int f = 0; f < 6; f++)
		for (int k = 0; k < 4; k++) {
			int here = faces[f][k], after = faces[f][(k + 1) % 4];
			if (inside >> here & 1 || !(inside >> after & 1))
				continue;
			int last = (k + 1) % 4; /* of the corners inside that follow */
			while (inside >> faces[f][(last + 1) % 4] & 1)
				last = (last + 1) % 4;
			next[edge_between(here, after)] = edge_between(faces[f][last], faces[f][(last + 1) % 4]);
		}
	*c = (sf_cube){.n = 0};
	for (int first = 0; first < 12; first++) {
		if (next[first] < 0 || done >> first & 1)
			continue;
		done |= 1 << first;
		for (int a = next[first], b = next[a]; b != first; a = b, b = next[b]) {
			uint8_t *t = c->edge[c->n++];
			t[0] = (uint8_t)first, t[1] = (uint8_t)a, t[2] = (uint8_t)b;
			done |= 1 << a | 1 << b;
		}
	}
}

void sf_cubes_fill(sf_cubes *c)
{
	for (int k = 0; k < 256; k++)
		fill_one(k, &c->of[k]);
}
