/* Scenes through their public interface: the same bytes always, paths that do what they promise, noise, units,
 * refusals. */
#include "check.h"
#include "e3/geom.h"
#include "e3/num.h"
#include "e3/scene.h"

enum { W = 80, H = 60, PIXELS = W * H };

typedef struct shot {
	uint8_t rgb[3 * PIXELS];
	float depth[PIXELS], pose[9];
} shot;

static e3_scene_options small(uint64_t seed)
{
	e3_scene_options o = E3_SCENE_DEFAULTS;
	o.seed = seed, o.w = W, o.h = H;
	return o;
}

static e3_scene *make(const e3_scene_options *o)
{
	e3_err err = {""};
	e3_scene *s = e3_scene_open(o, &err);
	if (!s)
		print_error("%s\n", err.text);
	assert_non_null(s);
	return s;
}

static void take(e3_scene *s, int64_t i, shot *to) { e3_scene_render(s, i, to->rgb, to->depth, to->pose); }

static void view(const e3_scene_options *o, int64_t i, shot *to)
{
	e3_scene *s = make(o);
	take(s, i, to);
	e3_scene_close(s);
}

/* The camera's centre in metres, in the first camera's frame. */
static void centre(e3_scene *s, int64_t i, double c[3])
{
	float enc[9];
	e3_pose p;
	e3_scene_render(s, i, NULL, NULL, enc);
	assert_int_equal(e3_pose_decode(enc, &p, NULL), 0);
	e3_pose_center(&p, c);
	for (int k = 0; k < 3; k++)
		c[k] *= e3_scene_describe(s)->metres;
}

static double apart(const double a[3], const double b[3])
{
	return sqrt((a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]) + (a[2] - b[2]) * (a[2] - b[2]));
}

/* These stay as they are: a seed keeps its scene, whatever the compiler, its options and the processor. */
static void a_seed_keeps_its_bytes(void **state)
{
	static const struct {
		uint64_t seed;
		e3_scene_path path;
		int64_t frame;
		uint64_t rgb, depth, pose;
	} kept[] = {
		{0, E3_SCENE_CLIP, 0, 0xafd379e50fcacf9eu, 0x52271d2acf260107u, 0x4007ba72125ac783u},
		{7, E3_SCENE_CLIP, 31, 0xcb5fede4f7008871u, 0x8783619e6d8f934fu, 0x2431716478aa5939u},
		{123456789, E3_SCENE_WALK, 47, 0xf9527c34321a7fa6u, 0xeb89a569bc191447u, 0x0c42318405383236u},
	};
	static shot got;
	int off = 0;
	for (size_t k = 0; k < sizeof kept / sizeof *kept; k++) {
		e3_scene_options o = small(kept[k].seed);
		o.path = kept[k].path;
		view(&o, kept[k].frame, &got);
		uint64_t rgb = e3_fnv1a64(got.rgb, sizeof got.rgb), depth = e3_fnv1a64(got.depth, sizeof got.depth);
		uint64_t pose = e3_fnv1a64(got.pose, sizeof got.pose);
		printf("# seed %llu: 0x%016llxu, 0x%016llxu, 0x%016llxu\n", (unsigned long long)kept[k].seed,
			(unsigned long long)rgb, (unsigned long long)depth, (unsigned long long)pose);
		off += rgb != kept[k].rgb || depth != kept[k].depth || pose != kept[k].pose;
	}
	assert_int_equal(off, 0);
}

static void threads_and_order_change_nothing(void **state)
{
	static shot one[6], other;
	e3_scene_options o = small(11);
	o.path = E3_SCENE_WALK;
	e3_scene *s = make(&o);
	for (int i = 0; i < 6; i++)
		take(s, i, &one[i]);
	e3_scene_close(s);
	static const int order[] = {5, 0, 3, 3, 1, 4, 2};
	for (int threads = 1; threads <= 7; threads += 3) {
		o.threads = threads;
		s = make(&o);
		for (size_t k = 0; k < sizeof order / sizeof *order; k++) {
			take(s, order[k], &other);
			assert_memory_equal(&other, &one[order[k]], sizeof other);
		}
		e3_scene_close(s);
	}
	assert_memory_not_equal(&one[0], &one[1], sizeof *one);
}

static void the_first_camera_is_the_world(void **state)
{
	for (uint64_t seed = 0; seed < 20; seed++) {
		static shot got;
		e3_scene_options o = small(seed);
		o.fov = 1;
		e3_scene *s = make(&o);
		take(s, 0, &got);
		const float first[9] = {0, 0, 0, 0, 0, 0, 1, (float)(2 * atan(tan(0.5) * H / W)), 1};
		for (int k = 0; k < 9; k++)
			assert_true(fabsf(got.pose[k] - first[k]) < 1e-6f);
		/* The unit: the mean distance of the points, 1 by definition. */
		const double *in = e3_scene_describe(s)->intrinsics;
		double sum = 0;
		for (int k = 0; k < PIXELS; k++) {
			double x = (k % W - in[2]) / in[0], y = ((double)(k / W) - in[3]) / in[1];
			sum += got.depth[k] * sqrt(x * x + y * y + 1);
		}
		assert_true(fabs(sum / PIXELS - 1) < 1e-6);
		double metres = e3_scene_describe(s)->metres;
		e3_scene_close(s);
		static shot in_metres;
		o.metres = true;
		view(&o, 0, &in_metres);
		for (int k = 0; k < PIXELS; k++)
			assert_true(fabs(in_metres.depth[k] / (got.depth[k] * metres) - 1) < 1e-6);
		assert_memory_equal(in_metres.rgb, got.rgb, sizeof got.rgb);
	}
}

static void quaternions_are_of_unit_length_with_a_positive_real_part(void **state)
{
	e3_scene_options o = small(3);
	o.path = E3_SCENE_WALK, o.length = 40, o.frames = 600; /* round the room several times: every direction */
	e3_scene *s = make(&o);
	double least = 1;
	for (int i = 0; i < 600; i++) {
		float p[9];
		e3_scene_render(s, i, NULL, NULL, p);
		double n = (double)p[3] * p[3] + (double)p[4] * p[4] + (double)p[5] * p[5] + (double)p[6] * p[6];
		assert_true(fabs(n - 1) < 1e-6 && p[6] >= 0);
		least = fmin(least, p[6]);
	}
	e3_scene_close(s);
	printf("# least real part %.4f\n", least);
	assert_true(least < 0.05);
}

static void noise_is_what_was_asked_for(void **state)
{
	static shot plain, noisy, next;
	for (int k = 0; k < 2; k++) {
		double level = k ? 0.05 : 0.008, sum = 0, squares = 0, fourth = 0, both = 0;
		int n = 0;
		e3_scene_options o = small(5);
		o.noise = 0, o.length = 0;
		view(&o, 1, &plain);
		o.noise = level;
		view(&o, 1, &noisy);
		view(&o, 2, &next);
		assert_memory_equal(plain.depth, noisy.depth, sizeof plain.depth);
		for (int at = 0; at < 3 * PIXELS; at++) {
			if (plain.rgb[at] < 60 || plain.rgb[at] > 195)
				continue;
			double d = noisy.rgb[at] - plain.rgb[at];
			sum += d, squares += d * d, fourth += d * d * d * d, both += d * (next.rgb[at] - plain.rgb[at]), n++;
		}
		/* both pictures are rounded, each by a twelfth of a squared level */
		double variance = squares / n - 1.0 / 6, want = level * level * 255 * 255;
		printf(
			"# noise %.3f: %d values, mean %.3f, variance %.3f of %.3f, fourth moment %.2f, from frame to frame %.3f\n",
			level, n, sum / n, variance, want, fourth / (squares / n) / squares, both / squares);
		assert_true(n > 5000 && fabs(variance / want - 1) < 0.05 && fabs(sum / n) < 4 * sqrt(want / n));
		assert_true(fabs(fourth / (squares / n) / squares - 3) < 0.2);
		/* the camera stands still: the pictures differ by noise alone, which is new in each frame */
		assert_true(fabs(both / squares) < 4 / sqrt(n) + 0.01);
	}
}

static void a_return_sees_the_start_again(void **state)
{
	int far = 0;
	for (uint64_t seed = 0; seed < 12; seed++) {
		e3_scene_options o = small(seed);
		o.path = seed % 2 ? E3_SCENE_WALK : E3_SCENE_CLIP, o.revisit = true, o.length = 2, o.frames = 41;
		e3_scene *s = make(&o);
		double c[41][3], most = 0;
		float last[9];
		for (int i = 0; i < 41; i++) {
			centre(s, i, c[i]);
			most = fmax(most, apart(c[0], c[i]));
		}
		e3_scene_render(s, 40, NULL, NULL, last);
		double end = apart(c[0], c[40]), turn = 2 * acos(fmin(1, last[6]));
		assert_true(end > 0.01 && end < 0.31 && turn < 0.45);
		far += most > 2 * end;
		e3_scene_close(s);
	}
	printf("# %d of 12 went more than twice as far as where they ended\n", far);
	assert_true(far >= 9);
}

/* A walk's speed is even and its direction changes smoothly, also where the path closes; it stays inside the room. */
static void walks_are_smooth_and_endless(void **state)
{
	for (uint64_t seed = 0; seed < 8; seed++) {
		e3_scene_options o = small(seed);
		o.path = E3_SCENE_WALK, o.endless = true, o.frames = 48;
		e3_scene *s = make(&o);
		enum { N = 1500 };
		static double c[N][3];
		float before[9], pose[9];
		double fastest = 0, slowest = INFINITY, bent = 0, turned = 0, total = 0, widest = 0;
		for (int i = 0; i < N; i++) {
			centre(s, i, c[i]);
			e3_scene_render(s, i, NULL, NULL, pose);
			if (i) {
				double step = apart(c[i], c[i - 1]), dot = 0;
				fastest = fmax(fastest, step), slowest = fmin(slowest, step), total += step;
				for (int k = 3; k < 7; k++)
					dot += (double)pose[k] * before[k];
				turned = fmax(turned, 2 * acos(fmin(1, fabs(dot))));
			}
			if (i > 1) {
				double d = 0, a = apart(c[i], c[i - 1]), b = apart(c[i - 1], c[i - 2]);
				for (int k = 0; k < 3; k++)
					d += (c[i][k] - c[i - 1][k]) * (c[i - 1][k] - c[i - 2][k]);
				bent = fmax(bent, acos(fmin(1, d / (a * b))));
			}
			widest = fmax(widest, apart(c[0], c[i]));
			memcpy(before, pose, sizeof pose);
		}
		const e3_scene_facts *f = e3_scene_describe(s);
		double mean = total / (N - 1), expected = f->length / 47;
		printf(
			"# seed %llu: steps %.4f to %.4f m, mean %.4f (the first 48: %.4f); bends by up to %.3f, turns by up to %.3f\n",
			(unsigned long long)seed, slowest, fastest, mean, expected, bent, turned);
		assert_true(slowest > 0.3 * mean && fastest < 1.8 * mean && fabs(mean / expected - 1) < 0.1);
		assert_true(bent < 0.3 && turned < 0.15);
		assert_true(widest < sqrt(f->room[0] * f->room[0] + f->room[2] * f->room[2]) - 0.9);
		e3_scene_close(s);
	}
}

/* A finite walk is the beginning of the endless one. */
static void endless_begins_as_the_walk(void **state)
{
	static shot a, b;
	e3_scene_options o = small(9);
	o.path = E3_SCENE_WALK;
	view(&o, 40, &a);
	o.endless = true;
	view(&o, 40, &b);
	assert_memory_equal(&a, &b, sizeof a);
	view(&o, 100000, &b);
	for (int k = 0; k < PIXELS; k++)
		assert_true(b.depth[k] > 0 && b.depth[k] < 10);
}

static void no_camera_stands_inside_an_object(void **state)
{
	for (uint64_t seed = 0; seed < 60; seed++) {
		static shot got;
		e3_scene_options o = small(seed);
		o.path = seed % 2 ? E3_SCENE_WALK : E3_SCENE_CLIP, o.objects = 40, o.metres = true, o.length = 3;
		e3_scene *s = make(&o);
		assert_in_range(e3_scene_describe(s)->objects, 20, 40);
		for (int i = 0; i < 48; i += 7) {
			take(s, i, &got);
			for (int k = 0; k < PIXELS; k++)
				assert_true(got.depth[k] > 0.15); /* 0.4 m from any object, at most 49 degrees off the axis */
		}
		e3_scene_close(s);
	}
}

static void options_out_of_range_are_refused(void **state)
{
	const struct {
		const char *text;
		e3_scene_options o;
	} cases[] = {
		{.text = "making a scene: size 0 × 60", .o = {.w = 0, .h = 60}},
		{.text = "size 8193 × 60: sides go from 1 to 8192", .o = {.w = 8193, .h = 60}},
		{.text = "16000000 pixels", .o = {.w = 8000, .h = 8000}},
		{.text = "0 frames", .o = {.w = 9, .h = 9, .frames = 0}},
		{.text = "length nan", .o = {.w = 9, .h = 9, .frames = 1, .length = (double)NAN}},
		{.text = "257 objects", .o = {.w = 9, .h = 9, .frames = 1, .objects = 257}},
		{.text = "field of view 3.1", .o = {.w = 9, .h = 9, .frames = 1, .fov = 3.1}},
		{.text = "noise -1", .o = {.w = 9, .h = 9, .frames = 1, .noise = -1}},
		{.text = "0 threads", .o = {.w = 9, .h = 9, .frames = 1}},
		{.text = "3 rooms: expected 1 or 2", .o = {.w = 9, .h = 9, .frames = 1, .threads = 1, .rooms = 3}},
		{.text = "only a walk goes through", .o = {.w = 9, .h = 9, .frames = 1, .threads = 1, .rooms = 2}},
		{.text = "look-alikes need two rooms", .o = {.w = 9, .h = 9, .frames = 1, .threads = 1, .alike = true}},
		{.text = "2 times round: expected a walk", .o = {.w = 9, .h = 9, .frames = 1, .threads = 1, .laps = 2}},
		{.text = "only a walk that", .o = {.w = 9, .h = 9, .frames = 1, .threads = 1, .endless = true}},
	};
	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
		e3_err err = {""};
		assert_null(e3_scene_open(&cases[k].o, &err));
		if (!strstr(err.text, cases[k].text))
			fail_msg("'%s' lacks '%s'", err.text, cases[k].text);
	}
}

/* One pixel, one frame, one row, no objects: nothing to divide by zero with. */
static void the_smallest_scenes(void **state)
{
	static const int size[][2] = {{1, 1}, {1, 40}, {333, 1}};
	for (int k = 0; k < 3; k++) {
		e3_scene_options o =
			{.w = size[k][0], .h = size[k][1], .frames = 1, .objects = 0, .threads = 3, .seed = UINT64_MAX};
		uint8_t rgb[999];
		float depth[333], pose[9];
		e3_scene *s = make(&o);
		e3_scene_render(s, 0, rgb, depth, pose);
		for (int at = 0; at < size[k][0] * size[k][1]; at++)
			assert_true(depth[at] > 0 && depth[at] < 10);
		for (int j = 0; j < 9; j++)
			assert_true(isfinite(pose[j]));
		assert_true(e3_scene_describe(s)->objects == 0 && e3_scene_describe(s)->length == 0);
		e3_scene_close(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_keeps_its_bytes),
		cmocka_unit_test(threads_and_order_change_nothing),
		cmocka_unit_test(the_first_camera_is_the_world),
		cmocka_unit_test(quaternions_are_of_unit_length_with_a_positive_real_part),
		cmocka_unit_test(noise_is_what_was_asked_for),
		cmocka_unit_test(a_return_sees_the_start_again),
		cmocka_unit_test(walks_are_smooth_and_endless),
		cmocka_unit_test(endless_begins_as_the_walk),
		cmocka_unit_test(no_camera_stands_inside_an_object),
		cmocka_unit_test(options_out_of_range_are_refused),
		cmocka_unit_test(the_smallest_scenes),
	};
	return cmocka_run_group_tests_name("scene: frames", tests, NULL, NULL);
}
