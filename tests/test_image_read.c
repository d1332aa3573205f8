/* JPEG against Pillow bit for bit, EXIF, the eight orientations, PNM of every kind, pictures one after another, damage.
 */
#include "check.h"
#include "e3/image.h"
#include "e3/io.h"
#include "e3/mem.h"
#include "e3/num.h"
#include <unistd.h>

static uint64_t hash(const e3_image *im)
{
	return e3_fnv1a64(im->px, (size_t)im->w * (size_t)im->h * (size_t)im->channels);
}

static e3_map fixture(const char *name)
{
	char path[256];
	e3_map map;
	snprintf(path, sizeof path, "tests/data/decode/%s", name);
	assert_int_equal(e3_map_open(&map, path, NULL), 0);
	return map;
}

static void jpegs_equal_pillow(void **state)
{
	/* FNV-1a of Pillow 9.4's convert('RGB') */
	static const struct {
		const char *name;
		uint64_t pillow;
	} files[] = {{"420.jpg", 0x64087e1e933159e6u}, {"422-progressive.jpg", 0x1d72a1c120f9fef4u},
		{"444.jpg", 0xb84c870db5206f2au}, {"cmyk.jpg", 0xb1e7843ba7323904u}, {"grey.jpg", 0x2cfaa3fe50aa66b0u}};
	for (size_t k = 0; k < sizeof files / sizeof *files; k++) {
		e3_map map = fixture(files[k].name);
		e3_image im;
		int orientation = 0;
		assert_int_equal(e3_image_decode(map.data, map.size, files[k].name, &im, &orientation, NULL), 0);
		printf("# %-20s %016llx\n", files[k].name, (unsigned long long)hash(&im));
		assert_true(im.w == 61 && im.h == 45 && im.channels == 3 && orientation == 1);
		assert_true(hash(&im) == files[k].pillow);
		e3_image_release(&im);
		e3_map_close(&map);
	}
}

static void photographs_equal_pillow(void **state)
{
	static const uint64_t pillow[9] = {0xf7fc328b8456e5ecu, 0xe5e2fe76a47477a8u, 0xd30f17feec7e4a86u,
		0x35e71f184bb39803u, 0x277fb72cb1dce8f6u, 0x9b66ed0a3c4b90b5u, 0x01be29397377af8fu, 0x1ca2bfd36229bb5au,
		0x3271a277e25ab39fu};
	const char *shared = check_shared();
	if (!shared) {
		print_message("needs the photographs in data/building of E3_SHARED, which is not set\n");
		skip();
	}
	for (int k = 0; k < 9; k++) {
		char path[512];
		e3_image im;
		snprintf(path, sizeof path, "%s/data/building/%d.jpg", shared, k);
		assert_int_equal(e3_image_load(path, &im, NULL, NULL), 0);
		assert_true(hash(&im) == pillow[k]);
		e3_image_release(&im);
	}
}

/* 420.jpg with an EXIF segment behind its first marker. */
static e3_buf with_exif(bool big, int orientation)
{
	static const uint8_t mm[] = {0xff, 0xe1, 0, 46, 'E', 'x', 'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 2, 1,
		0x0f, 0, 2, 0, 0, 0, 3, 'e', '3', 0, 0, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0};
	static const uint8_t ii[] = {0xff, 0xe1, 0, 46, 'E', 'x', 'i', 'f', 0, 0, 'I', 'I', 42, 0, 8, 0, 0, 0, 2, 0, 0x0f,
		1, 2, 0, 3, 0, 0, 0, 'e', '3', 0, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
	uint8_t segment[sizeof mm];
	memcpy(segment, big ? mm : ii, sizeof segment);
	segment[big ? 41 : 40] = (uint8_t)orientation;
	e3_map map = fixture("420.jpg");
	e3_buf out = {0};
	e3_buf_add(&out, map.data, 2, NULL);
	e3_buf_add(&out, segment, sizeof segment, NULL);
	e3_buf_add(&out, map.data + 2, map.size - 2, NULL);
	e3_map_close(&map);
	return out;
}

static void orientation_is_found_in_both_byte_orders(void **state)
{
	for (int big = 0; big < 2; big++)
		for (int want = 0; want <= 9; want++) {
			e3_buf jpeg = with_exif(big, want);
			e3_image im;
			int orientation = 0;
			assert_int_equal(e3_image_decode((uint8_t *)jpeg.data, jpeg.len, "exif", &im, &orientation, NULL), 0);
			assert_int_equal(orientation, want >= 1 && want <= 8 ? want : 1);
			e3_image_release(&im);
			e3_buf_release(&jpeg);
		}
}

/* Damage in the EXIF segment is no reason to refuse a picture. */
static void damaged_exif_reads_as_upright_or_something_valid(void **state)
{
	for (int at = 10; at < 48; at++) {
		e3_buf jpeg = with_exif(at % 2, 6);
		e3_image im;
		int orientation = 0;
		jpeg.data[2 + at] = (char)0xff;
		assert_int_equal(e3_image_decode((uint8_t *)jpeg.data, jpeg.len, "exif", &im, &orientation, NULL), 0);
		assert_in_range(orientation, 1, 8);
		e3_image_release(&im);
		e3_buf_release(&jpeg);
	}
}

/* Each orientation as Pillow's exif_transpose names it: the stored pixel that upright (x, y) shows. */
static void stored(int orientation, const int size[2], int x, int y, int at[2])
{
	int w = size[0], h = size[1];
	const int map[9][2] = {{0, 0}, {x, y}, {w - 1 - x, y}, {w - 1 - x, h - 1 - y}, {x, h - 1 - y}, {y, x},
		{y, h - 1 - x}, {w - 1 - y, h - 1 - x}, {w - 1 - y, x}};
	at[0] = map[orientation][0], at[1] = map[orientation][1];
}

/* Turned into a picture that is there already; *turned is reused. */
static void turned_as_stored(int orientation, int w, int h, int channels, e3_image *turned)
{
	e3_image im;
	assert_int_equal(e3_image_init(&im, w, h, channels, NULL), 0);
	for (int k = 0; k < w * h * channels; k++)
		im.px[k] = (uint8_t)(k * 7 / 3);
	assert_int_equal(e3_image_turn(&im, orientation, turned, NULL), 0);
	assert_int_equal(turned->w, orientation < 5 ? w : h);
	assert_int_equal(turned->h, orientation < 5 ? h : w);
	for (int y = 0; y < turned->h; y++)
		for (int x = 0; x < turned->w; x++) {
			int at[2];
			stored(orientation, (const int[]){w, h}, x, y, at);
			assert_memory_equal(turned->px + (y * turned->w + x) * channels, im.px + (at[1] * w + at[0]) * channels,
				(size_t)channels);
		}
	assert_int_equal(e3_image_orient(&im, orientation, NULL), 0);
	assert_memory_equal(im.px, turned->px, (size_t)(w * h * channels));
	e3_image_release(&im);
}

static void pictures_are_turned_upright(void **state)
{
	const int sizes[][2] = {{5, 3}, {1, 1}, {37, 50}, {50, 33}, {1, 40}};
	for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
		for (int channels = 1; channels <= 4; channels += channels == 1 ? 2 : 1) {
			e3_image turned = {0};
			for (int o = 1; o <= 8; o++)
				turned_as_stored(o, sizes[k][0], sizes[k][1], channels, &turned);
			e3_image_release(&turned);
		}
	e3_image im;
	assert_int_equal(e3_image_init(&im, 2, 2, 3, NULL), 0);
	assert_int_equal(e3_image_orient(&im, 9, NULL), -1);
	e3_image_release(&im);
}

static const struct {
	const char *bytes;
	size_t n;
	uint8_t want[18]; /* 3 × 2 RGB, or 6 grey values given once */
	bool grey;
} pnms[] = {
#define PNM(s) s, sizeof s - 1
	{PNM("P1\n# a comment\n3 2\n1 0 1\n010\n"), {0, 255, 0, 255, 0, 255}, true},
	{PNM("P2 3 2 15\n0 1 2 3 #x\n14 15"), {0, 17, 34, 51, 238, 255}, true},
	{PNM("P3\n3\n2\n255\n1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18\n"),
		{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}, false},
	{PNM("P4 3 2\n\xa0\x40"), {0, 255, 0, 255, 0, 255}, true},
	{PNM("P5 3 2 255\n\0\1\2\xfd\xfe\xff"), {0, 1, 2, 253, 254, 255}, true},
	{PNM("P5\n#c\n3 2\n65535\n\0\0\0\x80\x00\x81\x7f\xff\x80\x00\xff\xff"), {0, 0, 1, 127, 128, 255}, true},
	{PNM("P6 3 2 255\n\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\21\22"),
		{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}, false},
	{PNM("P6 3 2 1000\n\0\0\3\xe8\1\xf4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2"),
		{0, 255, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, false},
};
enum { PNMS = sizeof pnms / sizeof *pnms };

static void every_pnm_is_read(void **state)
{
	for (int k = 0; k < PNMS; k++) {
		e3_image im;
		e3_err err = {""};
		if (e3_image_decode((const uint8_t *)pnms[k].bytes, pnms[k].n, "pnm", &im, NULL, &err))
			fail_msg("PNM %d: %s", k, err.text);
		assert_true(im.w == 3 && im.h == 2 && im.channels == 3);
		for (int p = 0; p < 18; p++)
			assert_int_equal(im.px[p], pnms[k].want[pnms[k].grey ? p / 3 : p]);
		e3_image_release(&im);
	}
}

static void truncated_pnms_are_refused(void **state)
{
	for (int k = 0; k < PNMS; k++)
		for (size_t n = 0; n + 2 < pnms[k].n; n++) { /* + 2: a plain number and its newline may lose their tail */
			uint8_t *cut = malloc(n ? n : 1);
			e3_image im;
			e3_err err;
			memcpy(cut, pnms[k].bytes, n);
			assert_int_equal(e3_image_decode(cut, n, "cut", &im, NULL, &err), -1);
			assert_null(im.px);
			free(cut);
		}
}

static void errors_name_what_is_wrong_with_a_picture(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *says;
	} bad[] = {
		{PNM(""), "reading: x: empty"},
		{PNM("GIF89a......"), "not a PNG, JPEG or PNM picture"},
		{PNM("P6 0 2 255\n"), "width: expected 1 to 65535"},
		{PNM("P6 3 70000 255\n"), "height: expected 1 to 65535"},
		{PNM("P6 3 2 65536\n"), "maximum: expected 1 to 65535"},
		{PNM("P6 3 2 0\n"), "maximum: expected 1 to 65535"},
		{PNM("P6 -3 2 255\n"), "width: expected 1 to 65535"},
		{PNM("P6 60000 60000 255\nabc"), "truncated: 60000 × 60000 pixels need 10800000000 bytes, 3 are there"},
		{PNM("P6 3 2 255x"), "one blank before the samples"},
		{PNM("P2 3 2 9\n1 2 3 4 5 x"), "row 1: not a sample"},
		{PNM("P2 3 2 9\n1 2 3 4 5 10"), "row 1: sample 10: above the maximum 9"},
		{PNM("P5 3 2 9\n\1\2\3\4\5\12"), "row 1: sample 10: above the maximum 9"},
		{PNM("P1 3 2\n0 0 0 0 1 2"), "row 1: not a sample"},
		{PNM("P2 3 2 9\n1 2 3 4 5      "), "truncated: the samples end in row 1 of 2"},
		{PNM("\xff\xd8\xff\xe0"), "reading: x: "},
	};
	for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
		e3_image im;
		e3_err err = {""};
		assert_int_equal(e3_image_decode((const uint8_t *)bad[k].bytes, bad[k].n, "x", &im, NULL, &err), -1);
		if (!strstr(err.text, bad[k].says))
			fail_msg("expected '%s', got '%s'", bad[k].says, err.text);
	}
}

static void truncated_jpegs_are_refused_and_altered_ones_do_no_harm(void **state)
{
	const char *names[] = {"420.jpg", "422-progressive.jpg", "cmyk.jpg"};
	for (int k = 0; k < 3; k++) {
		e3_map map = fixture(names[k]);
		e3_image im;
		e3_err err;
		for (size_t n = 0; n < map.size; n += n < 700 ? 1 : 97) {
			uint8_t *cut = malloc(n ? n : 1);
			memcpy(cut, map.data, n);
			assert_int_equal(e3_image_decode(cut, n, "cut", &im, NULL, &err), -1);
			assert_null(im.px);
			free(cut);
		}
		uint8_t *bad = malloc(map.size);
		for (size_t n = 0; n < map.size; n += n < 700 ? 1 : 23) {
			memcpy(bad, map.data, map.size);
			bad[n] ^= 0x55;
			(void)e3_image_decode(bad, map.size, "bad", &im, NULL, &err);
			e3_image_release(&im);
		}
		free(bad);
		e3_map_close(&map);
	}
}

static void a_jpeg_that_claims_too_much_gets_no_memory(void **state)
{
	e3_map map = fixture("444.jpg");
	uint8_t *big = malloc(map.size);
	memcpy(big, map.data, map.size);
	uint8_t *sof = memmem(big, map.size, "\xff\xc0", 2);
	assert_non_null(sof);
	memcpy(sof + 5, "\x3f\xff\x3f\xff", 4);
	e3_image im;
	e3_err err;
	uint64_t before = e3_rss_peak();
	assert_int_equal(e3_image_decode(big, map.size, "big", &im, NULL, &err), -1);
	assert_non_null(strstr(err.text, "truncated: "));
	assert_true(e3_rss_peak() - before < 64 << 20);
	free(big);
	e3_map_close(&map);
}

/* A stream of pictures arriving a few bytes at a time: each is handed out when its last byte is there, not later. */
static void pictures_stream_one_after_another(void **state)
{
	const char *names[] = {"420.jpg", "422-progressive.jpg", "grey.jpg"};
	int fds[2];
	e3_err err = {""};
	assert_int_equal(pipe(fds), 0);
	e3_image_stream *s = e3_image_stream_open(fds[0], pnms[6].bytes, 4, NULL, &err);
	assert_non_null(s);
	assert_int_equal(e3_write_full(fds[1], pnms[6].bytes + 4, pnms[6].n - 4), 0);
	const uint8_t *bytes;
	size_t n;
	assert_int_equal(e3_image_stream_next(s, &bytes, &n, &err),
		1); /* the pipe is still open: it must not wait for more */
	assert_int_equal(n, pnms[6].n);
	assert_memory_equal(bytes, pnms[6].bytes, n);
	for (int k = 0; k < 3; k++) {
		e3_map map = fixture(names[k]);
		assert_int_equal(e3_write_full(fds[1], map.data, map.size), 0);
		assert_int_equal(e3_image_stream_next(s, &bytes, &n, &err), 1);
		assert_int_equal(n, map.size);
		assert_memory_equal(bytes, map.data, n);
		e3_map_close(&map);
	}
	assert_int_equal(e3_write_full(fds[1], "P1 2 1\n1 0", 10), 0); /* plain: ends with the stream */
	close(fds[1]);
	assert_int_equal(e3_image_stream_next(s, &bytes, &n, &err), 1);
	assert_int_equal(n, 10);
	assert_int_equal(e3_image_stream_next(s, &bytes, &n, &err), 0);
	e3_image_stream_close(s);
	close(fds[0]);
}

/* The end of a picture is the same however its bytes are dealt out. */
static void extents_do_not_depend_on_how_bytes_arrive(void **state)
{
	const char *names[] = {"420.jpg", "422-progressive.jpg", "cmyk.jpg"};
	for (int k = 0; k < 3; k++) {
		e3_map map = fixture(names[k]);
		size_t at = 0;
		int rc = 0;
		for (size_t n = 0; n < map.size; n++) {
			rc = e3_image_extent(map.data, n, &at, NULL);
			assert_int_equal(rc, 0);
		}
		rc = e3_image_extent(map.data, map.size, &at, NULL);
		assert_int_equal(rc, 1);
		assert_int_equal(at, map.size);
		e3_map_close(&map);
	}
}

static void broken_streams_are_refused(void **state)
{
	const char *bad[] = {"P6 3 2 255\n123456789012345678junk and more junk", "P6 3 2 255\n12345", "P6 9 9 255\n"};
	const char *says[] = {"byte 29: not a picture of a kind that is read", "byte 0: truncated", "byte 0: truncated"};
	for (int k = 0; k < 3; k++) {
		int fds[2];
		e3_err err = {""};
		const uint8_t *bytes;
		size_t n;
		assert_int_equal(pipe(fds), 0);
		assert_int_equal(e3_write_full(fds[1], bad[k], strlen(bad[k])), 0);
		close(fds[1]);
		e3_image_stream *s = e3_image_stream_open(fds[0], NULL, 0, NULL, &err);
		int rc = e3_image_stream_next(s, &bytes, &n, &err);
		if (k == 0) {
			assert_int_equal(rc, 1);
			rc = e3_image_stream_next(s, &bytes, &n, &err);
		}
		assert_int_equal(rc, -1);
		assert_non_null(strstr(err.text, says[k]));
		e3_image_stream_close(s);
		close(fds[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jpegs_equal_pillow),
		cmocka_unit_test(photographs_equal_pillow),
		cmocka_unit_test(orientation_is_found_in_both_byte_orders),
		cmocka_unit_test(damaged_exif_reads_as_upright_or_something_valid),
		cmocka_unit_test(pictures_are_turned_upright),
		cmocka_unit_test(every_pnm_is_read),
		cmocka_unit_test(truncated_pnms_are_refused),
		cmocka_unit_test(errors_name_what_is_wrong_with_a_picture),
		cmocka_unit_test(truncated_jpegs_are_refused_and_altered_ones_do_no_harm),
		cmocka_unit_test(a_jpeg_that_claims_too_much_gets_no_memory),
		cmocka_unit_test(pictures_stream_one_after_another),
		cmocka_unit_test(extents_do_not_depend_on_how_bytes_arrive),
		cmocka_unit_test(broken_streams_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
