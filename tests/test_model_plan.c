/* What a budget means, before anything is allocated: every unit against figures by hand, and refusals that name what
 * works. */
#include "check.h"
#include "e3/infer.h"
#include "e3/num.h"

/* 3 layers of 20 values; frames of 4 × 5 patches and 3 special tokens: N = 23. A token in a layer takes 2 × 4 × 20 =
 * 160 bytes. */
static const e3_config config = {.embed = 20, .patch = 7, .registers = 2, .layers = 3, .heads = 5, .head_dim = 4};
enum { H = 28, W = 35, N = 23, LAYERS = 3, SPECIAL = 3, TOKEN = 160 };

static e3_infer_options with(e3_budget_kind kind, double budget)
{
	e3_infer_options o = e3_infer_defaults();
	o.budget_kind = kind, o.budget = budget;
	return o;
}

static e3_plan made(e3_infer_options o)
{
	e3_plan p;
	e3_err err = {""};
	if (e3_plan_make(&config, &o, H, W, &p, &err))
		fail_msg("%s", err.text);
	return p;
}

static void refused(e3_infer_options o, const char *text)
{
	e3_plan p;
	e3_err err = {""};
	assert_int_equal(e3_plan_make(&config, &o, H, W, &p, &err), -1);
	assert_string_equal(err.text, text);
}

static void frames_tokens_bytes_and_fractions_are_tokens(void **state)
{
	e3_plan p = made(with(E3_BUDGET_FRAMES, 10));
	assert_true(p.tokens_per_frame == N && p.special == SPECIAL && p.layers == LAYERS && p.token_bytes == TOKEN);
	assert_true(p.patch_grid[0] == 4 && p.patch_grid[1] == 5);
	assert_true(p.budget == 10 * 3 * 23 && p.smallest == 3 * (23 + 3));
	assert_int_equal(p.page_keys, 64);
	/* 690 kept, 3 by rounding, 69 that come: 762 tokens, 12 pages of 64, and an end of a page for each layer. */
	assert_int_equal(p.pages, 15);
	assert_int_equal(p.page_bytes, 64 * (TOKEN + 16));
	assert_int_equal(p.cache_bytes, 15 * p.page_bytes);
	assert_true(made(with(E3_BUDGET_FRAMES, 2.5)).budget == 172.5);
	assert_true(made(with(E3_BUDGET_TOKENS, 1000)).budget == 1000);
	e3_infer_options o = with(E3_BUDGET_FRACTION, 0.5);
	o.frames = 20;
	assert_true(made(o).budget == 0.5 * 20 * 3 * 23);
	/* The same budget; a length that was promised does not evict at its end, and has room for a frame that was not
	 * promised. */
	assert_int_equal(made(o).pages, 16);
	o = with(E3_BUDGET_FRACTION, 0.5);
	refused(o,
		"planning: 'fraction' needs the length of the stream, which is unknown: give 'frames', or an absolute 'budget'");
}

/* The first frame and the last do not evict, so any fraction of one or two frames keeps them; of three it may be too
 * small. */
static void any_fraction_of_two_frames_works(void **state)
{
	e3_infer_options o = with(E3_BUDGET_FRACTION, 0.01);
	for (o.frames = 1; o.frames <= 2; o.frames++) {
		e3_plan p = made(o);
		assert_true(p.budget == (o.frames == 1 ? 3 * 23 : 3 * (23 + 3)) && p.protected_frames == 1);
		assert_true(
			p.pages * p.page_keys >= o.frames * LAYERS * N + LAYERS * (N + p.page_keys - 1)); /* and one frame more */
	}
	refused(o,
		"planning: 'fraction' 0.01 of 3 frames is too small: frame 0 and one frame's special tokens must fit; the smallest that works "
		"is 'fraction' 0.3769");
}

static void a_budget_of_bytes_is_never_exceeded(void **state)
{
	for (double bytes = 300000; bytes < 3e7; bytes *= 1.37) {
		e3_plan p = made(with(E3_BUDGET_BYTES, bytes));
		assert_true((double)p.cache_bytes <= bytes);
		assert_true((double)p.cache_bytes > bytes - 2.0 * (double)p.page_bytes); /* nor given away */
	}
}

static void pages_grow_with_the_frame(void **state)
{
	static const int side[][2] = {{7, 64}, {35, 64}, {56, 128}, {84, 256}, {210, 256}};
	for (size_t k = 0; k < sizeof side / sizeof *side; k++) {
		e3_infer_options o = with(E3_BUDGET_FRAMES, 4);
		e3_plan p;
		assert_int_equal(e3_plan_make(&config, &o, side[k][0], side[k][0], &p, NULL), 0);
		assert_int_equal(p.page_keys, side[k][1]);
	}
}

static void without_eviction_there_is_no_budget(void **state)
{
	e3_infer_options o = with(E3_BUDGET_FRACTION, 0.5); /* and no length needed */
	o.policy = e3_policy_find("none");
	e3_plan p = made(o);
	assert_true(isinf(p.budget) && p.pages == 0 && p.cache_bytes == 0 && p.tokens_per_frame == N);
}

static void a_stream_shorter_than_its_budget_takes_only_what_it_needs(void **state)
{
	e3_infer_options o = with(E3_BUDGET_FRAMES, 1000);
	o.frames = 10;
	e3_plan p = made(o);
	assert_int_equal(p.pages, 15); /* as ten frames */
	/* One frame needs no room for a second one's special tokens. */
	o = with(E3_BUDGET_FRACTION, 1);
	o.frames = 1;
	assert_true(made(o).budget == 69);
}

static void special_tokens_are_protected_as_far_as_there_is_room(void **state)
{
	/* Beside frame 0 a layer has 9 frames of 23: 69 frames of three special tokens. An absolute budget gives half of
	 * that. */
	e3_infer_options o = with(E3_BUDGET_FRACTION, 0.5);
	o.frames = 20;
	assert_int_equal(made(o).protected_frames, 69);
	assert_int_equal(made(with(E3_BUDGET_FRAMES, 10)).protected_frames, 34);
	assert_int_equal(made(with(E3_BUDGET_TOKENS, 78)).protected_frames, 1);
}

static void spread_protects_only_the_special_tokens_of_the_newest_frame(void **state)
{
	e3_infer_options o = with(E3_BUDGET_FRACTION, 0.5), other = o;
	o.frames = other.frames = 20, o.policy = e3_policy_find("spread");
	assert_int_equal(made(o).protected_frames, 1);
	assert_true(made(o).budget == made(other).budget && made(o).pages == made(other).pages &&
		made(o).smallest == made(other).smallest);
}

static void a_budget_too_small_is_refused_and_the_smallest_is_named(void **state)
{
	static const char text[] =
		"planning: 'budget' is too small: frame 0 and one frame's special tokens must fit; the smallest that works is "
		"'budget' 1.1305f, 78 or 0.1M";
	refused(with(E3_BUDGET_FRAMES, 1), text);
	refused(with(E3_BUDGET_TOKENS, 77), text);
	refused(with(E3_BUDGET_BYTES, 1000), text);
	e3_infer_options o = with(E3_BUDGET_FRACTION, 0.05);
	o.frames = 20;
	refused(o,
		"planning: 'fraction' 0.05 of 20 frames is too small: frame 0 and one frame's special tokens must fit; the smallest that works "
		"is 'fraction' 0.0566");
}

/* The three numbers of a refusal, fed back, work; a step below them does not. */
static void the_smallest_named_works_for_any_shape(void **state)
{
	uint32_t seed = 5;
	for (int k = 0; k < 500; k++) {
		uint32_t lot[5];
		for (int j = 0; j < 5; j++)
			lot[j] = e3_fmix32(seed++);
		e3_config c = {.embed = 4 * (1 + (int)(lot[0] % 300)),
			.patch = 14,
			.registers = (int)(lot[1] % 6),
			.layers = 1 + (int)(lot[2] % 30),
			.head_dim = 4};
		c.heads = c.embed / 4;
		int h = 14 * (1 + (int)(lot[3] % 40)), w = 14 * (1 + (int)(lot[4] % 40));
		e3_infer_options o = with(E3_BUDGET_TOKENS, 1);
		e3_plan p;
		e3_err err = {""};
		double frames, tokens, mib, fraction;
		assert_int_equal(e3_plan_make(&c, &o, h, w, &p, &err), -1);
		const char *named = strstr(err.text, "works is 'budget' ");
		assert_non_null(named);
		assert_int_equal(sscanf(named, "works is 'budget' %lff, %lf or %lfM", &frames, &tokens, &mib), 3);
		e3_infer_options works[] = {with(E3_BUDGET_FRAMES, frames), with(E3_BUDGET_TOKENS, tokens),
			with(E3_BUDGET_BYTES, mib * 1048576)};
		for (int j = 0; j < 3; j++)
			if (e3_plan_make(&c, &works[j], h, w, &p, &err))
				fail_msg("%d x %d, embed %d, %d layers: %s", w, h, c.embed, c.layers, err.text);
		works[0].budget -= 2e-4, works[1].budget -= 1;
		assert_int_equal(e3_plan_make(&c, &works[0], h, w, &p, &err), -1);
		assert_int_equal(e3_plan_make(&c, &works[1], h, w, &p, &err), -1);
		o = with(E3_BUDGET_FRACTION, 1e-5);
		o.frames = 2 + (int64_t)(e3_fmix32(seed++) % 1000);
		assert_int_equal(e3_plan_make(&c, &o, h, w, &p, &err), -1);
		assert_non_null(named = strstr(err.text, "works is 'fraction' "));
		assert_int_equal(sscanf(named, "works is 'fraction' %lf", &fraction), 1);
		o.budget = fraction;
		if (e3_plan_make(&c, &o, h, w, &p, &err))
			fail_msg("%lld frames: %s", (long long)o.frames, err.text);
	}
}

static void starve_accepts_any_budget(void **state)
{
	e3_infer_options o = with(E3_BUDGET_TOKENS, 1);
	o.compat = E3_COMPAT_STARVE;
	e3_plan p = made(o);
	assert_true(p.budget == 1 && p.smallest == 0 && p.pages >= 3);
	o = with(E3_BUDGET_BYTES, 1000); /* but not less than nothing: a frame itself does not fit */
	o.compat = E3_COMPAT_STARVE;
	e3_err err;
	assert_int_equal(e3_plan_make(&config, &o, H, W, &p, &err), -1);
}

static void odd_sizes_are_refused(void **state)
{
	e3_infer_options o = with(E3_BUDGET_FRAMES, 4);
	e3_err err = {""};
	e3_plan p;
	assert_int_equal(e3_plan_make(&config, &o, 28, 36, &p, &err), -1);
	assert_string_equal(err.text, "planning: frames of 36 × 28: not a multiple of the patch size 7");
	assert_int_equal(e3_plan_make(&config, &o, 0, 35, &p, &err), -1);
	assert_int_equal(e3_plan_make(&config, &o, 7 * 2000, 7 * 2000, &p, &err), -1);
	assert_string_equal(err.text, "planning: frames of 14000 × 14000: too large");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_tokens_bytes_and_fractions_are_tokens),
		cmocka_unit_test(any_fraction_of_two_frames_works),
		cmocka_unit_test(a_budget_of_bytes_is_never_exceeded),
		cmocka_unit_test(pages_grow_with_the_frame),
		cmocka_unit_test(without_eviction_there_is_no_budget),
		cmocka_unit_test(a_stream_shorter_than_its_budget_takes_only_what_it_needs),
		cmocka_unit_test(special_tokens_are_protected_as_far_as_there_is_room),
		cmocka_unit_test(spread_protects_only_the_special_tokens_of_the_newest_frame),
		cmocka_unit_test(a_budget_too_small_is_refused_and_the_smallest_is_named),
		cmocka_unit_test(the_smallest_named_works_for_any_shape),
		cmocka_unit_test(starve_accepts_any_budget),
		cmocka_unit_test(odd_sizes_are_refused),
	};
	return cmocka_run_group_tests_name("model: plan", tests, NULL, NULL);
}
