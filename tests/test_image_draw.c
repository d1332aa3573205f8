/* Drawing: exact pixels of boxes, pictures, lines and letters, clipping on every side, coverage of antialiased strokes.
 */
#include "check.h"
#include "e3/image.h"

static const uint8_t ink[3] = {10, 200, 30};

static e3_image picture(int w, int h)
{
	return (e3_image){.w = w, .h = h, .channels = 3, .px = calloc((size_t)w * (size_t)h, 3)};
}

static int set(const e3_image *im, int x, int y) { return memcmp(im->px + 3 * (y * im->w + x), ink, 3) == 0; }

static int count(const e3_image *im)
{
	int n = 0;
	for (int y = 0; y < im->h; y++)
		for (int x = 0; x < im->w; x++)
			n += set(im, x, y);
	return n;
}

/* The picture as rows of '#' and '.', compared as one string. */
static void assert_picture(const e3_image *im, const char *want)
{
	char got[512], *p = got;
	for (int y = 0; y < im->h; y++) {
		for (int x = 0; x < im->w; x++)
			*p++ = set(im, x, y) ? '#' : '.';
		*p++ = '\n';
	}
	*p = 0;
	assert_string_equal(got, want);
}

static void boxes_are_clipped_to_the_picture(void **state)
{
	(void)state;
	static const struct {
		int x, y, w, h, pixels;
	} boxes[] = {{1, 1, 2, 3, 6}, {-2, -2, 4, 4, 4}, {6, 3, 100, 100, 4}, {0, 0, 8, 5, 40}, {8, 0, 3, 3, 0},
		{2, 2, 0, 3, 0}, {2, 2, -5, 3, 0}, {-10, 0, 5, 5, 0}, {INT32_MIN, 0, INT32_MAX, 5, 0},
		{3, 2, INT32_MAX, INT32_MAX, 15}};
	for (size_t k = 0; k < sizeof boxes / sizeof *boxes; k++) {
		e3_image im = picture(8, 5);
		e3_draw_fill(&im, boxes[k].x, boxes[k].y, boxes[k].w, boxes[k].h, ink);
		assert_int_equal(count(&im), boxes[k].pixels);
		free(im.px);
	}
}

static void pictures_are_clipped_to_the_picture(void **state)
{
	(void)state;
	static const int at[][3] = {{1, 1, 9}, {-1, -2, 2}, {6, 3, 4}, {8, 0, 0}, {-3, 0, 0}, {0, 5, 0}};
	e3_image from = picture(3, 3);
	e3_draw_fill(&from, 0, 0, 3, 3, ink);
	for (size_t k = 0; k < sizeof at / sizeof *at; k++) {
		e3_image im = picture(8, 5);
		e3_draw_blit(&im, at[k][0], at[k][1], &from);
		assert_int_equal(count(&im), at[k][2]);
		free(im.px);
	}
	/* the right part of the source lands, not its corner */
	e3_image im = picture(2, 2);
	memset(from.px, 0, 27);
	e3_draw_fill(&from, 2, 1, 1, 1, ink);
	e3_draw_blit(&im, -1, 0, &from);
	assert_picture(&im, "..\n.#\n");
	free(im.px);
	free(from.px);
}

static void lines_set_the_expected_pixels(void **state)
{
	(void)state;
	e3_image im = picture(7, 4);
	e3_draw_line(&im, 0, 0, 6, 2, ink);
	assert_picture(&im, "##.....\n..###..\n.....##\n.......\n");
	memset(im.px, 0, 7 * 4 * 3);
	e3_draw_line(&im, 5, -2, 5, 9, ink);
	e3_draw_line(&im, 9, 2, -9, 2, ink);
	assert_picture(&im, ".....#.\n.....#.\n#######\n.....#.\n");
	free(im.px);
}

static void letters_set_the_expected_pixels(void **state)
{
	(void)state;
	e3_image im = picture(12, 8);
	assert_int_equal(e3_draw_text(&im, 0, 0, 1, ink, "Ag"), 12);
	assert_picture(&im,
		".###........\n#...#.......\n#...#..####.\n#####.#...#.\n#...#.#...#.\n#...#..####.\n#...#.....#.\n.......###..\n");
	free(im.px);
	assert_int_equal(e3_text_width(3, "Ag"), 36);
	e3_image big = picture(40, 30), small = picture(40, 30), odd = picture(40, 30);
	e3_draw_text(&big, 0, 0, 3, ink, "%");
	e3_draw_text(&small, 0, 0, 1, ink, "%");
	assert_int_equal(count(&big), 9 * count(&small));
	/* what the font lacks is a question mark; text beyond every edge is clipped */
	memset(small.px, 0, 40 * 30 * 3);
	e3_draw_text(&small, 0, 0, 1, ink, "?");
	e3_draw_text(&odd, 0, 0, 1, ink, "\x80");
	assert_memory_equal(small.px, odd.px, 40 * 30 * 3);
	e3_draw_text(&odd, -20, -5, 4, ink, "clipped text");
	e3_draw_text(&odd, 30, 25, 4, ink, "clipped text");
	free(big.px), free(small.px), free(odd.px);
}

/* Every printable character has its own glyph, and only the blank has no dot. */
static void every_glyph_is_different(void **state)
{
	(void)state;
	uint8_t seen[95][6 * 8 * 3];
	for (int k = 0; k < 95; k++) {
		char text[2] = {(char)(' ' + k), 0};
		e3_image im = picture(6, 8);
		e3_draw_text(&im, 0, 0, 1, ink, text);
		assert_int_equal(count(&im) == 0, k == 0);
		memcpy(seen[k], im.px, sizeof seen[k]);
		for (int j = 0; j < k; j++)
			assert_memory_not_equal(seen[j], seen[k], sizeof seen[k]);
		free(im.px);
	}
}

/* A stroke covers its width: the green sum of a column is width × ink, wherever the line lies between pixel centres. */
static void strokes_cover_pixels_by_their_share(void **state)
{
	(void)state;
	static const double offset[] = {0, 0.25, 0.5, 0.9};
	for (int k = 0; k < 4; k++) {
		e3_image im = picture(40, 20);
		double y = 10 + offset[k];
		e3_draw_stroke(&im, (double[2]){-5, y}, (double[2]){60, y}, 3, ink);
		for (int x = 0; x < 40; x++) {
			int sum = 0;
			for (int r = 0; r < 20; r++)
				sum += im.px[3 * (r * 40 + x) + 1];
			assert_in_range(sum, 3 * 200 - 2, 3 * 200 + 2);
		}
		free(im.px);
	}
	e3_image im = picture(8, 8);
	e3_draw_stroke(&im, (double[2]){NAN, 1}, (double[2]){3, 3}, 2, ink);
	e3_draw_stroke(&im, (double[2]){-1e30, 1}, (double[2]){-1e20, 3}, 2, ink);
	e3_draw_blend(&im, 8, 0, ink, 1);
	e3_draw_blend(&im, 0, -1, ink, 1);
	assert_int_equal(count(&im), 0);
	e3_draw_blend(&im, 3, 4, ink, 0.5);
	static const uint8_t half[3] = {5, 100, 15};
	assert_memory_equal(im.px + 3 * (4 * 8 + 3), half, 3);
	free(im.px);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(boxes_are_clipped_to_the_picture),
		cmocka_unit_test(pictures_are_clipped_to_the_picture),
		cmocka_unit_test(lines_set_the_expected_pixels),
		cmocka_unit_test(letters_set_the_expected_pixels),
		cmocka_unit_test(every_glyph_is_different),
		cmocka_unit_test(strokes_cover_pixels_by_their_share),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
