/* view: records of a stream: hello, frames, pictures, maps and points, against the geometry that they show. */
#include "view_stream.h"

#include "view/store.h"
#include "view_read.h"

static void frames_say_where_the_camera_was(void **state)
{
	char path[64];
	e3_err err;
	e3_buf out = {0};
	e3_view_store *v = e3_view_open(NULL, &err);
	wall_write(path, 3, 0.5, NULL, NULL);
	feed_file(v, 0, path);
	assert_int_equal(e3_view_frames(v, 0), 3);
	assert_int_equal(e3_view_frames(v, 1), 0);
	assert_int_equal(e3_view_hello(v, &out, &err), 0);
	assert_int_equal(out.data[4], E3_VIEW_HELLO);
	assert_non_null(strstr(out.data + E3_VIEW_HEADER, "\"name\":\"clip.mp4\""));
	assert_non_null(strstr(out.data + E3_VIEW_HEADER, "\"budget_bytes\":6400"));
	assert_non_null(strstr(out.data + E3_VIEW_HEADER, "\"patch_grid\":[3,4]"));
	assert_non_null(strstr(out.data + E3_VIEW_HEADER, "\"special\":5"));
	for (uint32_t n = 0; n < 3; n++) {
		assert_int_equal(get(v, (e3_view_key){.type = E3_VIEW_FRAME, .n = n}, &out), 1);
		assert_int_equal(u32(&out, 8), n);
		assert_int_equal(e3_le16((uint8_t *)out.data + 6) & 23, 23); /* pose, picture, depth, chunk */
		assert_true(f64(&out, 16) == n);
		assert_float_equal(f64(&out, 24), 0.1 * n, 1e-12);
		static const float rows[12] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0};
		for (size_t k = 0; k < 12; k++)
			assert_float_equal(f32(&out, 40 + 4 * k), rows[k] + (k == 3 ? 0.5 * n : 0), 1e-6);
		assert_float_equal(f32(&out, 88), 0.5 / tan(0.6), 1e-5);
		assert_float_equal(f32(&out, 92), 0.5 / tan(0.5), 1e-5);
		assert_float_equal(f32(&out, 96), 0.5, 1e-6);
		assert_int_equal(e3_le16((uint8_t *)out.data + 104), WALL_W);
		assert_float_equal(f32(&out, 108), 12.5, 0);
	}
	assert_int_equal(get(v, (e3_view_key){.type = E3_VIEW_FRAME, .n = 3}, &out), 0);
	unlink(path);
	e3_view_close(v);
	e3_buf_release(&out);
}

/* Every point lies on the wall that its colour says, and its edge is near the step where it claims so. */
static void points_lie_where_the_depth_says(void **state)
{
	char path[64];
	e3_err err;
	e3_buf out = {0};
	e3_view_store *v = e3_view_open(NULL, &err);
	wall_write(path, 1, 0, NULL, NULL);
	feed_file(v, 0, path);
	int64_t total = e3_view_points(v, 0, 0);
	assert_true(total > WALL_N / 4 && total <= WALL_N);
	assert_int_equal(get(v, (e3_view_key){.type = E3_VIEW_CHUNK, .n = 0}, &out), 1);
	assert_int_equal(u32(&out, 16), total);
	assert_int_equal(u32(&out, 20), 0);
	assert_int_equal(u32(&out, 24), total);
	double fx = WALL_W / 2.0 / tan(0.6), fy = WALL_H / 2.0 / tan(0.5);
	int near = 0, edges[8] = {0};
	for (size_t k = 0; k < (size_t)total; k++) {
		const uint8_t *p = (const uint8_t *)out.data + 16 + 36 + 10 * k;
		double x[3];
		for (size_t a = 0; a < 3; a++)
			x[a] = f32(&out, 28 + 4 * a) + (double)f32(&out, 40 + 4 * a) * e3_le16(p + 2 * a) / 65535;
		assert_true(fabs(x[2] - 1) < 1e-4 || fabs(x[2] - 2) < 1e-4);
		double u = fx * x[0] / x[2] + WALL_W / 2.0 - 0.5, w = fy * x[1] / x[2] + WALL_H / 2.0 - 0.5;
		assert_float_equal(u, round(u), 2e-3);
		assert_float_equal(w, round(w), 2e-3);
		int at = (int)round(w) * WALL_W + (int)round(u);
		assert_int_equal(p[6], at % 251);
		assert_int_equal(p[8], (uint8_t)(at % 251 + 2));
		near += x[2] < 1.5;
		assert_int_equal(x[2] < 1.5, (int)round(u) < WALL_W / 2);
		double range = 1.1 * log(WALL_W);
		assert_int_equal(p[9] >> 3, lrint(31 * log(1 + (int)round(u)) / range));
		int apart = abs(2 * (int)round(u) + 1 - WALL_W) / 2; /* pixels from the step: 0 beside it */
		assert_int_equal(p[9] & 7, apart < 2 ? 7 : apart < 8 ? 8 - apart : 0);
		edges[p[9] & 7]++;
	}
	assert_true(near > total / 4 && near < total * 3 / 4);
	assert_true(edges[7] && edges[0]);
	/* parts of it are the same points */
	e3_buf part = {0};
	assert_int_equal(get(v, (e3_view_key){.type = E3_VIEW_CHUNK, .offset = 10, .count = 7}, &part), 1);
	assert_int_equal(u32(&part, 16), 7);
	assert_int_equal(u32(&part, 20), 10);
	assert_int_equal(u32(&part, 24), total);
	assert_memory_equal(part.data + 52, out.data + 52 + 100, 70);
	assert_int_equal(get(v, (e3_view_key){.type = E3_VIEW_CHUNK, .offset = total}, &part), 0);
	unlink(path);
	e3_view_close(v);
	e3_buf_release(&out), e3_buf_release(&part);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_say_where_the_camera_was),
		cmocka_unit_test(points_lie_where_the_depth_says),
	};
	return cmocka_run_group_tests_name("view_store", tests, NULL, NULL);
}
