/* Policies that evict whole frames: each keeps what its formula says, simulated independently (whole_frames.h); nothing
 * is measured, nothing moves, no page changes hands; the camera head remembers the same frames. */
#include "evict_hand.h"
#include "model/session.h"
#include "model_stream.h"
#include "whole_frames.h"

static uint32_t seed;

static float any_number(void)
{
	seed = seed * 1664525u + 1013904223u;
	return (float)(seed >> 8) * 0x1p-23f - 1;
}

/* A descriptor that wanders, and comes back to where it was now and then. */
static void wander(float *v, int dim, int t)
{
	static float home[WF_DIM];
	for (int k = 0; k < dim; k++) {
		if (t == 5)
			memcpy(home, v, (size_t)dim * sizeof *v);
		v[k] = t % 41 == 40 ? home[k] + 0.01f * any_number() : t ? v[k] + 0.3f * any_number() : any_number();
	}
}

/* ---- what is kept ---- */

/* The device, counting what eviction asks of it. */
static struct {
	e3_dev_ops ops;
	const e3_dev_ops *real;
	int moved, scored, chosen;
} seen;

static int seen_move(e3_dev *d, const e3_kv *kv, const uint32_t *from, const uint32_t *to, int n, e3_err *err)
{
	seen.moved += n;
	return seen.real->move(d, kv, from, to, n, err);
}
static int seen_score(e3_dev *d, const e3_rule *r, const e3_scored *l, int layers, e3_err *err)
{
	seen.scored++;
	return seen.real->score(d, r, l, layers, err);
}
static int seen_choose(e3_dev *d, const e3_rule *r, const e3_chosen *l, int layers, e3_err *err)
{
	seen.chosen++;
	return seen.real->choose(d, r, l, layers, err);
}

static void look_at(e3_dev *dev)
{
	seen.real = dev->ops, seen.ops = *dev->ops, seen.moved = seen.scored = seen.chosen = 0;
	seen.ops.move = seen_move, seen.ops.score = seen_score, seen.ops.choose = seen_choose;
	dev->ops = &seen.ops;
}

/* Every layer holds the frames of c, whole, and nothing else. */
static void holds_frames(const e3_cache *cache, const wf_cache *c, int tokens)
{
	for (int l = 0; l < cache->layers; l++) {
		const e3_layer_cache *x = &cache->layer[l];
		assert_int_equal(e3_cache_count(cache, l), c->n * tokens);
		for (int f = 0; f < c->n; f++) {
			int n = 0;
			for (uint32_t s = 0; s < x->n; s++)
				n += x->id[s] != E3_HOLE && (int)x->id[s] / tokens == c->frame[f].id;
			if (n != tokens)
				fail_msg("layer %d: %d tokens of frame %d, of %d", l, n, c->frame[f].id, tokens);
		}
	}
}

static int leaves(const wf_cache *c, const e3_policy *p, bool first_safe)
{
	switch (p->whole.rule) {
	case E3_WHOLE_UNLIKE:
		return wf_leaves_unlike(c, p->whole.newest, first_safe);
	case E3_WHOLE_AGES:
		return wf_leaves_ages(c, first_safe);
	default:
		return wf_leaves_farthest(c, p->whole.frames, first_safe);
	}
}

static void keeps_what_it_says(const char *policy, bool free_first)
{
	enum { TOKENS = 24, FRAMES = 300, DIM = 16 };
	e3_err err = {""};
	hand h;
	wf_cache c = {.dim = DIM};
	float v[DIM] = {0};
	const e3_policy *p = e3_policy_find(policy);
	int64_t pages = 0;
	bool first_went = false;
	open_hand(&h, 2, TOKENS, 5);
	look_at(h.dev);
	h.e.policy = p, h.e.whole = &p->whole, h.e.seen = v, h.e.free_first = free_first;
	h.plan.frames = p->whole.frames, h.plan.budget = 2.0 * TOKENS * p->whole.frames;
	assert_int_equal(e3_whole_open(&h.e, &h.plan, &h.cache, DIM, &err), 0);
	for (int t = 0; t < FRAMES; t++) {
		wander(v, DIM, t);
		next_frame(&h, NULL);
		wf_add(&c, t, v);
		int gone = c.n > p->whole.frames ? leaves(&c, p, !free_first) : -1;
		const e3_evict_layer *r = &h.record.layer[1];
		assert_int_equal(r->n_removed, gone < 0 ? 0 : TOKENS);
		for (int k = 0; gone >= 0 && k < TOKENS; k++)
			if (r->removed[k] != (uint32_t)(c.frame[gone].id * TOKENS + k))
				fail_msg("%s, frame %d: token %u went, expected frame %d", policy, t, r->removed[k], c.frame[gone].id);
		first_went |= gone >= 0 && c.frame[gone].id == 0;
		if (gone >= 0)
			wf_drop(&c, gone);
		holds_frames(&h.cache, &c, TOKENS);
		assert_true(!t || (r->budget == TOKENS * p->whole.frames && r->alpha == 0.5));
		if (t == p->whole.frames + 1)
			pages = h.cache.n_pages;
		else if (pages)
			assert_int_equal(h.cache.n_pages, pages);
	}
	assert_int_equal(first_went, free_first);
	assert_int_equal(seen.moved + seen.scored + seen.chosen, 0);
	h.dev->ops = seen.real;
	close_hand(&h);
}

static void k4_k6_and_k8_keep_what_they_say(void **state)
{
	for (int free_first = 0; free_first < 2; free_first++) {
		seed = 3;
		keeps_what_it_says("k4", free_first);
		keeps_what_it_says("k6", free_first);
		keeps_what_it_says("k8", free_first);
	}
}

/* Once warm, K8 has frame 0, the newest four, and frames of age 4 to 15 and of 48 and more. (While the one from 16 to
 * 47 has just grown older than that, the newest of the others has its place.) */
static void k8_has_a_frame_of_each_age(void **state)
{
	enum { DIM = 8 };
	e3_err err = {""};
	e3_bank b;
	const e3_policy *p = e3_policy_find("k8");
	bool keep[2 * 10];
	int middle = 0;
	float v[DIM] = {0};
	assert_int_equal(e3_bank_open(&b, 10, DIM, &err), 0);
	for (int t = 0; t < 400; t++) {
		wander(v, DIM, t);
		e3_bank_add(&b, t, v);
		e3_bank_choose(&b, &(e3_bank_rule){&p->whole, 8, false}, keep);
		for (int k = b.n - 1; k >= 0; k--)
			if (!keep[k])
				e3_bank_drop(&b, k);
		int span[4] = {0};
		for (int k = 0; k < b.n; k++) {
			int64_t age = t - b.frame[k];
			span[age >= 48 ? 3 : age >= 16 ? 2 : age >= 4 ? 1 : 0]++;
		}
		if (t > 100) {
			assert_int_equal(b.frame[0], 0);
			assert_true(b.n == 8 && span[0] == 4 && span[1] >= 1 && span[2] <= 1 && span[3] >= 2);
			middle += span[2];
		}
	}
	assert_in_range(middle, 150, 299);
	e3_bank_release(&b);
}

static void a_cleared_evictor_begins_anew(void **state)
{
	enum { TOKENS = 10, DIM = 4 };
	e3_err err = {""};
	hand h;
	float v[DIM] = {0};
	const e3_policy *p = e3_policy_find("k4");
	open_hand(&h, 1, TOKENS, 2);
	h.e.policy = p, h.e.whole = &p->whole, h.e.seen = v, h.plan.frames = 4, h.plan.budget = 40;
	assert_int_equal(e3_whole_open(&h.e, &h.plan, &h.cache, DIM, &err), 0);
	for (int round = 0; round < 2; round++) {
		for (int t = 0; t < 7; t++) {
			wander(v, DIM, t);
			next_frame(&h, NULL);
			assert_int_equal(h.record.layer[0].n_removed, t < 4 ? 0 : TOKENS);
		}
		assert_true(held(&h, 0, 0));
		e3_cache_clear(&h.cache);
		e3_evictor_reset(&h.e);
		h.t = 0;
	}
	close_hand(&h);
}

/* ---- in a session ---- */

enum { KEYS = 4 * 288 }; /* floats that a frame leaves in a cache of the camera head of custom_tall, at most */

/* The camera head's keys of the frame at this place, of one of its caches. */
static void camera_keys(const e3_session *s, int cache, int place, float *to)
{
	e3_kv kv = e3_camera_view(s, cache);
	size_t n = (size_t)(kv.heads * kv.head_dim * kv.page_keys);
	assert_true(n <= KEYS);
	memcpy(to, kv.page[place], n * sizeof *to);
}

static void the_camera_head_remembers_the_frames_of_the_cache(const char *policy, int compat)
{
	static float keys[40][KEYS];
	e3_err err = {""};
	e3_dev *dev = e3_dev_cpu(2, &err);
	e3_infer_options o = e3_infer_defaults(), all = o;
	stream t, full;
	wf_cache c = {.dim = custom_tall.c.embed};
	e3_infer_use_policy(&o, e3_policy_find(policy));
	all.policy = e3_policy_find("none"), all.compat = o.compat = compat;
	look_at(dev);
	stream_open(dev, &t, &custom_tall, &o), stream_open(dev, &full, &custom_tall, &all);
	memset(keys, 0, sizeof keys);
	int frames = e3_session_plan(t.s)->frames, tokens = e3_session_plan(t.s)->tokens_per_frame;
	size_t area = (size_t)t.size[0] * (size_t)t.size[1] * sizeof(float);
	for (int i = 0; i < 40; i++) {
		stream_step(&t, i);
		if (i <= frames) { /* the last of them attends to all before it is decided what goes */
			stream_step(&full, i);
			assert_memory_equal(t.pred.depth, full.pred.depth, area);
			assert_memory_equal(t.pred.points, full.pred.points, 3 * area);
			assert_true(check_distance("pose", t.pred.pose, full.pred.pose, 9) < 1e-6);
		}
		wf_add(&c, i, e3_session_descriptor(t.s));
		int gone = c.n > frames ? leaves(&c, o.policy, true) : -1;
		/* The newest frame went to the last place; another one may have left since. */
		camera_keys(t.s, 0, c.n - 1 - (gone >= 0), keys[i]);
		if (gone >= 0)
			wf_drop(&c, gone);
		holds_frames(&t.s->past->cache, &c, tokens);
		e3_kv kv = e3_camera_view(t.s, 0);
		assert_int_equal(kv.n_keys, c.n * (compat ? 4 : 1));
		for (int f = 0; f < c.n; f++) {
			float now[KEYS] = {0};
			camera_keys(t.s, 0, f, now);
			assert_memory_equal(now, keys[c.frame[f].id], sizeof now);
		}
	}
	assert_int_equal(seen.moved + seen.scored + seen.chosen, 0);
	assert_true(e3_session_cache(t.s).peak <= e3_session_plan(t.s)->cache_bytes);
	stream_close(&t), stream_close(&full);
	dev->ops = seen.real;
	e3_dev_close(dev);
}

static void k4_k6_and_k8_in_a_session(void **state)
{
	the_camera_head_remembers_the_frames_of_the_cache("k4", 0);
	the_camera_head_remembers_the_frames_of_the_cache("k4", E3_COMPAT_CAMERA);
	the_camera_head_remembers_the_frames_of_the_cache("k6", 0);
	the_camera_head_remembers_the_frames_of_the_cache("k8", E3_COMPAT_CAMERA);
}

static void the_budget_is_the_policys_own(void **state)
{
	e3_err err = {""};
	e3_infer_options o = e3_infer_defaults();
	e3_plan p;
	e3_infer_use_policy(&o, e3_policy_find("k6"));
	assert_int_equal(e3_plan_make(&custom_tall.c, &o, 56, 24, &p, &err), 0);
	assert_true(p.frames == 6 && p.budget == 6 * 6 * 25.0);
	assert_true(p.pages * p.page_keys >= 7 * 6 * 25 && p.pages * p.page_keys < 7 * 6 * 25 + 7 * p.page_keys);
	o.budget = 7;
	assert_int_equal(e3_plan_make(&custom_tall.c, &o, 56, 24, &p, &err), -1);
	assert_string_equal(err.text,
		"planning: 'budget': the policy k6 keeps 6 frames, which is the only budget it works with");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(k4_k6_and_k8_keep_what_they_say),
		cmocka_unit_test(k8_has_a_frame_of_each_age),
		cmocka_unit_test(a_cleared_evictor_begins_anew),
		cmocka_unit_test(k4_k6_and_k8_in_a_session),
		cmocka_unit_test(the_budget_is_the_policys_own),
	};
	return cmocka_run_group_tests_name("model: eviction of whole frames", tests, NULL, NULL);
}
