/* export: a mesh as binary little-endian PLY (doc/formats.md 4.10): vertices with normals and sRGB colours, faces. */
#include "e3/num.h"
#include "e3/version.h"
#include "export/mesh.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { CHUNK = 1024, VERTEX = 27, FACE = 13 };

static int write_header(e3_file *to, const e3_export_run *run, const e3_mesh *m, e3_err *err)
{
	char world[256];
	e3_world_text(run, run->opt->axes, world, sizeof world);
	int rc = fprintf(to->f,
		"ply\n"
		"format binary_little_endian 1.0\n"
		"comment e3-export " E3_VERSION "; %s\n"
		"element vertex %" PRIu32 "\n"
		"property float x\nproperty float y\nproperty float z\n"
		"property float nx\nproperty float ny\nproperty float nz\n"
		"property uchar red\nproperty uchar green\nproperty uchar blue\n"
		"element face %" PRIu32 "\n"
		"property list uchar int vertex_indices\n"
		"end_header\n",
		world, m->n, m->n_triangles);
	return rc < 0 ? e3_fail_sys(err, "writing: %s", e3_file_name(to)) : 0;
}

static void put_turned(const e3_export_run *run, const double turn[9], const float v[3], uint8_t *to)
{
	float out[3];
	e3_axes_turn(run->opt->axes, turn, v, out);
	for (int k = 0; k < 3; k++)
		e3_put_lef32(to + 4 * k, out[k]);
}

static uint8_t srgb(uint16_t linear)
{
	double v = linear / 65535.0;
	return (uint8_t)(255 * (v <= 0.0031308 ? 12.92 * v : 1.055 * pow(v, 1 / 2.4) - 0.055) + 0.5);
}

static int write_vertices(e3_file *to, const e3_export_run *run, const e3_mesh *m, e3_err *err)
{
	uint8_t room[CHUNK * VERTEX];
	double turn[9];
	size_t used = 0;
	e3_axes_matrix(run->opt->axes, run, turn);
	for (uint32_t k = 0; k < m->n; k++) {
		put_turned(run, turn, m->xyz[k], room + used);
		put_turned(run, turn, m->normal[k], room + used + 12);
		for (int c = 0; c < 3; c++)
			room[used + 24 + (size_t)c] = srgb(m->rgb[k][c]);
		used += VERTEX;
		if (used == sizeof room || k + 1 == m->n) {
			if (e3_file_write(to, room, used, err))
				return -1;
			used = 0;
		}
	}
	return 0;
}

static int write_faces(e3_file *to, const e3_mesh *m, e3_err *err)
{
	uint8_t room[CHUNK * FACE];
	size_t used = 0;
	for (uint32_t k = 0; k < m->n_triangles; k++) {
		room[used] = 3;
		for (int c = 0; c < 3; c++)
			e3_put_le32(room + used + 1 + 4 * c, m->triangle[k][c]);
		used += FACE;
		if (used == sizeof room || k + 1 == m->n_triangles) {
			if (e3_file_write(to, room, used, err))
				return -1;
			used = 0;
		}
	}
	return 0;
}

int e3_mesh_write_ply(e3_file *to, const e3_export_run *run, const e3_mesh *m, e3_err *err)
{
	if (m->n > INT32_MAX)
		return e3_fail(err, "writing: %s: %" PRIu32 " vertices, and a PLY numbers at most 2^31: use larger voxels",
			to->path, m->n);
	return write_header(to, run, m, err) || write_vertices(to, run, m, err) || write_faces(to, m, err) ? -1 : 0;
}
