/* The mesh of exact depth maps: of a sphere seen from six sides, and of a plane. */
#include "check.h"
#include "e3/mem.h"
#include "e3/surface.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 96, PIXELS = SIDE * SIDE };

/* A camera at a distance of 3 from the origin that looks at it along an axis; `to` is the row of the rotation that
 * looks. */
static e3_depth_view camera(int axis, int sign, float *depth, uint8_t *rgb)
{
	e3_depth_view v = {.depth = depth, .rgb = rgb, .k = {100, 100, SIDE / 2.0, SIDE / 2.0, SIDE, SIDE}};
	int right = (axis + 1) % 3, down = (axis + 2) % 3;
	v.pose.r[right] = 1, v.pose.r[3 + down] = sign, v.pose.r[6 + axis] = sign;
	v.pose.t[2] = 3;
	return v;
}

/* Along the ray of a pixel: the depth of a unit sphere at the origin, and of a wall far behind it. */
static void see_sphere(const e3_depth_view *v, float *depth, uint8_t *rgb)
{
	for (int k = 0; k < PIXELS; k++) {
		double x = (k % SIDE + 0.5 - v->k.cx) / v->k.fx, y = (k / SIDE + 0.5 - v->k.cy) / v->k.fy;
		double a = x * x + y * y + 1, root = 9 - a * 8;
		depth[k] = root > 0 ? (float)((3 - sqrt(root)) / a) : 100;
		rgb[3 * k] = 255, rgb[3 * k + 1] = 188, rgb[3 * k + 2] = 0;
	}
}

static e3_surface *fuse_sphere(const e3_surface_options *o, float *depth, uint8_t *rgb, int *coarser)
{
	e3_err err;
	e3_surface *s = e3_surface_open(o, &err);
	assert_non_null(s);
	for (int pass = 0; pass < 2; pass++)
		for (int k = 0; k < 6; k++) {
			e3_depth_view v = camera(k / 2, k % 2 ? 1 : -1, depth, rgb);
			see_sphere(&v, depth, rgb);
			int rc = pass ? e3_surface_fuse(s, &v, &err) : e3_surface_mark(s, &v, &err);
			if (!pass && rc == 1) {
				e3_surface_coarsen(s);
				++*coarser, k = -1;
				continue;
			}
			assert_int_equal(rc, 0);
		}
	return s;
}

static e3_mesh sphere(const e3_surface_options *o, int *coarser)
{
	float *depth = malloc(PIXELS * sizeof *depth);
	uint8_t *rgb = malloc(PIXELS * 3);
	e3_mesh m;
	e3_err err;
	e3_surface *s = fuse_sphere(o, depth, rgb, coarser);
	assert_int_equal(e3_surface_mesh(s, 100, &m, &err), 0);
	assert_true(e3_surface_bytes(s) <= o->max_bytes);
	e3_surface_close(s);
	free(depth), free(rgb);
	return m;
}

static const e3_surface_options fine = {.voxel = 0.05, .max_bytes = 1 << 28, .threads = 1};

static double dot(const float a[3], const float b[3])
{
	return (double)a[0] * b[0] + (double)a[1] * b[1] + (double)a[2] * b[2];
}

static int by_edge(const void *a, const void *b) { return memcmp(a, b, 8); }

/* Near one of the eight corners of the cube: there no camera sees past the sphere, so nobody knows where it ends. */
static bool at_corner(const float x[3]) { return fabsf(x[0]) > 0.5f && fabsf(x[1]) > 0.5f && fabsf(x[2]) > 0.5f; }

/* Edges elsewhere that do not have exactly one triangle on each side, of the same orientation. */
static size_t open_edges(const e3_mesh *m)
{
	size_t n = 3 * (size_t)m->n_triangles, open = 0;
	uint32_t(*edge)[3] = malloc(n * sizeof *edge);
	for (size_t k = 0; k < n; k++) {
		uint32_t a = m->triangle[k / 3][k % 3], b = m->triangle[k / 3][(k + 1) % 3];
		edge[k][0] = a < b ? a : b, edge[k][1] = a < b ? b : a, edge[k][2] = a < b;
	}
	qsort(edge, n, sizeof *edge, by_edge);
	for (size_t k = 0, next; k < n; k = next) {
		for (next = k + 1; next < n && memcmp(edge[k], edge[next], 8) == 0;)
			next++;
		if (!at_corner(m->xyz[edge[k][0]]))
			open += next - k != 2 || edge[k][2] == edge[k + 1][2];
	}
	free(edge);
	return open;
}

static void test_sphere(void **state)
{
	int coarser = 0;
	e3_mesh m = sphere(&fine, &coarser);
	double worst = 0, turned = 0;
	assert_true(m.n > 2000 && m.pieces == 1 && coarser == 0);
	for (uint32_t k = 0; k < m.n; k++) {
		double r = sqrt(dot(m.xyz[k], m.xyz[k]));
		worst = fmax(worst, fabs(r - 1));
		turned += acos(fmin(dot(m.xyz[k], m.normal[k]) / r, 1)) * 57.3 / m.n;
		assert_true(fabs(dot(m.normal[k], m.normal[k]) - 1) < 1e-5);
		/* 188 is half the light of 255 */
		assert_int_equal(m.rgb[k][0], 65535);
		assert_in_range(m.rgb[k][1], 32768, 33200);
		assert_int_equal(m.rgb[k][2], 0);
	}
	print_message("sphere: %u vertices, at most %.3f voxels off, normals %.1f degrees off on average\n", m.n,
		worst / fine.voxel, turned);
	assert_true(worst < 0.15 * fine.voxel);
	assert_true(turned < 3);
	for (uint32_t k = 0; k < m.n_triangles; k++) { /* towards the cameras */
		const float *a = m.xyz[m.triangle[k][0]], *b = m.xyz[m.triangle[k][1]], *c = m.xyz[m.triangle[k][2]];
		float x[3], y[3];
		for (int j = 0; j < 3; j++)
			x[j] = b[j] - a[j], y[j] = c[j] - a[j];
		float n[3] = {x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]};
		assert_true(dot(n, a) >= 0);
	}
	assert_int_equal(open_edges(&m), 0);
	e3_mesh_release(&m);
}

static void test_threads(void **state)
{
	e3_surface_options two = fine;
	int coarser = 0;
	two.threads = 2;
	e3_mesh a = sphere(&fine, &coarser), b = sphere(&two, &coarser);
	assert_true(a.n == b.n && a.n_triangles == b.n_triangles);
	assert_memory_equal(a.xyz, b.xyz, a.n * sizeof *a.xyz);
	assert_memory_equal(a.normal, b.normal, a.n * sizeof *a.normal);
	assert_memory_equal(a.rgb, b.rgb, a.n * sizeof *a.rgb);
	assert_memory_equal(a.triangle, b.triangle, a.n_triangles * sizeof *a.triangle);
	e3_mesh_release(&a), e3_mesh_release(&b);
}

static void test_limit(void **state)
{
	e3_surface_options tight = fine;
	int coarser = 0;
	tight.max_bytes = 1 << 20;
	e3_mesh a = sphere(&fine, &coarser);
	assert_int_equal(coarser, 0);
	e3_mesh b = sphere(&tight, &coarser); /* which asserts that it stays below */
	print_message("limit: %d times coarser, %u vertices instead of %u\n", coarser, b.n, a.n);
	assert_in_range(coarser, 1, 6);
	assert_true(b.n < a.n && b.n > 50);
	e3_mesh_release(&a), e3_mesh_release(&b);
}

/* A ray that is longer than all memory for blocks is known before it is followed, however long it is. */
static void test_long_rays(void **state)
{
	e3_surface_options o = fine;
	e3_err err;
	float *depth = malloc(PIXELS * sizeof *depth);
	uint8_t *rgb = malloc(PIXELS * 3);
	e3_depth_view v = camera(0, 1, depth, rgb);
	see_sphere(&v, depth, rgb);
	for (double trunc = 1e6; trunc < 1e300; trunc *= 1e30) {
		o.trunc = trunc;
		e3_surface *s = e3_surface_open(&o, &err);
		assert_non_null(s);
		assert_int_equal(e3_surface_mark(s, &v, &err), 1);
		assert_true(e3_surface_bytes(s) < 1 << 20);
		e3_surface_close(s);
	}
	free(depth), free(rgb);
}

/* A slanted plane, by one camera that is not at the origin: no shift by part of a pixel, no bend. And what does not
 * speak. */
static void test_plane(void **state)
{
	float *depth = malloc(PIXELS * sizeof *depth);
	uint8_t *keep = malloc(PIXELS);
	const double n[3] = {0.3, -0.2, -0.93}, far = -2.5; /* in the camera: n x = far */
	e3_depth_view v = camera(2, 1, depth, NULL);
	e3_mesh m;
	e3_err err;
	v.keep = keep;
	for (int k = 0; k < PIXELS; k++) {
		double x = (k % SIDE + 0.5 - v.k.cx) / v.k.fx, y = (k / SIDE + 0.5 - v.k.cy) / v.k.fy;
		depth[k] = (float)(far / (n[0] * x + n[1] * y + n[2]));
		keep[k] = k % SIDE >= SIDE / 2;
		if (k / SIDE < 10)
			depth[k] = k % 2 ? NAN : -1;
	}
	e3_surface *s = e3_surface_open(&fine, &err);
	assert_int_equal(e3_surface_mark(s, &v, &err) || e3_surface_fuse(s, &v, &err), 0);
	assert_int_equal(e3_surface_mesh(s, 1, &m, &err), 0);
	double worst = 0, length = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]), least[2] = {999, 999};
	for (uint32_t k = 0; k < m.n; k++) {
		double c[3];
		for (int j = 0; j < 3; j++)
			c[j] = v.pose.r[3 * j] * m.xyz[k][0] + v.pose.r[3 * j + 1] * m.xyz[k][1] +
				v.pose.r[3 * j + 2] * m.xyz[k][2] + v.pose.t[j];
		worst = fmax(worst, fabs(n[0] * c[0] + n[1] * c[1] + n[2] * c[2] - far) / length);
		least[0] = fmin(least[0], v.k.fx * c[0] / c[2] + v.k.cx),
		least[1] = fmin(least[1], v.k.fy * c[1] / c[2] + v.k.cy);
	}
	print_message("plane: %u vertices, at most %.4f voxels off, from column %.1f and row %.1f\n", m.n,
		worst / fine.voxel, least[0], least[1]);
	assert_true(m.n > 300 && worst < 0.02 * fine.voxel);
	assert_true(least[0] > SIDE / 2 - 0.01 && least[1] > 10 - 0.01);
	e3_mesh_release(&m);
	e3_surface_close(s);
	free(depth), free(keep);
}

/* Of a thing that one view has and five see through, nothing is left. */
static void test_carving(void **state)
{
	float *depth = malloc(PIXELS * sizeof *depth);
	e3_mesh m;
	e3_err err;
	e3_surface *s = e3_surface_open(&fine, &err);
	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < 6; i++) {
			e3_depth_view v = camera(2, 1, depth, NULL);
			v.pose.t[0] = 0.1 * i;
			for (int k = 0; k < PIXELS; k++)
				depth[k] = i == 5 && abs(k % SIDE - 48) < 15 && abs(k / SIDE - 48) < 15 ? 2 : 4;
			assert_int_equal(pass ? e3_surface_fuse(s, &v, &err) : e3_surface_mark(s, &v, &err), 0);
		}
	assert_int_equal(e3_surface_mesh(s, 1, &m, &err), 0);
	assert_true(m.n > 500 && m.pieces == 1);
	for (uint32_t k = 0; k < m.n; k++)
		assert_true(fabsf(m.xyz[k][2] - 1) < 0.02f); /* 4 from a camera at -3 */
	e3_mesh_release(&m);
	e3_surface_close(s);
	free(depth);
}

static void test_gauge(void **state)
{
	float *depth = malloc(PIXELS * sizeof *depth), *conf = malloc(PIXELS * sizeof *conf);
	e3_err err;
	e3_gauge *g = e3_gauge_open(&err);
	for (int i = 0; i < 4; i++) {
		e3_depth_view v = camera(2, 1, depth, NULL);
		v.conf = conf;
		for (int k = 0; k < PIXELS; k++)
			depth[k] = i ? 2.06f : 2, conf[k] = 5;
		assert_int_equal(e3_gauge_add(g, &v, &err), 0);
	}
	e3_gauge_size size = e3_gauge_result(g);
	print_message("gauge: depth %.3f, pixel %.5f, noise %.4f, confidence %.2f\n", size.depth, size.pixel, size.noise,
		size.conf);
	assert_true(fabs(size.depth / 2.06 - 1) < 0.02 && fabs(size.pixel / 0.0206 - 1) < 0.02);
	assert_true(fabs(size.noise / (1.48 * 0.06 / 2.06) - 1) < 0.03 && fabs(size.conf / 5 - 1) < 0.02);
	e3_gauge_close(g);
	free(depth), free(conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sphere),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_long_rays),
		cmocka_unit_test(test_plane),
		cmocka_unit_test(test_carving),
		cmocka_unit_test(test_gauge),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
