/* export: the nodes of the scene: points, cameras, trajectory; ours (doc/formats.md 3.3 to 3.5), and the reference's
 * (1.5 to 1.7). */
#include "e3/num.h"
#include "export/glb.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_matrix(const e3_glb_scene *s, e3_json *j) { e3_json_reals(j, "matrix", s->matrix, 16, 17); }

/* The arrays of the points. */
static e3_gltf_primitive add_points(const e3_glb_scene *s, e3_gltf *g)
{
	const e3_export_options *o = s->opt;
	e3_gltf_primitive a = {.mode = 0, .conf = -1, .indices = -1};
	uint64_t n = s->n_points, at = 0;
	e3_gltf_array position = {e3_gltf_view(g, at, 12 * n, E3_GLTF_VERTICES), E3_GLTF_F32, 3, n, s->min, s->max};
	a.position = e3_gltf_accessor(g, &position);
	at += 12 * n;
	uint64_t colour_bytes = (o->glb_srgb ? 4 : 8) * n;
	float low[4] = {s->rgb_min[0], s->rgb_min[1], s->rgb_min[2], 255};
	float high[4] = {s->rgb_max[0], s->rgb_max[1], s->rgb_max[2], 255};
	e3_gltf_array colour = {
		.view = e3_gltf_view(g, at, colour_bytes, E3_GLTF_VERTICES),
		.component = o->glb_srgb ? E3_GLTF_U8 : E3_GLTF_U16,
		.width = 4,
		.count = n,
		.min = g->plain ? low : NULL,
		.max = high,
	};
	at += colour_bytes;
	a.colour = e3_gltf_accessor(g, &colour);
	if (o->glb_conf) {
		e3_gltf_array conf = {e3_gltf_view(g, at, 4 * n, E3_GLTF_VERTICES), E3_GLTF_F32, 1, n, NULL, NULL};
		a.conf = e3_gltf_accessor(g, &conf);
	}
	return a;
}

/* A mesh of one primitive: the caller names the rest of it and calls end_mesh. */
static e3_json *begin_mesh(e3_gltf *g, const char *name)
{
	e3_json *j = e3_gltf_begin(g, &g->meshes);
	e3_json_text(j, "name", name);
	return j;
}

static void begin_primitive(e3_json *j)
{
	e3_json_array(j, "primitives");
	e3_json_object(j, NULL);
}

static int end_mesh(e3_gltf *g)
{
	e3_json_end(&g->meshes.json);
	e3_json_end(&g->meshes.json);
	return e3_gltf_end(g, &g->meshes);
}

/* Nodes are numbered as they are added; the world is node 0 and lists them all, so it is put in front at the end. */
static void add_world(const e3_glb_scene *s, e3_gltf *g, bool matrix)
{
	e3_gltf_list world = {.n = g->nodes.n};
	e3_json *j = e3_gltf_begin(g, &world);
	e3_json_text(j, "name", "world");
	if (matrix)
		add_matrix(s, j);
	if (g->nodes.n > 1)
		e3_json_array(j, "children");
	for (int k = 1; k < g->nodes.n; k++)
		e3_json_int(j, NULL, k);
	if (g->nodes.n > 1)
		e3_json_end(j);
	e3_json_end(j);
	if (g->nodes.text.len)
		e3_json_raw(j, NULL, g->nodes.text.data, g->nodes.text.len);
	if (!g->rc)
		g->rc = j->rc;
	e3_buf_release(&g->nodes.text);
	g->nodes = world;
}

void e3_glb_scene_ours(const e3_glb_scene *s, e3_gltf *g)
{
	g->nodes.n = 1; /* the world, written last */
	int material = s->n_points || s->n_cameras ? e3_gltf_unlit(g, "vertex colours") : -1;
	if (s->n_points) {
		e3_gltf_primitive points = add_points(s, g);
		points.material = material;
		e3_gltf_mesh_node(g, "points", &points);
	}
	e3_glb_cameras(s, g, material);
	add_world(s, g, s->opt->align != E3_ALIGN_NONE);
}

/* One of the reference's cameras: its cone in world coordinates, one colour for all vertices. */
static void add_upstream_camera(const e3_glb_scene *s, e3_gltf *g, size_t k, int indices)
{
	double cone[E3_CONE_VERTICES][3], m[12];
	float at[E3_CONE_VERTICES][3], colour[4] = {0, 0, 0, 255};
	uint8_t rgb[3], rgba[E3_CONE_VERTICES][4];
	e3_cone_vertices(cone);
	e3_pose_to_world(&s->cameras[k].pose, m);
	e3_camera_colour((int64_t)k, (int64_t)s->n_cameras, rgb);
	for (int j = 0; j < 3; j++)
		colour[j] = rgb[j];
	for (int v = 0; v < E3_CONE_VERTICES; v++) {
		for (int row = 0; row < 3; row++)
			at[v][row] = (float)(m[4 * row] * cone[v][0] * s->scale + m[4 * row + 1] * cone[v][1] * s->scale +
				m[4 * row + 2] * cone[v][2] * s->scale + m[4 * row + 3]);
		for (int j = 0; j < 4; j++)
			rgba[v][j] = j < 3 ? rgb[j] : 255;
	}
	int position = e3_gltf_vertices(g, at[0], E3_CONE_VERTICES);
	e3_gltf_array colours = {
		.view = e3_gltf_view(g, e3_gltf_tail(g, rgba, sizeof rgba), sizeof rgba, E3_GLTF_VERTICES),
		.component = E3_GLTF_U8,
		.width = 4,
		.count = E3_CONE_VERTICES,
		.min = colour,
		.max = colour,
	};
	char name[32];
	snprintf(name, sizeof name, "geometry_%zu", k + 1);
	e3_gltf_primitive a = {4, position, e3_gltf_accessor(g, &colours), -1, indices, -1};
	e3_json *j = begin_mesh(g, name);
	e3_json_object(j, "extras");
	e3_json_bool(j, "processed", true);
	e3_json_end(j);
	begin_primitive(j);
	e3_gltf_attributes(j, &a);
	e3_json_int(j, "indices", indices);
	e3_json_int(j, "mode", 4);
	end_mesh(g);
}

static int add_upstream_indices(e3_gltf *g)
{
	uint16_t tri[E3_CONE_TRIANGLES][3];
	uint8_t bytes[E3_CONE_TRIANGLES * 3 * 4];
	int n = e3_cone_triangles(tri, true);
	const float low = 0, high = E3_CONE_VERTICES - 1;
	for (int k = 0; k < 3 * n; k++)
		e3_put_le32(bytes + 4 * k, tri[k / 3][k % 3]);
	int view = e3_gltf_view(g, e3_gltf_tail(g, bytes, sizeof bytes), sizeof bytes, E3_GLTF_INDICES);
	e3_gltf_array a = {view, E3_GLTF_U32, 1, (uint64_t)n * 3, &low, &high};
	return e3_gltf_accessor(g, &a);
}

static void add_upstream_points(const e3_glb_scene *s, e3_gltf *g)
{
	e3_gltf_primitive a = add_points(s, g);
	e3_json *j = begin_mesh(g, "geometry_0");
	begin_primitive(j);
	e3_gltf_attributes(j, &a);
	e3_json_int(j, "mode", 0);
	e3_json_int(j, "material", 0);
	end_mesh(g);
	j = e3_gltf_begin(g, &g->materials);
	e3_json_object(j, "pbrMetallicRoughness");
	e3_json_ints(j, "baseColorFactor", (int[]){1, 1, 1, 1}, 4);
	e3_json_int(j, "metallicFactor", 0);
	e3_json_int(j, "roughnessFactor", 0);
	e3_json_end(j);
	e3_gltf_end(g, &g->materials);
}

void e3_glb_scene_upstream(const e3_glb_scene *s, e3_gltf *g)
{
	g->plain = true;
	g->nodes.n = 1;
	add_upstream_points(s, g);
	int indices = s->n_cameras ? add_upstream_indices(g) : 0;
	for (size_t k = 0; k < s->n_cameras && !g->rc; k++)
		add_upstream_camera(s, g, k, indices);
	for (int k = 0; k < g->meshes.n && !g->rc; k++) {
		char name[32];
		snprintf(name, sizeof name, "geometry_%d", k);
		e3_json *j = e3_gltf_begin(g, &g->nodes);
		e3_json_text(j, "name", name);
		e3_json_int(j, "mesh", k);
		add_matrix(s, j);
		e3_gltf_end(g, &g->nodes);
	}
	add_world(s, g, false);
}
