/* The network on the CPU against the reference: tiny.golden (seeded weights, 8 frames, float64). Dense outputs, poses
 * in both camera-cache forms, masses within 1e-5; exactly the same tokens kept. */
#include "check.h"
#include "e3/infer.h"
#include "e3/mem.h"

enum { FRAMES = 8 };

typedef struct run {
	const char *name; /* as in the golden file */
	const char *policy;
	double p, temperature;
} run;

static e3_ckpt *golden, *weights;
static e3_dev *dev;
static e3_net *net;
static double worst;

static int set_up(void **state)
{
	e3_err err = {""};
	golden = e3_ckpt_open("tests/data/golden/tiny.golden.safetensors", &err);
	weights = e3_ckpt_open("seed:tiny:7", &err);
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

static const e3_tensor_info *find(const char *fmt, const char *name, const char *what, int i)
{
	char key[128];
	snprintf(key, sizeof key, fmt, name, what, i);
	return e3_ckpt_find(golden, key);
}

static float *read_golden(const e3_tensor_info *t)
{
	e3_err err;
	float *v = malloc(t->count * sizeof *v);
	assert_non_null(v);
	assert_int_equal(e3_ckpt_read_f32(golden, t, 0, t->count, v, &err), 0);
	return v;
}

static void compare(const run *r, const char *what, int i, const float *got, double bound)
{
	const e3_tensor_info *t = find("%s.%s.%d", r->name, what, i);
	assert_non_null(t);
	float *want = read_golden(t);
	char label[64];
	snprintf(label, sizeof label, "%s %s %d", r->name, what, i);
	double d = check_distance(label, got, want, t->count);
	free(want);
	worst = d > worst ? d : worst;
	assert_true(d <= bound);
}

static uint8_t *image(int i, int *h, int *w)
{
	const e3_tensor_info *t = find("%s%s.%d", "", "image", i);
	assert_non_null(t);
	const uint8_t *planes = e3_ckpt_direct(golden, t);
	assert_non_null(planes);
	*h = (int)t->shape[1], *w = (int)t->shape[2];
	size_t area = (size_t)*h * (size_t)*w;
	uint8_t *rgb = malloc(3 * area);
	assert_non_null(rgb);
	for (size_t k = 0; k < area; k++)
		for (size_t c = 0; c < 3; c++)
			rgb[3 * k + c] = planes[c * area + k];
	return rgb;
}

/* Cached ids of each layer, ascending, kept here by applying the records. */
typedef struct shadow {
	uint32_t id[4096];
	size_t n;
} shadow;

static void apply_record(const run *r, const e3_evict *ev, shadow *s, int i, int tokens)
{
	for (int l = 0; l < ev->n_layers; l++) {
		const e3_evict_layer *rec = &ev->layer[l];
		for (int k = 0; k < tokens; k++)
			s[l].id[s[l].n++] = (uint32_t)(i * tokens + k);
		assert_int_equal(rec->k_before, s[l].n);
		char what[32];
		snprintf(what, sizeof what, "keep.%d", i);
		const e3_tensor_info *t = find("%s.%s.%d", r->name, what, l);
		size_t n = 0, gone = 0;
		uint32_t position[4096];
		for (size_t k = 0; k < s[l].n; k++) {
			if (gone < rec->n_removed && rec->removed[gone] == s[l].id[k]) {
				gone++;
				continue;
			}
			position[n] = (uint32_t)k;
			s[l].id[n++] = s[l].id[k];
		}
		s[l].n = n;
		assert_int_equal(gone, rec->n_removed);
		assert_int_equal(rec->k_after, n);
		if (!t)
			continue;
		const int32_t *want = e3_ckpt_direct(golden, t);
		assert_non_null(want);
		assert_int_equal(t->count, n);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(position[k], want[k]);
	}
}

static void check_masses(const run *r, e3_session *s, int i)
{
	e3_err err;
	e3_attn a = {0};
	for (int k = 0; e3_session_attn(s, k, &a, &err) == 1; k++) {
		char what[32];
		snprintf(what, sizeof what, "colsum.%d", i);
		if (!find("%s.%s.%d", r->name, what, a.layer))
			continue;
		compare(r, what, a.layer, a.mass, 1e-5);
		double sum = 0, frames = 0;
		for (uint32_t j = 0; j < a.n_frames; j++)
			frames += a.frame_mass[j];
		for (uint32_t j = 0; j < a.map_cols; j++)
			sum += a.map[j]; /* a row of probabilities */
		assert_true(fabs(frames - 1) < 1e-5 && fabs(sum - 1) < 1e-5);
	}
	e3_attn_release(&a);
}

static void one_run(const run *r, int compat)
{
	e3_err err = {""};
	bool attn[4] = {true, true, true, true};
	e3_infer_options o = e3_infer_defaults();
	o.policy = e3_policy_find(r->policy), o.budget = r->p, o.temperature = r->temperature, o.frames = FRAMES,
	o.compat = compat, o.attn = attn, o.attn_map = true;
	e3_session *s = NULL;
	e3_result pred;
	e3_evict ev = {0};
	static shadow shadows[4];
	memset(shadows, 0, sizeof shadows);
	for (int i = 0; i < FRAMES; i++) {
		int size[2];
		uint8_t *rgb = image(i, &size[0], &size[1]);
		if (!s && !(s = e3_session_open(net, dev, &o, size, &err)))
			fail_msg("%s", err.text);
		if (e3_session_step(s, rgb, &pred, &ev, &err))
			fail_msg("%s", err.text);
		compare(r, "depth", i, pred.depth, 1e-5);
		compare(r, "dconf", i, pred.depth_conf, 1e-5);
		compare(r, "pts", i, pred.points, 1e-5);
		compare(r, "pconf", i, pred.points_conf, 1e-5);
		compare(r, compat ? "pose" : "pose_periter", i, pred.pose, 1e-5);
		apply_record(r, &ev, shadows, i, e3_session_plan(s)->tokens_per_frame);
		check_masses(r, s, i);
		free(rgb);
	}
	e3_session_close(s);
	e3_evict_release(&ev);
}

static const run off = {"off", "none", 0.5, 0.5}, p30 = {"p30", "evict3r", 0.3, 0.5},
				 p50 = {"p50", "evict3r", 0.5, 0.1};

static void without_eviction(void **state) { one_run(&off, 0); }
static void without_eviction_one_camera_cache(void **state) { one_run(&off, E3_COMPAT_CAMERA); }
static void keeps_three_tenths(void **state) { one_run(&p30, 0); }
static void keeps_three_tenths_one_camera_cache(void **state) { one_run(&p30, E3_COMPAT_CAMERA); }
static void keeps_half(void **state) { one_run(&p50, 0); }
static void keeps_half_one_camera_cache(void **state) { one_run(&p50, E3_COMPAT_CAMERA); }

static void prints_the_worst(void **state) { printf("# worst relative L2 of all comparisons: %.2e\n", worst); }

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_eviction),
		cmocka_unit_test(without_eviction_one_camera_cache),
		cmocka_unit_test(keeps_three_tenths),
		cmocka_unit_test(keeps_three_tenths_one_camera_cache),
		cmocka_unit_test(keeps_half),
		cmocka_unit_test(keeps_half_one_camera_cache),
		cmocka_unit_test(prints_the_worst),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
