/* Every pixel format that FFmpeg has, with known colours: within two codes after conversion to RGB. The frames are
 * written component by component from the definitions in H.273, not by a converter. */
#include "check.h"
#include "e3/image.h"
#include "video/exact.h"
#include <libavutil/imgutils.h>
#include <math.h>
#include <stdlib.h>

enum { PATCH = 32, H = 32 };
static const uint8_t patches[][3] = {{0, 0, 0}, {255, 255, 255}, {128, 128, 128}, {255, 0, 0}, {0, 255, 0}, {0, 0, 255},
	{200, 100, 50}, {50, 100, 200}, {16, 16, 16}, {235, 235, 235}, {90, 160, 30}, {240, 230, 140}};
enum { PATCHES = sizeof patches / sizeof *patches, W = PATCHES * PATCH };

/* How a colour becomes three components: luma in [0,1], chroma in [-1/2, 1/2]. */
typedef struct coding {
	const char *name;
	int space;
	double kr, kb;
} coding;

static const coding codings[] = {{"BT.601", AVCOL_SPC_SMPTE170M, .299, .114}, {"BT.709", AVCOL_SPC_BT709, .2126, .0722},
	{"FCC", AVCOL_SPC_FCC, .30, .11}, {"SMPTE 240M", AVCOL_SPC_SMPTE240M, .212, .087},
	{"BT.2020", AVCOL_SPC_BT2020_NCL, .2627, .0593}, {"YCgCo", AVCOL_SPC_YCGCO, 0, 0}};

/* The encoder's formulas of H.273 for matrices on linear light. */
static void code_constant(const double rgb[3], double out[3])
{
	double linear[3], y = 0;
	const double k[3] = {.2627, .678, .0593};
	for (int c = 0; c < 3; c++)
		y += k[c] * (linear[c] = e3_tone_linear((int)AVCOL_TRC_BT2020_10, (float)rgb[c]));
	double code = e3_tone_code((int)AVCOL_TRC_BT2020_10, (float)y), b = rgb[2] - code, r = rgb[0] - code;
	out[0] = code, out[1] = b / (b <= 0 ? 1.9404 : 1.5816), out[2] = r / (r <= 0 ? 1.7184 : .9936);
}

static void code_ictcp(const double rgb[3], double out[3])
{
	const double to_lms[9] = {1688, 2146, 262, 683, 2951, 462, 99, 309, 3688},
				 to_itp[9] = {2048, 2048, 0, 6610, -13613, 7003, 17933, -17390, -543};
	double lms[3] = {0}, linear[3];
	for (int c = 0; c < 3; c++)
		linear[c] = e3_tone_linear((int)AVCOL_TRC_SMPTE2084, (float)rgb[c]);
	for (int r = 0; r < 3; r++) {
		for (int c = 0; c < 3; c++)
			lms[r] += to_lms[3 * r + c] / 4096 * linear[c];
		lms[r] = e3_tone_code((int)AVCOL_TRC_SMPTE2084, (float)lms[r]);
	}
	for (int r = 0; r < 3; r++)
		out[r] = (to_itp[3 * r] * lms[0] + to_itp[3 * r + 1] * lms[1] + to_itp[3 * r + 2] * lms[2]) / 4096;
}

static double grey_of(const uint8_t rgb[3]) { return (rgb[0] + rgb[1] + rgb[2]) / 3.0 / 255; }

static void code(const coding *k, const uint8_t rgb[3], double out[3])
{
	double r = rgb[0] / 255.0, g = rgb[1] / 255.0, b = rgb[2] / 255.0;
	if (k->space == AVCOL_SPC_YCGCO) {
		out[0] = g / 2 + (r + b) / 4, out[1] = g / 2 - (r + b) / 4, out[2] = (r - b) / 2;
		return;
	}
	if (k->space == AVCOL_SPC_BT2020_CL || k->space == AVCOL_SPC_ICTCP) {
		(k->space == AVCOL_SPC_ICTCP ? code_ictcp : code_constant)((double[]){r, g, b}, out);
		return;
	}
	double y = k->kr * r + (1 - k->kr - k->kb) * g + k->kb * b;
	out[0] = y, out[1] = (b - y) / (2 * (1 - k->kb)), out[2] = (r - y) / (2 * (1 - k->kr));
}

static uint32_t quantise(const AVPixFmtDescriptor *d, const coding *k, bool full, int c, double v)
{
	int depth = d->comp[c].depth;
	if (d->flags & AV_PIX_FMT_FLAG_FLOAT) {
		float f = (float)v;
		uint32_t bits;
		memcpy(&bits, &f, sizeof bits);
		return bits;
	}
	double step = ldexp(1, depth - 8), most = ldexp(1, depth) - 1;
	bool chroma = k && c > 0;
	double code = full ? v * most : v * (chroma && k->space != AVCOL_SPC_YCGCO ? 224 : 219) * step;
	code += chroma ? ldexp(1, depth - 1) : full ? 0 : 16 * step;
	code = nearbyint(code);
	return (uint32_t)(code < 0 ? 0 : code > most ? most : code);
}

/* Writes the patches into a new frame of the format. k NULL: RGB or grey. */
static AVFrame *draw(enum AVPixelFormat format, const coding *k, bool full)
{
	const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(format);
	AVFrame *f = av_frame_alloc();
	f->format = format, f->width = W, f->height = H;
	f->colorspace = k ? (enum AVColorSpace)k->space : AVCOL_SPC_UNSPECIFIED;
	f->color_range = k ? full ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG : AVCOL_RANGE_UNSPECIFIED;
	f->color_primaries = AVCOL_PRI_BT709, f->color_trc = AVCOL_TRC_BT709;
	assert_int_equal(av_frame_get_buffer(f, 0), 0);
	for (int p = 0; p < 4 && f->data[p]; p++)
		memset(f->data[p], 0, (size_t)f->linesize[p] * (size_t)(p == 1 || p == 2 ? -(-H >> d->log2_chroma_h) : H));
	bool grey = d->nb_components < 3;
	for (int c = 0; c < d->nb_components; c++) {
		bool alpha = (d->flags & AV_PIX_FMT_FLAG_ALPHA) && c == d->nb_components - 1;
		bool small = (c == 1 || c == 2) && !grey && !(d->flags & AV_PIX_FMT_FLAG_RGB);
		int w = small ? W >> d->log2_chroma_w : W, h = small ? H >> d->log2_chroma_h : H;
		uint32_t row[W];
		for (int x = 0; x < w; x++) {
			const uint8_t *rgb = patches[x * PATCHES / w];
			double v[3] = {rgb[0] / 255.0, rgb[1] / 255.0, rgb[2] / 255.0};
			if (k)
				code(k, rgb, v);
			else if (grey)
				v[0] = grey_of(rgb);
			row[x] = alpha ? quantise(d, NULL, true, c, 1) : quantise(d, k, full || !k, c, v[c]);
		}
		for (int y = 0; y < h; y++)
			av_write_image_line2(row, f->data, f->linesize, d, 0, y, c, w, sizeof *row);
	}
	return f;
}

/* What the format can tell apart, in 8-bit codes. */
static int tolerance(const AVPixFmtDescriptor *d)
{
	int depth = d->comp[0].depth;
	for (int c = 1; c < 3 && c < d->nb_components; c++)
		depth = d->comp[c].depth < depth ? d->comp[c].depth : depth;
	return 1 + (depth >= 8 ? 1 : 128 / ((1 << depth) - 1));
}

/* Beside much light of one primary the codes of ICtCp do not tell how little there is of another. */
static bool saturated(const uint8_t rgb[3])
{
	int low = 255, high = 0;
	for (int c = 0; c < 3; c++)
		low = rgb[c] < low ? rgb[c] : low, high = rgb[c] > high ? rgb[c] : high;
	return low == 0 && high > 0;
}

/* The largest difference in the middles of the patches; mild: without those that are saturated. */
static int difference(AVFrame *f, bool grey, bool tonemap, bool mild, char *worst, size_t n)
{
	video_colour colour = {.input = "test", .threads = 1, .tonemap = tonemap};
	e3_image im = {0};
	e3_err err = {""};
	int rot, most = 0;
	if (video_colour_image(&colour, f, 1, &im, &rot, &err)) {
		snprintf(worst, n, "%s", err.text);
		video_colour_release(&colour);
		return 999;
	}
	for (int p = 0; p < PATCHES; p++)
		for (int c = 0; c < 3 && !(mild && saturated(patches[p])); c++) {
			double want = grey ? 255 * grey_of(patches[p]) : patches[p][c];
			const uint8_t *got = im.px + 3 * ((size_t)(H / 2) * W + (size_t)p * PATCH + PATCH / 2);
			int off = (int)fabs(got[c] - want + (got[c] > want ? -0.34 : 0.34));
			if (off > most) {
				most = off;
				snprintf(worst, n, "(%d,%d,%d) came as (%d,%d,%d)", patches[p][0], patches[p][1], patches[p][2], got[0],
					got[1], got[2]);
			}
		}
	e3_image_release(&im);
	video_colour_release(&colour);
	return most;
}

static int try(enum AVPixelFormat format, const coding *k, bool full)
{
	const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(format);
	char worst[256] = "";
	AVFrame *f = draw(format, k, full);
	int off = difference(f, d->nb_components < 3, true, false, worst, sizeof worst), bad = off > tolerance(d);
	if (bad)
		printf("# %s %s %s: off by %d (at most %d): %s\n", d->name, k ? k->name : "", full ? "full" : "limited", off,
			tolerance(d), worst);
	av_frame_free(&f);
	return bad;
}

/* Palettes, Bayer mosaics and XYZ have tests of their own or no colours to write. */
static bool has_components(const AVPixFmtDescriptor *d)
{
	const uint64_t no = AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_BAYER | AV_PIX_FMT_FLAG_PAL;
	return !(d->flags & no) && d->nb_components > 0 && d->comp[0].depth > 1 && strncmp(d->name, "xyz", 3) != 0 &&
		strcmp(d->name, "uyyvyy411") != 0;
}

static void every_pixel_format_gives_the_colours_that_its_codes_mean(void **state)
{
	int bad = 0, n = 0;
	for (const AVPixFmtDescriptor *d = NULL; (d = av_pix_fmt_desc_next(d)) != NULL;) {
		enum AVPixelFormat format = av_pix_fmt_desc_get_id(d);
		if (!has_components(d))
			continue;
		if (d->nb_components < 3 || d->flags & AV_PIX_FMT_FLAG_RGB) {
			bad += try(format, NULL, true), n++;
			continue;
		}
		for (size_t k = 0; k < sizeof codings / sizeof *codings; k++)
			for (int full = strncmp(d->name, "yuvj", 4) == 0; full < 2; full++)
				bad += try(format, &codings[k], full), n++;
	}
	printf("# %d formats and codings\n", n);
	assert_int_equal(bad, 0);
}

/* A palette of the patches; white and black of one bit. */
static void palettes_and_single_bits_are_read(void **state)
{
	AVFrame *one = av_frame_alloc();
	char worst[256] = "";
	one->format = AV_PIX_FMT_PAL8, one->width = W, one->height = H;
	assert_int_equal(av_frame_get_buffer(one, 0), 0);
	for (int p = 0; p < PATCHES; p++)
		((uint32_t *)one->data[1])[p] =
			0xff000000u | (uint32_t)(patches[p][0] << 16 | patches[p][1] << 8 | patches[p][2]);
	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++)
			one->data[0][y * one->linesize[0] + x] = (uint8_t)(x / PATCH);
	assert_int_equal(difference(one, false, true, false, worst, sizeof worst), 0);
	for (int black = 0; black < 2; black++) { /* monob: 1 is white */
		av_frame_unref(one);
		one->format = black ? AV_PIX_FMT_MONOBLACK : AV_PIX_FMT_MONOWHITE, one->width = W, one->height = H;
		assert_int_equal(av_frame_get_buffer(one, 0), 0);
		memset(one->data[0], 0x0f, (size_t)one->linesize[0] * H);
		video_colour colour = {.input = "test", .threads = 1, .tonemap = true};
		e3_image im = {0};
		int rot;
		assert_int_equal(video_colour_image(&colour, one, 1, &im, &rot, NULL), 0);
		for (int x = 0; x < 16; x++)
			assert_int_equal(im.px[3 * (size_t)x], (x % 8 >= 4) == black ? 255 : 0);
		e3_image_release(&im);
		video_colour_release(&colour);
	}
	av_frame_free(&one);
}

/* Matrices on linear light, in 8 to 12 bits of every subsampling. */
static void matrices_on_linear_light_give_the_colours_that_they_code(void **state)
{
	static const enum AVPixelFormat formats[] = {AV_PIX_FMT_YUV420P10, AV_PIX_FMT_YUV422P10, AV_PIX_FMT_YUV444P10,
		AV_PIX_FMT_YUV420P12, AV_PIX_FMT_YUV444P12, AV_PIX_FMT_P010};
	static const coding known[] = {{"BT.2020 constant", AVCOL_SPC_BT2020_CL, .2627, .0593},
		{"ICtCp", AVCOL_SPC_ICTCP, 0, 0}};
	for (size_t n = 0; n < sizeof formats / sizeof *formats; n++)
		for (int k = 0; k < 2; k++)
			for (int full = 0; full < 2; full++) {
				char worst[256] = "";
				AVFrame *f = draw(formats[n], &known[k], full);
				f->color_trc = k ? AVCOL_TRC_SMPTE2084 : AVCOL_TRC_BT2020_10, f->color_primaries = AVCOL_PRI_BT2020;
				int off = difference(f, false, false, k == 1, worst, sizeof worst);
				if (off > 2)
					fail_msg("%s %s: off by %d: %s", av_get_pix_fmt_name(formats[n]), known[k].name, off, worst);
				av_frame_free(&f);
			}
}

/* The lifting steps lose nothing: every colour comes back exactly. */
static void reversible_ycgco_is_exact(void **state)
{
	for (int extra = 1; extra <= 2; extra++) {
		AVFrame *f = draw(extra == 2 ? AV_PIX_FMT_YUV444P10 : AV_PIX_FMT_YUV444P9, &codings[0], true);
		char worst[256] = "";
		for (int y = 0; y < H; y++)
			for (int x = 0; x < W; x++) {
				const uint8_t *p = patches[x / PATCH];
				int co = p[0] - p[2], t = p[2] + (co >> 1), cg = p[1] - t, middle = 1 << (7 + extra);
				const int v[3] = {t + (cg >> 1), cg + middle, co + middle};
				for (int c = 0; c < 3; c++)
					((uint16_t *)(f->data[c] + y * f->linesize[c]))[x] = (uint16_t)v[c];
			}
		f->colorspace = (enum AVColorSpace)(extra == 2 ? 16 : 17);
		assert_int_equal(difference(f, false, true, false, worst, sizeof worst), 0);
		assert_string_equal(worst, "");
		av_frame_free(&f);
	}
}

static void limited_grey_is_stretched_when_it_is_tagged(void **state)
{
	static const enum AVPixelFormat formats[] = {AV_PIX_FMT_GRAY8, AV_PIX_FMT_GRAY10, AV_PIX_FMT_GRAY12,
		AV_PIX_FMT_GRAY16, AV_PIX_FMT_GRAY16BE};
	for (size_t n = 0; n < sizeof formats / sizeof *formats; n++) {
		const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(formats[n]);
		AVFrame *f = draw(formats[n], NULL, true);
		video_colour colour = {.input = "test", .threads = 2};
		e3_image im = {0};
		int rot;
		f->color_range = AVCOL_RANGE_MPEG;
		assert_int_equal(video_colour_image(&colour, f, 1, &im, &rot, NULL), 0);
		for (int p = 0; p < PATCHES; p++) {
			double code =
				nearbyint(grey_of(patches[p]) * (ldexp(1, d->comp[0].depth) - 1)) / ldexp(1, d->comp[0].depth - 8);
			double want = (code - 16) * 255 / 219;
			want = want < 0 ? 0 : want > 255 ? 255 : want;
			assert_true(fabs(im.px[3 * (p * PATCH + PATCH / 2)] - want) <= 1);
		}
		e3_image_release(&im);
		video_colour_release(&colour);
		av_frame_free(&f);
	}
}

/* A ramp of chroma at half resolution comes back as a ramp, from wherever its samples lie. */
static void chroma_is_taken_from_where_it_lies(void **state)
{
	static const struct {
		enum AVChromaLocation location;
		double x, y;
	} cases[] = {{AVCHROMA_LOC_LEFT, 0, .5}, {AVCHROMA_LOC_CENTER, .5, .5}, {AVCHROMA_LOC_TOPLEFT, 0, 0},
		{AVCHROMA_LOC_TOP, .5, 0}, {AVCHROMA_LOC_BOTTOMLEFT, 0, 1}, {AVCHROMA_LOC_BOTTOM, .5, 1},
		{AVCHROMA_LOC_UNSPECIFIED, 0, .5}};
	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
		AVFrame *f = draw(AV_PIX_FMT_YUV420P12, &codings[1], true);
		float row[W], scratch[PLANES_SCRATCH * W];
		f->chroma_location = cases[k].location;
		for (int y = 0; y < H / 2; y++)
			for (int x = 0; x < W / 2; x++)
				((uint16_t *)(f->data[1] + y * f->linesize[1]))[x] =
					(uint16_t)(100 + 4 * (2 * x + cases[k].x) + 8 * (2 * y + cases[k].y));
		for (int y = 2; y < H - 2; y++) {
			planes_row(f, av_pix_fmt_desc_get(AV_PIX_FMT_YUV420P12), 1, y, row, scratch);
			for (int x = 2; x < W - 2; x++)
				assert_true(fabs(row[x] - (100 + 4 * x + 8 * y)) < 1e-2);
		}
		av_frame_free(&f);
	}
}

static void transfer_functions_have_their_published_values(void **state)
{
	const struct {
		enum AVColorTransferCharacteristic transfer;
		double code, linear;
	} known[] = {{AVCOL_TRC_SMPTE2084, .508078, .01}, {AVCOL_TRC_SMPTE2084, .580689, .0203},
		{AVCOL_TRC_SMPTE2084, .751827, .1}, {AVCOL_TRC_SMPTE2084, 1, 1}, {AVCOL_TRC_ARIB_STD_B67, .5, 1.0 / 12},
		{AVCOL_TRC_ARIB_STD_B67, .75, .26496}, {AVCOL_TRC_ARIB_STD_B67, 1, 1}, {AVCOL_TRC_BT2020_12, .08124, .018054},
		{AVCOL_TRC_BT2020_12, 1, 1}};
	for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
		assert_true(fabs(e3_tone_code((int)known[k].transfer, (float)known[k].linear) - known[k].code) < 1e-4);
		assert_true(fabs(e3_tone_linear((int)known[k].transfer, (float)known[k].code) - known[k].linear) < 1e-4);
	}
}

static void what_is_not_supported_is_refused_by_name(void **state)
{
	const struct {
		int space;
		const char *says;
	} bad[] = {{AVCOL_SPC_SMPTE2085, "test: colours coded as Y'D'zD'x (SMPTE ST 2085): not supported"},
		{AVCOL_SPC_CHROMA_DERIVED_CL, "test: colours coded as luma derived from the primaries: not supported"}};
	for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
		AVFrame *f = draw(AV_PIX_FMT_YUV420P10, &codings[1], false);
		video_colour colour = {.input = "test", .threads = 1};
		e3_image im = {0};
		e3_err err = {""};
		int rot;
		f->colorspace = (enum AVColorSpace)bad[k].space;
		assert_int_equal(video_colour_image(&colour, f, 1, &im, &rot, &err), -1);
		assert_non_null(strstr(err.text, bad[k].says));
		colour.matrix = E3_MATRIX_709;
		assert_int_equal(video_colour_image(&colour, f, 1, &im, &rot, &err), 0);
		e3_image_release(&im);
		video_colour_release(&colour);
		av_frame_free(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pixel_format_gives_the_colours_that_its_codes_mean),
		cmocka_unit_test(palettes_and_single_bits_are_read),
		cmocka_unit_test(matrices_on_linear_light_give_the_colours_that_they_code),
		cmocka_unit_test(reversible_ycgco_is_exact),
		cmocka_unit_test(limited_grey_is_stretched_when_it_is_tagged),
		cmocka_unit_test(chroma_is_taken_from_where_it_lies),
		cmocka_unit_test(transfer_functions_have_their_published_values),
		cmocka_unit_test(what_is_not_supported_is_refused_by_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
