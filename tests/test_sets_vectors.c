/* sets: the vectors of tests/data/eval/vectors.json about files, loaders, registration and draws. */
#include "e3/image.h"
#include "e3/sets.h"
#include "vectors.h"

static json_t *input(const char *name) { return json_object_get(vector(name), "inputs"); }
static json_t *expected(const char *name) { return json_object_get(vector(name), "expected"); }

static size_t unhex(const char *hex, uint8_t *to, size_t room)
{
	size_t n = strlen(hex) / 2;
	assert_true(n <= room);
	for (size_t k = 0; k < n; k++) {
		unsigned v;
		assert_int_equal(sscanf(hex + 2 * k, "%2x", &v), 1);
		to[k] = (uint8_t)v;
	}
	return n;
}

static size_t bytes_of(const char *name, uint8_t *to, size_t room)
{
	return unhex(json_string_value(json_object_get(input(name), "hex")), to, room);
}

static void compare(const char *what, const double *got, json_t *want, size_t n, double tolerance)
{
	double v[512];
	assert_int_equal(flatten(want, v), n);
	for (size_t k = 0; k < n; k++)
		near(what, got[k], v[k], tolerance);
}

static void compare_map(const char *what, const e3_depth *d, json_t *want)
{
	double v[64];
	for (int k = 0; k < d->w * d->h; k++)
		v[k] = d->z[k];
	compare(what, v, want, (size_t)d->w * (size_t)d->h, 0);
}

static void sintel_depth_and_camera(void **state)
{
	uint8_t bytes[512];
	size_t n = bytes_of("io/sintel_dpt", bytes, sizeof bytes);
	json_t *want = expected("io/sintel_dpt");
	e3_depth d;
	assert_int_equal(e3_sintel_dpt_decode(bytes, n, "a.dpt", &d, NULL), 0);
	assert_int_equal(d.w, (int)number(want, "width"));
	assert_int_equal(d.h, (int)number(want, "height"));
	compare_map("dpt", &d, json_object_get(want, "depth"));
	e3_depth_release(&d);

	e3_cam cam;
	double c2w[12];
	n = bytes_of("io/sintel_cam", bytes, sizeof bytes);
	assert_int_equal(e3_cam_decode(bytes, n, "a.cam", &cam, NULL), 0);
	want = expected("io/sintel_cam");
	compare("K", cam.k, json_object_get(want, "K"), 9, 0);
	compare("w2c", cam.w2c, json_object_get(want, "w2c"), 12, 0);
	e3_rigid_invert(cam.w2c, c2w);
	compare("c2w", (double[]){c2w[3], c2w[7], c2w[11]}, json_object_get(want, "c2w_translation"), 3, 1e-15);
}

static void npy_files(void **state)
{
	uint8_t bytes[512];
	size_t n = bytes_of("io/npy_2x3_f32", bytes, sizeof bytes);
	e3_depth d;
	assert_int_equal(e3_npy_decode(bytes, n, "a.npy", &d, NULL), 0);
	assert_int_equal(d.w, 3);
	compare_map("npy", &d, json_object_get(vector("io/npy_2x3_f32"), "expected"));
	/* the written bytes are those of numpy.save */
	char path[] = "/tmp/e3-test-XXXXXX";
	uint8_t back[512];
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	fclose(fdopen(fd, "r"));
	assert_int_equal(e3_npy_save(path, &d, NULL), 0);
	FILE *f = fopen(path, "rb");
	assert_int_equal(fread(back, 1, sizeof back, f), n);
	fclose(f);
	remove(path);
	assert_memory_equal(back, bytes, n);
	e3_depth_release(&d);
}

/* Values through a real 16-bit PNG. The vector has -1 for unknown, e3 has 0. */
static void depth_in_png(void **state)
{
	static const struct {
		const char *raw, *metres;
		e3_depth16 kind;
	} cases[] = {{"kitti_raw", "kitti_m", E3_DEPTH16_KITTI}, {"bonn_raw", "bonn_m", E3_DEPTH16_BONN},
		{"scenes7_raw", "scenes7_m", E3_DEPTH16_SCENES7}, {"nrgbd_raw", "nrgbd_m", E3_DEPTH16_NRGBD}};
	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
		double raw[8], metres[8];
		size_t n = flatten(json_object_get(input("io/png16"), cases[k].raw), raw);
		assert_int_equal(flatten(json_object_get(expected("io/png16"), cases[k].metres), metres), n);
		uint16_t v[8];
		for (size_t j = 0; j < n; j++)
			v[j] = (uint16_t)raw[j];
		char path[] = "/tmp/e3-test-XXXXXX";
		uint8_t bytes[512];
		e3_depth d;
		assert_true(mkstemp(path) >= 0);
		assert_int_equal(e3_png16_save(path, v, (int)n, 1, NULL, NULL), 0);
		FILE *f = fopen(path, "rb");
		size_t size = fread(bytes, 1, sizeof bytes, f);
		fclose(f);
		remove(path);
		assert_int_equal(e3_depth16_decode(bytes, size, "d.png", cases[k].kind, &d, NULL), 0);
		for (size_t j = 0; j < n; j++)
			near(cases[k].raw, d.z[j], metres[j] < 0 ? 0 : metres[j], 1e-7);
		e3_depth_release(&d);
	}
}

/* One pixel at a time: its position and the stored value. Wrapped values too. */
static void scenes7_registration(void **state)
{
	enum { W = 640, H = 480 };
	uint16_t *raw = calloc(W * H, sizeof *raw), *out = calloc(W * H, sizeof *out);
	json_t *in = input("io/scenes7_depth_registration"), *want = expected("io/scenes7_depth_registration");
	for (size_t k = 0; k < json_array_size(in); k++) {
		json_t *p = json_array_get(in, k), *q = json_array_get(want, k);
		size_t from = (size_t)number(p, "v") * W + (size_t)number(p, "u"),
			   to = (size_t)number(q, "row") * W + (size_t)number(q, "col");
		raw[from] = (uint16_t)number(p, "raw");
		assert_int_equal(e3_scenes7_register(raw, W, H, false, out, NULL), 0);
		assert_int_equal(out[to], (int)number(q, "stored_uint16"));
		for (size_t j = 0; j < W * H; j++)
			assert_true(j == to || out[j] == 0);
		assert_int_equal(e3_scenes7_register(raw, W, H, true, out, NULL), 0);
		assert_int_equal(out[to], raw[from] == 65535 ? 0 : (int)number(q, "stored_uint16"));
		raw[from] = 0;
	}
	free(raw), free(out);
}

static void resizes_are_pillows(void **state)
{
	static const char *const names[] = {"resize/pil_lanczos_12x9_to_7x5", "resize/pil_lanczos_12x9_to_20x14",
		"resize/pil_bicubic_12x9_to_7x5", "resize/pil_bicubic_12x9_to_20x14"};
	for (int k = 0; k < 4; k++) {
		double in[12 * 9], want[20 * 14];
		json_t *e = expected(names[k]);
		assert_int_equal(flatten(json_object_get(input(names[k]), "img"), in), 12 * 9);
		size_t n = flatten(e, want);
		int h = (int)json_array_size(e), w = (int)n / h;
		e3_image im, out;
		assert_int_equal(e3_image_init(&im, 12, 9, 1, NULL), 0);
		for (int j = 0; j < 12 * 9; j++)
			im.px[j] = (uint8_t)in[j];
		assert_int_equal((k < 2 ? e3_resize_lanczos : e3_resize_bicubic)(&im, w, h, &out, NULL), 0);
		for (size_t j = 0; j < n; j++)
			assert_int_equal(out.px[j], (int)want[j]);
		e3_image_release(&im);
		e3_image_release(&out);
	}
}

static void nearest_is_opencvs(void **state)
{
	static const struct {
		const char *name;
		int from, to;
	} cases[] = {{"resize/nearest_640_to_522_first_and_last", 640, 522},
		{"resize/nearest_480_to_392_first_and_last", 480, 392}};
	for (int k = 0; k < 2; k++) {
		int from = cases[k].from, to = cases[k].to;
		e3_image im, out;
		double column[640], sum = 0;
		assert_int_equal(e3_image_init(&im, from, 1, 3, NULL), 0);
		for (int x = 0; x < from; x++)
			im.px[3 * x] = (uint8_t)(x & 255), im.px[3 * x + 1] = (uint8_t)(x >> 8);
		assert_int_equal(e3_resize_nearest(&im, to, 1, &out, NULL), 0);
		for (int x = 0; x < to; x++)
			sum += column[x] = out.px[3 * x] | out.px[3 * x + 1] << 8;
		compare("first", column, json_object_get(expected(cases[k].name), "first20"), 20, 0);
		compare("last", column + to - 10, json_object_get(expected(cases[k].name), "last10"), 10, 0);
		near("sum", sum, number(expected(cases[k].name), "sum"), 0);
		e3_image_release(&im), e3_image_release(&out);
	}
}

static void loader_a_makes_the_networks_sizes(void **state)
{
	const char *key;
	json_t *value, *all = expected("resize/input_sizes_518");
	json_object_foreach(all, key, value)
	{
		int w, h, cut;
		double want[2];
		e3_image im, out;
		e3_fit fit;
		assert_int_equal(sscanf(key, "%dx%d", &w, &h), 2);
		flatten(json_object_get(value, "final"), want);
		assert_int_equal(e3_image_init(&im, w, h, 3, NULL), 0);
		for (cut = 0; cut < 2; cut++) {
			assert_int_equal(e3_loader_a(&im, 518, cut, &out, &fit, NULL), 0);
			assert_int_equal(out.w, (int)want[0]);
			assert_int_equal(out.h, (int)want[1]);
			double first[2];
			flatten(json_object_get(value, "first"), first);
			near(key, fit.sx, (cut ? first[0] : want[0]) / w, 1e-15);
			near(key, fit.ty, cut ? -(floor(first[1] / 2) - want[1] / 2) : 0, 1e-15);
			e3_image_release(&out);
		}
		e3_image_release(&im);
	}
}

static void loader_b_keeps_the_camera(void **state)
{
	static const char *const names[] = {"mv/intrinsics_7scenes_518x392", "mv/intrinsics_nrgbd_518x392",
		"mv/intrinsics_offcentre_518x392"};
	for (int k = 0; k < 3; k++) {
		json_t *in = input(names[k]), *want = expected(names[k]);
		e3_intrinsics cam = {number(in, "fx"), number(in, "fy"), number(in, "cx"), number(in, "cy"),
			(int)number(in, "w"), (int)number(in, "h")};
		e3_image im;
		e3_depth depth;
		e3_loaded out;
		assert_int_equal(e3_image_init(&im, cam.w, cam.h, 3, NULL), 0);
		assert_int_equal(e3_depth_init(&depth, cam.w, cam.h, NULL), 0);
		for (int j = 0; j < cam.w * cam.h; j++)
			depth.z[j] = (float)(j % cam.w); /* its own column */
		assert_int_equal(e3_loader_b(&im, &depth, &cam, (const int[]){518, 392}, &out, NULL), 0);
		assert_int_equal(out.rgb.w, 518);
		assert_int_equal(out.rgb.h, 392);
		compare(names[k], (double[]){out.k.fx, 0, out.k.cx, 0, out.k.fy, out.k.cy, 0, 0, 1}, json_object_get(want, "K"),
			9, 2.5e-5 / 460); /* the vectors' focal length went through float32, as the reference's does */
		json_t *columns = json_object_get(want, "depth_source_column_of_first_and_last_output");
		if (columns) {
			double c[2];
			flatten(columns, c);
			near("first column", out.depth.z[0], c[0], 0);
			near("last column", out.depth.z[517], c[1], 0);
		}
		e3_loaded_release(&out);
		e3_depth_release(&depth);
		e3_image_release(&im);
	}
}

static void stamps_are_paired(void **state)
{
	json_t *in = input("pose/tum_associate");
	double a[16], b[16], want[32];
	size_t n_a = flatten(json_object_get(in, "rgb"), a), n_b = flatten(json_object_get(in, "groundtruth"), b);
	e3_stamp_pairs pairs;
	size_t n_want = flatten(expected("pose/tum_associate"), want) / 2;
	assert_int_equal(e3_traj_associate((e3_stamps){a, n_a}, (e3_stamps){b, n_b}, number(in, "max_difference"), &pairs,
						 NULL),
		0);
	assert_int_equal(pairs.n, n_want);
	for (size_t k = 0; k < pairs.n; k++) {
		near("rgb", a[pairs.at[k][0]], want[2 * k], 0);
		near("groundtruth", b[pairs.at[k][1]], want[2 * k + 1], 0);
	}
	free(pairs.at);
}

static void draws_equal_numpy_and_python(void **state)
{
	static const char *const names[] = {"co3d/rng_numpy_choice_seed0", "co3d/rng_python_sample_seed0"};
	for (int k = 0; k < 2; k++) {
		e3_mt g;
		json_t *calls = json_object_get(input(names[k]), "calls");
		(k ? e3_mt_seed_python : e3_mt_seed_numpy)(&g, 0);
		for (size_t c = 0; c < json_array_size(calls); c++) {
			double call[2], want[16];
			uint32_t got[16];
			flatten(json_array_get(calls, c), call);
			assert_int_equal((k ? e3_mt_sample : e3_mt_choice)(&g, (uint32_t)call[0], (uint32_t)call[1], got, NULL), 0);
			assert_int_equal(flatten(json_array_get(expected(names[k]), c), want), (size_t)call[1]);
			for (size_t j = 0; j < (size_t)call[1]; j++)
				assert_int_equal(got[j], (int)want[j]);
		}
	}
}

/* Columns 1 and 2 change sign; the vector's numbers are no rotation, so one of the same signs is used. */
static void opengl_axes_are_converted(void **state)
{
	double in[16], want[16];
	assert_int_equal(flatten(input("mv/nrgbd_pose_flip"), in), 16);
	assert_int_equal(flatten(expected("mv/nrgbd_pose_flip"), want), 16);
	static const char text[] = "0.6 0.8 0 3\n-0.8 0.6 0 7\n0 0 1 11\n0 0 0 1\n";
	const double m[12] = {0.6, 0.8, 0, 3, -0.8, 0.6, 0, 7, 0, 0, 1, 11};
	e3_traj t;
	assert_int_equal(e3_traj_decode(text, sizeof text - 1, "poses.txt", E3_TRAJ_NRGBD, &t, NULL), 0);
	for (int k = 0; k < 12; k++) {
		double sign = in[k] == 0 ? 1 : want[k] / in[k];
		near("pose", t.pose[0][k], sign * m[k], 0);
	}
	e3_traj_release(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sintel_depth_and_camera),
		cmocka_unit_test(npy_files),
		cmocka_unit_test(depth_in_png),
		cmocka_unit_test(scenes7_registration),
		cmocka_unit_test(resizes_are_pillows),
		cmocka_unit_test(nearest_is_opencvs),
		cmocka_unit_test(loader_a_makes_the_networks_sizes),
		cmocka_unit_test(loader_b_keeps_the_camera),
		cmocka_unit_test(stamps_are_paired),
		cmocka_unit_test(draws_equal_numpy_and_python),
		cmocka_unit_test(opengl_axes_are_converted),
	};
	return cmocka_run_group_tests(tests, vectors_load, vectors_unload);
}
