/* The plotter: where ticks fall, where data lands in the frame, what is clipped, colours of heat cells, room for
 * titles. */
#include "check.h"
#include "e3/plot.h"

static const uint8_t blue[3] = {20, 40, 220};

static const uint8_t *at(const e3_plot *p, int x, int y) { return p->im.px + 3 * (y * p->im.w + x); }

static int is(const e3_plot *p, int x, int y, const uint8_t rgb[3]) { return memcmp(at(p, x, y), rgb, 3) == 0; }

/* A frame of 100 x 50 pixels for x in [0,10], y in [0,5]: ten pixels a unit. */
static e3_plot small(void)
{
	e3_plot p;
	assert_int_equal(e3_plot_init(&p,
						 &(e3_plot_axes){.w = 100,
							 .h = 50,
							 .title = "t",
							 .x1 = 10,
							 .y1 = 5,
							 .no_x_ticks = true,
							 .no_y_ticks = true},
						 NULL),
		0);
	return p;
}

static void ticks_fall_on_round_numbers(void **state)
{
	(void)state;
	static const struct {
		double lo, hi;
		int count;
		bool whole;
		double first, step;
	} table[] = {{0, 10, 5, false, 0, 2}, {0, 1, 5, false, 0, 0.2}, {0, 47, 10, true, 0, 5}, {3, 47, 5, false, 10, 10},
		{0, 2, 10, true, 0, 1}, {-0.5, 7.5, 4, true, 0, 2}, {0, 1e6, 7, false, 0, 2e5}, {5, 5, 4, false, 5, 1},
		{0, INFINITY, 4, false, 0, 1}, {-3, -1, 2, false, -3, 1}};
	for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
		double first, step;
		e3_plot_ticks(table[k].lo, table[k].hi, table[k].count, table[k].whole, &first, &step);
		if (fabs(first - table[k].first) > 1e-9 * step || fabs(step - table[k].step) > 1e-9 * step)
			fail_msg("[%g, %g]: first %g step %g", table[k].lo, table[k].hi, first, step);
	}
}

static void curves_are_clipped_and_broken_at_gaps(void **state)
{
	(void)state;
	e3_plot p = small();
	/* half a pixel below the middle of the frame, beyond both sides: clipped to it */
	e3_plot_curve(&p, (double[]){-5, 20}, (double[]){2.45, 2.45}, 2, &(e3_pen){{20, 40, 220}, 1, false});
	for (int x = 0; x < p.w; x++)
		assert_true(is(&p, p.x + x, p.y + 25, blue));
	assert_false(is(&p, p.x - 3, p.y + 25, blue));
	assert_false(is(&p, p.x + p.w + 3, p.y + 25, blue));
	assert_false(is(&p, p.x + 50, p.y + 27, blue));
	e3_plot_release(&p);
	/* a gap where the value is unknown, a dot where a point stands alone */
	p = small();
	e3_plot_curve(&p, (double[]){0, 3, 5, 7, 9}, (double[]){1, 1, NAN, 1, NAN}, 5, &(e3_pen){{20, 40, 220}, 2, false});
	assert_true(is(&p, p.x + 15, p.y + 40, blue));
	assert_false(is(&p, p.x + 50, p.y + 40, blue));
	assert_true(is(&p, p.x + 70, p.y + 40, blue));
	assert_false(is(&p, p.x + 80, p.y + 40, blue));
	e3_plot_release(&p);
	p = small();
	e3_plot_curve(&p, (double[]){0, 10}, (double[]){2.45, 2.45}, 2, &(e3_pen){{20, 40, 220}, 1, true});
	int inked = 0;
	for (int x = 0; x < p.w; x++)
		inked += is(&p, p.x + x, p.y + 25, blue);
	assert_in_range(inked, 40, 70);
	e3_plot_release(&p);
}

static void bars_reach_from_zero_to_their_value(void **state)
{
	(void)state;
	e3_plot p = small();
	e3_plot_bar(&p, 2, 4, 3, blue);
	e3_plot_bar(&p, 8, 30, 99, blue);
	e3_plot_bar(&p, 5, 6, NAN, blue);
	for (int y = 0; y < p.h; y++)
		for (int x = 0; x < p.w; x++)
			assert_int_equal(is(&p, p.x + x, p.y + y, blue), (x >= 20 && x < 40 && y >= 20) || x >= 80);
	assert_false(is(&p, p.x + p.w + 2, p.y + 10, blue));
	e3_plot_release(&p);
}

static void heat_cells_have_the_colours_of_their_values(void **state)
{
	(void)state;
	e3_plot p = small();
	static const double v[2][5] = {{0, 1, 2, 3, 4}, {5, NAN, -7, 99, 2}};
	e3_plot_heat(&p, v[0], 2, 5, E3_GREY, (double[]){0, 4});
	for (int y = 0; y < p.h; y++)
		for (int x = 0; x < p.w; x++) {
			uint8_t want[3];
			e3_cmap_rgb(E3_GREY, v[y / 25][x / 20] / 4, want);
			assert_true(is(&p, p.x + x, p.y + y, want));
		}
	e3_plot_release(&p);
}

/* Titles and keys fit into the picture; a range of nothing is drawn, too. */
static void there_is_room_for_titles_and_keys(void **state)
{
	(void)state;
	e3_plot p;
	assert_int_equal(e3_plot_init(&p,
						 &(e3_plot_axes){.w = 60,
							 .h = 40,
							 .title = "a title much longer than the frame is wide",
							 .x_label = "x",
							 .y_label = "y",
							 .key_chars = 8},
						 NULL),
		0);
	assert_true(p.im.w >= 20 + e3_text_width(2, "a title much longer than the frame is wide"));
	e3_plot_key(&p, "12345678", &(e3_pen){{20, 40, 220}, 3, false});
	assert_true(is(&p, p.x + p.w + 30, p.y + 8, blue)); /* the sample of the key */
	e3_plot_scale(&p, E3_VIRIDIS, (double[]){1, 1}, "none");
	e3_plot_curve(&p, (double[]){0, 0}, (double[]){0, 1}, 2, &(e3_pen){{20, 40, 220}, 1, false});
	e3_plot_release(&p);
	e3_err err;
	assert_int_equal(e3_plot_init(&p, &(e3_plot_axes){.w = 70000, .h = 40, .title = ""}, &err), -1);
	assert_null(p.im.px);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ticks_fall_on_round_numbers),
		cmocka_unit_test(curves_are_clipped_and_broken_at_gaps),
		cmocka_unit_test(bars_reach_from_zero_to_their_value),
		cmocka_unit_test(heat_cells_have_the_colours_of_their_values),
		cmocka_unit_test(there_is_room_for_titles_and_keys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
