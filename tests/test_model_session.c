/* Whole streams through the network: other dimensions than the built-in ones against an independent float64
 * implementation (tests/oracle/streamvggt.py), eviction off against a budget that is never reached, memory that stays
 * where it is. */
#include "check.h"
#include "model_stream.h"
#include "model/session.h"

enum { FRAMES = 6, MAX_LAYERS = 8 };

static e3_dev *dev;
static e3_ckpt *golden;

static int set_up(void **state)
{
	e3_err err = {""};
	dev = e3_dev_cpu(2, &err);
	golden = e3_ckpt_open("tests/data/model/custom.safetensors", &err);
	if (!dev || !golden)
		print_error("%s\n", err.text);
	return dev && golden ? 0 : -1;
}

static int tear_down(void **state)
{
	e3_ckpt_close(golden);
	e3_dev_close(dev);
	return 0;
}

/* ---- against the oracle ---- */

/* A golden array; NULL when there is none. Free with free(). */
static float *read_golden(const custom *c, const char *mode, int i, const char *what, size_t *n)
{
	char key[64];
	e3_err err;
	snprintf(key, sizeof key, "%s.%s.%d.%s", c->name, mode, i, what);
	const e3_tensor_info *t = e3_ckpt_find(golden, key);
	if (!t)
		return NULL;
	float *v = malloc(t->count * sizeof *v);
	*n = t->count;
	if (t->dtype == E3_I32)
		assert_int_equal(e3_ckpt_read_raw(golden, t, 0, t->count, v, &err), 0);
	else
		assert_int_equal(e3_ckpt_read_f32(golden, t, 0, t->count, v, &err), 0);
	return v;
}

/* The dense channels of a pixel: 2 without the point head, 6 with it. */
static int pixel(const e3_result *p, size_t at, float to[6])
{
	to[0] = p->depth[at], to[1] = p->depth_conf[at];
	if (!p->points)
		return 2;
	memcpy(to + 2, p->points + 3 * at, 3 * sizeof *to);
	to[5] = p->points_conf[at];
	return 6;
}

static void compare_dense(const custom *c, const char *mode, int i, const e3_result *p)
{
	size_t n, area = (size_t)p->h * (size_t)p->w, channels = 0, stride = area / 17 | 1;
	char label[64];
	double square[6] = {0};
	float at[6], rms[6], got[6 * 64];
	for (size_t k = 0; k < area; k++) {
		channels = (size_t)pixel(p, k, at);
		for (size_t ch = 0; ch < channels; ch++)
			square[ch] += (double)at[ch] * at[ch];
	}
	for (size_t ch = 0; ch < channels; ch++)
		rms[ch] = (float)sqrt(square[ch] / (double)area);
	float *want = read_golden(c, mode, i, "rms", &n);
	assert_non_null(want);
	assert_int_equal(n, channels);
	snprintf(label, sizeof label, "%s %s %d rms", c->name, mode, i);
	assert_true(check_distance(label, rms, want, n) < 1e-5);
	free(want);
	if (!(want = read_golden(c, mode, i, "dense", &n)))
		return;
	assert_true(n / channels <= 64 && n == channels * ((area + stride - 1) / stride));
	for (size_t k = 0; k < n / channels; k++)
		pixel(p, k * stride, got + channels * k);
	snprintf(label, sizeof label, "%s %s %d dense", c->name, mode, i);
	assert_true(check_distance(label, got, want, n) < 1e-5);
	free(want);
}

static void compare_evictions(const custom *c, const char *mode, int i, const e3_evict *ev)
{
	size_t n = 0, at = 0, shares_n;
	int32_t *want = (int32_t *)(void *)read_golden(c, mode, i, "removed", &n);
	for (int l = 0; l < ev->n_layers; l++) {
		const e3_evict_layer *r = &ev->layer[l];
		assert_int_equal(r->n_removed, want ? want[at++] : 0);
		for (size_t k = 0; k < r->n_removed; k++)
			assert_int_equal(r->removed[k], want[at++]);
		assert_int_equal(r->k_after, r->k_before - r->n_removed);
	}
	assert_int_equal(at, n);
	free(want);
	float *shares = read_golden(c, mode, i, "shares", &shares_n), got[3 * MAX_LAYERS];
	if (!shares)
		return;
	assert_int_equal(shares_n, 3 * ev->n_layers);
	for (int l = 0; l < ev->n_layers; l++) {
		got[l] = (float)ev->layer[l].variance;
		got[ev->n_layers + l] = (float)ev->layer[l].alpha;
		got[2 * ev->n_layers + l] = (float)ev->layer[l].budget;
	}
	char label[64];
	for (int k = 0; k < 3; k++) {
		snprintf(label, sizeof label, "%s %s %d %s", c->name, mode, i,
			(const char *[]){"variance", "alpha", "budget"}[k]);
		assert_true(
			check_distance(label, got + k * ev->n_layers, shares + k * ev->n_layers, (size_t)ev->n_layers) < 2e-4);
	}
	free(shares);
}

/* pose: row of the golden pair: 0 one camera cache, 1 one for each refinement. */
static void against_oracle(const custom *c, const char *mode, int compat)
{
	e3_infer_options o = e3_infer_defaults();
	o.frames = FRAMES, o.budget = c->p, o.temperature = c->temperature, o.compat = compat;
	o.policy = strcmp(mode, "off") == 0 ? e3_policy_find("none") : e3_policy_find("evict3r");
	o.outputs = c->c.point.present ? E3_OUT_ALL : E3_OUT_POSE | E3_OUT_DEPTH;
	stream t;
	int compared = 0;
	stream_open(dev, &t, c, &o);
	for (int i = 0; i < FRAMES; i++) {
		size_t n;
		stream_step(&t, i);
		float *pose = read_golden(c, mode, i, "pose", &n);
		if (!pose)
			continue;
		assert_int_equal(n, 18);
		char label[64];
		snprintf(label, sizeof label, "%s %s %d pose", c->name, mode, i);
		assert_true(check_distance(label, t.pred.pose, pose + (compat & E3_COMPAT_CAMERA ? 0 : 9), 9) < 1e-5);
		free(pose);
		compare_dense(c, mode, i, &t.pred);
		compare_evictions(c, mode, i, &t.evict);
		compared++;
	}
	assert_true(compared >= 3);
	stream_close(&t);
}

static void wide_keeps_everything(void **state) { against_oracle(&custom_wide, "off", 0); }
static void wide_evicts(void **state) { against_oracle(&custom_wide, "default", 0); }
static void wide_evicts_as_released(void **state)
{
	against_oracle(&custom_wide, "starve", E3_COMPAT_STARVE | E3_COMPAT_CAMERA);
}
static void tall_keeps_everything(void **state) { against_oracle(&custom_tall, "off", E3_COMPAT_CAMERA); }
static void tall_evicts(void **state) { against_oracle(&custom_tall, "default", E3_COMPAT_CAMERA); }
static void tall_evicts_as_released(void **state) { against_oracle(&custom_tall, "starve", E3_COMPAT_STARVE); }

static void bare_keeps_everything(void **state) { against_oracle(&custom_bare, "off", 0); }
static void bare_evicts(void **state) { against_oracle(&custom_bare, "default", 0); }
static void bare_evicts_as_released(void **state)
{
	against_oracle(&custom_bare, "starve", E3_COMPAT_STARVE | E3_COMPAT_CAMERA);
}

/* ---- what does not change results ---- */

/* Two streams of the same pictures, step by step; `differ`: the first step where they must not be equal any more, or
 * -1. */
static void run_beside(const e3_infer_options *a, const e3_infer_options *b, int steps, int differ)
{
	stream x, y;
	stream_open(dev, &x, &custom_tall, a);
	stream_open(dev, &y, &custom_tall, b);
	for (int i = 0; i < steps && i != differ; i++) {
		stream_step(&x, i), stream_step(&y, i);
		stream_same_maps(&x.pred, &y.pred);
	}
	if (differ >= 0) {
		stream_step(&x, differ), stream_step(&y, differ);
		assert_memory_not_equal(x.pred.pose, y.pred.pose, sizeof x.pred.pose);
	}
	stream_close(&x), stream_close(&y);
}

static void a_budget_larger_than_the_stream_changes_nothing(void **state)
{
	e3_infer_options off = e3_infer_defaults(), frames = off, fraction = off, window = off;
	off.policy = e3_policy_find("none");
	frames.budget_kind = E3_BUDGET_FRAMES, frames.budget = 8, frames.frames = -1;
	fraction.budget = 1, fraction.temperature = 1e6, fraction.frames = 8; /* at this temperature shares are even */
	window.policy = e3_policy_find("window"), window.budget_kind = E3_BUDGET_TOKENS, window.budget = 8 * 6 * 25;
	run_beside(&off, &frames, 8, -1);
	run_beside(&off, &fraction, 8, -1);
	run_beside(&off, &window, 8, -1);
}

static void a_budget_of_three_frames_shows_at_the_fifth(void **state)
{
	/* The third frame fits; the fourth attends to all of it, and its eviction is what the fifth sees. */
	e3_infer_options off = e3_infer_defaults(), three = off;
	off.policy = e3_policy_find("none");
	three.budget_kind = E3_BUDGET_FRAMES, three.budget = 3;
	run_beside(&off, &three, 5, 4);
}

static void asking_for_masses_changes_nothing(void **state)
{
	static const bool all[MAX_LAYERS] = {true, true, true, true, true, true, true, true};
	e3_infer_options plain = e3_infer_defaults(), told = plain;
	plain.frames = told.frames = 5;
	told.attn = all, told.attn_map = true;
	run_beside(&plain, &told, 5, -1);
}

/* The CPU, adding up the ViT's tokens when they are noted, patch by patch. */
static struct {
	e3_dev_ops ops;
	const e3_dev_ops *real;
	double sum[256];
} adding;

static int added_note(e3_dev *d, const e3_activation *note, e3_err *err)
{
	bool tokens = strcmp(note->stage, "vit") == 0 && note->part && strcmp(note->part, "tokens") == 0;
	for (int c = 0; tokens && c < note->shape[1]; c++) {
		adding.sum[c] = 0;
		for (int p = 0; p < note->shape[0]; p++)
			adding.sum[c] += e3_tensor_floats(note->t)[p * note->shape[1] + c];
	}
	return adding.real->note(d, note, err);
}

static void a_frame_is_described_by_the_direction_of_its_mean_patch(void **state)
{
	e3_infer_options o = e3_infer_defaults(), plain = o;
	o.frames = plain.frames = 4, o.describe = true;
	run_beside(&plain, &o, 4, -1);
	adding.real = dev->ops, adding.ops = *dev->ops, adding.ops.note = added_note;
	dev->ops = &adding.ops;
	stream t, without;
	float before[256];
	stream_open(dev, &t, &custom_tall, &o), stream_open(dev, &without, &custom_tall, &plain);
	assert_null(e3_session_descriptor(without.s));
	for (int i = 0; i < 4; i++) {
		double length = 0, worst = 0, ours = 0;
		int dim = custom_tall.c.embed;
		stream_step(&t, i);
		const float *d = e3_session_descriptor(t.s);
		for (int c = 0; c < dim; c++)
			length += adding.sum[c] * adding.sum[c], ours += (double)d[c] * d[c];
		for (int c = 0; c < dim; c++)
			worst = fmax(worst, fabs(d[c] - adding.sum[c] / sqrt(length)));
		printf("# descriptor %d: worst difference %.1e, length %.9f\n", i, worst, sqrt(ours));
		assert_true(worst < 1e-7 && fabs(ours - 1) < 1e-6);
		if (i)
			assert_memory_not_equal(d, before, sizeof(float) * (size_t)dim);
		memcpy(before, d, sizeof(float) * (size_t)dim);
	}
	stream_close(&t), stream_close(&without);
	dev->ops = adding.real;
}

static void an_output_is_the_same_without_the_others(void **state)
{
	e3_infer_options all = e3_infer_defaults(), one = all;
	all.policy = one.policy = e3_policy_find("none");
	for (one.outputs = 1; one.outputs < E3_OUT_ALL; one.outputs++) {
		stream x, y;
		stream_open(dev, &x, &custom_tall, &all);
		stream_open(dev, &y, &custom_tall, &one);
		size_t area = (size_t)x.size[0] * (size_t)x.size[1] * sizeof(float);
		for (int i = 0; i < 2; i++) {
			stream_step(&x, i), stream_step(&y, i);
			assert_int_equal(y.pred.has_pose, !!(one.outputs & E3_OUT_POSE));
			assert_int_equal(y.pred.depth != NULL, !!(one.outputs & E3_OUT_DEPTH));
			assert_int_equal(y.pred.points != NULL, !!(one.outputs & E3_OUT_POINTS));
			if (y.pred.has_pose)
				assert_memory_equal(x.pred.pose, y.pred.pose, sizeof x.pred.pose);
			if (y.pred.depth)
				assert_memory_equal(x.pred.depth, y.pred.depth, area);
			if (y.pred.points)
				assert_memory_equal(x.pred.points, y.pred.points, 3 * area);
		}
		stream_close(&x), stream_close(&y);
	}
}

static void outputs_the_model_has_no_head_for_are_refused(void **state)
{
	e3_err err = {""};
	e3_infer_options o = e3_infer_defaults();
	sample file = {0};
	o.policy = e3_policy_find("none");
	e3_ckpt *ckpt = custom_open(&custom_bare.c, 1, &file, &err);
	e3_net *net = e3_net_open(ckpt, dev, &err);
	assert_non_null(net);
	assert_null(e3_session_open(net, dev, &o, custom_bare.size, &err));
	assert_string_equal(err.text, "opening: outputs: points: the model has no point head");
	o.outputs = E3_OUT_POSE;
	assert_null(e3_session_open(net, dev, &o, (int[]){4, 42}, &err));
	assert_string_equal(err.text, "planning: frames of 42 × 4: not a multiple of the patch size 4");
	e3_net_close(net);
	e3_ckpt_close(ckpt);
	sample_release(&file);
}

/* ---- memory ---- */

/* The CPU, counting what it is asked for. */
static struct {
	e3_dev_ops ops;
	const e3_dev_ops *real;
	size_t calls, bytes, while_gathering;
	bool gathering;
} counting;

static int counted_alloc(e3_dev *d, e3_dtype dtype, size_t n, e3_tensor *out, e3_err *err)
{
	counting.calls++, counting.bytes += n * e3_dtype_size(dtype), counting.while_gathering += counting.gathering;
	return counting.real->alloc(d, dtype, n, out, err);
}

static int counted_alloc_host(e3_dev *d, size_t bytes, void **out, e3_err *err)
{
	counting.while_gathering += counting.gathering;
	return counting.real->alloc_host(d, bytes, out, err);
}

static int counted_gather(e3_dev *d, int which, e3_err *err)
{
	counting.gathering = true;
	return counting.real->gather(d, which, err);
}

static int counted_launch(e3_dev *d, e3_err *err)
{
	counting.gathering = false;
	return counting.real->launch(d, err);
}

static void masses_and_maps_grow_before_a_piece_is_gathered(void **state)
{
	static const bool all[MAX_LAYERS] = {true, true, true, true, true, true, true, true};
	counting.real = dev->ops, counting.ops = *dev->ops, counting.ops.alloc = counted_alloc;
	counting.ops.alloc_host = counted_alloc_host, counting.ops.gather = counted_gather;
	counting.ops.launch = counted_launch;
	dev->ops = &counting.ops;
	for (int budget = 0; budget < 2; budget++) {
		e3_infer_options o = e3_infer_defaults();
		size_t last = 0, grown = 0;
		o.policy = e3_policy_find(budget ? "evict3r" : "none"), o.budget_kind = E3_BUDGET_FRAMES, o.budget = 6;
		o.outputs = E3_OUT_POSE, o.attn = all, o.attn_map = true;
		counting.while_gathering = 0;
		stream t;
		stream_open(dev, &t, &custom_tall, &o);
		for (int i = 0; i < 12; i++) {
			stream_step(&t, i);
			grown += i > 1 && counting.bytes > last;
			last = counting.bytes;
		}
		stream_close(&t);
		printf("# with %s budget: grown in %zu of 10 frames\n", budget ? "a" : "no", grown);
		assert_int_equal(counting.while_gathering, 0);
		assert_true(grown > 0 && grown < 8);
	}
	dev->ops = counting.real;
}

static void memory_stays_where_it_is(void **state)
{
	e3_infer_options o = e3_infer_defaults();
	o.budget_kind = E3_BUDGET_FRAMES, o.budget = 4, o.outputs = E3_OUT_POSE | E3_OUT_DEPTH, o.camera_frames = 20,
	o.temperature = 0.01;
	counting.real = dev->ops, counting.ops = *dev->ops, counting.ops.alloc = counted_alloc;
	dev->ops = &counting.ops;
	stream t;
	stream_open(dev, &t, &custom_bare, &o);
	const e3_plan *p = e3_session_plan(t.s);
	const e3_cache *cache = &t.s->past->cache;
	size_t at_start = counting.bytes, growth = 0;
	assert_int_equal(cache->n_pages, p->pages);
	for (int i = 0; i < 400; i++) {
		stream_step(&t, i % 50);
		uint64_t held = 0;
		double budget = 0;
		for (int l = 0; l < p->layers; l++) {
			const e3_evict_layer *r = &t.evict.layer[l];
			if (i)
				assert_true(r->k_after <= ceil(r->budget));
			held += r->k_after, budget += r->budget;
		}
		assert_true(held < p->budget + p->layers);
		if (i > 4) { /* full: nothing of the budget is left unused */
			assert_true(fabs(budget - p->budget) < 1e-6 * p->budget);
			assert_true(held >= p->budget - 1e-3);
		}
		assert_int_equal(e3_session_cache(t.s).now, held * p->token_bytes);
		assert_true(e3_session_cache(t.s).peak <= p->cache_bytes);
		assert_int_equal(e3_session_cache(t.s).full, (uint64_t)(i + 1) * 12 * 4 * p->token_bytes);
		if (i == 20)
			growth = counting.bytes;
	}
	printf("# %zu bytes at the start, %zu more by frame 20, %zu more by frame 400\n", at_start, growth - at_start,
		counting.bytes - growth);
	assert_int_equal(cache->n_pages, p->pages);
	assert_int_equal(cache->n_slabs, 1);
	assert_int_equal(counting.bytes, growth);
	stream_close(&t);
	dev->ops = counting.real;
}

static void the_cache_grows_without_a_budget(void **state)
{
	e3_infer_options o = e3_infer_defaults();
	o.policy = e3_policy_find("none"), o.outputs = E3_OUT_POSE;
	stream t;
	stream_open(dev, &t, &custom_bare, &o);
	for (int i = 0; i < 60; i++)
		stream_step(&t, i);
	e3_cache_use use = e3_session_cache(t.s);
	assert_int_equal(use.now, 60 * 12 * 4 * e3_session_plan(t.s)->token_bytes);
	assert_true(use.now == use.peak && use.now == use.full);
	assert_int_equal(t.evict.layer[3].k_after, 720);
	assert_true(t.s->past->cache.n_pages >= 4 * 12 && t.s->past->cache.n_slabs > 1);
	stream_close(&t);
}

/* Frame 0 and the newest: more frames than the camera head remembers change poses only once one is forgotten. */
static void the_camera_head_remembers_as_many_frames_as_it_was_told(void **state)
{
	for (int compat = 0; compat <= E3_COMPAT_CAMERA; compat += E3_COMPAT_CAMERA) {
		e3_infer_options many = e3_infer_defaults(), few = many;
		many.policy = few.policy = e3_policy_find("none"), many.compat = few.compat = compat, few.camera_frames = 4;
		run_beside(&many, &few, 5, 4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wide_keeps_everything),
		cmocka_unit_test(wide_evicts),
		cmocka_unit_test(wide_evicts_as_released),
		cmocka_unit_test(tall_keeps_everything),
		cmocka_unit_test(tall_evicts),
		cmocka_unit_test(tall_evicts_as_released),
		cmocka_unit_test(bare_keeps_everything),
		cmocka_unit_test(bare_evicts),
		cmocka_unit_test(bare_evicts_as_released),
		cmocka_unit_test(a_budget_larger_than_the_stream_changes_nothing),
		cmocka_unit_test(a_budget_of_three_frames_shows_at_the_fifth),
		cmocka_unit_test(asking_for_masses_changes_nothing),
		cmocka_unit_test(a_frame_is_described_by_the_direction_of_its_mean_patch),
		cmocka_unit_test(an_output_is_the_same_without_the_others),
		cmocka_unit_test(outputs_the_model_has_no_head_for_are_refused),
		cmocka_unit_test(memory_stays_where_it_is),
		cmocka_unit_test(masses_and_maps_grow_before_a_piece_is_gathered),
		cmocka_unit_test(the_cache_grows_without_a_budget),
		cmocka_unit_test(the_camera_head_remembers_as_many_frames_as_it_was_told),
	};
	return cmocka_run_group_tests_name("model: streams", tests, set_up, tear_down);
}
