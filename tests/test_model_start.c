/* Frames that begin a stream together (e3_session_start): refusals, reports, policies, giving up, memory. The numbers
 * are in test_model_lingbot.c. */
#include "check.h"
#include "e3/infer.h"
#include "e3/mem.h"

enum { ROWS = 28, COLUMNS = 42, TOKENS = 6 + 2 * 3, LAYERS = 4, MOST = 8, VALUES = 128 };

static e3_dev *dev;
static e3_net *net, *plain;
static const int size[2] = {ROWS, COLUMNS};
static int asked, patience = -1; /* how often `stop` may be asked; negative: as often as it likes */

static int stop(void) { return patience >= 0 && ++asked > patience; }

static e3_net *load(const char *name)
{
	e3_err err = {""};
	e3_ckpt *c = e3_ckpt_open(name, &err);
	e3_net *n = c ? e3_net_open(c, dev, &err) : NULL;
	e3_ckpt_close(c);
	if (!n)
		print_error("%s\n", err.text);
	return n;
}

static int set_up(void **state)
{
	e3_err err = {""};
	dev = e3_dev_cpu(2, &err);
	net = dev ? load("seed:lingbot-tiny:3") : NULL;
	plain = dev ? load("seed:tiny:3") : NULL;
	return net && plain ? 0 : -1;
}

static int tear_down(void **state)
{
	e3_net_close(net), e3_net_close(plain);
	e3_dev_close(dev);
	return 0;
}

/* Pictures, results and records of some frames. */
typedef struct frames {
	uint8_t px[MOST][3 * ROWS * COLUMNS];
	const uint8_t *rgb[MOST];
	e3_result r[MOST];
	e3_evict evict[MOST];
} frames;

static void draw(frames *f)
{
	uint32_t h = 1;
	*f = (frames){0};
	for (int k = 0; k < MOST; k++) {
		f->rgb[k] = f->px[k];
		for (int n = 0; n < 3 * ROWS * COLUMNS; n++)
			h = h * 1664525u + 1013904223u, f->px[k][n] = (uint8_t)(h >> 24);
	}
}

static void release(frames *f)
{
	for (int k = 0; k < MOST; k++)
		e3_evict_release(&f->evict[k]);
}

static e3_infer_options options(const char *policy, double budget, int start)
{
	e3_infer_options o = e3_infer_defaults();
	e3_infer_use_policy(&o, e3_policy_find(policy));
	if (budget > 0)
		o.budget_kind = E3_BUDGET_FRAMES, o.budget = budget;
	o.outputs = E3_OUT_POSE | E3_OUT_DEPTH;
	o.start = start;
	return o;
}

static e3_session *open(const e3_infer_options *o)
{
	e3_err err = {""};
	e3_session *s = e3_session_open(net, dev, o, size, &err);
	if (!s)
		fail_msg("%s", err.text);
	return s;
}

static void start(e3_session *s, frames *f, int n)
{
	e3_err err = {""};
	if (e3_session_start(s, f->rgb, n, f->r, f->evict, &err))
		fail_msg("%s", err.text);
}

static void step(e3_session *s, frames *f, int k)
{
	e3_err err = {""};
	if (e3_session_step(s, f->rgb[k], &f->r[k], &f->evict[k], &err))
		fail_msg("%s", err.text);
}

static void same(const e3_result *a, const e3_result *b)
{
	assert_memory_equal(a->depth, b->depth, ROWS * COLUMNS * sizeof(float));
	assert_memory_equal(a->depth_conf, b->depth_conf, ROWS * COLUMNS * sizeof(float));
	assert_memory_equal(a->pose, b->pose, sizeof a->pose);
}

/* A start of one is the first frame; some networks have no other. */
static void alone_is_a_step(void **state)
{
	static frames a, b;
	e3_infer_options o = options("none", 0, 1);
	e3_session *s = open(&o), *t = open(&o);
	e3_err err;
	draw(&a), draw(&b);
	start(s, &a, 1), step(t, &b, 0);
	same(&a.r[0], &b.r[0]);
	step(s, &a, 1), step(t, &b, 1);
	same(&a.r[1], &b.r[1]);
	e3_session_close(s), e3_session_close(t);
	o.start = 3;
	assert_null(e3_session_open(plain, dev, &o, size, &err));
	assert_non_null(strstr(err.text, "planning: 'start' of 3 frames: StreamVGGT begins with one"));
	o.start = 1;
	s = e3_session_open(plain, dev, &o, size, &err);
	assert_non_null(s);
	assert_int_equal(e3_session_start(s, a.rgb, 2, a.r, a.evict, &err), -1);
	assert_string_equal(err.text, "starting: 2 frames: expected 1 to 1");
	e3_session_close(s);
	release(&a), release(&b);
}

static void starts_that_cannot_be_are_refused(void **state)
{
	static frames f;
	e3_err err;
	e3_infer_options o = options("none", 0, 0);
	e3_session *s = open(&o);
	draw(&f);
	assert_int_equal(e3_session_plan(s)->together, 8); /* what the architecture says */
	assert_int_equal(e3_session_start(s, f.rgb, 0, f.r, f.evict, &err), -1);
	assert_string_equal(err.text, "starting: 0 frames: expected 1 to 8");
	assert_int_equal(e3_session_start(s, f.rgb, 9, f.r, f.evict, &err), -1);
	step(s, &f, 0);
	assert_int_equal(e3_session_start(s, f.rgb, 2, f.r, f.evict, &err), -1);
	assert_string_equal(err.text, "starting: the stream has begun");
	e3_session_close(s);
	static const struct {
		const char *policy;
		double budget;
		int start, compat, camera_frames;
		const char *text;
	} table[] = {
		{"none", 0, 65, 0, 1024, "planning: 'start' of 65 frames: expected 1 to 64"},
		{"none", 0, -1, 0, 1024, "planning: 'start' of -1 frames: expected 1 to 64"},
		{"none", 0, 4, E3_COMPAT_CAMERA, 1024,
			"planning: 'start' of 4 frames: with one camera cache for all iterations it can only be 1"},
		{"none", 0, 4, 0, 3, "planning: 'camera-frames' of 3: expected at least the 4 frames of the 'start'"},
		{"evict3r", 3, 4, 0, 1024,
			"planning: 'budget' is too small: the 4 frames of the 'start' must fit; the smallest that works is 'budget' "
			"4.0000f, 192 or 0.6M"},
		{"k4", 0, 8, 0, 1024, "planning: 'budget' is too small: the 8 frames of the 'start' must fit"},
	};
	for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
		o = options(table[k].policy, table[k].budget, table[k].start);
		o.compat = table[k].compat, o.camera_frames = table[k].camera_frames;
		assert_null(e3_session_open(net, dev, &o, size, &err));
		if (!strstr(err.text, table[k].text))
			fail_msg("expected '%s', got '%s'", table[k].text, err.text);
	}
	release(&f);
}

/* Each frame sees all of them; the reports come frame by frame. */
static void attention_is_reported_frame_by_frame(void **state)
{
	static frames f;
	bool attn[LAYERS] = {false, true, false, true};
	e3_infer_options o = options("evict3r", 4, 3);
	o.attn = attn, o.attn_map = true;
	e3_session *s = open(&o);
	e3_attn a = {0};
	e3_err err;
	int n = 0;
	draw(&f);
	start(s, &f, 3);
	for (; e3_session_attn(s, n, &a, &err) == 1; n++) {
		assert_true(a.i == n / 2 && a.layer == 1 + n % 2 * 2);
		assert_true(a.n_keys == 3 * TOKENS && a.n_frames == 3 && a.map_rows == TOKENS && a.map_cols == 3 * TOKENS);
		double sum = 0, later = 0, row = 0;
		for (int k = 0; k < 3; k++)
			sum += a.frame_mass[k], later += k > a.i ? a.frame_mass[k] : 0;
		for (int k = 0; k < 3 * TOKENS; k++)
			row += a.map[k];
		assert_true(fabs(sum - 1) < 1e-5 && fabs(row - 1) < 1e-5 && (later > 0.05) == (a.i < 2));
	}
	assert_int_equal(n, 6);
	step(s, &f, 3);
	assert_int_equal(e3_session_attn(s, 0, &a, &err), 1);
	assert_true(a.i == 3 && a.n_keys == 4 * TOKENS && a.n_frames == 4);
	e3_attn_release(&a);
	e3_session_close(s);
	release(&f);
}

/* Nothing is evicted before the start is there, and then to the budget. */
static void every_policy_goes_on_from_a_start(void **state)
{
	static frames f;
	draw(&f);
	for (const e3_policy *p = e3_policies; p->name; p++) {
		double budget = p->whole.frames ? 0 : 4;
		int n = p->whole.frames && p->whole.frames < 4 ? p->whole.frames : 4;
		e3_infer_options o = options(p->name, p->keeps_all ? 0 : budget, n);
		e3_session *s = open(&o);
		start(s, &f, n);
		uint32_t held[LAYERS];
		for (int k = 0; k < MOST; k++) {
			uint64_t sum = 0;
			if (k >= n)
				step(s, &f, k);
			assert_int_equal(f.evict[k].i, k);
			for (int l = 0; l < LAYERS; l++) {
				const e3_evict_layer *r = &f.evict[k].layer[l];
				assert_int_equal(r->k_before, (k ? held[l] : 0) + TOKENS);
				assert_int_equal(r->k_after, r->k_before - r->n_removed);
				assert_true(k >= n || !r->n_removed);
				held[l] = r->k_after, sum += r->k_after;
			}
			if (!p->keeps_all)
				assert_true((double)sum <= e3_session_plan(s)->budget + LAYERS);
		}
		e3_session_close(s);
	}
	release(&f);
}

/* The session is as if nothing had been tried: it starts again, with the same bits. */
static void a_start_that_is_given_up_leaves_no_trace(void **state)
{
	static frames a, b;
	e3_infer_options o = options("evict3r", 4, 4);
	o.describe = true;
	e3_session *s = open(&o), *t = open(&o);
	e3_err err;
	int tried = 0;
	draw(&a), draw(&b);
	start(s, &a, 4);
	*dev->halt = (e3_halt){stop, true};
	for (int tasks = 0; tasks < 4096; tasks += 1 + tasks, tried++) {
		asked = 0, patience = tasks;
		int rc = e3_session_start(t, b.rgb, 4, b.r, b.evict, &err);
		patience = -1;
		if (!rc)
			break;
		assert_non_null(strstr(err.text, "interrupted"));
		assert_int_equal(e3_session_frames(t), 0);
		assert_int_equal(e3_session_cache(t).now, 0);
	}
	assert_true(tried > 4);
	*dev->halt = (e3_halt){0};
	if (!e3_session_frames(t))
		start(t, &b, 4);
	for (int k = 0; k < 4; k++) {
		same(&a.r[k], &b.r[k]);
		assert_memory_equal(e3_session_start_descriptor(s, k), e3_session_start_descriptor(t, k),
			VALUES * sizeof(float));
	}
	step(s, &a, 4), step(t, &b, 4);
	same(&a.r[4], &b.r[4]);
	assert_memory_equal(a.evict[4].layer[2].removed, b.evict[4].layer[2].removed,
		a.evict[4].layer[2].n_removed * sizeof(uint32_t));
	e3_session_close(s), e3_session_close(t);
	release(&a), release(&b);
}

/* A frame looks the same whether it came together with others or alone. */
static void each_frame_is_described(void **state)
{
	static frames f;
	e3_infer_options o = options("none", 0, 3);
	o.describe = true;
	e3_session *s = open(&o), *t = open(&o);
	draw(&f);
	start(s, &f, 3);
	for (int k = 0; k < 3; k++) {
		step(t, &f, k);
		assert_memory_equal(e3_session_descriptor(t), e3_session_start_descriptor(s, k), VALUES * sizeof(float));
	}
	e3_session_close(s), e3_session_close(t);
	release(&f);
}

/* What only the start needs is measured, and given back by the first step. */
static void its_memory_is_given_back(void **state)
{
	static frames f;
	e3_err err = {""};
	e3_dev *count = e3_dev_hollow(&err);
	e3_ckpt *c = e3_ckpt_open("seed:lingbot-tiny:3", &err);
	e3_net *n = e3_net_open(c, count, &err);
	e3_infer_options alone = options("window", 8, 1), four = options("window", 8, 4);
	e3_session_memory a, b;
	assert_non_null(n);
	draw(&f);
	assert_int_equal(e3_session_measure(n, count, &alone, size, &a, &err), 0);
	assert_int_equal(e3_session_measure(n, count, &four, size, &b, &err), 0);
	size_t cats = 4 * 6 * 2 * VALUES, tokens = TOKENS * VALUES, queries = TOKENS * VALUES;
	assert_in_range(b.in_use - a.in_use, 3 * sizeof(float) * (cats + tokens + queries),
		3 * sizeof(float) * (cats + tokens + queries) * 2);
	e3_session *s = e3_session_open(n, count, &four, size, &err);
	start(s, &f, 4);
	uint64_t before = count->ops->memory(count).used;
	step(s, &f, 4);
	assert_true(before - count->ops->memory(count).used >= 3 * sizeof(float) * (cats + tokens + queries));
	e3_session_close(s);
	e3_net_close(n);
	e3_ckpt_close(c);
	e3_dev_close(count);
	release(&f);
}

/* The rotation ends: the frame after that is refused, and what was computed before stays. */
static void time_ends(void **state)
{
	static frames f;
	e3_err err = {""};
	e3_infer_options o = options("none", 0, 1);
	e3_dev *count = e3_dev_hollow(&err); /* computes nothing */
	e3_ckpt *c = e3_ckpt_open("seed:lingbot-tiny:3", &err);
	e3_net *n = e3_net_open(c, count, &err);
	e3_session *s = e3_session_open(n, count, &o, size, &err);
	assert_non_null(s);
	draw(&f);
	for (int k = 0; k < 1024; k++)
		step(s, &f, k % 2);
	assert_int_equal(e3_session_step(s, f.rgb[0], f.r, f.evict, &err), -1);
	assert_string_equal(err.text,
		"inferring: frame 1024: LingBot-Map counts to 1024 key frames: a 'segment' of fewer begins anew before that");
	assert_int_equal(e3_session_frames(s), 1024);
	e3_session_close(s);
	e3_net_close(n);
	e3_ckpt_close(c);
	e3_dev_close(count);
	release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(alone_is_a_step),
		cmocka_unit_test(starts_that_cannot_be_are_refused),
		cmocka_unit_test(attention_is_reported_frame_by_frame),
		cmocka_unit_test(every_policy_goes_on_from_a_start),
		cmocka_unit_test(a_start_that_is_given_up_leaves_no_trace),
		cmocka_unit_test(each_frame_is_described),
		cmocka_unit_test(its_memory_is_given_back),
		cmocka_unit_test(time_ends),
	};
	return cmocka_run_group_tests_name("model_start", tests, set_up, tear_down);
}
