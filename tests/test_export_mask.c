/* Masks pass through the fit of their frame. */
#include "export_fixture.h"

static void write_mask(const char *name, int w, int h, const char *picture)
{
	FILE *f = fopen(in_folder(name), "w");
	assert_non_null(f);
	fprintf(f, "P5\n%d %d\n255\n", w, h);
	for (; *picture; picture++)
		fputc(*picture == '#' ? 1 : 0, f);
	fclose(f);
}

static void check_mask(e3_masks *m, const e3_pred *p, int64_t ordinal, const char *want)
{
	uint8_t keep[N];
	char got[N + 1] = "";
	e3_err err;
	if (e3_masks_get(m, p, ordinal, keep, &err))
		fail_msg("%s", err.text);
	for (int k = 0; k < p->w * p->h; k++)
		got[k] = keep[k] ? '#' : '.';
	assert_string_equal(got, want);
}

static void masks_pass_through_resize_crop_and_padding(void **state)
{
	e3_pred p = frame(7);
	e3_err err;
	write_mask("000007.pgm", 6, 4,
		"#....."
		".#...."
		"..#..."
		"...#..");
	write_mask("000009.pgm", 3, 6,
		"#.."
		"#.."
		".#."
		".#."
		"..#"
		"..#");
	e3_masks *m = e3_masks_open(folder, NULL);
	assert_non_null(m);
	check_mask(m, &p, 0,
		"#....."
		".#...."
		"..#..."
		"...#.."); /* the network's size: as it is */
	/* source 3 × 6, doubled, the middle four rows of twelve: rows 4..7 of the result are source rows 2 and 3 */
	p.s.i = 9;
	p.s.src_w = 3, p.s.src_h = 6;
	p.s.fit = (e3_fit){2, 2, 0, -4};
	check_mask(m, &p, 1,
		"..##.."
		"..##.."
		"..##.."
		"..##..");
	/* the same source, four columns of four rows in the middle: rows 0, 2, 3, 5 and columns 0, 1, 1, 2 are nearest */
	p.s.fit = (e3_fit){4 / 3.0, 4 / 6.0, 1, 0};
	check_mask(m, &p, 1,
		".#...."
		"..##.."
		"..##.."
		"....#.");
	p.s.i = 8;
	uint8_t keep[N];
	assert_int_equal(e3_masks_get(m, &p, 2, keep, &err), -1);
	assert_non_null(strstr(err.text, "no mask for frame 8"));
	e3_masks_close(m);
}

static void masks_with_other_names_belong_to_frames_in_order(void **state)
{
	e3_pred p = frame(40);
	write_mask("sky b.pgm", 1, 1, "#");
	write_mask("sky a.pgm", 1, 1, ".");
	e3_masks *m = e3_masks_open(folder, NULL);
	assert_non_null(m);
	check_mask(m, &p, 0, "........................");
	check_mask(m, &p, 1, "########################");
	e3_masks_close(m);
}

static void a_mask_keeps_where_any_channel_is_not_zero(void **state)
{
	e3_pred p = frame(0);
	FILE *f = fopen(in_folder("0.ppm"), "w");
	assert_non_null(f);
	fputs("P3 6 1 255  0 0 0  1 0 0  0 1 0  0 0 1  255 255 255  0 0 0", f);
	fclose(f);
	e3_masks *m = e3_masks_open(folder, NULL);
	assert_non_null(m);
	check_mask(m, &p, 0,
		".####."
		".####."
		".####."
		".####.");
	e3_masks_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FOLDER(masks_pass_through_resize_crop_and_padding),
		IN_FOLDER(masks_with_other_names_belong_to_frames_in_order),
		IN_FOLDER(a_mask_keeps_where_any_channel_is_not_zero),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
