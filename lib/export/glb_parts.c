/* export: parts of a glTF document that are in memory: arrays, meshes of one primitive, unlit materials. */
#include "export/glb.h"

int e3_gltf_vertices(e3_gltf *g, const float *v, size_t n)
{
	float min[3] = {0}, max[3] = {0};
	size_t bytes = n * 3 * sizeof *v;
	e3_bounds(v, n, min, max);
	e3_gltf_array a = {e3_gltf_view(g, e3_gltf_tail(g, v, bytes), bytes, E3_GLTF_VERTICES), E3_GLTF_F32, 3, n, min,
		max};
	return e3_gltf_accessor(g, &a);
}

int e3_gltf_colours(e3_gltf *g, const uint8_t (*rgba)[4], size_t n)
{
	e3_gltf_array a = {e3_gltf_view(g, e3_gltf_tail(g, rgba, 4 * n), 4 * n, E3_GLTF_VERTICES), E3_GLTF_U8, 4, n, NULL,
		NULL};
	return e3_gltf_accessor(g, &a);
}

int e3_gltf_indices(e3_gltf *g, const uint32_t *v, size_t n)
{
	size_t bytes = n * sizeof *v;
	e3_gltf_array a = {e3_gltf_view(g, e3_gltf_tail(g, v, bytes), bytes, E3_GLTF_INDICES), E3_GLTF_U32, 1, n, NULL,
		NULL};
	return e3_gltf_accessor(g, &a);
}

void e3_gltf_attributes(e3_json *j, const e3_gltf_primitive *p)
{
	e3_json_object(j, "attributes");
	e3_json_int(j, "POSITION", p->position);
	if (p->colour >= 0)
		e3_json_int(j, "COLOR_0", p->colour);
	if (p->conf >= 0)
		e3_json_int(j, "_CONFIDENCE", p->conf);
	e3_json_end(j);
}

void e3_gltf_mesh_node(e3_gltf *g, const char *name, const e3_gltf_primitive *p)
{
	e3_json *j = e3_gltf_begin(g, &g->meshes);
	e3_json_text(j, "name", name);
	e3_json_array(j, "primitives");
	e3_json_object(j, NULL);
	e3_json_int(j, "mode", p->mode);
	e3_gltf_attributes(j, p);
	if (p->indices >= 0)
		e3_json_int(j, "indices", p->indices);
	e3_json_int(j, "material", p->material);
	e3_json_end(j);
	e3_json_end(j);
	int mesh = e3_gltf_end(g, &g->meshes);
	j = e3_gltf_begin(g, &g->nodes);
	e3_json_text(j, "name", name);
	e3_json_int(j, "mesh", mesh);
	e3_gltf_end(g, &g->nodes);
}

int e3_gltf_unlit(e3_gltf *g, const char *name)
{
	e3_json *j = e3_gltf_begin(g, &g->materials);
	e3_json_text(j, "name", name);
	e3_json_object(j, "pbrMetallicRoughness");
	e3_json_int(j, "metallicFactor", 0);
	e3_json_int(j, "roughnessFactor", 1);
	e3_json_end(j);
	e3_json_object(j, "extensions");
	e3_json_object(j, "KHR_materials_unlit");
	e3_json_end(j);
	e3_json_end(j);
	return e3_gltf_end(g, &g->materials);
}
