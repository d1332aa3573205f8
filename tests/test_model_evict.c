/* Eviction step by step: the worked example of doc/network.md 9.5 step by step, the released code's ways,
 * what the default protects, policies that do not look. Masses are given by hand; the cache holds no keys worth
 * anything. */
#include "evict_hand.h"

/* ---- 9.5 ---- */

static float example_mass(const hand *h, int layer, uint32_t id)
{
	static const float a[2][12] = {{.80f, .60f, .40f, .50f, .30f, .40f, .90f, .55f, .50f, .40f, .35f, .30f},
		{2.90f, .20f, .10f, .20f, .10f, .10f, 1.60f, .20f, .15f, .25f, .05f, .15f}};
	return id < 12 ? a[layer][id] : 6.0f / (float)h->cache.layer[layer].n;
}

/* Three frames of six tokens, two of them special, two layers. */
static void example(hand *h, double p, double temperature, int compat)
{
	open_hand(h, 2, 6, 2);
	h->plan.budget = p * 3 * 2 * 6;
	h->e.temperature = temperature, h->e.compat = compat, h->e.frames = 3;
	next_frame(h, NULL);
	left(h, 0, ""), left(h, 1, "");
	assert_int_equal(h->record.layer[0].prot, 6);
	next_frame(h, example_mass);
}

static void third_frame_does_not_evict(hand *h)
{
	uint32_t n = e3_cache_count(&h->cache, 1);
	next_frame(h, example_mass);
	left(h, 0, ""), left(h, 1, "");
	assert_int_equal(e3_cache_count(&h->cache, 1), n + 6);
	close_hand(h);
}

static void worked_example_at_temperature_5(void **state)
{
	for (int compat = 0; compat <= E3_COMPAT_ALL; compat++) { /* nothing is starved here: all ways agree */
		hand h;
		example(&h, 0.5, 5, compat);
		assert_true(fabs(h.record.layer[0].alpha - 0.53260) < 1e-5 && fabs(h.record.layer[1].alpha - 0.46740) < 1e-5);
		assert_true(fabs(h.record.layer[0].budget - 9.58679) < 1e-4 && fabs(h.record.layer[1].budget - 8.41321) < 1e-4);
		assert_true(fabs(h.record.layer[1].variance - 0.685833) < 1e-5);
		left(&h, 0, "10 11");
		left(&h, 1, "8 10 11");
		assert_true(
			fabsf(h.record.layer[0].max_evicted - 4.2f) < 0.001f && fabsf(h.record.layer[0].min_kept - 4.8f) < 0.001f);
		assert_true(
			fabsf(h.record.layer[1].max_evicted - 1.8f) < 0.001f && fabsf(h.record.layer[1].min_kept - 3.0f) < 0.001f);
		assert_int_equal(h.record.layer[0].prot, 8);
		third_frame_does_not_evict(&h);
	}
}

static void worked_example_at_the_default_temperature_as_released(void **state)
{
	hand h;
	example(&h, 0.5, 0.5, E3_COMPAT_STARVE | E3_COMPAT_F16_SUMS);
	assert_true(fabs(h.record.layer[0].budget - 14.163) < 1e-3 && fabs(h.record.layer[1].budget - 3.837) < 1e-3);
	left(&h, 0, "");
	left(&h, 1, "0 1 2 3 8 9 10 11"); /* four of frame 0, by age, for want of finite scores */
	assert_int_equal(h.record.layer[1].k_after, 4);
	third_frame_does_not_evict(&h);
	example(&h, 0.25, 0.1, E3_COMPAT_STARVE);
	assert_true(fabs(h.record.layer[1].budget - 0.013) < 1e-3);
	left(&h, 0, "9 10 11"); /* keeps 9 = ceil 8.987 */
	left(&h, 1, "0 1 2 3 4 5 6 8 9 10 11");
	assert_int_equal(h.record.layer[1].k_after, 1);
	third_frame_does_not_evict(&h);
}

static void worked_example_protected(void **state)
{
	hand h;
	/* The same without starvation: layer 1 keeps the eight that are protected, layer 0 what is left of 18. */
	example(&h, 0.5, 0.5, 0);
	assert_true(fabs(h.record.layer[1].budget - 8) < 1e-9 && fabs(h.record.layer[0].budget - 10) < 1e-9);
	left(&h, 0, "10 11");
	left(&h, 1, "8 9 10 11");
	third_frame_does_not_evict(&h);
}

/* ---- sums in half precision ---- */

static void half_sums_saturate_after_some_sixty_frames(void **state)
{
	/* N = 1041 of the 518 × 392 image: an average token overflows at its 63rd exposure (9.4.6). */
	for (int compat = 0; compat <= E3_COMPAT_F16_SUMS; compat += E3_COMPAT_F16_SUMS) {
		hand h;
		open_hand(&h, 1, 8, 2);
		h.e.compat = compat | E3_COMPAT_STARVE,
		h.plan.budget = 1e9; /* all specials count as protected; nothing leaves */
		int first = -1;
		for (int t = 0; t < 80; t++) {
			e3_err err;
			append(&h, 0, (uint32_t)t * 8, 8);
			for (uint32_t k = 0; k < h.cache.layer[0].n; k++)
				h.mass[0][k] = 1041.0f / (float)h.cache.layer[0].n;
			assert_int_equal(evict(&h, t, &err), 0);
			if (first < 0 && h.record.layer[0].saturated)
				first = t;
		}
		/* Patches of frame 1 are the first with finite sums. They saturate on their 63rd exposure: frame 63. */
		assert_int_equal(first, compat ? 63 : -1);
		if (compat) /* frames 1 to 17 by now, six patches each */
			assert_int_equal(h.record.layer[0].saturated, 17 * 6);
		close_hand(&h);
	}
}

static float fixed_share(const hand *h, int layer, uint32_t id)
{
	/* Token 14 gets a share of 40000, then too little to count beside that. */
	float share = id == 14 ? (h->t == 1 ? 40000.0f : 15.9f) : 20;
	return share / (float)h->cache.layer[layer].n;
}

static void half_sums_lose_values_below_half_a_step(void **state)
{
	for (int compat = 0; compat <= E3_COMPAT_F16_SUMS; compat += E3_COMPAT_F16_SUMS) {
		hand h;
		open_hand(&h, 1, 8, 2);
		h.e.compat = compat, h.plan.budget = 1e9;
		for (int t = 0; t < 12; t++)
			next_frame(&h, fixed_share);
		/* f16 has steps of 32 there (9.4.7): 40000 + 15.9 = 40000. */
		e3_kv kv = e3_cache_view(&h.cache, 0);
		const double *sum = (const double *)(const void *)(kv.page[0] + e3_kv_bytes(&kv));
		const uint32_t *id = (const uint32_t *)(const void *)(sum + kv.page_keys), *seen = id + kv.page_keys;
		assert_true(fabs(sum[14] - (compat ? 40000 : 40000 + 10 * 15.9)) < 0.05);
		assert_int_equal(seen[14], 11);
		assert_true(id[14] == 14);
		assert_true(h.cache.layer[0].id[14] == 14);
		close_hand(&h);
	}
}

/* ---- the default's protection ---- */

/* Specials and frame 0 get nothing: only the rule keeps them. */
static float starved_specials(const hand *h, int layer, uint32_t id)
{
	uint32_t n = (uint32_t)h->plan.tokens_per_frame;
	return id < n || id % n < (uint32_t)h->plan.special ? 0 : 1 + 0.001f * (float)(id % 97);
}

static void protection_holds_for(hand *h, int frames, float (*fn)(const hand *, int, uint32_t))
{
	uint32_t n = (uint32_t)h->plan.tokens_per_frame, s = (uint32_t)h->plan.special;
	for (int t = 0; t < frames; t++) {
		next_frame(h, fn);
		for (int l = 0; l < h->plan.layers; l++) {
			const e3_evict_layer *r = &h->record.layer[l];
			for (uint32_t id = 0; id < n; id++)
				assert_true(held(h, l, id));
			for (int64_t f = t; f > 0 && f > t - h->plan.protected_frames; f--)
				for (uint32_t k = 0; k < s; k++)
					assert_true(held(h, l, (uint32_t)f * n + k));
			if (t)
				assert_int_equal(r->k_after, fmin(r->k_before, ceil(r->budget - 1e-6)));
		}
	}
}

static void frame_0_and_the_newest_special_tokens_are_never_evicted(void **state)
{
	hand h;
	open_hand(&h, 2, 10, 3);
	h.plan.budget = 2 * 30, h.plan.protected_frames = 4, h.e.fill = true;
	protection_holds_for(&h, 60, starved_specials);
	/* Two layers alike: 30 each; 10 of frame 0, 12 specials of 4 frames, 8 others. */
	assert_int_equal(h.record.layer[0].k_after, 30);
	assert_int_equal(h.record.layer[0].prot, 22);
	/* Specials outgrew their room: those of the fifth newest frame, which nobody looked at, are gone. */
	for (uint32_t k = 0; k < 3; k++)
		assert_false(held(&h, 0, 55 * 10 + k));
	close_hand(&h);
}

static void special_tokens_without_protection_stay_while_they_get_attention(void **state)
{
	hand h;
	open_hand(&h, 1, 10, 3);
	h.plan.budget = 30, h.plan.protected_frames = 1, h.e.fill = true;
	for (int t = 0; t < 20; t++)
		next_frame(&h, fixed_share);
	uint32_t old = 0;
	for (uint32_t k = 0; k < h.cache.layer[0].n; k++)
		old += h.cache.layer[0].id[k] == 14;
	assert_int_equal(old, 1); /* token 14, a patch of frame 1, has by far the highest mean */
	close_hand(&h);
}

/* Layer 0 has one sink, so its share is next to nothing. */
static float one_sink(const hand *h, int layer, uint32_t id)
{
	uint32_t n = h->cache.layer[layer].n;
	return layer == 0 ? (id == 0 ? 10 : 0) : 10.0f / (float)n;
}

static void a_layer_with_a_small_share_keeps_what_is_protected(void **state)
{
	hand h;
	open_hand(&h, 2, 10, 3);
	h.plan.budget = 2 * 30, h.plan.protected_frames = 2, h.e.fill = true, h.e.temperature = 0.01;
	protection_holds_for(&h, 30, one_sink);
	assert_int_equal(h.record.layer[0].k_after, 16); /* frame 0 and the specials of two frames */
	assert_int_equal(h.record.layer[1].k_after, 44); /* all the rest */
	close_hand(&h);
}

static void only_with_an_absolute_budget_other_layers_use_what_a_layer_cannot(void **state)
{
	for (int fill = 0; fill < 2; fill++) {
		hand h;
		open_hand(&h, 2, 10, 3);
		h.plan.budget = 45, h.e.fill = fill, h.e.temperature = 0.01;
		next_frame(&h, NULL);
		next_frame(&h, one_sink);
		/* Layer 1's share is 45 less the floor of layer 0, 13 (frame 0, three specials); it holds 20. */
		assert_int_equal(h.record.layer[1].k_after, 20);
		assert_true(fabs(h.record.layer[1].budget - (fill ? 20 : 32)) < 1e-9);
		assert_int_equal(h.record.layer[0].k_after, fill ? 20 : 13);
		close_hand(&h);
	}
}

/* ---- policies that do not look ---- */

static void a_window_keeps_the_newest(void **state)
{
	hand h;
	open_hand(&h, 2, 10, 2);
	h.e.policy = e3_policy_find("window"), h.e.fill = true, h.plan.budget = 2 * 30, h.plan.protected_frames = 2;
	assert_false(e3_evictor_needs_mass(&h.e, 5));
	for (int t = 0; t < 12; t++)
		next_frame(&h, NULL);
	for (int l = 0; l < 2; l++)
		for (uint32_t id = 0; id < 120; id++)
			assert_true(held(&h, l, id) == (id < 10 || id >= 100));
	close_hand(&h);
}

static void random_keeps_the_same_tokens_of_every_age(void **state)
{
	hand h, again;
	for (int k = 0; k < 2; k++) {
		hand *x = k ? &again : &h;
		open_hand(x, 1, 100, 2);
		x->e.policy = e3_policy_find("random"), x->e.fill = true, x->plan.budget = 500, x->plan.protected_frames = 1;
		for (int t = 0; t < 40; t++)
			next_frame(x, NULL);
		assert_int_equal(e3_cache_count(&x->cache, 0), 500);
	}
	int ages[4] = {0};
	for (uint32_t k = 0; k < h.cache.layer[0].n; k++) {
		uint32_t id = h.cache.layer[0].id[k];
		assert_int_equal(id, again.cache.layer[0].id[k]);
		if (id >= 100 && id != E3_HOLE)
			ages[id / 1000]++;
	}
	for (int k = 0; k < 4; k++) /* 100 of each thousand, give or take four deviations */
		assert_in_range(ages[k], 60, 140);
	close_hand(&h), close_hand(&again);
}

/* ---- spread ---- */

static void open_e3(hand *h, int special, int columns, int rows, double frames)
{
	open_hand(h, 1, special + columns * rows, special);
	h->e.policy = e3_policy_find("spread"), h->e.fill = true;
	h->plan.patch_grid[0] = rows, h->plan.patch_grid[1] = columns, h->plan.budget = frames * h->plan.tokens_per_frame;
}

static float worked_mass(const hand *h, int layer, uint32_t id)
{
	/* Shares by token in the frame that brings it, times the number of keys; later none. */
	static const float share[] = {0, 0, 0, 0, 0, 0, 0, 9, 1, 4, 1, 1, 0, 16, 1, 1, 9, 1};
	return id / 6 == (uint64_t)h->t ? share[id] / (float)h->cache.layer[layer].n : 0;
}

static void spread_by_hand(void **state)
{
	/* Frames of 6: a special token, then patches in rows of three and two. Lots of frame 1: special 0.4518, patches
	 * 0.8820 0.1271 0.3722 | 0.3121 0.5572. With shares 9 1 4 1 1 the patches, 7 to 11, have root over
	 * lot 3.401 7.869 5.373 3.204 1.795. */
	hand h;
	open_e3(&h, 1, 3, 2, 0);
	h.plan.tokens_per_frame = 6, h.plan.budget = 10;
	next_frame(&h, NULL);
	next_frame(&h, worked_mass);
	assert_int_equal(h.record.layer[0].prot, 7);
	left(&h, 0, "10 11");
	assert_true(
		fabsf(h.record.layer[0].max_evicted - 3.2038f) < 1e-4f && fabsf(h.record.layer[0].min_kept - 3.4015f) < 1e-4f);
	/* Lots of frame 2: patches 0.2639 0.5091 0.7542 | 0.6941 0.9392, shares 16 1 1 9 1: 15.155 1.964 1.326 4.322 1.065,
	 * 13 to 17. Frame 1's means are half of what they were: 7 to 9 have 2.405 5.564 3.799. Its special, 6, has lost
	 * protection, and 0. Six go. */
	next_frame(&h, worked_mass);
	assert_int_equal(h.record.layer[0].prot, 7);
	left(&h, 0, "6 7 9 14 15 17");
	assert_true(
		fabsf(h.record.layer[0].max_evicted - 3.7995f) < 1e-4f && fabsf(h.record.layer[0].min_kept - 4.3222f) < 1e-4f);
	close_hand(&h);
}

static void spread_keeps_an_even_part_of_every_frame(void **state)
{
	hand h;
	open_e3(&h, 5, 16, 12, 5); /* frame 0 whole, four frames for the others */
	for (int t = 0; t < 20; t++)
		next_frame(&h, NULL);
	int kept[20] = {0}, specials = 0;
	const e3_layer_cache *c = &h.cache.layer[0];
	assert_int_equal(e3_cache_count(&h.cache, 0), 5 * 197);
	for (uint32_t k = 0; k < c->n; k++)
		if (c->id[k] != E3_HOLE)
			kept[c->id[k] / 197]++, specials += c->id[k] % 197 < 5;
	assert_int_equal(kept[0], 197);
	for (int t = 1; t < 20; t++) /* 4 x 197 / 19 = 41.5; a fair draw strays by 6 */
		assert_in_range(kept[t], 36, 47);
	assert_in_range(specials, 10 + 11, 10 + 28); /* frame 0 and the newest whole, of the 90 others a fifth */
	close_hand(&h);
}

static void without_a_policy_nothing_is_evicted(void **state)
{
	hand h;
	open_hand(&h, 1, 10, 2);
	h.e.policy = NULL;
	for (int t = 0; t < 10; t++) {
		assert_false(e3_evictor_decides(&h.e, t));
		next_frame(&h, NULL);
		left(&h, 0, "");
		assert_true(h.record.layer[0].budget == h.record.layer[0].k_before);
	}
	assert_int_equal(e3_cache_count(&h.cache, 0), 100);
	close_hand(&h);
}

static void the_last_frame_of_a_known_stream_evicts_nothing(void **state)
{
	e3_evictor e = {.policy = e3_policy_find("evict3r"), .frames = 5},
			   endless = {.policy = e3_policy_find("evict3r"), .frames = -1};
	static const bool decides[] = {false, true, true, true, false};
	for (int t = 0; t < 5; t++) {
		assert_int_equal(e3_evictor_decides(&e, t), decides[t]);
		assert_int_equal(e3_evictor_needs_mass(&e, t), decides[t]);
		assert_int_equal(e3_evictor_decides(&endless, t), t > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(worked_example_at_temperature_5),
		cmocka_unit_test(worked_example_at_the_default_temperature_as_released),
		cmocka_unit_test(worked_example_protected),
		cmocka_unit_test(half_sums_saturate_after_some_sixty_frames),
		cmocka_unit_test(half_sums_lose_values_below_half_a_step),
		cmocka_unit_test(frame_0_and_the_newest_special_tokens_are_never_evicted),
		cmocka_unit_test(special_tokens_without_protection_stay_while_they_get_attention),
		cmocka_unit_test(a_layer_with_a_small_share_keeps_what_is_protected),
		cmocka_unit_test(only_with_an_absolute_budget_other_layers_use_what_a_layer_cannot),
		cmocka_unit_test(a_window_keeps_the_newest),
		cmocka_unit_test(random_keeps_the_same_tokens_of_every_age),
		cmocka_unit_test(spread_by_hand),
		cmocka_unit_test(spread_keeps_an_even_part_of_every_frame),
		cmocka_unit_test(without_a_policy_nothing_is_evicted),
		cmocka_unit_test(the_last_frame_of_a_known_stream_evicts_nothing),
	};
	return cmocka_run_group_tests_name("model: eviction", tests, NULL, NULL);
}
