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

/* The accessors of the points; -1: none. */
typedef struct attributes {
	int position, colour, conf;
} attributes;

static attributes add_points(const e3_glb_scene *s, e3_gltf *g)
{
	const e3_export_options *o = s->opt;
	attributes a = {.conf = -1};
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

static void name_attributes(e3_json *j, attributes a)
{
	e3_json_object(j, "attributes");
	e3_json_int(j, "POSITION", a.position);
	if (a.colour >= 0)
		e3_json_int(j, "COLOR_0", a.colour);
	if (a.conf >= 0)
		e3_json_int(j, "_CONFIDENCE", a.conf);
	e3_json_end(j);
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

static void add_node(e3_gltf *g, const char *name, int mesh)
{
	e3_json *j = e3_gltf_begin(g, &g->nodes);
	e3_json_text(j, "name", name);
	e3_json_int(j, "mesh", mesh);
	e3_gltf_end(g, &g->nodes);
}

static int add_unlit(e3_gltf *g, const char *name, const uint8_t srgb[3])
{
	double linear[3];
	for (int k = 0; k < 3; k++)
		linear[k] = e3_linear16(srgb[k]) / 65535.0;
	e3_json *j = e3_gltf_begin(g, &g->materials);
	e3_json_text(j, "name", name);
	e3_json_object(j, "pbrMetallicRoughness");
	e3_json_reals(j, "baseColorFactor", (double[]){linear[0], linear[1], linear[2], 1}, 4, 6);
	e3_json_int(j, "metallicFactor", 0);
	e3_json_int(j, "roughnessFactor", 1);
	e3_json_end(j);
	e3_json_object(j, "extensions");
	e3_json_object(j, "KHR_materials_unlit");
	e3_json_end(j);
	e3_json_end(j);
	return e3_gltf_end(g, &g->materials);
}

/* Vertices at the end of the binary chunk; returns their accessor. */
static int add_vertices(e3_gltf *g, const float *v, size_t n)
{
	float min[3] = {0}, max[3] = {0};
	size_t bytes = n * 3 * sizeof *v;
	e3_bounds(v, n, min, max);
	e3_gltf_array a = {e3_gltf_view(g, e3_gltf_tail(g, v, bytes), bytes, E3_GLTF_VERTICES), E3_GLTF_F32, 3, n, min,
		max};
	return e3_gltf_accessor(g, &a);
}

static int add_indices(e3_gltf *g, const uint16_t *v, size_t n)
{
	size_t bytes = n * sizeof *v;
	e3_gltf_array a = {e3_gltf_view(g, e3_gltf_tail(g, v, bytes), bytes, E3_GLTF_INDICES), E3_GLTF_U16, 1, n, NULL,
		NULL};
	return e3_gltf_accessor(g, &a);
}

/* What consecutive cameras share: buffers are added once, a mesh again only when shape or colour changes. */
typedef struct shared {
	int indices, shape, colour, material, mesh, camera;
	float fov_h, fov_w;
} shared;

static int add_cone(e3_gltf *g, double size, int *indices)
{
	double v[E3_CONE_VERTICES][3];
	float at[E3_CONE_VERTICES][3];
	uint16_t tri[E3_CONE_TRIANGLES][3];
	int n = e3_cone_triangles(tri, false);
	e3_cone_vertices(v);
	for (int k = 0; k < E3_CONE_VERTICES; k++)
		for (int j = 0; j < 3; j++)
			at[k][j] = (float)(v[k][j] * size / 0.1 * (j ? -1 : 1));
	*indices = add_indices(g, tri[0], (size_t)n * 3);
	return add_vertices(g, at[0], E3_CONE_VERTICES);
}

static int add_lines(e3_gltf *g, const e3_glb_camera *c, double size, shared *x)
{
	float v[E3_LINES_VERTICES][3];
	if (x->indices < 0)
		x->indices = add_indices(g, e3_lines_indices, E3_LINES_INDICES);
	e3_lines_vertices(c->fov_h, c->fov_w, size, v);
	return add_vertices(g, v[0], E3_LINES_VERTICES);
}

/* The perspective of a camera, shared with the one before when the fields of view are equal. */
static bool new_lens(e3_gltf *g, const e3_glb_camera *c, double size, shared *x)
{
	if (x->camera >= 0 && x->fov_h == c->fov_h && x->fov_w == c->fov_w)
		return false;
	x->fov_h = c->fov_h, x->fov_w = c->fov_w;
	e3_json *j = e3_gltf_begin(g, &g->cameras);
	e3_json_text(j, "type", "perspective");
	e3_json_object(j, "perspective");
	e3_json_real(j, "yfov", c->fov_h, 9);
	e3_json_real(j, "aspectRatio", tan(c->fov_w / 2.0) / tan(c->fov_h / 2.0), 9);
	e3_json_real(j, "znear", 0.01 * size, 9);
	e3_json_end(j);
	x->camera = e3_gltf_end(g, &g->cameras);
	return true;
}

static int add_frustum(e3_gltf *g, const e3_glb_camera *c, bool mesh, const shared *x)
{
	char name[48];
	snprintf(name, sizeof name, "frustum_%06" PRId64, c->frame);
	e3_json *j = begin_mesh(g, name);
	begin_primitive(j);
	e3_json_int(j, "mode", mesh ? 4 : 1);
	name_attributes(j, (attributes){x->shape, -1, -1});
	e3_json_int(j, "indices", x->indices);
	e3_json_int(j, "material", x->material);
	return end_mesh(g);
}

static void add_camera_node(e3_gltf *g, const e3_glb_camera *c, bool mesh, const shared *x)
{
	char name[48];
	double at[3], q[4];
	e3_pose_center(&c->pose, at);
	e3_pose_quat_to_world(&c->pose, q);
	e3_quat_mul(q, (double[4]){1, 0, 0, 0}, q);
	snprintf(name, sizeof name, "cam_%06" PRId64, c->frame);
	e3_json *j = e3_gltf_begin(g, &g->nodes);
	e3_json_text(j, "name", name);
	e3_json_reals(j, "translation", at, 3, 9);
	e3_json_reals(j, "rotation", q, 4, 9);
	if (c->usable)
		e3_json_int(j, "camera", x->camera);
	if (mesh || c->usable)
		e3_json_int(j, "mesh", x->mesh);
	e3_json_object(j, "extras");
	e3_json_int(j, "frame", c->frame);
	e3_json_int(j, "source_frame", c->src_i);
	e3_json_real(j, "time", c->pts, 9);
	e3_json_end(j);
	e3_gltf_end(g, &g->nodes);
}

static void add_camera(const e3_glb_scene *s, e3_gltf *g, size_t k, shared *x)
{
	const e3_glb_camera *c = &s->cameras[k];
	bool mesh = s->opt->frustum == E3_FRUSTUM_MESH;
	double size = s->opt->frustum_size * s->scale;
	uint8_t rgb[3];
	int colour = e3_camera_colour((int64_t)k, (int64_t)s->n_cameras, rgb);
	bool changed = colour != x->colour;
	if (changed) {
		char name[32];
		snprintf(name, sizeof name, "camera_%d", colour);
		x->colour = colour;
		x->material = add_unlit(g, name, rgb);
	}
	bool lens = c->usable && new_lens(g, c, size, x);
	if (mesh ? x->shape < 0 : lens) {
		x->shape = mesh ? add_cone(g, size, &x->indices) : add_lines(g, c, size, x);
		changed = true;
	}
	if (changed && x->shape >= 0)
		x->mesh = add_frustum(g, c, mesh, x);
	add_camera_node(g, c, mesh, x);
}

/* A line through the camera centres. */
static void add_path(const e3_glb_scene *s, e3_gltf *g)
{
	static const uint8_t grey[3] = {128, 128, 128};
	float *v = e3_alloc(s->n_cameras, 3 * sizeof *v, "the trajectory", g->err);
	if (!v) {
		g->rc = -1;
		return;
	}
	for (size_t k = 0; k < s->n_cameras; k++) {
		double c[3];
		e3_pose_center(&s->cameras[k].pose, c);
		for (size_t j = 0; j < 3; j++)
			v[3 * k + j] = (float)c[j];
	}
	int position = add_vertices(g, v, s->n_cameras);
	int material = add_unlit(g, "trajectory", grey);
	e3_json *j = begin_mesh(g, "trajectory");
	begin_primitive(j);
	e3_json_int(j, "mode", 3);
	name_attributes(j, (attributes){position, -1, -1});
	e3_json_int(j, "material", material);
	add_node(g, "trajectory", end_mesh(g));
	free(v);
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
	static const uint8_t white[3] = {255, 255, 255};
	g->nodes.n = 1; /* the world, written last */
	if (s->n_points) {
		attributes a = add_points(s, g);
		int material = add_unlit(g, "points", white);
		e3_json *j = begin_mesh(g, "points");
		begin_primitive(j);
		e3_json_int(j, "mode", 0);
		name_attributes(j, a);
		e3_json_int(j, "material", material);
		add_node(g, "points", end_mesh(g));
	}
	shared x = {.indices = -1, .shape = -1, .colour = -1, .mesh = -1, .camera = -1};
	for (size_t k = 0; k < s->n_cameras && !g->rc; k++)
		add_camera(s, g, k, &x);
	if (s->n_cameras >= 2)
		add_path(s, g);
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
	int position = add_vertices(g, at[0], E3_CONE_VERTICES);
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
	attributes a = {position, e3_gltf_accessor(g, &colours), -1};
	e3_json *j = begin_mesh(g, name);
	e3_json_object(j, "extras");
	e3_json_bool(j, "processed", true);
	e3_json_end(j);
	begin_primitive(j);
	name_attributes(j, a);
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
	attributes a = add_points(s, g);
	e3_json *j = begin_mesh(g, "geometry_0");
	begin_primitive(j);
	name_attributes(j, a);
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
