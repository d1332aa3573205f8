/* The resize against Pillow, bit for bit, its weights against their published values, and where fitting puts a picture.
 */
#include "check.h"
#include "e3/image.h"
#include "e3/num.h"
#include "image/resize.h"

/* Ramps of several periods with blocks of black and white columns, so that sums go past both ends of the range. */
static e3_image picture(int w, int h, int channels)
{
	e3_image im;
	assert_int_equal(e3_image_init(&im, w, h, channels, NULL), 0);
	uint8_t *p = im.px;
	for (int64_t y = 0; y < h; y++)
		for (int64_t x = 0; x < w; x++)
			for (int64_t c = 0; c < channels; c++)
				*p++ = (uint8_t)((x / 9 + y / 7) % 5 == 0 ? 255 * (x & 1) : (x * x * 3 + y * 7 + c * 61 + x * y) >> 1);
	return im;
}

static uint64_t hash(const e3_image *im)
{
	return e3_fnv1a64(im->px, (size_t)im->w * (size_t)im->h * (size_t)im->channels);
}

/* FNV-1a of Pillow 9.4's resize of picture(w, h, channels) with BICUBIC, or LANCZOS (of four channels, each by itself).
 */
static const struct {
	int w, h, channels, to_w, to_h;
	uint64_t pillow;
	bool lanczos;
} cases[] = {
	{640, 480, 3, 518, 392, 0x8a60f4638103cdbbu, false},
	{1280, 720, 3, 518, 294, 0x5a4efda83c5e980cu, false},
	{200, 300, 3, 518, 784, 0x62c4e237ef6946cbu, false},
	{97, 131, 3, 518, 700, 0xed0a17e59ea5ae3bu, false},
	{97, 131, 4, 64, 31, 0xb0d2ba7d56b82ce0u, false},
	{97, 131, 1, 200, 50, 0xdb33486a9555dbabu, false},
	{300, 40, 3, 7, 40, 0xd5c7e01ecb4addf9u, false},
	{300, 40, 3, 300, 3, 0x57f17a0025842cbdu, false},
	{33, 17, 3, 33, 17, 0x7c5ee51460878122u, false},
	{2000, 3, 3, 1, 1, 0xc72ed91983d6a9f3u, false},
	{1024, 436, 3, 518, 221, 0xc22e56741aed8e97u, true},
	{518, 221, 3, 518, 210, 0x5fab32ab6d4c671au, true},
	{640, 480, 3, 522, 392, 0x6c21db0c831b9ddau, true},
	{97, 131, 4, 64, 31, 0xadb636bb42f1a4e5u, true},
	{97, 131, 1, 200, 50, 0x6046e0788c61c74bu, true},
	{1920, 1080, 3, 518, 294, 0xc26744beb0c0b624u, false},
	{1081, 607, 3, 518, 294, 0x872b992d3ae7bb5du, false},
	{3, 5, 3, 518, 700, 0xf391bc5509fe9b0du, false},
	{1, 1, 3, 14, 28, 0xb03f07c1446afd05u, false},
	{1, 300, 3, 1, 77, 0xb0ec81dea5073812u, false},
	{2, 1, 1, 33, 1, 0x667b590ee4794c93u, false},
	{5, 4, 4, 3, 9, 0x1557e1b0d7e53835u, false},
	{3840, 20, 3, 518, 2, 0x9060fa39ecef0ea1u, false},
	{19, 3000, 1, 19, 31, 0xac08ccd4270ee94au, false},
	{4, 4, 3, 1, 1, 0x2fbd121ae17f4037u, true},
	{7, 2, 3, 350, 210, 0x3c0a63cea6755e31u, true},
};

/* Every way of computing it that this processor has. */
static void resizing_equals_pillow(void **state)
{
	int paths = 0;
	for (const resize_path *path; (path = resize_path_usable(paths)); paths++)
		for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
			e3_image in = picture(cases[k].w, cases[k].h, cases[k].channels), out;
			resize_window window = {
				.w = cases[k].to_w,
				.h = cases[k].to_h,
				.rows = cases[k].to_h,
				.filter = cases[k].lanczos ? RESIZE_LANCZOS : RESIZE_BICUBIC,
				.path = path,
			};
			assert_int_equal(resize_rows(&in, &window, &out, NULL), 0);
			assert_int_equal(out.w, cases[k].to_w);
			assert_int_equal(out.h, cases[k].to_h);
			printf("# %s: %d x %d -> %d x %d: %016llx\n", path->name, in.w, in.h, out.w, out.h,
				(unsigned long long)hash(&out));
			assert_true(hash(&out) == cases[k].pillow);
			e3_image_release(&in);
			e3_image_release(&out);
		}
	assert_true(paths >= 1);
}

static uint32_t drawn = 1;

static int draw(int from, int to)
{
	drawn = drawn * 1664525 + 1013904223;
	return from + (int)((drawn >> 8) % (uint32_t)(to - from + 1));
}

/* Noise, and black and white in between: the sums go as far as they can. */
static e3_image noise(int w, int h, int channels)
{
	e3_image im;
	assert_int_equal(e3_image_init(&im, w, h, channels, NULL), 0);
	for (int k = 0; k < w * h * channels; k++)
		im.px[k] = (uint8_t)(draw(0, 2) ? draw(0, 255) : draw(0, 1) * 255);
	return im;
}

/* The portable path, which equals Pillow, is the yardstick of the others: sizes of all kinds, windows, and threads. */
static void all_paths_give_the_same_bits(void **state)
{
	static const int channels[] = {1, 3, 3, 3, 4};
	e3_pool *pool = e3_pool_open(3, E3_POOL_SLEEP, NULL);
	assert_non_null(pool);
	resizer kept[2][4] = {{{.w = 0}}};
	int compared = 0;
	for (int k = 0; k < 300; k++) {
		int large = k % 10 ? 60 : 400;
		e3_image in = noise(draw(1, large), draw(1, large), channels[draw(0, 4)]), want;
		resize_window window = {.w = draw(1, large), .h = draw(1, large), .path = &resize_path_plain};
		window.filter = draw(0, 1) ? RESIZE_BICUBIC : RESIZE_LANCZOS;
		window.w = draw(0, 9) ? window.w : in.w;
		window.row = draw(0, window.h - 1), window.rows = draw(1, window.h - window.row);
		assert_int_equal(resize_rows(&in, &window, &want, NULL), 0);
		for (int p = 0; (window.path = resize_path_usable(p)); p++)
			for (int threaded = 0; threaded < 2; threaded++, compared++) {
				e3_image out = {0};
				e3_strips rows = e3_image_strips(&in);
				assert_int_equal(resizer_apply(&kept[threaded][p], &rows, &window, threaded ? pool : NULL, &out, NULL),
					0);
				assert_int_equal(out.h, window.rows);
				assert_memory_equal(out.px, want.px, (size_t)(out.w * out.h * out.channels));
				e3_image_release(&out);
			}
		e3_image_release(&want), e3_image_release(&in);
	}
	printf("# %d comparisons\n", compared);
	for (int k = 0; k < 8; k++)
		resizer_release(&kept[k / 4][k % 4]);
	e3_pool_close(pool);
}

/* One fitter for pictures of changing sizes, into one picture. */
static void a_fitter_gives_what_fitting_once_gives(void **state)
{
	const int sizes[][2] = {{97, 131}, {97, 131}, {131, 97}, {1, 1}, {97, 131}, {60, 80}, {60, 80}};
	for (int threads = 1; threads <= 3; threads++) {
		e3_fitter *f = e3_fitter_open(threads, NULL);
		e3_image out = {0};
		assert_non_null(f);
		for (size_t k = 0; k < 2 * sizeof sizes / sizeof *sizes; k++) {
			e3_fit_plan p;
			e3_image in = noise(sizes[k / 2][0], sizes[k / 2][1], 3), want;
			e3_strips rows = e3_image_strips(&in);
			e3_fit_rule rule = {70, 14, k % 2 ? E3_FIT_PAD : E3_FIT_CROP};
			assert_int_equal(e3_fit_plan_make(in.w, in.h, &rule, &p, NULL), 0);
			assert_int_equal(e3_fit_apply(&in, &p, &want, NULL), 0);
			assert_int_equal(e3_fitter_apply(f, &rows, &p, &out, NULL), 0);
			assert_int_equal(out.w, want.w);
			assert_int_equal(out.h, want.h);
			assert_memory_equal(out.px, want.px, (size_t)(3 * out.w * out.h));
			e3_image_release(&in), e3_image_release(&want);
		}
		e3_image_release(&out);
		e3_fitter_close(f);
	}
}

/* An impulse of 255 at column x shows the weights: doc/network.md 3.2 gives those of 640 -> 518. */
static void weights_are_the_published_ones(void **state)
{
	static const struct {
		int out, lo, n;
		int32_t q[5];
	} rows[] = {{0, 0, 3, {3447503, 956202, -209401}}, {1, 0, 4, {-131115, 2792296, 1782123, -249000}},
		{259, 318, 5, {-99874, 220770, 3348133, 928641, -203366}}};
	for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
		for (int x = 0; x < 640; x++) {
			e3_image in, out;
			assert_int_equal(e3_image_init(&in, 640, 1, 1, NULL), 0);
			/* 100 everywhere keeps negative weights visible */
			memset(in.px, 100, 640);
			in.px[x] = 255;
			assert_int_equal(e3_resize_bicubic(&in, 518, 1, &out, NULL), 0);
			int64_t sum = 1 << 21;
			int j = x - rows[r].lo;
			for (int k = 0; k < rows[r].n; k++)
				sum += (int64_t)rows[r].q[k] * (k == j ? 255 : 100);
			int64_t want = sum >> 22;
			assert_int_equal(out.px[rows[r].out], want < 0 ? 0 : want > 255 ? 255 : want);
			e3_image_release(&in);
			e3_image_release(&out);
		}
}

static void plan_is(int w, int h, e3_fit_mode mode, e3_fit_plan want)
{
	e3_fit_plan p;
	assert_int_equal(e3_fit_plan_make(w, h, &(e3_fit_rule){518, 14, mode}, &p, NULL), 0);
	int got[] = {p.scaled_w, p.scaled_h, p.w, p.h, p.crop_y, p.pad_x, p.pad_y};
	int expected[] = {want.scaled_w, want.scaled_h, want.w, want.h, want.crop_y, want.pad_x, want.pad_y};
	for (int k = 0; k < 7; k++)
		assert_int_equal(got[k], expected[k]);
}

static void pictures_land_where_the_reference_puts_them(void **state)
{
	plan_is(1280, 720, E3_FIT_CROP, (e3_fit_plan){518, 294, 518, 294, 0, 0, 0});
	plan_is(1920, 1080, E3_FIT_CROP, (e3_fit_plan){518, 294, 518, 294, 0, 0, 0});
	plan_is(640, 480, E3_FIT_CROP, (e3_fit_plan){518, 392, 518, 392, 0, 0, 0});
	plan_is(1242, 375, E3_FIT_CROP, (e3_fit_plan){518, 154, 518, 154, 0, 0, 0});
	plan_is(1024, 436, E3_FIT_CROP, (e3_fit_plan){518, 224, 518, 224, 0, 0, 0});
	plan_is(752, 480, E3_FIT_CROP, (e3_fit_plan){518, 336, 518, 336, 0, 0, 0});
	plan_is(480, 640, E3_FIT_CROP, (e3_fit_plan){518, 686, 518, 518, 84, 0, 0});
	plan_is(1080, 1920, E3_FIT_CROP, (e3_fit_plan){518, 924, 518, 518, 203, 0, 0});
	plan_is(200, 300, E3_FIT_CROP, (e3_fit_plan){518, 784, 518, 518, 133, 0, 0}); /* 55.5 patches: half to even */
	plan_is(1280, 720, E3_FIT_PAD, (e3_fit_plan){518, 294, 518, 518, 0, 0, 112});
	plan_is(720, 1280, E3_FIT_PAD, (e3_fit_plan){294, 518, 518, 518, 0, 112, 0});
	plan_is(500, 500, E3_FIT_PAD, (e3_fit_plan){518, 518, 518, 518, 0, 0, 0});
	plan_is(1920, 1080, E3_FIT_LONG, (e3_fit_plan){518, 294, 518, 294, 0, 0, 0});
	plan_is(1080, 1920, E3_FIT_LONG, (e3_fit_plan){294, 518, 294, 518, 0, 0, 0});
	plan_is(480, 640, E3_FIT_LONG, (e3_fit_plan){392, 518, 392, 518, 0, 0, 0});
	plan_is(1000, 1000, E3_FIT_LONG, (e3_fit_plan){518, 518, 518, 518, 0, 0, 0});
}

static void the_affine_follows_resize_crop_and_padding(void **state)
{
	const e3_fit_plan crop = {518, 686, 518, 518, 84, 0, 0}, pad = {294, 518, 518, 518, 0, 112, 0};
	e3_fit f = e3_fit_compose((e3_fit){1, 1, 0, 0}, &crop, 480, 640);
	assert_true(f.sx == 518.0 / 480 && f.sy == 686.0 / 640 && f.tx == 0 && f.ty == -84);
	f = e3_fit_compose((e3_fit){0.5, 0.25, 3, -4}, &pad, 720, 1280);
	assert_true(f.sx == 0.5 * (294.0 / 720) && f.sy == 0.25 * (518.0 / 1280));
	assert_true(f.tx == 3 * (294.0 / 720) + 112 && f.ty == -4 * (518.0 / 1280));
}

/* Every source pixel of a portrait picture has its place, and comes back from it; the sides are off by half a patch at
 * most. */
static void a_portrait_picture_is_kept_whole_and_projects_back(void **state)
{
	const int sizes[][2] = {{1080, 1920}, {720, 1280}, {333, 777}, {2160, 3840}, {517, 519}, {96, 900}};
	for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
		int w = sizes[k][0], h = sizes[k][1];
		e3_fit_plan p;
		assert_int_equal(e3_fit_plan_make(w, h, &(e3_fit_rule){518, 14, E3_FIT_LONG}, &p, NULL), 0);
		e3_fit f = e3_fit_compose((e3_fit){1, 1, 0, 0}, &p, w, h);
		assert_true(p.h == 518 && p.w % 14 == 0 && fabs(p.w - 518.0 * w / h) <= 7);
		assert_true(f.tx == 0 && f.ty == 0 && fabs(f.sx * w - p.w) < 1e-9 && fabs(f.sy * h - p.h) < 1e-9);
		assert_true(e3_fit_cut(&p) == 0);
	}
	e3_fit_plan cut;
	assert_int_equal(e3_fit_plan_make(1080, 1920, &(e3_fit_rule){518, 14, E3_FIT_CROP}, &cut, NULL), 0);
	assert_true(fabs(e3_fit_cut(&cut) - (1 - 518.0 / 924)) < 1e-12); /* 44 % of a 9:16 video */
}

static void impossible_plans_are_refused(void **state)
{
	e3_fit_plan p;
	e3_err err;
	assert_int_equal(e3_fit_plan_make(6000, 70, &(e3_fit_rule){518, 14, E3_FIT_CROP}, &p, &err), -1);
	assert_non_null(strstr(err.text, "too wide"));
	assert_int_equal(e3_fit_plan_make(70, 6000, &(e3_fit_rule){518, 14, E3_FIT_PAD}, &p, &err), -1);
	assert_non_null(strstr(err.text, "too tall"));
	assert_int_equal(e3_fit_plan_make(1, 65535, &(e3_fit_rule){518, 14, E3_FIT_CROP}, &p, &err), -1);
	assert_non_null(strstr(err.text, "too tall"));
	assert_int_equal(e3_fit_plan_make(640, 480, &(e3_fit_rule){500, 14, E3_FIT_CROP}, &p, &err), -1);
	assert_non_null(strstr(err.text, "multiple of the patch size 14"));
	assert_int_equal(e3_fit_plan_make(0, 480, &(e3_fit_rule){518, 14, E3_FIT_CROP}, &p, &err), -1);
}

/* Cropping computes only the rows it keeps: they must be those of the whole resize. Padding is white around it. */
static void fitting_is_the_resize_cropped_or_padded(void **state)
{
	const int sizes[][2] = {{97, 131}, {131, 97}, {480, 640}};
	for (int k = 0; k < 3; k++)
		for (int mode = E3_FIT_CROP; mode <= E3_FIT_LONG; mode++) {
			e3_fit_plan p;
			e3_image in = picture(sizes[k][0], sizes[k][1], 3), whole, out;
			assert_int_equal(e3_fit_plan_make(in.w, in.h, &(e3_fit_rule){518, 14, (e3_fit_mode)mode}, &p, NULL), 0);
			assert_int_equal(e3_resize_bicubic(&in, p.scaled_w, p.scaled_h, &whole, NULL), 0);
			assert_int_equal(e3_fit_apply(&in, &p, &out, NULL), 0);
			assert_int_equal(out.w, p.w);
			assert_int_equal(out.h, p.h);
			for (int y = 0; y < out.h; y++)
				for (int x = 0; x < out.w; x++) {
					int from_x = x - p.pad_x, from_y = y - p.pad_y + p.crop_y;
					bool inside = from_x >= 0 && from_x < whole.w && from_y >= 0 && from_y < whole.h;
					for (int c = 0; c < 3; c++)
						assert_int_equal(out.px[(y * out.w + x) * 3 + c],
							inside ? whole.px[(from_y * whole.w + from_x) * 3 + c] : 255);
				}
			e3_image_release(&in);
			e3_image_release(&whole);
			e3_image_release(&out);
		}
}

static void nearest_takes_the_pixel_below(void **state)
{
	e3_image in = picture(5, 3, 3), out;
	assert_int_equal(e3_resize_nearest(&in, 13, 7, &out, NULL), 0);
	for (int y = 0; y < 7; y++)
		for (int x = 0; x < 13; x++)
			assert_memory_equal(out.px + (y * 13 + x) * 3, in.px + ((y * 3 / 7) * 5 + x * 5 / 13) * 3, 3);
	e3_image_release(&in);
	e3_image_release(&out);
}

static void sizes_out_of_range_are_refused(void **state)
{
	e3_image in = picture(4, 4, 3), out;
	e3_err err;
	const int bad[][2] = {{0, 4}, {4, -1}, {65536, 1}, {1, 65536}, {40000, 40000}};
	for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
		assert_int_equal(e3_resize_bicubic(&in, bad[k][0], bad[k][1], &out, &err), -1);
	e3_image_release(&in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(resizing_equals_pillow),
		cmocka_unit_test(all_paths_give_the_same_bits),
		cmocka_unit_test(a_fitter_gives_what_fitting_once_gives),
		cmocka_unit_test(weights_are_the_published_ones),
		cmocka_unit_test(pictures_land_where_the_reference_puts_them),
		cmocka_unit_test(the_affine_follows_resize_crop_and_padding),
		cmocka_unit_test(a_portrait_picture_is_kept_whole_and_projects_back),
		cmocka_unit_test(impossible_plans_are_refused),
		cmocka_unit_test(fitting_is_the_resize_cropped_or_padded),
		cmocka_unit_test(nearest_takes_the_pixel_below),
		cmocka_unit_test(sizes_out_of_range_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
