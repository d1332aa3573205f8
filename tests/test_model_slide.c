/* Key frames, and the policy that slides over them: what each frame sees, what stays, and what the camera head
 * remembers, against lists that are kept here; the key frames of a stream give what a stream of them alone gives. */
#include "model/session.h"
#include "model_stream.h"

enum { LONGEST = 40 };

static e3_dev *dev;

static int set_up(void **state)
{
	dev = e3_dev_cpu(2, NULL);
	return dev ? 0 : -1;
}

static int tear_down(void **state)
{
	e3_dev_close(dev);
	return 0;
}

static e3_infer_options sliding(int window, int keyframe)
{
	e3_infer_options o = e3_infer_defaults();
	o.window = window, o.keyframe = keyframe, o.outputs = E3_OUT_POSE;
	e3_infer_use_policy(&o, e3_policy_find("lingbot"));
	return o;
}

/* The key frames so far. */
typedef struct keys {
	int frame[LONGEST], n;
} keys;

/* Does the policy have token `index` of frame f, when the newest of these key frames has been added? */
static bool stays(const keys *k, int window, int special, int f, int index)
{
	for (int n = 0; n < k->n; n++)
		if (k->frame[n] == f)
			return n < 1 || k->n - n <= window || index < special;
	return false;
}

/* The keys that a layer's attention saw are these frames' and the current one's, and no others. */
static void sees(e3_session *s, const keys *k, int window, int now)
{
	const e3_plan *p = e3_session_plan(s);
	e3_err err = {""};
	e3_attn a = {0};
	int tokens = p->tokens_per_frame;
	for (int layer = 0; e3_session_attn(s, layer, &a, &err) > 0; layer++) {
		uint32_t n = 0;
		for (int f = 0; f <= now; f++)
			for (int i = 0; i < tokens; i++) {
				if (f < now && !stays(k, window, p->special, f, i))
					continue;
				if (n >= a.n_keys || a.key[n] != (uint32_t)(f * tokens + i))
					fail_msg("frame %d, layer %d: key %u is not token %d of frame %d", now, a.layer, n, i, f);
				n++;
			}
		assert_int_equal(n, a.n_keys);
	}
	e3_attn_release(&a);
}

/* What the record says is what is there. */
static void recorded(const stream *t, int tokens, bool key, int *held)
{
	const e3_evict *e = &t->evict;
	assert_int_equal(e->passing, !key);
	for (int l = 0; l < e->n_layers; l++) {
		const e3_evict_layer *r = &e->layer[l];
		assert_int_equal(r->k_before, *held + tokens);
		assert_int_equal(r->k_after, r->k_before - r->n_removed);
		assert_int_equal(r->k_after, e3_cache_count(&t->s->past->cache, l));
		for (size_t k = 1; k < r->n_removed; k++)
			assert_true(r->removed[k] > r->removed[k - 1]);
	}
	*held = (int)e->layer[0].k_after;
}

static void slides(const custom *net, int window, int keyframe)
{
	bool attn[E3_MAX_LAYERS] = {false};
	e3_infer_options o = sliding(window, keyframe);
	stream t;
	keys k = {{0}, 0};
	int held = 0;
	attn[0] = attn[net->c.layers - 1] = true;
	o.attn = attn;
	stream_open(dev, &t, net, &o);
	const e3_plan *p = e3_session_plan(t.s);
	int64_t pages = t.s->past->cache.n_pages;
	for (int i = 0; i < LONGEST; i++) {
		bool key = i == 0 || (i - 1) % keyframe == 0;
		stream_step(&t, i % 7);
		if (key) {
			k.frame[k.n++] = i;
			sees(t.s, &k, window, i);
		} else {
			keys before = k;
			sees(t.s, &before, window, i);
		}
		recorded(&t, p->tokens_per_frame, key, &held);
		assert_int_equal(t.s->past->keys, k.n);
		assert_int_equal(e3_session_frames(t.s), i + 1);
	}
	assert_int_equal(t.s->past->cache.n_pages, pages);
	stream_close(&t);
}

static void a_frame_sees_the_first_ones_a_window_and_special_tokens(void **state)
{
	slides(&custom_tall, 1, 1);
	slides(&custom_tall, 4, 1);
	slides(&custom_wide, 4, 2);
	slides(&custom_tall, 3, 3);
	slides(&custom_tall, LONGEST, 1);
}

/* Frames between key frames leave nothing: without them every bit is the same. */
static void key_frames_do_not_notice_the_others(void **state)
{
	static const char *const policies[] = {"lingbot", "none"};
	for (int k = 0; k < 2; k++) {
		e3_infer_options o = sliding(3, 3), alone = sliding(3, 1);
		stream all, few;
		e3_infer_use_policy(&o, e3_policy_find(policies[k]));
		alone.policy = o.policy;
		o.outputs = alone.outputs = E3_OUT_ALL;
		stream_open(dev, &all, &custom_tall, &o);
		stream_open(dev, &few, &custom_tall, &alone);
		for (int i = 0; i < 20; i++) {
			stream_step(&all, i);
			if (i && (i - 1) % 3)
				continue;
			stream_step(&few, i);
			stream_same_maps(&all.pred, &few.pred);
		}
		stream_close(&all), stream_close(&few);
	}
}

/* The first key of each frame in one of the head's caches. */
static float first_number(e3_session *s, int place)
{
	e3_kv kv = e3_camera_view(s, 0);
	float v;
	memcpy(&v, kv.page[place / kv.page_keys] + (size_t)(place % kv.page_keys) * (size_t)kv.head_dim * sizeof v,
		sizeof v);
	return v;
}

/* Frame 0 and the newest ones, as without frames between them; all of them, if the policy slides. */
static void the_camera_head_remembers_key_frames(void **state)
{
	enum { ROOM = 5 };
	e3_infer_options o = sliding(3, 2);
	float seen[LONGEST];
	int n = 0;
	stream t;
	e3_infer_use_policy(&o, e3_policy_find("none"));
	o.camera_frames = ROOM;
	stream_open(dev, &t, &custom_tall, &o);
	for (int i = 0; i < 24; i++) {
		stream_step(&t, i);
		int held = n < ROOM ? n : ROOM;
		if (i && (i - 1) % 2) {
			assert_int_equal(e3_camera_view(t.s, 0).n_keys, held);
			continue;
		}
		seen[n] = first_number(t.s, n < ROOM ? n : 1 + (n - 1) % (ROOM - 1));
		for (int k = 0; k < n; k++)
			assert_true(seen[k] != seen[n]);
		n++;
		for (int k = 0; k < n; k++)
			if (!k || n - k < ROOM)
				assert_true(first_number(t.s, k < ROOM ? k : 1 + (k - 1) % (ROOM - 1)) == seen[k]);
	}
	stream_close(&t);
}

static int asked;
static bool every_fourth(void *ctx, const e3_result *r)
{
	assert_true(r->has_pose && isfinite(r->pose[0]) && r->depth);
	return ++*(int *)ctx % 4 == 0;
}

/* Asked of every frame but the first, once its pose and depth are there. */
static void somebody_else_may_choose(void **state)
{
	e3_infer_options o = sliding(3, 0);
	stream t;
	o.outputs = E3_OUT_POSE | E3_OUT_DEPTH;
	stream_open(dev, &t, &custom_tall, &o);
	e3_session_ask(t.s, every_fourth, &asked);
	for (int i = 0; i < 21; i++) {
		stream_step(&t, i);
		assert_int_equal(asked, i);
		assert_int_equal(t.evict.passing, i && i % 4);
	}
	assert_int_equal(t.s->past->keys, 6);
	stream_close(&t);
}

static void refused(const e3_infer_options *o, const char *text)
{
	e3_plan p;
	e3_err err = {""};
	assert_int_equal(e3_plan_make(&custom_tall.c, o, 56, 24, &p, &err), -1);
	assert_string_equal(err.text, text);
}

/* 25 tokens a frame, 4 of them special, 6 layers. */
static void the_plan_has_room_for_every_key_frame(void **state)
{
	e3_infer_options o = sliding(8, 1);
	e3_err err = {""};
	e3_plan p;
	o.frames = 30;
	assert_int_equal(e3_plan_make(&custom_tall.c, &o, 56, 24, &p, &err), 0);
	assert_true(p.keys == 30 && p.budget == 6 * (9 * 25 + 21 * 4.0));
	o.keyframe = 4; /* the first, and 8 of 29 */
	assert_int_equal(e3_plan_make(&custom_tall.c, &o, 56, 24, &p, &err), 0);
	assert_true(p.keys == 9 && p.budget == 6 * 9 * 25);
	o.frames = -1, o.keyframe = 1, o.camera_frames = 50;
	assert_int_equal(e3_plan_make(&custom_tall.c, &o, 56, 24, &p, &err), 0);
	assert_true(p.keys == 50 && p.most_keys == 50 && p.budget == 6 * (9 * 25 + 41 * 4.0));
	o.frames = 51;
	refused(&o,
		"planning: a stream of 51 frames: has 51 key frames, and there can be 50: give 'segment' or 'keyframe'");
	o.segment = 60, o.frames = 100, o.keyframe = 1;
	refused(&o,
		"planning: a segment of 60 frames: has 60 key frames, and there can be 50: give 'segment' or 'keyframe'");
	o.segment = 50, o.window = 0;
	refused(&o, "planning: 'window' of 0 frames: expected at least 1");
	o.window = 8, o.free_first = true;
	refused(&o, "planning: the policy lingbot never evicts the first frames");
}

static void a_past_that_is_full_says_so(void **state)
{
	e3_infer_options o = sliding(2, 2);
	e3_err err = {""};
	stream t;
	o.camera_frames = 4;
	stream_open(dev, &t, &custom_tall, &o);
	for (int i = 0; i < 7; i++)
		stream_step(&t, i);
	uint8_t *rgb = custom_picture(7, t.size[0], t.size[1]);
	assert_int_equal(e3_session_step(t.s, rgb, &t.pred, &t.evict, &err), -1);
	assert_string_equal(err.text, "inferring: frame 7: 4 key frames, which is the most: give 'segment' or 'keyframe'");
	free(rgb);
	stream_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_sees_the_first_ones_a_window_and_special_tokens),
		cmocka_unit_test(key_frames_do_not_notice_the_others),
		cmocka_unit_test(the_camera_head_remembers_key_frames),
		cmocka_unit_test(somebody_else_may_choose),
		cmocka_unit_test(the_plan_has_room_for_every_key_frame),
		cmocka_unit_test(a_past_that_is_full_says_so),
	};
	return cmocka_run_group_tests_name("model: key frames and a sliding window", tests, set_up, tear_down);
}
