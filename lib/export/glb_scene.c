/* export: the nodes of the scene: points, cameras, trajectory; ours (doc/formats.md 3.3 to 3.5), and the reference's
 * (1.5 to 1.7). */
#include "e3/num.h"
#include "export/glb.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void format_matrix(const e3_glb_scene *s, char *to, size_t size)
{
	double m[16];
	size_t used = 0;
	e3_align_matrix(s->opt->align, s->first, m);
	for (int k = 0; k < 16; k++)
		used += (size_t)snprintf(to + used, size - used, "%s%.17g", k ? "," : "", m[k]);
}

/* The accessors of the points; returns the attributes of their primitive in `to`. */
static void add_points(const e3_glb_scene *s, e3_gltf *g, char *to, size_t size)
{
	const e3_export_options *o = s->opt;
	uint64_t n = s->n_points, at = 0;
	e3_gltf_array position = {e3_gltf_view(g, at, 12 * n, E3_GLTF_VERTICES), E3_GLTF_F32, 3, n, s->min, s->max};
	int positions = e3_gltf_accessor(g, &position);
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
	int used = snprintf(to, size, "\"POSITION\":%d,\"COLOR_0\":%d", positions, e3_gltf_accessor(g, &colour));
	if (o->glb_conf) {
		e3_gltf_array conf = {e3_gltf_view(g, at, 4 * n, E3_GLTF_VERTICES), E3_GLTF_F32, 1, n, NULL, NULL};
		snprintf(to + used, size - (size_t)used, ",\"_CONFIDENCE\":%d", e3_gltf_accessor(g, &conf));
	}
}

static int add_unlit(e3_gltf *g, const char *name, const uint8_t srgb[3])
{
	double linear[3];
	for (int k = 0; k < 3; k++)
		linear[k] = e3_linear16(srgb[k]) / 65535.0;
	return e3_gltf_member(g, &g->materials, &g->n_materials,
		"{\"name\":\"%s\",\"pbrMetallicRoughness\":"
		"{\"baseColorFactor\":[%.6g,%.6g,%.6g,1],\"metallicFactor\":0,\"roughnessFactor\":1},"
		"\"extensions\":{\"KHR_materials_unlit\":{}}}",
		name, linear[0], linear[1], linear[2]);
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
	x->camera = e3_gltf_member(g, &g->cameras, &g->n_cameras,
		"{\"type\":\"perspective\",\"perspective\":{\"yfov\":%.9g,\"aspectRatio\":%.9g,\"znear\":%.9g}}", c->fov_h,
		tan(c->fov_w / 2.0) / tan(c->fov_h / 2.0), 0.01 * size);
	return true;
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
		x->mesh = e3_gltf_member(g, &g->meshes, &g->n_meshes,
			"{\"name\":\"frustum_%06" PRId64 "\",\"primitives\":"
			"[{\"mode\":%d,\"attributes\":{\"POSITION\":%d},\"indices\":%d,\"material\":%d}]}",
			c->frame, mesh ? 4 : 1, x->shape, x->indices, x->material);
	double at[3], q[4];
	e3_pose_center(&c->pose, at);
	e3_pose_quat_to_world(&c->pose, q);
	e3_quat_mul(q, (double[4]){1, 0, 0, 0}, q);
	char more[64] = "";
	int used = c->usable ? snprintf(more, sizeof more, ",\"camera\":%d", x->camera) : 0;
	if (mesh || c->usable)
		snprintf(more + used, sizeof more - (size_t)used, ",\"mesh\":%d", x->mesh);
	e3_gltf_member(g, &g->nodes, &g->n_nodes,
		"{\"name\":\"cam_%06" PRId64 "\",\"translation\":[%.9g,%.9g,%.9g],\"rotation\":[%.9g,%.9g,%.9g,%.9g]%s,"
		"\"extras\":{\"frame\":%" PRId64 ",\"source_frame\":%" PRId64 ",\"time\":%.9g}}",
		c->frame, at[0], at[1], at[2], q[0], q[1], q[2], q[3], more, c->frame, c->src_i, c->pts);
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
	int mesh = e3_gltf_member(g, &g->meshes, &g->n_meshes,
		"{\"name\":\"trajectory\",\"primitives\":[{\"mode\":3,\"attributes\":{\"POSITION\":%d},\"material\":%d}]}",
		position, material);
	e3_gltf_member(g, &g->nodes, &g->n_nodes, "{\"name\":\"trajectory\",\"mesh\":%d}", mesh);
	free(v);
}

static void add_children(e3_gltf *g, e3_buf *to, int n)
{
	for (int k = 1; k <= n && !g->rc; k++)
		g->rc = e3_buf_printf(to, g->err, "%s%d", k > 1 ? "," : ",\"children\":[", k);
	if (n && !g->rc)
		g->rc = e3_buf_add(to, "]", 1, g->err);
}

/* Nodes are numbered as they are added; the world is node 0 and lists them all, so it is put in front at the end. */
static void add_world(e3_gltf *g, const char *matrix)
{
	e3_buf world = {0};
	int n = g->n_nodes - 1; /* counted from 1: see below */
	if (!g->rc)
		g->rc = e3_buf_printf(&world, g->err, "{\"name\":\"world\"%s%s%s", matrix ? ",\"matrix\":[" : "",
			matrix ? matrix : "", matrix ? "]" : "");
	add_children(g, &world, n);
	if (!g->rc)
		g->rc = e3_buf_add(&world, "}", 1, g->err);
	if (!g->rc && g->nodes.len)
		g->rc = e3_buf_add(&world, g->nodes.data, g->nodes.len, g->err);
	e3_buf_release(&g->nodes);
	g->nodes = world;
}

void e3_glb_scene_ours(const e3_glb_scene *s, e3_gltf *g)
{
	static const uint8_t white[3] = {255, 255, 255};
	char matrix[640], attributes[96];
	format_matrix(s, matrix, sizeof matrix);
	g->n_nodes = 1; /* the world, written last */
	if (s->n_points) {
		add_points(s, g, attributes, sizeof attributes);
		int material = add_unlit(g, "points", white);
		int mesh = e3_gltf_member(g, &g->meshes, &g->n_meshes,
			"{\"name\":\"points\",\"primitives\":[{\"mode\":0,\"attributes\":{%s},\"material\":%d}]}", attributes,
			material);
		e3_gltf_member(g, &g->nodes, &g->n_nodes, "{\"name\":\"points\",\"mesh\":%d}", mesh);
	}
	shared x = {.indices = -1, .shape = -1, .colour = -1, .mesh = -1, .camera = -1};
	for (size_t k = 0; k < s->n_cameras && !g->rc; k++)
		add_camera(s, g, k, &x);
	if (s->n_cameras >= 2)
		add_path(s, g);
	add_world(g, s->opt->align == E3_ALIGN_NONE ? NULL : matrix);
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
	e3_gltf_member(g, &g->meshes, &g->n_meshes,
		"{\"name\":\"geometry_%zu\",\"extras\":{\"processed\":true},\"primitives\":"
		"[{\"attributes\":{\"POSITION\":%d,\"COLOR_0\":%d},\"indices\":%d,\"mode\":4}]}",
		k + 1, position, e3_gltf_accessor(g, &colours), indices);
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

void e3_glb_scene_upstream(const e3_glb_scene *s, e3_gltf *g)
{
	char matrix[640], attributes[96];
	format_matrix(s, matrix, sizeof matrix);
	g->plain = true;
	g->n_nodes = 1;
	add_points(s, g, attributes, sizeof attributes);
	e3_gltf_member(g, &g->meshes, &g->n_meshes,
		"{\"name\":\"geometry_0\",\"primitives\":[{\"attributes\":{%s},\"mode\":0,\"material\":0}]}", attributes);
	e3_gltf_member(g, &g->materials, &g->n_materials,
		"{\"pbrMetallicRoughness\":{\"baseColorFactor\":[1,1,1,1],\"metallicFactor\":0,\"roughnessFactor\":0}}");
	int indices = s->n_cameras ? add_upstream_indices(g) : 0;
	for (size_t k = 0; k < s->n_cameras && !g->rc; k++)
		add_upstream_camera(s, g, k, indices);
	for (int k = 0; k < g->n_meshes && !g->rc; k++)
		e3_gltf_member(g, &g->nodes, &g->n_nodes, "{\"name\":\"geometry_%d\",\"mesh\":%d,\"matrix\":[%s]}", k, k,
			matrix);
	add_world(g, NULL);
}
