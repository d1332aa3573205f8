/* sets: files read and written: values that come back, and the messages for files that are refused. */
#include "check.h"
#include "e3/num.h"
#include "e3/sets.h"

static void near(double got, double want, double within)
{
	if (!(fabs(got - want) <= within))
		fail_msg("%.12g, expected %.12g", got, want);
}

/* A file written and read into memory of exactly its size. */
static uint8_t *slurp(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	*n = (size_t)ftell(f);
	rewind(f);
	uint8_t *bytes = malloc(*n ? *n : 1);
	assert_int_equal(fread(bytes, 1, *n, f), *n);
	fclose(f);
	remove(path);
	return bytes;
}

static char path[64];

static const char *fresh(void)
{
	strcpy(path, "/tmp/e3-test-XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	fclose(fdopen(fd, "r"));
	return path;
}

enum { W = 5, H = 3 };

static e3_depth sample(void)
{
	e3_depth d;
	assert_int_equal(e3_depth_init(&d, W, H, NULL), 0);
	for (int k = 0; k < W * H; k++)
		d.z[k] = k == 7 ? 0 : 0.5f + 0.37f * (float)k;
	return d;
}

typedef int decode_fn(const uint8_t *bytes, size_t n, const char *name, e3_depth *out, e3_err *err);
static int decode_bonn(const uint8_t *bytes, size_t n, const char *name, e3_depth *out, e3_err *err)
{
	return e3_depth16_decode(bytes, n, name, E3_DEPTH16_BONN, out, err);
}
static int save_bonn(const char *to, const e3_depth *d, e3_err *err)
{
	return e3_depth16_save(to, E3_DEPTH16_BONN, d, err);
}

static const struct format {
	const char *name;
	decode_fn *decode;
	int (*save)(const char *, const e3_depth *, e3_err *);
	double step; /* the rounded value */
	size_t end;  /* bytes after the last value, which are not needed: PNG's end chunk */
} formats[] = {{"x.dpt", e3_sintel_dpt_decode, e3_sintel_dpt_save, 0, 0}, {"x.npy", e3_npy_decode, e3_npy_save, 0, 0},
	{"x.png", decode_bonn, save_bonn, 1.0 / 5000, 12}};
enum { FORMATS = sizeof formats / sizeof *formats };

static void depth_maps_come_back(void **state)
{
	for (int f = 0; f < FORMATS; f++) {
		e3_depth d = sample(), back;
		size_t n;
		assert_int_equal(formats[f].save(fresh(), &d, NULL), 0);
		uint8_t *bytes = slurp(path, &n);
		assert_int_equal(formats[f].decode(bytes, n, formats[f].name, &back, NULL), 0);
		assert_int_equal(back.w, W);
		assert_int_equal(back.h, H);
		for (int k = 0; k < W * H; k++)
			near(back.z[k], d.z[k], formats[f].step / 2 + 1e-7);
		/* truncated anywhere: refused by name, nothing kept, nothing read beyond the end (sanitizers) */
		for (size_t cut = 0; cut < n - formats[f].end; cut++) {
			uint8_t *part = malloc(cut ? cut : 1);
			e3_depth none;
			e3_err err = {""};
			memcpy(part, bytes, cut);
			assert_int_equal(formats[f].decode(part, cut, formats[f].name, &none, &err), -1);
			assert_null(none.z);
			assert_true(strncmp(err.text, "reading: ", 9) == 0 && strstr(err.text, formats[f].name));
			free(part);
		}
		free(bytes);
		e3_depth_release(&d);
		e3_depth_release(&back);
	}
}

static void refused(int rc, const e3_err *err, const char *why)
{
	assert_int_equal(rc, -1);
	if (!strstr(err->text, why))
		fail_msg("'%s' does not say '%s'", err->text, why);
}

static void put_float(uint8_t *to, float v)
{
	uint32_t u;
	memcpy(&u, &v, 4);
	e3_put_le32(to, u);
}

static void dpt_says_what_is_wrong(void **state)
{
	e3_depth d = sample(), none;
	e3_err err;
	size_t n;
	assert_int_equal(e3_sintel_dpt_save(fresh(), &d, NULL), 0);
	uint8_t *b = slurp(path, &n);
	b[0] = 'Q';
	refused(e3_sintel_dpt_decode(b, n, "a.dpt", &none, &err), &err,
		"reading: a.dpt: begins with 51 49 45 48: expected the tag 50 49 45 48");
	b[0] = 'P';
	e3_put_le32(b + 4, 0);
	refused(e3_sintel_dpt_decode(b, n, "a.dpt", &none, &err), &err, "0 × 3 pixels");
	e3_put_le32(b + 4, 0xffffffffu);
	refused(e3_sintel_dpt_decode(b, n, "a.dpt", &none, &err), &err, "-1 × 3 pixels");
	e3_put_le32(b + 4, 60000), e3_put_le32(b + 8, 60000);
	refused(e3_sintel_dpt_decode(b, n, "a.dpt", &none, &err), &err, "fewer than 100000000");
	e3_put_le32(b + 4, 6), e3_put_le32(b + 8, 3);
	refused(e3_sintel_dpt_decode(b, n, "a.dpt", &none, &err), &err, "truncated: 72 bytes: 6 × 3 pixels take 84");
	e3_put_le32(b + 4, 4);
	refused(e3_sintel_dpt_decode(b, n, "a.dpt", &none, &err), &err, "too long");
	e3_put_le32(b + 4, W);
	put_float(b + 12 + 4 * (W + 2), NAN);
	refused(e3_sintel_dpt_decode(b, n, "a.dpt", &none, &err), &err, "pixel 2, 1: not a number");
	/* the sky is far; depth behind the camera is unknown */
	put_float(b + 12, INFINITY), put_float(b + 12 + 4 * (W + 2), -3);
	assert_int_equal(e3_sintel_dpt_decode(b, n, "a.dpt", &none, &err), 0);
	assert_true(isinf(none.z[0]) && none.z[W + 2] == 0);
	e3_depth_release(&none);
	e3_depth_release(&d);
	free(b);
}

/* npy bytes with this header, 12 floats behind it. */
static size_t npy(uint8_t *to, const char *header, size_t data)
{
	size_t n = strlen(header);
	memcpy(to, "\x93NUMPY\1", 8);
	e3_put_le16(to + 8, (uint16_t)n);
	memcpy(to + 10, header, n);
	for (size_t k = 0; k < data; k++)
		put_float(to + 10 + n + 4 * k, (float)k);
	return 10 + n + 4 * data;
}

static void npy_says_what_is_wrong(void **state)
{
	static const struct {
		const char *header, *why;
	} cases[] = {
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5), }",
			"truncated: 3 × 5 numbers take 60 bytes, 48 are there"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3), }", "too long"},
		{"{'descr': '<i4', 'fortran_order': False, 'shape': (3, 4), }", "type '<i4': expected '<f4' or '<f8'"},
		{"{'descr': '>f4', 'fortran_order': False, 'shape': (3, 4), }", "type '>f4'"},
		{"{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4), }", "in Fortran order"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (12,), }", "shape (12,): expected a matrix"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 4), }", "expected a matrix"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4), }", "expected a matrix"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999, 999999999), }", "truncated"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 4), }", "too large"},
		{"{'descr': '<f4', 'shape': (3, 4), }", "lacks descr, fortran_order or shape"},
	};
	uint8_t b[512];
	e3_depth d;
	e3_err err;
	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
		refused(e3_npy_decode(b, npy(b, cases[k].header, 12), "a.npy", &d, &err), &err, cases[k].why);
	size_t n = npy(b, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }", 12);
	assert_int_equal(e3_npy_decode(b, n, "a.npy", &d, &err), 0);
	near(d.z[11], 11, 0);
	e3_depth_release(&d);
	put_float(b + n - 4, NAN);
	refused(e3_npy_decode(b, n, "a.npy", &d, &err), &err, "row 2, column 3: not a finite number");
	b[1] = 'X';
	refused(e3_npy_decode(b, n, "a.npy", &d, &err), &err, "not a .npy file");
	b[1] = 'N', b[6] = 9;
	refused(e3_npy_decode(b, n, "a.npy", &d, &err), &err, ".npy version 9");
	/* doubles */
	n = npy(b, "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), }", 0);
	double v[2] = {2.5, -1};
	uint64_t u[2];
	memcpy(u, v, sizeof v);
	e3_put_le64(b + n, u[0]), e3_put_le64(b + n + 8, u[1]);
	assert_int_equal(e3_npy_decode(b, n + 16, "a.npy", &d, &err), 0);
	assert_true(d.z[0] == 2.5f && d.z[1] == 0);
	e3_depth_release(&d);
}

/* 8 bits instead of 16, in both forms; the far limit; values that a format cannot hold. */
static void png_depth_says_what_is_wrong(void **state)
{
	uint16_t v[4] = {0, 255, 17, 3};
	e3_depth d;
	e3_err err;
	size_t n;
	assert_int_equal(e3_png16_save(fresh(), v, 2, 2, NULL, NULL), 0);
	uint8_t *b = slurp(path, &n);
	refused(e3_depth16_decode(b, n, "k.png", E3_DEPTH16_KITTI, &d, &err), &err,
		"reading: k.png: its highest value is 255: expected 16 bits in use");
	assert_int_equal(e3_depth16_decode(b, n, "n.png", E3_DEPTH16_NRGBD, &d, &err), 0);
	near(d.z[1], 0.255, 1e-7);
	e3_depth_release(&d);
	free(b);
	e3_image im;
	assert_int_equal(e3_image_init(&im, 2, 2, 1, NULL), 0);
	im.px[0] = 200;
	assert_int_equal(e3_png_save(fresh(), &im, NULL), 0);
	b = slurp(path, &n);
	refused(e3_depth16_decode(b, n, "k.png", E3_DEPTH16_NRGBD, &d, &err), &err,
		"8 bits of grey: expected 16 bits of grey");
	free(b);
	e3_image_release(&im);
	d = sample();
	d.z[0] = 14, d.z[1] = 13.1f, d.z[2] = 300, d.z[3] = 10.5f, d.z[4] = NAN;
	for (int kind = E3_DEPTH16_KITTI; kind <= E3_DEPTH16_NRGBD; kind++) {
		static const int kept[4] = {0x0b, 0x0a, 0,
			0}; /* of the first four: KITTI to 255 m, Bonn to 13.1, the others to 10 */
		e3_depth back;
		assert_int_equal(e3_depth16_save(fresh(), (e3_depth16)kind, &d, NULL), 0);
		b = slurp(path, &n);
		assert_int_equal(e3_depth16_decode(b, n, "x.png", (e3_depth16)kind, &back, &err), 0);
		for (int k = 0; k < 4; k++)
			assert_int_equal(back.z[k] > 0, kept[kind] >> k & 1);
		assert_true(back.z[4] == 0);
		near(back.z[5], d.z[5],
			kind == E3_DEPTH16_KITTI      ? 0.5 / 256
				: kind == E3_DEPTH16_BONN ? 1e-4 + 1e-6
										  : 5e-4 + 1e-6);
		e3_depth_release(&back);
		free(b);
	}
	e3_depth_release(&d);
}

static void cameras_come_back_or_say_what_is_wrong(void **state)
{
	e3_cam cam = {{1120, 0, 511.5, 0, 1121, 217.5, 0, 0, 1}, {0.6, 0.8, 0, 0.1, -0.8, 0.6, 0, -0.2, 0, 0, 1, 0.3}},
		   back;
	e3_err err;
	size_t n;
	assert_int_equal(e3_cam_save(fresh(), &cam, NULL), 0);
	uint8_t *b = slurp(path, &n), keep[8];
	assert_int_equal(n, 172);
	assert_int_equal(e3_cam_decode(b, n, "a.cam", &back, &err), 0);
	assert_memory_equal(&back, &cam, sizeof cam);
	for (size_t cut = 0; cut < n; cut += 13)
		refused(e3_cam_decode(b, cut, "a.cam", &back, &err), &err, "reading: a.cam: truncated");
	memcpy(keep, b + 4 + 8 * 9, 8);
	memset(b + 4 + 8 * 9, 0xff, 8);
	refused(e3_cam_decode(b, n, "a.cam", &back, &err), &err, "number 10 is not finite: the pose is missing");
	memset(b + 4 + 8 * 9, 0, 8);
	refused(e3_cam_decode(b, n, "a.cam", &back, &err), &err, "the matrix is not a rotation");
	memcpy(b + 4 + 8 * 9, keep, 8);
	memset(b + 4, 0, 8);
	refused(e3_cam_decode(b, n, "a.cam", &back, &err), &err, "focal lengths 0 and 1121");
	b[3] = 0;
	refused(e3_cam_decode(b, n, "a.cam", &back, &err), &err, "expected the tag");
	free(b);
}

/* Registered depth: of two points on one pixel the nearer counts; a plane at constant depth remains one. */
static void the_nearest_is_registered(void **state)
{
	enum { RW = 64, RH = 48 };
	uint16_t raw[RW * RH], out[RW * RH];
	for (int k = 0; k < RW * RH; k++)
		raw[k] = 2000;
	raw[20 * RW + 30] = 900;
	assert_int_equal(e3_scenes7_register(raw, RW, RH, false, out, NULL), 0);
	int near_ones = 0, wall = 0;
	for (int k = 0; k < RW * RH; k++) {
		near_ones += out[k] > 880 && out[k] < 920;
		wall += out[k] > 1960 && out[k] < 2040;
		assert_true(out[k] == 0 || (out[k] > 880 && out[k] < 920) || (out[k] > 1960 && out[k] < 2040));
	}
	assert_int_equal(near_ones, 1);
	assert_true(wall > RW * RH / 2);
}

static void draws_need_enough_to_draw_from(void **state)
{
	static const uint32_t numpy[10] = {26, 92, 2, 55, 91, 84, 16, 66, 54, 68},
						  python[10] = {49, 48, 56, 26, 2, 16, 32, 31, 25, 50};
	e3_mt g;
	uint32_t got[10];
	e3_err err;
	e3_mt_seed_numpy(&g, 0);
	assert_int_equal(e3_mt_choice(&g, 102, 10, got, NULL), 0);
	assert_memory_equal(got, numpy, sizeof numpy);
	e3_mt_seed_python(&g, 0);
	assert_int_equal(e3_mt_sample(&g, 64, 10, got, NULL), 0);
	assert_memory_equal(got, python, sizeof python);
	refused(e3_mt_choice(&g, 9, 10, got, &err), &err, "drawing 10 of 9");
	refused(e3_mt_sample(&g, 9, 0, got, &err), &err, "drawing 0 of 9");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(depth_maps_come_back),
		cmocka_unit_test(dpt_says_what_is_wrong),
		cmocka_unit_test(npy_says_what_is_wrong),
		cmocka_unit_test(png_depth_says_what_is_wrong),
		cmocka_unit_test(cameras_come_back_or_say_what_is_wrong),
		cmocka_unit_test(the_nearest_is_registered),
		cmocka_unit_test(draws_need_enough_to_draw_from),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
