/* export: the cameras of a GLB (doc/formats.md 3.5): a node with a glTF camera for each, frustums of some of them as
 * one mesh, the path as another. Owns the choice of those that are drawn. */
#include "export/glb.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PI 3.14159265358979323846

enum { MOST_BY_DEFAULT = 24 };
static const double END_SIZE = 1.25; /* of the first and the last one */

/* --- which ones --- */

static bool drawable(const e3_glb_camera *c, e3_frustum kind) { return kind == E3_FRUSTUM_MESH || c->usable; }

/* How far a camera is from the one before, where a frustum's depth is 1 and so is an eighth of a turn. */
static double step(const e3_glb_camera *a, const e3_glb_camera *b, double size)
{
	double p[3], q[3], way = 0, turn[4];
	const double back[4] = {-a->pose.q[0], -a->pose.q[1], -a->pose.q[2], a->pose.q[3]};
	e3_pose_center(&a->pose, p), e3_pose_center(&b->pose, q);
	for (int k = 0; k < 3; k++)
		way += (p[k] - q[k]) * (p[k] - q[k]);
	e3_quat_mul(b->pose.q, back, turn);
	return sqrt(way) / size + e3_quat_angle(turn) / (PI / 4);
}

size_t e3_glb_choose(const e3_glb_scene *s, double size, size_t *chosen)
{
	e3_frustum kind = s->opt->frustum;
	int64_t most = s->opt->frustums;
	double way = 0, at = 0, seen = 0;
	size_t n = 0, last = 0, all = 0, prev = 0;
	for (size_t k = 0; k < s->n_cameras; k++)
		if (drawable(&s->cameras[k], kind)) {
			way += all++ ? step(&s->cameras[last], &s->cameras[k], size) : 0;
			last = k;
		}
	if (most < 0) {
		double apart = floor(way) + 1;
		most = apart > MOST_BY_DEFAULT ? MOST_BY_DEFAULT : apart < 2 ? 2 : (int64_t)apart;
	}
	for (size_t k = 0; k < s->n_cameras; k++) {
		if (!drawable(&s->cameras[k], kind))
			continue;
		at += seen ? step(&s->cameras[prev], &s->cameras[k], size) : 0;
		prev = k;
		double part = way > 0 ? at / way : all > 1 ? seen / (double)(all - 1) : 0; /* of the way so far */
		seen++;
		bool take = (uint64_t)most >= all ||
			(most > 0 && (k == last || n == 0 || (most > 1 && part * (double)(most - 1) >= (double)n - 1e-9)));
		if (take && !(most == 1 && n))
			chosen[n++] = k;
	}
	return n;
}

/* --- one mesh of all --- */

typedef struct shapes {
	float *v;
	uint8_t (*rgba)[4];
	uint32_t *index;
	size_t n, n_index;
} shapes;

/* Green, red, and between them violet to yellow, which have neither. Linear. */
static void colour_of(size_t k, size_t n, uint8_t rgba[4])
{
	static const uint8_t first[3] = {0, 200, 60}, last[3] = {235, 20, 20};
	uint8_t rgb[3];
	e3_cmap_rgb(E3_PLASMA, n > 1 ? 0.1 + 0.8 * (double)k / (double)(n - 1) : 0.1, rgb);
	for (int c = 0; c < 3; c++)
		rgba[c] = (uint8_t)((e3_linear16(k == 0 ? first[c] : k == n - 1 ? last[c] : rgb[c]) + 128) / 257);
	rgba[3] = 255;
}

/* Appends a shape in the camera's coordinates, of which x is to the right, y down and z forward. */
static void append(shapes *to, const e3_pose *pose, const double (*v)[3], size_t n, const uint8_t rgba[4])
{
	double m[12];
	e3_pose_to_world(pose, m);
	for (size_t k = 0; k < n; k++, to->n++) {
		for (int row = 0; row < 3; row++)
			to->v[3 * to->n + (size_t)row] =
				(float)(m[4 * row] * v[k][0] + m[4 * row + 1] * v[k][1] + m[4 * row + 2] * v[k][2] + m[4 * row + 3]);
		memcpy(to->rgba[to->n], rgba, 4);
	}
}

static void add_lines(shapes *to, const e3_glb_camera *c, double size, const uint8_t rgba[4])
{
	float v[E3_LINES_VERTICES][3];
	double at[E3_LINES_VERTICES][3];
	for (int k = 0; k < E3_LINES_INDICES; k++)
		to->index[to->n_index++] = (uint32_t)to->n + e3_lines_indices[k];
	e3_lines_vertices(c->fov_h, c->fov_w, size, v);
	for (int k = 0; k < E3_LINES_VERTICES; k++)
		for (int j = 0; j < 3; j++)
			at[k][j] = (double)v[k][j] * (j ? -1 : 1);
	append(to, &c->pose, (const double(*)[3])at, E3_LINES_VERTICES, rgba);
}

static void add_cone(shapes *to, const e3_glb_camera *c, double size, const uint8_t rgba[4])
{
	double v[E3_CONE_VERTICES][3];
	uint16_t tri[E3_CONE_TRIANGLES][3];
	int n = e3_cone_triangles(tri, false);
	for (int k = 0; k < 3 * n; k++)
		to->index[to->n_index++] = (uint32_t)to->n + tri[k / 3][k % 3];
	e3_cone_vertices(v);
	for (int k = 0; k < E3_CONE_VERTICES; k++)
		for (int j = 0; j < 3; j++)
			v[k][j] *= size / 0.1;
	append(to, &c->pose, (const double(*)[3])v, E3_CONE_VERTICES, rgba);
}

static void add_mesh(e3_gltf *g, const shapes *s, const char *name, int mode, int material)
{
	e3_gltf_primitive p = {mode, e3_gltf_vertices(g, s->v, s->n),
		e3_gltf_colours(g, (const uint8_t(*)[4])s->rgba, s->n), -1, -1, material};
	if (s->n_index)
		p.indices = e3_gltf_indices(g, s->index, s->n_index);
	e3_gltf_mesh_node(g, name, &p);
}

static int open_shapes(shapes *s, size_t n, size_t n_index, e3_err *err)
{
	*s = (shapes){.v = e3_alloc(n, 3 * sizeof *s->v, "the cameras", err)};
	s->rgba = s->v ? e3_alloc(n, sizeof *s->rgba, "the cameras", err) : NULL;
	s->index = s->rgba ? e3_alloc(n_index + 1, sizeof *s->index, "the cameras", err) : NULL;
	return s->index ? 0 : -1;
}

static void close_shapes(shapes *s) { free(s->v), free(s->rgba), free(s->index); }

static void add_frustums(const e3_glb_scene *s, e3_gltf *g, int material)
{
	bool cones = s->opt->frustum == E3_FRUSTUM_MESH;
	double size = s->opt->frustum_size * s->scale;
	size_t *chosen = e3_alloc(s->n_cameras, sizeof *chosen, "the cameras", g->err);
	size_t n = chosen ? e3_glb_choose(s, size, chosen) : 0;
	shapes all = {0};
	int rc = !chosen ? -1
		: n          ? open_shapes(&all, n * (cones ? E3_CONE_VERTICES : E3_LINES_VERTICES),
						   n * (cones ? 3 * E3_CONE_TRIANGLES : E3_LINES_INDICES), g->err)
					 : 0;
	for (size_t k = 0; !rc && k < n; k++) {
		uint8_t rgba[4];
		bool end = chosen[k] == 0 || chosen[k] == s->n_cameras - 1;
		colour_of(chosen[k], s->n_cameras, rgba);
		(cones ? add_cone : add_lines)(&all, &s->cameras[chosen[k]], end ? END_SIZE * size : size, rgba);
	}
	if (!rc && n)
		add_mesh(g, &all, "frustums", cones ? 4 : 1, material);
	g->rc = rc ? rc : g->rc;
	close_shapes(&all);
	free(chosen);
}

/* A line through the camera centres. */
static void add_path(const e3_glb_scene *s, e3_gltf *g, int material)
{
	shapes path;
	int rc = open_shapes(&path, s->n_cameras, 0, g->err);
	for (size_t k = 0; !rc && k < s->n_cameras; k++) {
		uint8_t rgba[4];
		colour_of(k, s->n_cameras, rgba);
		append(&path, &s->cameras[k].pose, (const double[1][3]){{0, 0, 0}}, 1, rgba);
	}
	if (!rc)
		add_mesh(g, &path, "trajectory", 3, material);
	g->rc = rc ? rc : g->rc;
	close_shapes(&path);
}

/* --- nodes --- */

/* The perspective of a camera, shared with the one before when the fields of view are equal. */
static int add_lens(e3_gltf *g, const e3_glb_camera *c, double size, const char *name)
{
	e3_json *j = e3_gltf_begin(g, &g->cameras);
	e3_json_text(j, "name", name);
	e3_json_text(j, "type", "perspective");
	e3_json_object(j, "perspective");
	e3_json_real(j, "yfov", c->fov_h, 9);
	e3_json_real(j, "aspectRatio", tan(c->fov_w / 2.0) / tan(c->fov_h / 2.0), 9);
	e3_json_real(j, "znear", 0.01 * size, 6);
	e3_json_end(j);
	return e3_gltf_end(g, &g->cameras);
}

static void add_node(e3_gltf *g, const e3_glb_camera *c, int lens, const char *name)
{
	double at[3], q[4];
	e3_pose_center(&c->pose, at);
	e3_pose_quat_to_world(&c->pose, q);
	e3_quat_mul(q, (double[4]){1, 0, 0, 0}, q);
	e3_json *j = e3_gltf_begin(g, &g->nodes);
	e3_json_text(j, "name", name);
	e3_json_reals(j, "translation", at, 3, 9);
	e3_json_reals(j, "rotation", q, 4, 9);
	if (c->usable)
		e3_json_int(j, "camera", lens);
	e3_json_object(j, "extras");
	e3_json_int(j, "frame", c->frame);
	e3_json_int(j, "source_frame", c->src_i);
	e3_json_real(j, "time", c->pts, 9);
	e3_json_end(j);
	e3_gltf_end(g, &g->nodes);
}

void e3_glb_cameras(const e3_glb_scene *s, e3_gltf *g, int material)
{
	int lens = -1, digits = 6;
	const e3_glb_camera *of = NULL; /* the camera that the lens was made for */
	if (!s->n_cameras)
		return;
	for (int64_t last = s->cameras[s->n_cameras - 1].frame; last > 999999; last /= 10)
		digits++;
	for (size_t k = 0; k < s->n_cameras && !g->rc; k++) {
		const e3_glb_camera *c = &s->cameras[k];
		char name[48];
		snprintf(name, sizeof name, "cam_%0*" PRId64, digits, c->frame);
		if (c->usable && !(of && of->fov_h == c->fov_h && of->fov_w == c->fov_w)) {
			lens = add_lens(g, c, s->opt->frustum_size * s->scale, name);
			of = c;
		}
		add_node(g, c, lens, name);
	}
	if (s->opt->frustums && !g->rc)
		add_frustums(s, g, material);
	if (s->n_cameras >= 2 && !g->rc)
		add_path(s, g, material);
}
