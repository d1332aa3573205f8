/* export: a mesh as binary glTF (doc/formats.md 4.10): one primitive with a lit, double-sided material. */
#include "e3/num.h"
#include "export/glb.h"
#include "export/mesh.h"
#include <string.h>

enum { CHUNK = 4096 };

/* The binary chunk: positions, normals, colours, indices; 32 bytes a vertex, 12 a triangle. */
static uint64_t bytes_of(const e3_mesh *m) { return 32 * (uint64_t)m->n + 12 * (uint64_t)m->n_triangles; }

static int add_material(e3_gltf *g)
{
	e3_json *j = e3_gltf_begin(g, &g->materials);
	e3_json_text(j, "name", "surface");
	e3_json_bool(j, "doubleSided", true);
	e3_json_object(j, "pbrMetallicRoughness");
	e3_json_int(j, "metallicFactor", 0);
	e3_json_int(j, "roughnessFactor", 1);
	e3_json_end(j);
	return e3_gltf_end(g, &g->materials);
}

static void add_mesh(const e3_mesh *m, e3_gltf *g)
{
	float min[3], max[3];
	uint64_t n = m->n, indices = 3 * (uint64_t)m->n_triangles;
	e3_bounds(m->xyz[0], n, min, max);
	e3_gltf_array position = {e3_gltf_view(g, 0, 12 * n, E3_GLTF_VERTICES), E3_GLTF_F32, 3, n, min, max};
	e3_gltf_array normal = {e3_gltf_view(g, 12 * n, 12 * n, E3_GLTF_VERTICES), E3_GLTF_F32, 3, n, NULL, NULL};
	e3_gltf_array colour = {e3_gltf_view(g, 24 * n, 8 * n, E3_GLTF_VERTICES), E3_GLTF_U16, 4, n, NULL, NULL};
	e3_gltf_array index = {e3_gltf_view(g, 32 * n, 4 * indices, E3_GLTF_INDICES), E3_GLTF_U32, 1, indices, NULL, NULL};
	int at[4] = {e3_gltf_accessor(g, &position), e3_gltf_accessor(g, &normal), e3_gltf_accessor(g, &colour),
		e3_gltf_accessor(g, &index)};
	int material = add_material(g);
	e3_json *j = e3_gltf_begin(g, &g->meshes);
	e3_json_text(j, "name", "surface");
	e3_json_array(j, "primitives");
	e3_json_object(j, NULL);
	e3_json_int(j, "mode", 4);
	e3_json_object(j, "attributes");
	e3_json_int(j, "POSITION", at[0]);
	e3_json_int(j, "NORMAL", at[1]);
	e3_json_int(j, "COLOR_0", at[2]);
	e3_json_end(j);
	e3_json_int(j, "indices", at[3]);
	e3_json_int(j, "material", material);
	e3_json_end(j);
	e3_json_end(j);
	e3_gltf_end(g, &g->meshes);
}

static void add_nodes(const e3_export_run *run, const e3_mesh *m, e3_gltf *g)
{
	double matrix[16];
	e3_json *j = e3_gltf_begin(g, &g->nodes);
	e3_json_text(j, "name", "world");
	if (run->opt->align != E3_ALIGN_NONE) {
		e3_export_scene(run, matrix);
		e3_json_reals(j, "matrix", matrix, 16, 17);
	}
	if (m->n)
		e3_json_ints(j, "children", (int[]){1}, 1);
	e3_gltf_end(g, &g->nodes);
	if (!m->n)
		return;
	j = e3_gltf_begin(g, &g->nodes);
	e3_json_text(j, "name", "surface");
	e3_json_int(j, "mesh", 0);
	e3_gltf_end(g, &g->nodes);
}

/* Colours with an alpha of 1. */
static int write_colours(e3_file *to, const e3_mesh *m, e3_err *err)
{
	uint8_t room[CHUNK * 8];
	size_t used = 0;
	for (uint32_t k = 0; k < m->n; k++) {
		for (int c = 0; c < 4; c++)
			e3_put_le16(room + used + 2 * c, c < 3 ? m->rgb[k][c] : 65535);
		used += 8;
		if (used == sizeof room || k + 1 == m->n) {
			if (e3_file_write(to, room, used, err))
				return -1;
			used = 0;
		}
	}
	return 0;
}

/* Numbers of 32 bits, in the order of their bytes in the file. */
static int write_words(e3_file *to, const void *from, uint64_t n, e3_err *err)
{
	uint8_t room[CHUNK * 4];
	size_t used = 0;
	for (uint64_t k = 0; k < n; k++) {
		uint32_t word;
		memcpy(&word, (const uint8_t *)from + 4 * k, 4);
		e3_put_le32(room + used, word);
		used += 4;
		if (used == sizeof room || k + 1 == n) {
			if (e3_file_write(to, room, used, err))
				return -1;
			used = 0;
		}
	}
	return 0;
}

static int write_chunk(e3_file *to, uint64_t n, const char *type, const void *from, e3_err *err)
{
	uint8_t head[8];
	e3_put_le32(head, (uint32_t)n);
	memcpy(head + 4, type, 4);
	return e3_file_write(to, head, sizeof head, err) || (from && e3_file_write(to, from, n, err)) ? -1 : 0;
}

static int write_container(e3_file *to, const e3_mesh *m, const e3_buf *json, e3_err *err)
{
	uint8_t head[12] = "glTF\2";
	uint64_t bin = bytes_of(m), total = 12 + 8 + json->len + (bin ? 8 + bin : 0);
	if (total > UINT32_MAX)
		return e3_fail(err,
			"writing: %s: %lu triangles make %.1f GiB, and a GLB holds at most 4 GiB; use larger voxels, "
			"or a PLY",
			e3_file_name(to), (unsigned long)m->n_triangles, (double)total / (1 << 30));
	e3_put_le32(head + 8, (uint32_t)total);
	if (e3_file_write(to, head, sizeof head, err) || write_chunk(to, json->len, "JSON", json->data, err))
		return -1;
	if (!bin)
		return 0;
	if (write_chunk(to, bin, "BIN", NULL, err) || write_words(to, m->xyz, 3 * (uint64_t)m->n, err) ||
		write_words(to, m->normal, 3 * (uint64_t)m->n, err) || write_colours(to, m, err))
		return -1;
	return write_words(to, m->triangle, 3 * (uint64_t)m->n_triangles, err);
}

int e3_mesh_write_glb(e3_file *to, const e3_export_run *run, const e3_mesh *m, e3_err *err)
{
	e3_gltf g = {.err = err, .lit = true, .points_bytes = bytes_of(m)};
	e3_buf json = {0};
	if (m->n)
		add_mesh(m, &g);
	add_nodes(run, m, &g);
	int rc = e3_gltf_json(&g, &json) || write_container(to, m, &json, err) ? -1 : 0;
	e3_gltf_release(&g);
	e3_buf_release(&json);
	return rc;
}
