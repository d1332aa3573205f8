/* LingBot-Map's network on the CPU against the original: lingbot-tiny.golden (seeded weights, 14 frames, float64).
 * Dense outputs and poses within 1e-5. */
#include "check.h"
#include "e3/infer.h"
#include "e3/mem.h"

enum { ROWS = 84, COLUMNS = 112, STEP = 2 };

static e3_ckpt *golden, *weights;
static e3_dev *dev;
static e3_net *net;
static double worst;

static int set_up(void **state)
{
	e3_err err = {""};
	golden = e3_ckpt_open("tests/data/golden/lingbot-tiny.golden.safetensors", &err);
	weights = e3_ckpt_open("seed:lingbot-tiny:7", &err);
	dev = e3_dev_cpu(2, &err);
	net = golden && weights && dev ? e3_net_open(weights, dev, &err) : NULL;
	if (!net)
		print_error("%s\n", err.text);
	return net ? 0 : -1;
}

static int tear_down(void **state)
{
	e3_net_close(net);
	e3_dev_close(dev);
	e3_ckpt_close(golden);
	e3_ckpt_close(weights);
	return 0;
}

/* The pictures have a formula (tests/data/golden/README.md). */
static void draw(uint8_t *rgb, uint32_t f)
{
	for (uint32_t y = 0; y < ROWS; y++)
		for (uint32_t x = 0; x < COLUMNS; x++)
			for (uint32_t c = 0; c < 3; c++) {
				uint32_t u = x + 3 * f, v = y + 2 * f, t = 7 * u + 5 * v + 50 * c + 11 * f,
						 tri = t & 256 ? 255 - (t & 255) : t & 255,
						 h = (u / 9) * 73856093u ^ (v / 7) * 19349663u ^ (c + 1) * 83492791u;
				h ^= h >> 13, h *= 0x5bd1e995u, h ^= h >> 15;
				*rgb++ = (uint8_t)((tri + 3 * (h & 255)) >> 2);
			}
}

static void compare(const char *run, const char *what, int i, const float *got, size_t n)
{
	e3_err err;
	char key[64];
	snprintf(key, sizeof key, "%s.%s.%d", run, what, i);
	const e3_tensor_info *t = e3_ckpt_find(golden, key);
	assert_non_null(t);
	assert_int_equal(t->count, n);
	float *want = malloc(n * sizeof *want);
	assert_non_null(want);
	assert_int_equal(e3_ckpt_read_f32(golden, t, 0, n, want, &err), 0);
	double d = check_distance(key, got, want, n);
	free(want);
	worst = d > worst ? d : worst;
	assert_true(d <= 1e-5);
}

/* Every STEP-th row and column. */
static void compare_map(const char *run, const char *what, int i, const float *map)
{
	float thin[ROWS / STEP * COLUMNS / STEP], *to = thin;
	for (int y = 0; y < ROWS; y += STEP)
		for (int x = 0; x < COLUMNS; x += STEP)
			*to++ = map[y * COLUMNS + x];
	compare(run, what, i, thin, sizeof thin / sizeof *thin);
}

/* Of a result: camera from world, and with its quaternion as the network gives it. */
static void compare_pose(const char *run, int i, const float pose[9])
{
	double x = pose[3], y = pose[4], z = pose[5], w = pose[6], k = 2 / (x * x + y * y + z * z + w * w);
	double m[3][3] = {{1 - k * (y * y + z * z), k * (x * y - z * w), k * (x * z + y * w)},
		{k * (x * y + z * w), 1 - k * (x * x + z * z), k * (y * z - x * w)},
		{k * (x * z - y * w), k * (y * z + x * w), 1 - k * (x * x + y * y)}};
	float w2c[12], raw[9];
	for (int r = 0; r < 3; r++) {
		double center = 0;
		for (int c = 0; c < 3; c++)
			w2c[4 * r + c] = (float)m[r][c], center -= m[c][r] * pose[c];
		w2c[4 * r + 3] = pose[r];
		raw[r] = (float)center, raw[3 + r] = -pose[3 + r];
	}
	memcpy(raw + 6, pose + 6, 3 * sizeof *raw);
	compare(run, "w2c", i, w2c, 12);
	compare(run, "pose", i, raw, 9);
}

static void compare_result(const char *run, int i, const e3_result *r)
{
	compare_map(run, "depth", i, r->depth);
	compare_map(run, "dconf", i, r->depth_conf);
	compare_pose(run, i, r->pose);
	assert_null(r->points);
}

static e3_infer_options options(void)
{
	e3_infer_options o = e3_infer_defaults();
	e3_infer_use_policy(&o, e3_policy_find("none"));
	o.outputs = E3_OUT_POSE | E3_OUT_DEPTH;
	return o;
}

static e3_session *open(const e3_infer_options *o)
{
	e3_err err = {""};
	e3_session *s = e3_session_open(net, dev, o, (const int[]){ROWS, COLUMNS}, &err);
	if (!s)
		fail_msg("%s", err.text);
	assert_int_equal(e3_session_plan(s)->special, 6);
	assert_int_equal(e3_session_plan(s)->tokens_per_frame, 54);
	return s;
}

/* The first frames, from which its window has evicted nothing. */
static void frames_one_by_one(void **state)
{
	e3_err err = {""};
	e3_infer_options o = options();
	e3_session *s = open(&o);
	e3_result r;
	e3_evict evict = {0};
	uint8_t rgb[3 * ROWS * COLUMNS];
	for (int i = 0; i < 5; i++) {
		draw(rgb, (uint32_t)i);
		if (e3_session_step(s, rgb, &r, &evict, &err))
			fail_msg("%s", err.text);
		compare_result("s1", i, &r);
	}
	e3_evict_release(&evict);
	e3_session_close(s);
}

/* Four frames together, then one by one; keys and time as the original counts them. */
static void frames_that_start_together(void **state)
{
	e3_err err = {""};
	e3_infer_options o = options();
	o.start = 4;
	e3_session *s = open(&o);
	e3_result r[4];
	e3_evict evict[4] = {{0}};
	static uint8_t picture[4][3 * ROWS * COLUMNS];
	const uint8_t *rgb[4];
	assert_int_equal(e3_session_plan(s)->together, 4);
	for (int i = 0; i < 4; i++) {
		draw(picture[i], (uint32_t)i);
		rgb[i] = picture[i];
	}
	if (e3_session_start(s, rgb, 4, r, evict, &err))
		fail_msg("%s", err.text);
	assert_int_equal(e3_session_frames(s), 4);
	for (int i = 0; i < 4; i++) {
		compare_result("s4", i, &r[i]);
		assert_int_equal(evict[i].i, i);
		for (int l = 0; l < 4; l++)
			assert_true(evict[i].layer[l].k_before == 54u * (unsigned)(i + 1) && evict[i].layer[l].n_removed == 0);
	}
	assert_int_equal(e3_session_start(s, rgb, 4, r, evict, &err), -1);
	assert_string_equal(err.text, "starting: the stream has begun");
	for (int i = 4; i < 8; i++) {
		draw(picture[0], (uint32_t)i);
		if (e3_session_step(s, picture[0], r, evict, &err))
			fail_msg("%s", err.text);
		compare_result("s4", i, r);
		assert_int_equal(evict[0].layer[3].k_before, 54 * (i + 1));
	}
	for (int i = 0; i < 4; i++)
		e3_evict_release(&evict[i]);
	e3_session_close(s);
}

/* The original's own rule with a window of four, every frame of a run: what each sees is counted too. */
static void follows(const char *run, int start, int keyframe)
{
	e3_err err = {""};
	e3_infer_options o = options();
	e3_result r[4];
	e3_evict evict[4] = {{0}};
	static uint8_t picture[14][3 * ROWS * COLUMNS];
	const uint8_t *rgb[14];
	char key[64];
	o.start = start, o.keyframe = keyframe, o.window = 4;
	e3_infer_use_policy(&o, e3_policy_find("lingbot"));
	e3_session *s = open(&o);
	snprintf(key, sizeof key, "%s.keys", run);
	const e3_tensor_info *t = e3_ckpt_find(golden, key);
	assert_non_null(t);
	int32_t want[14];
	assert_int_equal(t->count, 14);
	assert_int_equal(e3_ckpt_read_raw(golden, t, 0, 14, want, &err), 0);
	for (int i = 0; i < 14; i++) {
		draw(picture[i], (uint32_t)i);
		rgb[i] = picture[i];
	}
	if (start > 1 && e3_session_start(s, rgb, start, r, evict, &err))
		fail_msg("%s", err.text);
	for (int i = 0; start > 1 && i < start; i++)
		compare_result(run, i, &r[i]);
	for (int i = start > 1 ? start : 0; i < 14; i++) {
		if (e3_session_step(s, rgb[i], r, evict, &err))
			fail_msg("%s", err.text);
		compare_result(run, i, r);
		assert_int_equal(evict->passing, i >= start && (i - start) % keyframe);
		for (int l = 0; l < 4; l++)
			assert_int_equal(evict->layer[l].k_before, want[i]);
	}
	for (int i = 0; i < 4; i++)
		e3_evict_release(&evict[i]);
	e3_session_close(s);
}

static void its_own_rule(void **state)
{
	follows("s1", 1, 1);
	follows("s4", 4, 1);
	follows("s1k2", 1, 2);
}

static void there_is_no_point_head(void **state)
{
	e3_err err = {""};
	e3_infer_options o = options();
	o.outputs |= E3_OUT_POINTS;
	assert_null(e3_session_open(net, dev, &o, (const int[]){ROWS, COLUMNS}, &err));
	assert_non_null(strstr(err.text, "points: the model has no point head"));
}

static void prints_the_worst(void **state) { printf("# worst relative L2 of all comparisons: %.2e\n", worst); }

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_one_by_one),
		cmocka_unit_test(frames_that_start_together),
		cmocka_unit_test(its_own_rule),
		cmocka_unit_test(there_is_no_point_head),
		cmocka_unit_test(prints_the_worst),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
