/* PNG of every type as Pillow's convert('RGB') reads it, damage, and what is written read back. */
#include "check.h"
#include "e3/image.h"
#include "e3/mem.h"
#include "e3/num.h"
#include <png.h>
#include <unistd.h>

static void add(png_structp png, png_bytep bytes, size_t n)
{
	assert_int_equal(e3_buf_add(png_get_io_ptr(png), bytes, n, NULL), 0);
}

static void flush(png_structp png) { (void)png; }

typedef struct kind {
	const char *name;
	int type, depth;
	bool interlaced, transparent; /* transparent: a tRNS chunk, which must change nothing */
	int exif;                     /* orientation in an eXIf chunk, 0 = none */
	uint64_t pillow;              /* FNV-1a of Pillow 9.4's convert('RGB'), for RGBA after alpha_composite over white */
} kind;

enum { W = 53, H = 29, COLORS = 11 };

/* A PNG whose packed rows are bytes of one formula. */
static e3_buf encode(const kind *k)
{
	e3_buf out = {0};
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	png_infop info = png_create_info_struct(png);
	png_set_write_fn(png, &out, add, flush);
	png_set_check_for_invalid_index(png, 0);
	png_set_IHDR(png, info, W, H, k->depth, k->type, k->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, 0, 0);
	png_color palette[COLORS];
	for (int c = 0; c < COLORS; c++)
		palette[c] = (png_color){(png_byte)(c * 23), (png_byte)(255 - c * 9), (png_byte)(c * c)};
	if (k->type == PNG_COLOR_TYPE_PALETTE)
		png_set_PLTE(png, info, palette, k->depth < 4 ? 1 << k->depth : COLORS);
	png_byte alpha[3] = {0, 100, 200};
	png_color_16 key = {.red = 3, .green = 4, .blue = 5, .gray = 1};
	if (k->transparent)
		png_set_tRNS(png, info, alpha, k->type == PNG_COLOR_TYPE_PALETTE ? 2 : 0, &key);
	png_byte exif[] = {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, (png_byte)k->exif, 0, 0, 0, 0,
		0, 0};
	if (k->exif)
		png_set_eXIf_1(png, info, sizeof exif, exif);
	png_write_info(png, info);
	size_t stride = png_get_rowbytes(png, info);
	uint8_t *rows = calloc(H, stride);
	png_bytep at[H];
	for (size_t y = 0; y < H; y++) {
		at[y] = rows + y * stride;
		for (size_t x = 0; x < stride; x++) {
			uint8_t v = (uint8_t)(x * 37 + (x * y >> 2) + y * y * 5);
			at[y][x] = k->type == PNG_COLOR_TYPE_PALETTE && k->depth == 8 ? v % (COLORS + 5)
																		  : /* some past the palette */
				k->type == PNG_COLOR_TYPE_PALETTE && k->depth == 4
				? (uint8_t)((v >> 4) % COLORS << 4 | (v & 15) % COLORS)
				: k->depth == 16 && k->type == PNG_COLOR_TYPE_GRAY && x % 4 == 0 ? 0
																				 : v;
		}
	}
	png_write_image(png, at);
	png_write_end(png, info);
	png_destroy_write_struct(&png, &info);
	free(rows);
	return out;
}

static const kind kinds[] = {
	{"grey 1", PNG_COLOR_TYPE_GRAY, 1, false, false, 0, 0x39b5a697a13e07a1u},
	{"grey 2", PNG_COLOR_TYPE_GRAY, 2, false, true, 0, 0xe7c9bb63cdad20cbu},
	{"grey 4 interlaced", PNG_COLOR_TYPE_GRAY, 4, true, false, 0, 0x7286da547df93968u},
	{"grey 8", PNG_COLOR_TYPE_GRAY, 8, false, false, 0, 0x2f716b89c19354eeu},
	{"grey 8 with a key", PNG_COLOR_TYPE_GRAY, 8, false, true, 0, 0x2f716b89c19354eeu},
	{"grey 16", PNG_COLOR_TYPE_GRAY, 16, false, false, 0, 0x4ec5c5de19fc3b5au},
	{"grey and alpha 8", PNG_COLOR_TYPE_GRAY_ALPHA, 8, false, false, 0, 0x43cc4e41ee84a739u},
	{"grey and alpha 16", PNG_COLOR_TYPE_GRAY_ALPHA, 16, true, false, 0, 0x162d60d28f1dfadfu},
	{"palette 1", PNG_COLOR_TYPE_PALETTE, 1, false, false, 0, 0xc8002b036dfd5d36u},
	{"palette 2", PNG_COLOR_TYPE_PALETTE, 2, true, true, 0, 0x64c0bdc60f0b0a44u},
	{"palette 4", PNG_COLOR_TYPE_PALETTE, 4, false, false, 0, 0x0e1249e9ed75ed57u},
	{"palette 8", PNG_COLOR_TYPE_PALETTE, 8, false, true, 0, 0x1f9a24bdb3893d00u},
	{"rgb 8", PNG_COLOR_TYPE_RGB, 8, false, false, 6, 0xe28d3d6d3ebdf000u},
	{"rgb 8 with a key", PNG_COLOR_TYPE_RGB, 8, true, true, 0, 0xe28d3d6d3ebdf000u},
	{"rgb 16", PNG_COLOR_TYPE_RGB, 16, false, false, 0, 0x6a2096cd022e0de5u},
	{"rgba 8", PNG_COLOR_TYPE_RGB_ALPHA, 8, false, false, 0, 0x1c711636288b3cacu},
	{"rgba 8 interlaced", PNG_COLOR_TYPE_RGB_ALPHA, 8, true, false, 3, 0x1c711636288b3cacu},
	{"rgba 16", PNG_COLOR_TYPE_RGB_ALPHA, 16, false, false, 0, 0x421328d075464276u},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void every_type_reads_as_pillow_converts_it(void **state)
{
	for (int k = 0; k < KINDS; k++) {
		e3_buf png = encode(&kinds[k]);
		e3_image im;
		e3_err err = {""};
		int orientation;
		int rc = e3_image_decode((uint8_t *)png.data, png.len, "test", &im, &orientation, &err);
		if (rc)
			fail_msg("%s: %s", kinds[k].name, err.text);
		uint64_t hash = e3_fnv1a64(im.px, 3 * (size_t)im.w * (size_t)im.h);
		printf("# %-20s %016llx\n", kinds[k].name, (unsigned long long)hash);
		assert_int_equal(im.w, W);
		assert_int_equal(im.h, H);
		assert_int_equal(orientation, kinds[k].exif ? kinds[k].exif : 1);
		assert_true(hash == kinds[k].pillow);
		e3_image_release(&im);
		e3_buf_release(&png);
	}
}

enum { CHECK = 4 }; /* bytes of the checksum behind a chunk, at which libpng does not always look */

/* Where the pixels of a PNG end. */
static size_t pixels_end(const e3_buf *png)
{
	size_t end = 0;
	for (size_t k = 8; k + 12 <= png->len; k += 12 + e3_be32((const uint8_t *)png->data + k))
		if (memcmp(png->data + k + 4, "IDAT", 4) == 0)
			end = k + 8 + e3_be32((const uint8_t *)png->data + k);
	return end;
}

/* Cut anywhere before the end of its pixels a PNG is refused, behind them it is read; with any one byte changed it is
 * refused or read, never worse (run under the sanitizers). */
static void damage_is_refused(void **state)
{
	for (int k = 0; k < KINDS; k += 4) {
		e3_buf png = encode(&kinds[k]);
		e3_image im;
		e3_err err;
		for (size_t n = 0; n < png.len; n++) {
			uint8_t *cut = malloc(n ? n : 1); /* its own block: reading past it is seen */
			memcpy(cut, png.data, n);
			int rc = e3_image_decode(cut, n, "cut.png", &im, NULL, &err);
			free(cut);
			if (n < pixels_end(&png) || n >= pixels_end(&png) + CHECK)
				assert_int_equal(rc, n < pixels_end(&png) ? -1 : 0);
			if (rc)
				assert_non_null(strstr(err.text, "reading: cut.png: "));
			assert_int_equal(im.px == NULL, rc != 0);
			e3_image_release(&im);
		}
		int refused = 0;
		for (size_t n = 0; n < png.len; n++) {
			png.data[n] ^= 0x40;
			refused += e3_image_decode((uint8_t *)png.data, png.len, "bad.png", &im, NULL, &err) != 0;
			e3_image_release(&im);
			png.data[n] ^= 0x40;
		}
		printf("# %s: %d of %zu single changes refused\n", kinds[k].name, refused, png.len);
		assert_true(refused > (int)png.len / 2);
		e3_buf_release(&png);
	}
}

/* A few bytes that claim gigabytes of pixels get no memory. */
static void sizes_that_the_bytes_cannot_hold_are_refused(void **state)
{
	e3_buf png = encode(&kinds[12]);
	e3_image im;
	e3_err err;
	memcpy(png.data + 16, "\0\0\x3f\xff\0\0\x3f\xff", 8); /* 16383 × 16383, with its checksum */
	uint32_t crc = 0xffffffffu;
	for (int k = 12; k < 29; k++) {
		crc ^= (uint8_t)png.data[k];
		for (int b = 0; b < 8; b++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	e3_put_be32((uint8_t *)png.data + 29, ~crc);
	uint64_t before = e3_rss_peak();
	assert_int_equal(e3_image_decode((uint8_t *)png.data, png.len, "big.png", &im, NULL, &err), -1);
	assert_non_null(strstr(err.text, "truncated"));
	assert_true(e3_rss_peak() - before < 64 << 20);
	e3_buf_release(&png);
}

static void what_is_written_reads_back(void **state)
{
	for (int channels = 1; channels <= 4; channels += channels == 1 ? 2 : 1) {
		e3_image im, back;
		assert_int_equal(e3_image_init(&im, 37, 21, channels, NULL), 0);
		for (size_t k = 0; k < 37 * 21 * (size_t)channels; k++)
			im.px[k] = channels == 4 && k % 4 == 3 ? 255 : (uint8_t)(k * k >> 3);
		char path[] = "/tmp/e3-test-XXXXXX";
		close(mkstemp(path));
		assert_int_equal(e3_png_save(path, &im, NULL), 0);
		assert_int_equal(e3_image_load(path, &back, NULL, NULL), 0);
		for (size_t k = 0; k < 37 * 21; k++)
			for (size_t c = 0; c < 3; c++)
				assert_int_equal(back.px[3 * k + c], im.px[k * (size_t)channels + (channels == 1 ? 0 : c)]);
		e3_image_release(&im);
		e3_image_release(&back);
		unlink(path);
	}
}

/* All 16 bits and the text survive; read with libpng, as our own reader makes 8 bits of everything. */
static void sixteen_bits_and_text_are_written(void **state)
{
	uint16_t v[5 * 3], row[5];
	for (int k = 0; k < 15; k++)
		v[k] = (uint16_t)(k * 4369 + 7);
	const char *text[] = {"unit", "0.001 m", "Title", "depth", NULL};
	char path[] = "/tmp/e3-test-XXXXXX";
	close(mkstemp(path));
	assert_int_equal(e3_png16_save(path, v, 5, 3, text, NULL), 0);
	FILE *f = fopen(path, "rb");
	png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	png_infop info = png_create_info_struct(png);
	png_init_io(png, f);
	png_read_info(png, info);
	assert_int_equal(png_get_bit_depth(png, info), 16);
	assert_int_equal(png_get_color_type(png, info), PNG_COLOR_TYPE_GRAY);
	png_textp got;
	assert_int_equal(png_get_text(png, info, &got, NULL), 2);
	assert_string_equal(got[0].key, "unit");
	assert_string_equal(got[0].text, "0.001 m");
	assert_string_equal(got[1].text, "depth");
	for (int y = 0; y < 3; y++) {
		png_read_row(png, (png_bytep)row, NULL);
		for (int x = 0; x < 5; x++) {
			const uint8_t *b = (const uint8_t *)&row[x];
			assert_int_equal(b[0] << 8 | b[1], v[y * 5 + x]);
		}
	}
	png_destroy_read_struct(&png, &info, NULL);
	fclose(f);
	unlink(path);
}

static int read16(const e3_buf *png, size_t n, uint16_t **v, int size[2], e3_err *err)
{
	uint8_t *own = malloc(n ? n : 1); /* its own block: reading past it is seen */
	memcpy(own, png->data, n);
	int rc = e3_png16_decode(own, n, "d.png", v, size, err);
	free(own);
	return rc;
}

/* Depth maps: 16-bit grey comes back value by value, interlaced or not; any other type is refused by name; so is a cut
 * one. */
static void sixteen_bit_grey_reads_as_it_is(void **state)
{
	for (int k = 0; k < KINDS; k++) {
		e3_buf png = encode(&kinds[k]);
		e3_err err = {""};
		uint16_t *v;
		int size[2];
		int rc = read16(&png, png.len, &v, size, &err);
		if (kinds[k].type != PNG_COLOR_TYPE_GRAY || kinds[k].depth != 16) {
			assert_int_equal(rc, -1);
			assert_null(v);
			assert_non_null(strstr(err.text, "reading: d.png: "));
			assert_non_null(strstr(err.text, ": expected 16 bits of grey"));
			e3_buf_release(&png);
			continue;
		}
		assert_int_equal(rc, 0);
		assert_int_equal(size[0], W);
		assert_int_equal(size[1], H);
		for (size_t y = 0; y < H; y++)
			for (size_t x = 0; x < W; x++) {
				size_t at[2] = {2 * x, 2 * x + 1};
				unsigned byte[2];
				for (int b = 0; b < 2; b++)
					byte[b] = at[b] % 4 == 0 ? 0 : (uint8_t)(at[b] * 37 + (at[b] * y >> 2) + y * y * 5);
				assert_int_equal(v[y * W + x], byte[0] << 8 | byte[1]);
			}
		free(v);
		for (size_t n = 0; n < pixels_end(&png); n++) {
			assert_int_equal(read16(&png, n, &v, size, &err), -1);
			assert_null(v);
		}
		e3_buf_release(&png);
	}
}

/* RGB and alpha without being laid over white: the colours as they are stored. */
static void alpha_can_be_ignored(void **state)
{
	for (int k = 0; k < KINDS; k++) {
		if (kinds[k].type != PNG_COLOR_TYPE_RGB_ALPHA || kinds[k].depth != 8)
			continue;
		e3_buf png = encode(&kinds[k]);
		e3_image im;
		assert_int_equal(e3_image_decode_opaque((uint8_t *)png.data, png.len, "a.png", &im, NULL, NULL), 0);
		for (size_t y = 0; y < H; y++)
			for (size_t x = 0; x < 4 * W; x++)
				if (x % 4 < 3)
					assert_int_equal(im.px[y * 3 * W + x / 4 * 3 + x % 4],
						(uint8_t)(x * 37 + (x * y >> 2) + y * y * 5));
		e3_image_release(&im);
		e3_buf_release(&png);
		return;
	}
	fail_msg("no RGBA among the kinds");
}

static void a_full_disk_is_an_error(void **state)
{
	e3_image im;
	e3_err err;
	assert_int_equal(e3_image_init(&im, 200, 200, 3, NULL), 0);
	for (int k = 0; k < 200 * 200 * 3; k++)
		im.px[k] = (uint8_t)(k * 2654435761u >> 13);
	assert_int_equal(e3_png_save("/dev/full", &im, &err), -1);
	assert_non_null(strstr(err.text, "/dev/full: No space left on device"));
	assert_int_equal(e3_png_save("/dev/null/x.png", &im, &err), -1);
	assert_non_null(strstr(err.text, "/dev/null: exists and is not a directory"));
	e3_image_release(&im);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_reads_as_pillow_converts_it),
		cmocka_unit_test(damage_is_refused),
		cmocka_unit_test(sizes_that_the_bytes_cannot_hold_are_refused),
		cmocka_unit_test(what_is_written_reads_back),
		cmocka_unit_test(sixteen_bits_and_text_are_written),
		cmocka_unit_test(a_full_disk_is_an_error),
		cmocka_unit_test(sixteen_bit_grey_reads_as_it_is),
		cmocka_unit_test(alpha_can_be_ignored),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
