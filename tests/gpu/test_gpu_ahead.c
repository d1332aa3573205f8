/* A stream whose next frame is begun before the results of this one are there, on CUDA: results and records are, bit
 * for bit, those of one frame after the other. The full network with seeded weights, so that what runs side by side
 * takes long enough to meet. */
#include "../check.h"
#include "e3/checkpoint.h"
#include "e3/infer.h"
#include "e3/num.h"
#include <stdlib.h>
#include <string.h>

enum { SEGMENT = 8, SHARED = 2 };
enum { FRAMES = 24, H = 154, W = 518, PICTURES = 4 };

static e3_dev *dev;
static e3_net *net;
static uint8_t *picture[PICTURES];
static int now;

static const uint8_t *next_picture(void *ctx) { return now + 1 < FRAMES ? picture[(now + 1) % PICTURES] : NULL; }

static int set_up(void **state)
{
	e3_err err = {""};
	dev = e3_dev_cuda(false, &err);
	e3_ckpt *ckpt = dev ? e3_ckpt_open("seed:full:1", &err) : NULL;
	net = ckpt ? e3_net_open(ckpt, dev, &err) : NULL;
	e3_ckpt_close(ckpt);
	if (!net)
		printf("# %s\n", err.text);
	for (int k = 0; k < PICTURES; k++) {
		picture[k] = malloc(3 * H * W);
		for (uint32_t p = 0; picture[k] && p < 3 * H * W; p++)
			picture[k][p] = (uint8_t)e3_fmix32((uint32_t)k * 7777777u + p);
	}
	return dev && !net ? -1 : 0;
}

static int tear_down(void **state)
{
	for (int k = 0; k < PICTURES; k++)
		free(picture[k]);
	e3_net_close(net);
	if (dev)
		e3_dev_close(dev);
	return 0;
}

static uint64_t add(uint64_t h, const void *values, size_t n)
{
	const uint32_t *word = values;
	for (size_t k = 0; k < n; k++)
		h = (h ^ word[k]) * 0x9e3779b97f4a7c15u, h ^= h >> 29;
	return h;
}

/* Of a frame that a segment shares with the next one: seen by that too, which takes over after the second. */
static uint64_t share(e3_session *s, uint64_t h)
{
	e3_err err = {""};
	e3_result r;
	e3_evict evict = {0};
	if (e3_session_frames(s) <= SEGMENT - SHARED)
		return h;
	if (e3_session_side(s, NULL, &r, &evict, &err))
		fail_msg("%s", err.text);
	h = add(add(h, r.pose, 9), r.depth, H * W);
	e3_evict_release(&evict);
	if (e3_session_side_frames(s) == SHARED)
		e3_session_take_over(s);
	return h;
}

/* What each frame gave. */
static void run(const char *policy, bool chain, bool look, uint64_t sum[FRAMES])
{
	e3_err err = {""};
	e3_result r;
	e3_evict evict = {0};
	e3_infer_options o = e3_infer_defaults();
	o.policy = e3_policy_find(policy), o.budget_kind = E3_BUDGET_FRAMES, o.budget = 4;
	if (chain)
		o.segment = SEGMENT, o.side = SHARED;
	e3_session *s = e3_session_open(net, dev, &o, (int[]){H, W}, &err);
	if (!s)
		fail_msg("%s", err.text);
	if (look)
		e3_session_look_ahead(s, next_picture, NULL);
	for (now = 0; now < FRAMES; now++) {
		if (e3_session_step(s, picture[now % PICTURES], &r, &evict, &err))
			fail_msg("%s", err.text);
		sum[now] = add(1, r.pose, 9);
		sum[now] = add(add(sum[now], r.depth, H * W), r.depth_conf, H * W);
		sum[now] = add(add(sum[now], r.points, 3 * H * W), r.points_conf, H * W);
		for (int l = 0; l < evict.n_layers; l++)
			sum[now] = add(sum[now], evict.layer[l].removed, evict.layer[l].n_removed);
		if (chain)
			sum[now] = share(s, sum[now]);
	}
	e3_evict_release(&evict);
	e3_session_close(s);
}

static void check(const char *policy, bool chain)
{
	uint64_t plain[FRAMES], early[FRAMES];
	if (!dev)
		skip();
	run(policy, chain, false, plain);
	for (int again = 0; again < 2; again++) {
		run(policy, chain, true, early);
		for (int i = 0; i < FRAMES; i++)
			if (plain[i] != early[i])
				fail_msg("%s: frame %d is another one", policy, i);
	}
	assert_true(plain[5] != plain[5 + PICTURES]);
}

static void results_are_those_of_one_frame_after_the_other(void **state)
{
	static const char *const policies[] = {"evict3r", "xstream", "window", "frames"};
	for (int k = 0; k < (int)(sizeof policies / sizeof *policies); k++)
		check(policies[k], false);
}

static void so_are_those_of_a_chain_of_segments(void **state) { check("evict3r", true); }

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(results_are_those_of_one_frame_after_the_other),
		cmocka_unit_test(so_are_those_of_a_chain_of_segments)};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
