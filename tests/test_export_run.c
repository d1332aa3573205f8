/* A run through the library: outputs appear together or not at all, masks pass through the frame's fit, spools replay.
 */
#include "check.h"
#include "export/sink.h"
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

enum { W = 6, H = 4, N = W * H };

static char folder[64];

static int make_folder(void **state)
{
	strcpy(folder, "/tmp/e3-test-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static const char *in_folder(const char *name)
{
	static char path[4][256];
	static int next;
	char *to = path[next++ % 4];
	snprintf(to, sizeof path[0], "%s/%s", folder, name);
	return to;
}

static void remove_all(const char *dir)
{
	char path[512];
	DIR *d = opendir(dir);
	for (struct dirent *e; d && (e = readdir(d));) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		if (unlink(path))
			remove_all(path);
	}
	if (d)
		closedir(d);
	rmdir(dir);
}

static int remove_folder(void **state)
{
	remove_all(folder);
	return 0;
}

/* Files and folders in the test's folder. */
static int entries(void)
{
	int n = -2;
	DIR *d = opendir(folder);
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static e3_pred frame(int64_t i)
{
	static uint8_t rgb[3 * N];
	static float depth[N], conf[N], points[3 * N];
	for (int k = 0; k < N; k++) {
		rgb[3 * k] = (uint8_t)(10 * k), rgb[3 * k + 1] = 100, rgb[3 * k + 2] = (uint8_t)i;
		depth[k] = 1 + 0.1f * (float)k;
		conf[k] = 2 + (float)k + (float)i;
		points[3 * k] = (float)(k % W), points[3 * k + 1] = (float)(k / W), points[3 * k + 2] = (float)i;
	}
	return (e3_pred){
		.s = {.i = i, .pts = 0.5 * (double)i, .src_w = W, .src_h = H, .fit = {1, 1, 0, 0}},
		.w = W,
		.h = H,
		.rgb = rgb,
		.has_pose = true,
		.pose = {0, 0, 0, 0, 0, 0, 1, 1, 1},
		.depth = depth,
		.depth_conf = conf,
		.points = points,
		.points_conf = conf,
	};
}

static e3_export_options options(void)
{
	return (e3_export_options){.cloud = {.stride = 1, .max_points = -1},
		.cameras = true,
		.frustum_size = 0.1,
		.ply_conf = true};
}

static e3_export *begin(const e3_export_options *o, int frames)
{
	e3_err err;
	e3_export *x = e3_export_open(o, &err);
	if (!x)
		fail_msg("%s", err.text);
	for (int64_t i = 0; i < frames; i++) {
		e3_pred p = frame(i);
		if (e3_export_add(x, &p, &err))
			fail_msg("%s", err.text);
	}
	return x;
}

static void outputs_appear_at_the_end_and_not_before(void **state)
{
	e3_export_options o = options();
	o.glb = in_folder("x.glb");
	o.tum = in_folder("x.tum");
	o.depth = in_folder("d");
	e3_export *x = begin(&o, 3);
	assert_int_not_equal(access(o.glb, F_OK), 0);
	assert_int_not_equal(access(o.tum, F_OK), 0);
	assert_int_equal(e3_export_finish(x, NULL, NULL), 0);
	e3_export_close(x);
	assert_int_equal(access(o.glb, F_OK) | access(o.tum, F_OK) | access(in_folder("d/000002.png"), F_OK), 0);
	assert_int_equal(entries(), 3);
}

static void a_run_that_is_not_finished_leaves_nothing(void **state)
{
	e3_export_options o = options();
	o.glb = in_folder("x.glb"), o.ply = in_folder("p"), o.npz = in_folder("x.npz"), o.depth = in_folder("d"),
	o.depth_color = in_folder("c");
	o.kitti = in_folder("k");
	o.ply_per_frame = true;
	e3_export_close(begin(&o, 2));
	assert_int_equal(entries(), 0);
}

static void one_output_that_fails_keeps_the_others_back(void **state)
{
	e3_export_options o = options();
	e3_err err;
	o.glb = in_folder("x.glb");
	o.depth = in_folder("d");
	o.ply = "/dev/full";
	e3_export *x = begin(&o, 2);
	assert_int_equal(e3_export_finish(x, NULL, &err), -1);
	assert_non_null(strstr(err.text, "/dev/full"));
	e3_export_close(x);
	assert_int_equal(entries(), 0);
}

static void a_folder_that_was_there_keeps_what_was_in_it(void **state)
{
	e3_export_options o = options();
	o.depth = folder;
	FILE *f = fopen(in_folder("mine"), "w");
	assert_non_null(f);
	fclose(f);
	e3_export_close(begin(&o, 2));
	assert_int_equal(entries(), 1);
	e3_export *x = begin(&o, 2);
	assert_int_equal(e3_export_finish(x, NULL, NULL), 0);
	e3_export_close(x);
	assert_int_equal(entries(), 3);
}

static void frames_of_another_size_do_not_fit_an_npz(void **state)
{
	e3_export_options o = options();
	e3_err err;
	o.npz = in_folder("x.npz");
	e3_export *x = begin(&o, 1);
	e3_pred p = frame(1);
	p.h--;
	assert_int_equal(e3_export_add(x, &p, &err), -1);
	assert_non_null(strstr(err.text, "frame 1 is 6 × 3"));
	e3_export_close(x);
}

static void threshold_stride_and_empty_clouds(void **state)
{
	e3_export_options o = options();
	e3_err err;
	o.ply = in_folder("x.ply");
	o.cloud.stride = 2;
	o.cloud.conf_min = 10;
	e3_export *x = begin(&o, 1); /* pixels 0 2 4 12 14 16: confidences 2 4 6 14 16 18 */
	assert_int_equal(e3_export_finish(x, NULL, NULL), 0);
	assert_int_equal(e3_export_facts_of(x)->points, 6);
	assert_int_equal(e3_export_facts_of(x)->ply_points, 3);
	e3_export_close(x);
	o.cloud.conf_min = 1000;
	x = begin(&o, 1);
	assert_int_equal(e3_export_finish(x, NULL, &err), -1);
	assert_non_null(strstr(err.text, "none is left of 6"));
	e3_export_close(x);
	o.cloud.allow_empty = true;
	x = begin(&o, 1);
	assert_int_equal(e3_export_finish(x, NULL, NULL), 0);
	assert_int_equal(e3_export_facts_of(x)->ply_points, 0);
	e3_export_close(x);
}

/* How many of a frame's points are kept when all are of one colour. */
static int64_t kept_of(int red, int green, int blue, bool black, bool white)
{
	e3_export_options o = options();
	uint8_t rgb[3 * N];
	o.ply = in_folder("x.ply");
	o.cloud.allow_empty = true, o.cloud.mask_black = black, o.cloud.mask_white = white;
	e3_export *x = begin(&o, 0);
	e3_pred p = frame(0);
	for (int k = 0; k < N; k++)
		rgb[3 * k] = (uint8_t)red, rgb[3 * k + 1] = (uint8_t)green, rgb[3 * k + 2] = (uint8_t)blue;
	p.rgb = rgb;
	assert_int_equal(e3_export_add(x, &p, NULL) | e3_export_finish(x, NULL, NULL), 0);
	int64_t kept = (int64_t)e3_export_facts_of(x)->kept;
	e3_export_close(x);
	return kept;
}

static void black_and_white_end_where_the_manual_says(void **state)
{
	assert_int_equal(kept_of(5, 5, 5, true, false), 0);
	assert_int_equal(kept_of(15, 0, 0, true, false), 0);
	assert_int_equal(kept_of(5, 5, 6, true, false), N);
	assert_int_equal(kept_of(0, 16, 0, true, true), N);
	assert_int_equal(kept_of(241, 241, 241, false, true), 0);
	assert_int_equal(kept_of(240, 255, 255, false, true), N);
	assert_int_equal(kept_of(255, 240, 255, false, true), N);
	assert_int_equal(kept_of(255, 255, 240, true, true), N);
	assert_int_equal(kept_of(5, 5, 5, false, true) + kept_of(255, 255, 255, true, false), 2 * N);
}

static void unknown_depth_gives_no_point(void **state)
{
	static const float unknown[] = {0, 1e-9f, -1, NAN, INFINITY};
	e3_export_options o = options();
	float depth[N];
	o.ply = in_folder("x.ply"), o.cloud.voxel_auto = true;
	e3_export *x = begin(&o, 0);
	e3_pred p = frame(0);
	memcpy(depth, p.depth, sizeof depth);
	memcpy(depth + 3, unknown, sizeof unknown);
	p.points = NULL, p.points_conf = NULL, p.depth = depth;
	assert_int_equal(e3_export_add(x, &p, NULL) | e3_export_finish(x, NULL, NULL), 0);
	const e3_export_facts *f = e3_export_facts_of(x);
	assert_true(f->from_depth);
	assert_int_equal(f->points, N - 5);
	assert_int_equal(f->non_finite, 2); /* the other three say that they are unknown */
	assert_int_equal(f->ply_points, N - 5);
	assert_true(f->voxel == f->scene_scale / 2048 && f->voxel > 0); /* few points: auto stays where it starts */
	e3_export_close(x);
}

static void quaternions_of_a_trajectory_do_not_change_sign(void **state)
{
	/* camera from world; the third is the second again; the last is more than half a turn, and goes on from there */
	static const float q[4][4] = {{0, 0, 0, -1}, {0.6f, 0, 0, 0.8f}, {-0.6f, 0, 0, -0.8f}, {0.8f, 0, 0, -0.6f}};
	static const double want[4][4] = {{0, 0, 0, 1}, {-0.6, 0, 0, 0.8}, {-0.6, 0, 0, 0.8}, {-0.8, 0, 0, -0.6}};
	e3_export_options o = options();
	char line[256];
	o.tum = in_folder("x.tum");
	e3_export *x = begin(&o, 0);
	for (int i = 0; i < 4; i++) {
		e3_pred p = frame(i);
		memcpy(p.pose + 3, q[i], sizeof q[i]);
		assert_int_equal(e3_export_add(x, &p, NULL), 0);
	}
	assert_int_equal(e3_export_finish(x, NULL, NULL), 0);
	e3_export_close(x);
	FILE *f = fopen(o.tum, "r");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof line, f)); /* the header */
	for (int i = 0; i < 4; i++) {
		double v[8];
		assert_non_null(fgets(line, sizeof line, f));
		assert_int_equal(sscanf(line, "%lf %lf %lf %lf %lf %lf %lf %lf", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6,
							 v + 7),
			8);
		for (int k = 0; k < 4; k++)
			assert_true(fabs(v[4 + k] - want[i][k]) < 1e-7);
	}
	fclose(f);
}

/* The factor that is chosen for depth that reaches as far as this. */
static double factor_for(float farthest, double given, uint64_t *clipped)
{
	e3_export_options o = options();
	float depth[N];
	o.depth = in_folder("d"), o.depth_scale = given;
	e3_export *x = begin(&o, 0);
	e3_pred p = frame(0);
	for (int k = 0; k < N; k++)
		depth[k] = k ? farthest / 2 : farthest;
	p.depth = depth;
	assert_int_equal(e3_export_add(x, &p, NULL) | e3_export_finish(x, NULL, NULL), 0);
	double factor = e3_export_facts_of(x)->depth_scale;
	*clipped = e3_export_facts_of(x)->depth_clipped;
	e3_export_close(x);
	return factor;
}

static void depth_takes_the_finest_usual_factor_that_fits(void **state)
{
	static const struct {
		float farthest;
		double given, want;
		uint64_t clipped;
	} table[] = {{13.1069f, 0, 5000, 0}, {13.108f, 0, 1000, 0}, {65.5f, 0, 1000, 0}, {65.6f, 0, 256, 0},
		{255.99f, 0, 256, 0}, {256.5f, 0, 255, 0}, {1e6f, 0, 65535 / 1e6, 0}, {10, 6553.5, 6553.5, 0},
		{10, 6554, 6554, 1}, {10, 20000, 20000, N}};
	for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
		uint64_t clipped;
		assert_true(factor_for(table[k].farthest, table[k].given, &clipped) == table[k].want);
		assert_int_equal(clipped, table[k].clipped);
	}
}

static void a_large_frame_goes_through_the_writers_buffer_whole(void **state)
{
	enum { SIDE = 100, POINTS = SIDE * SIDE, RECORD = 23 };
	e3_export_options o = options();
	o.ply = in_folder("x.ply"), o.ply_frame = true;
	e3_export *x = begin(&o, 0);
	e3_pred p = frame(5);
	float *points = calloc(4 * POINTS, sizeof *points);
	assert_non_null(points);
	for (int k = 0; k < POINTS; k++)
		points[3 * k] = (float)k, points[3 * POINTS + k] = 2;
	p.w = p.h = SIDE, p.points = points, p.points_conf = points + 3 * POINTS, p.rgb = NULL,
	p.depth = p.depth_conf = NULL;
	assert_int_equal(e3_export_add(x, &p, NULL) | e3_export_finish(x, NULL, NULL), 0);
	e3_export_close(x);
	free(points);
	FILE *f = fopen(o.ply, "r");
	char line[256] = "";
	assert_non_null(f);
	while (strcmp(line, "end_header\n"))
		assert_non_null(fgets(line, sizeof line, f));
	for (int k = 0; k < POINTS; k++) {
		uint8_t r[RECORD];
		float v;
		assert_int_equal(fread(r, 1, sizeof r, f), sizeof r);
		memcpy(&v, r, 4);
		assert_true(v == (float)k && r[12] == 255 && r[19] == 5);
	}
	assert_int_equal(fgetc(f), EOF);
	fclose(f);
}

static void run_json_says_whether_the_stream_ended(void **state)
{
	for (int ended = 0; ended < 2; ended++) {
		e3_export_options o = options();
		const e3_end end = {.frames = 1};
		char text[4096] = "";
		o.run_json = in_folder("run.json");
		e3_export *x = begin(&o, 1);
		assert_int_equal(e3_export_finish(x, ended ? &end : NULL, NULL), 0);
		e3_export_close(x);
		FILE *f = fopen(o.run_json, "r");
		assert_non_null(f);
		assert_true(fread(text, 1, sizeof text - 1, f) > 0);
		fclose(f);
		assert_non_null(strstr(text, ended ? "\"complete\":true" : "\"complete\":false"));
		assert_int_equal(strstr(text, "\"inference\"") != NULL, ended);
	}
}

static void no_frames_are_an_error(void **state)
{
	e3_export_options o = options();
	e3_err err;
	o.glb = in_folder("x.glb");
	e3_export *x = begin(&o, 0);
	assert_int_equal(e3_export_finish(x, NULL, &err), -1);
	assert_non_null(strstr(err.text, "no predictions"));
	e3_export_close(x);
	assert_int_equal(entries(), 0);
}

static void frames_come_back_as_often_as_wanted(void **state)
{
	e3_frames *f = e3_frames_open(NULL);
	const e3_pred *p;
	assert_non_null(f);
	for (int64_t i = 0; i < 3; i++) {
		e3_pred x = frame(i);
		if (i == 1)
			x.points = NULL;
		assert_int_equal(e3_frames_add(f, &x, E3_PART_POINTS | E3_PART_RGB | E3_PART_CONF, NULL), 0);
	}
	for (int pass = 0; pass < 3; pass++) {
		e3_frames_rewind(f);
		for (int64_t i = 0; i < 3; i++) {
			e3_pred want = frame(i);
			assert_int_equal(e3_frames_next(f, pass == 1 ? E3_PART_CONF : E3_PART_POINTS | E3_PART_CONF, &p, NULL), 1);
			assert_int_equal(p->s.i, i);
			assert_null(p->rgb);
			assert_null(p->depth);
			assert_memory_equal(p->points_conf, want.points_conf, sizeof(float) * N);
			assert_int_equal(p->points != NULL, i != 1 && pass != 1);
			if (p->points)
				assert_memory_equal(p->points, want.points, 3 * sizeof(float) * N);
		}
		assert_int_equal(e3_frames_next(f, 0, &p, NULL), 0);
	}
	e3_frames_close(f);
}

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
	assert_non_null(strstr(err.text, "none for frame 8"));
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
#define EACH(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
	const struct CMUnitTest tests[] = {
		EACH(outputs_appear_at_the_end_and_not_before),
		EACH(a_run_that_is_not_finished_leaves_nothing),
		EACH(one_output_that_fails_keeps_the_others_back),
		EACH(a_folder_that_was_there_keeps_what_was_in_it),
		EACH(frames_of_another_size_do_not_fit_an_npz),
		EACH(threshold_stride_and_empty_clouds),
		EACH(black_and_white_end_where_the_manual_says),
		EACH(unknown_depth_gives_no_point),
		EACH(quaternions_of_a_trajectory_do_not_change_sign),
		EACH(depth_takes_the_finest_usual_factor_that_fits),
		EACH(a_large_frame_goes_through_the_writers_buffer_whole),
		EACH(run_json_says_whether_the_stream_ended),
		EACH(no_frames_are_an_error),
		EACH(frames_come_back_as_often_as_wanted),
		EACH(masks_pass_through_resize_crop_and_padding),
		EACH(masks_with_other_names_belong_to_frames_in_order),
		EACH(a_mask_keeps_where_any_channel_is_not_zero),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
