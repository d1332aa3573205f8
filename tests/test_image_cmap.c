/* Colour maps: published table entries, the check values of gist_rainbow, matplotlib's rule from value to entry, edges.
 */
#include "check.h"
#include "e3/image.h"

typedef struct sample {
	e3_cmap map;
	int entry;
	uint8_t rgb[3];
} sample;

static void entry_rgb(e3_cmap map, int entry, uint8_t rgb[3]) { e3_cmap_rgb(map, (entry + 0.5) / 256, rgb); }

/* Entries of the published 256-entry tables, most of them between knots. The rule's 1.5/255 is a bound before both
 * sides are rounded to bytes: 2 after. */
static void colours_equal_the_published_tables(void **state)
{
	static const sample published[] = {
		{E3_VIRIDIS, 0, {68, 1, 84}},
		{E3_VIRIDIS, 12, {71, 19, 101}},
		{E3_VIRIDIS, 32, {71, 45, 123}},
		{E3_VIRIDIS, 58, {62, 76, 138}},
		{E3_VIRIDIS, 64, {59, 82, 139}},
		{E3_VIRIDIS, 96, {44, 114, 142}},
		{E3_VIRIDIS, 115, {37, 132, 142}},
		{E3_VIRIDIS, 128, {33, 145, 140}},
		{E3_VIRIDIS, 160, {40, 174, 128}},
		{E3_VIRIDIS, 165, {46, 179, 124}},
		{E3_VIRIDIS, 192, {94, 201, 98}},
		{E3_VIRIDIS, 211, {139, 214, 70}},
		{E3_VIRIDIS, 224, {173, 220, 48}},
		{E3_VIRIDIS, 255, {253, 231, 37}},
		{E3_PLASMA, 0, {13, 8, 135}},
		{E3_PLASMA, 12, {42, 5, 147}},
		{E3_PLASMA, 32, {76, 2, 161}},
		{E3_PLASMA, 58, {117, 1, 168}},
		{E3_PLASMA, 64, {126, 3, 168}},
		{E3_PLASMA, 96, {170, 35, 149}},
		{E3_PLASMA, 115, {191, 57, 132}},
		{E3_PLASMA, 128, {204, 71, 120}},
		{E3_PLASMA, 160, {230, 108, 92}},
		{E3_PLASMA, 165, {233, 114, 87}},
		{E3_PLASMA, 192, {248, 149, 64}},
		{E3_PLASMA, 211, {253, 177, 48}},
		{E3_PLASMA, 224, {253, 197, 39}},
		{E3_PLASMA, 255, {240, 249, 33}},
		{E3_MAGMA, 0, {0, 0, 4}},
		{E3_MAGMA, 12, {6, 5, 26}},
		{E3_MAGMA, 32, {29, 17, 71}},
		{E3_MAGMA, 58, {71, 16, 120}},
		{E3_MAGMA, 64, {81, 18, 124}},
		{E3_MAGMA, 96, {131, 38, 129}},
		{E3_MAGMA, 115, {161, 48, 126}},
		{E3_MAGMA, 128, {183, 55, 121}},
		{E3_MAGMA, 160, {231, 82, 99}},
		{E3_MAGMA, 165, {236, 88, 96}},
		{E3_MAGMA, 192, {252, 137, 97}},
		{E3_MAGMA, 211, {254, 172, 118}},
		{E3_MAGMA, 224, {254, 196, 136}},
		{E3_MAGMA, 255, {252, 253, 191}},
		{E3_TURBO, 0, {48, 18, 59}},
		{E3_TURBO, 12, {61, 53, 139}},
		{E3_TURBO, 32, {70, 107, 227}},
		{E3_TURBO, 58, {51, 173, 247}},
		{E3_TURBO, 64, {40, 188, 235}},
		{E3_TURBO, 96, {50, 242, 152}},
		{E3_TURBO, 115, {121, 254, 89}},
		{E3_TURBO, 128, {164, 252, 60}},
		{E3_TURBO, 160, {238, 207, 58}},
		{E3_TURBO, 165, {245, 197, 58}},
		{E3_TURBO, 192, {251, 126, 33}},
		{E3_TURBO, 211, {231, 73, 12}},
		{E3_TURBO, 224, {208, 47, 5}},
		{E3_TURBO, 255, {122, 4, 3}},
		{E3_GREY, 0, {0, 0, 0}},
		{E3_GREY, 100, {100, 100, 100}},
		{E3_GREY, 255, {255, 255, 255}},
	};
	(void)state;
	int worst = 0;
	for (size_t k = 0; k < sizeof published / sizeof *published; k++) {
		uint8_t rgb[3];
		entry_rgb(published[k].map, published[k].entry, rgb);
		for (int c = 0; c < 3; c++) {
			int d = abs(rgb[c] - published[k].rgb[c]);
			worst = d > worst ? d : worst;
			if (d > 2)
				fail_msg("map %d entry %d channel %d: %d, published %d", (int)published[k].map, published[k].entry, c,
					rgb[c], published[k].rgb[c]);
		}
	}
	printf("# largest difference from the published entries: %d of 255\n", worst);
}

static void gist_rainbow_equals_its_published_values(void **state)
{
	static const sample exact[] = {
		{E3_RAINBOW, 0, {255, 0, 40}},
		{E3_RAINBOW, 4, {255, 0, 19}},
		{E3_RAINBOW, 8, {255, 1, 0}},
		{E3_RAINBOW, 16, {255, 45, 0}},
		{E3_RAINBOW, 32, {255, 131, 0}},
		{E3_RAINBOW, 64, {205, 255, 0}},
		{E3_RAINBOW, 96, {32, 255, 0}},
		{E3_RAINBOW, 128, {0, 255, 139}},
		{E3_RAINBOW, 160, {0, 197, 255}},
		{E3_RAINBOW, 192, {0, 23, 255}},
		{E3_RAINBOW, 224, {150, 0, 255}},
		{E3_RAINBOW, 240, {237, 0, 255}},
		{E3_RAINBOW, 255, {255, 0, 191}},
	};
	(void)state;
	for (size_t k = 0; k < sizeof exact / sizeof *exact; k++) {
		uint8_t rgb[3];
		entry_rgb(E3_RAINBOW, exact[k].entry, rgb);
		assert_memory_equal(rgb, exact[k].rgb, 3);
	}
}

/* min((int)(256 x), 255): entry k holds [k/256, (k+1)/256); outside clamps; NaN is neutral grey. */
static void values_pick_entries_as_matplotlib_does(void **state)
{
	static const struct {
		double x;
		uint8_t grey;
	} rule[] = {{-1, 0}, {0, 0}, {0.0039, 0}, {1 / 256.0, 1}, {0.5, 128}, {0.999, 255}, {1, 255}, {2, 255},
		{-INFINITY, 0}, {INFINITY, 255}, {NAN, 128}};
	(void)state;
	for (size_t k = 0; k < sizeof rule / sizeof *rule; k++)
		for (int map = E3_VIRIDIS; map <= E3_RAINBOW; map++) {
			uint8_t rgb[3], want[3] = {rule[k].grey, rule[k].grey, rule[k].grey};
			e3_cmap_rgb((e3_cmap)map, rule[k].x, rgb);
			if (map != E3_GREY && !isnan(rule[k].x))
				entry_rgb((e3_cmap)map, rule[k].grey, want);
			assert_memory_equal(rgb, want, 3);
		}
}

static void every_colour_map_has_a_name(void **state)
{
	(void)state;
	static const char *const known[] = {"viridis", "plasma", "magma", "turbo", "grey", "gist_rainbow"};
	for (int k = 0; k < 6; k++)
		assert_string_equal(e3_cmap_name(k), known[k]);
	assert_null(e3_cmap_name(6));
	assert_null(e3_cmap_name(-1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(colours_equal_the_published_tables),
		cmocka_unit_test(gist_rainbow_equals_its_published_values),
		cmocka_unit_test(values_pick_entries_as_matplotlib_does),
		cmocka_unit_test(every_colour_map_has_a_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
