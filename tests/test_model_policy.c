/* What leaves the cache, the arithmetic: shares, budgets, order, quantiles, against figures by hand and numpy's. */
#include "check.h"
#include "dev/rank.h"
#include "model/policy.h"
#include "e3/num.h"

enum { MAX_LAYERS = 4 };

static void variance_is_of_the_population_and_exact_for_large_means(void **state)
{
	static const float a0[] = {.80f, .60f, .40f, .50f, .30f, .40f, .90f, .55f, .50f, .40f, .35f, .30f};
	static const float a1[] = {2.90f, .20f, .10f, .20f, .10f, .10f, 1.60f, .20f, .15f, .25f, .05f, .15f};
	float large[4] = {1e6f, 1e6f + 1, 1e6f + 2, 1e6f + 3};
	assert_true(fabs(e3_rank_variance(a0, 12) - 0.0329167) < 1e-6); /* 9.5 */
	assert_true(fabs(e3_rank_variance(a1, 12) - 0.6858333) < 1e-6);
	assert_true(e3_rank_variance(large, 4) == 1.25);
	assert_true(e3_rank_variance(a0, 1) == 0 && e3_rank_variance(a0, 0) == 0);
}

static void shares_are_a_softmax_that_survives_any_variance(void **state)
{
	static const double v[] = {0.0329167, 0.6858333}, huge[] = {1e6, 687, 1e9};
	double alpha[3];
	e3_policy_shares(v, 2, 5, alpha);
	assert_true(fabs(alpha[0] - 0.53260) < 1e-5 && fabs(alpha[1] - 0.46740) < 1e-5); /* 9.5 */
	e3_policy_shares(v, 2, 0.5, alpha);
	assert_true(fabs(alpha[0] - 0.78682) < 1e-5 && fabs(alpha[1] - 0.21318) < 1e-5);
	e3_policy_shares(v, 2, 0.1, alpha);
	assert_true(fabs(alpha[0] - 0.99854) < 1e-5 && fabs(alpha[1] - 0.00146) < 1e-5);
	e3_policy_shares(huge, 3, 0.5, alpha);
	assert_true(alpha[0] == 0 && alpha[1] == 1 && alpha[2] == 0);
	e3_policy_shares(huge, 1, 0.5, alpha);
	assert_true(alpha[0] == 1);
}

static void budgets_are_exact_when_nothing_is_bounded(void **state)
{
	static const double alpha[] = {0.1, 0.2, 0.7}, none[3] = {0}, open[] = {INFINITY, INFINITY, INFINITY};
	double b[3];
	e3_policy_budgets(alpha, 3, 1234.5, none, open, b);
	for (int l = 0; l < 3; l++)
		assert_true(b[l] == 1234.5 * alpha[l]);
}

static void budgets_keep_their_sum_inside_floors_and_ceilings(void **state)
{
	static const struct {
		double alpha[3], floors[3], ceilings[3], total, want[3];
	} c[] = {
		/* A floor of 30: the others share 70 as 2 : 7. */
		{{0.1, 0.2, 0.7}, {30, 0, 0}, {INFINITY, INFINITY, INFINITY}, 100, {30, 70 * 2 / 9.0, 70 * 7 / 9.0}},
		/* A ceiling of 40: what it leaves goes to the others as 1 : 2. */
		{{0.1, 0.2, 0.7}, {0, 0, 0}, {INFINITY, INFINITY, 40}, 100, {20, 40, 40}},
		/* Both; and raising one makes the next fall under its floor. */
		{{0.1, 0.2, 0.7}, {25, 24, 5}, {INFINITY, INFINITY, INFINITY}, 60, {25, 24, 11}},
		{{0.1, 0.2, 0.7}, {0, 25, 0}, {INFINITY, INFINITY, 40}, 100, {100 - 40 - 40.0, 40, 40}},
		/* A share of nothing takes its floor and no more. */
		{{0, 0.25, 0.75}, {7, 7, 7}, {50, 50, 50}, 47, {7, 10, 30}},
		/* More than the ceilings hold: the ceilings. */
		{{0.1, 0.2, 0.7}, {0, 0, 0}, {10, 10, 10}, 100, {10, 10, 10}},
		/* Exactly the floors. */
		{{0.1, 0.2, 0.7}, {20, 30, 50}, {100, 100, 100}, 100, {20, 30, 50}},
	};
	for (size_t k = 0; k < sizeof c / sizeof *c; k++) {
		double b[3];
		e3_policy_budgets(c[k].alpha, 3, c[k].total, c[k].floors, c[k].ceilings, b);
		for (int l = 0; l < 3; l++)
			if (!(fabs(b[l] - c[k].want[l]) < 1e-9 * c[k].total))
				fail_msg("case %zu, layer %d: %.12g, expected %.12g", k, l, b[l], c[k].want[l]);
	}
}

static void budgets_hold_for_random_bounds(void **state)
{
	uint32_t seed = 1;
	for (int k = 0; k < 2000; k++) {
		double alpha[MAX_LAYERS], floors[MAX_LAYERS], ceilings[MAX_LAYERS], b[MAX_LAYERS], variance[MAX_LAYERS],
			low = 0, high = 0, sum = 0;
		for (int l = 0; l < MAX_LAYERS; l++) {
			variance[l] = e3_fmix32(seed++) % 1000 * 0.01;
			floors[l] = e3_fmix32(seed++) % 100;
			ceilings[l] = floors[l] + e3_fmix32(seed++) % 200;
			low += floors[l], high += ceilings[l];
		}
		e3_policy_shares(variance, MAX_LAYERS, 0.5, alpha);
		double total = low + (high + 50 - low) * (e3_fmix32(seed++) % 1000) / 1000;
		e3_policy_budgets(alpha, MAX_LAYERS, total, floors, ceilings, b);
		for (int l = 0; l < MAX_LAYERS; l++) {
			assert_true(b[l] >= floors[l] && b[l] <= ceilings[l]);
			sum += b[l];
		}
		assert_true(fabs(sum - fmin(total, high)) < 1e-6 * total);
		/* Of two layers that are not held, the one with the larger share has the larger budget, in that proportion. */
		for (int l = 1; l < MAX_LAYERS; l++)
			if (b[l] > floors[l] && b[l] < ceilings[l] && b[0] > floors[0] && b[0] < ceilings[0])
				assert_true(fabs(b[l] * alpha[0] - b[0] * alpha[l]) < 1e-6 * total * (alpha[0] + alpha[l]));
	}
}

static void order_is_by_score_then_by_age(void **state)
{
	e3_candidate c[] = {{3, 7, 0}, {INFINITY, 1, 1}, {1, 9, 2}, {3, 2, 3}, {1, 4, 4}, {INFINITY, 0, 5},
		{0, 4000000000u, 6}, {-0.0f, 5, 7}};
	static const uint32_t ids[] = {5, 4000000000u, 4, 9, 2, 7, 0, 1};
	e3_rank_sort(c, 8);
	for (int k = 0; k < 8; k++)
		assert_int_equal(c[k].id, ids[k]);
}

static void quantiles_are_numpys(void **state)
{
	/* np.percentile([0.5, 1, 4, 9, 9, 16, 25], [0, 1, 5, 25, 50, 75, 95, 99, 100]) */
	static const float score[] = {0.5f, 1, 4, 9, 9, 16, 25},
					   want[] = {0.5f, 0.53f, 0.65f, 2.5f, 9, 12.5f, 22.3f, 24.46f, 25};
	e3_candidate c[7];
	float q[9];
	for (int k = 0; k < 7; k++)
		c[k] = (e3_candidate){score[k], 0, 0};
	e3_rank_quantiles(c, 7, q);
	for (int k = 0; k < 9; k++)
		assert_true(fabsf(q[k] - want[k]) < 1e-5f);
	e3_rank_quantiles(c, 1, q);
	for (int k = 0; k < 9; k++)
		assert_true(q[k] == 0.5f);
	e3_rank_quantiles(c, 0, q);
	for (int k = 0; k < 9; k++)
		assert_true(isnan(q[k]));
}

static const e3_rule oldest_first = {.scoring = {.measure = E3_MEASURE_FRAME}, .tokens = 10},
					 random_first = {.scoring = {.dither = E3_DITHER_RANDOM}, .tokens = 10};

static void random_scores_spread_and_stay(void **state)
{
	size_t below = 0;
	for (uint32_t id = 0; id < 10000; id++) {
		float score = e3_rank_score(&random_first, id, 0);
		assert_true(score == e3_rank_score(&random_first, id, 7) && score == e3_rank_random(id, 0) && isfinite(score));
		below += score < 0x1p31f;
	}
	assert_true(below > 4800 && below < 5200);
	assert_true(e3_rank_score(&oldest_first, 80, 0) == 8 && e3_rank_score(&oldest_first, 79, 0) == 7);
}

/* Frames of 3 special tokens and 12 x 16 patches. */
enum { SPECIAL = 3, COLUMNS = 16, PATCHES = 192, TOKENS = SPECIAL + PATCHES };

static const e3_rule priority = {.scoring = {.measure = E3_MEASURE_SHARE, .root = true, .dither = E3_DITHER_EVEN},
	.tokens = TOKENS,
	.special = SPECIAL,
	.columns = COLUMNS};

static float dither(uint32_t frame, uint32_t index) { return e3_rank_dither(&priority, frame * TOKENS + index); }

static void dithers_are_those_worked_out_by_hand(void **state)
{
	/* 0.5 - 0.7548776662 column - 0.5698402910 row - 0.6180339887 frame, less its whole part; specials are row -1. */
	static const struct {
		uint32_t frame, index;
		double want;
	} c[] = {
		{0, SPECIAL, 0.5},
		{0, SPECIAL + 1, 0.7451223338},
		{0, SPECIAL + COLUMNS, 0.9301597090},
		{1, SPECIAL, 0.8819660113},
		{0, SPECIAL + 5 * COLUMNS + 2, 0.1410432125},
		{7, SPECIAL + 11 * COLUMNS + 15, 0.5823538841},
		{0, 0, 0.0698402910},
		{3, 2, 0.7059829922},
	};
	for (size_t k = 0; k < sizeof c / sizeof *c; k++) {
		float got = dither(c[k].frame, c[k].index);
		if (!(fabs(got - c[k].want) < 0x1p-23 + 1e-8)) /* 24 bits, and constants of ten digits */
			fail_msg("frame %u, token %u: %.9f, expected %.9f", c[k].frame, c[k].index, (double)got, c[k].want);
	}
	assert_true(dither(0, SPECIAL) == 0x800001p-24f);
	for (uint32_t id = 0; id < 40000000u; id += 997) { /* never 0, never 1, and odd in the last place */
		float d = e3_rank_dither(&priority, id);
		assert_true(d > 0 && d < 1 && (uint32_t)(d * 0x1p24f) % 2 == 1);
	}
}

static void dithers_lie_evenly_over_picture_and_time(void **state)
{
	int seen[PATCHES] = {0};
	for (uint32_t t = 0; t < 64; t++) {
		int frame = 0, quarter[4] = {0};
		for (uint32_t p = 0; p < PATCHES; p++) {
			uint32_t row = p / COLUMNS, column = p % COLUMNS;
			bool in = dither(t, SPECIAL + p) < 0.25f;
			frame += in, seen[p] += in, quarter[row / 6 * 2 + column / 8] += in;
			if (in && column + 1 < COLUMNS && row < 11) /* no corner of four has three of them */
				assert_true(1 + (dither(t, SPECIAL + p + 1) < 0.25f) + (dither(t, SPECIAL + p + COLUMNS) < 0.25f) <= 2);
		}
		assert_in_range(frame, 46, 50); /* of 48; a fair draw strays by 6 */
		for (int k = 0; k < 4; k++)
			assert_in_range(quarter[k], 11, 13);
		for (uint32_t p = 0; t % 8 == 7 && p < PATCHES; p++) /* a place comes by every fourth frame */
			assert_in_range(seen[p] + 2, (t + 1) / 4, (t + 1) / 4 + 4);
	}
}

static void priority_is_the_root_of_the_share_over_the_dither(void **state)
{
	static const float shares[] = {0, 0.25f, 1, 9};
	e3_rule whole = priority, alone = priority;
	whole.scoring.root = false, alone.scoring.dither = E3_DITHER_NONE;
	for (uint32_t id = 0; id < 1000; id++)
		for (int k = 0; k < 4; k++) {
			float d = e3_rank_dither(&priority, id);
			assert_true(e3_rank_score(&priority, id, shares[k]) == sqrtf(shares[k]) / d);
			assert_true(e3_rank_score(&whole, id, shares[k]) == shares[k] / d);
			assert_true(e3_rank_score(&alone, id, shares[k]) == sqrtf(shares[k]));
		}
	assert_true(isinf(e3_rank_score(&priority, 7, INFINITY)));
	/* Of tokens with four times the mean, twice as many are among those above a bound. */
	int kept[2] = {0};
	for (uint32_t id = 0; id < 100000; id++) {
		kept[0] += e3_rank_score(&priority, id, 1) > 10, kept[1] += e3_rank_score(&priority, id, 4) > 10;
	}
	assert_in_range(kept[0], 9900, 10100);
	assert_in_range(kept[1], 19900, 20100);
}

static void every_policy_is_found_by_its_name_and_one_by_its_old_name(void **state)
{
	for (const e3_policy *p = e3_policies; p->name; p++)
		assert_ptr_equal(e3_policy_find(p->name), p);
	assert_string_equal(e3_policy_find("e3")->name, "spread"); /* in caches saved before it was renamed */
	assert_null(e3_policy_find("newest"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_policy_is_found_by_its_name_and_one_by_its_old_name),
		cmocka_unit_test(variance_is_of_the_population_and_exact_for_large_means),
		cmocka_unit_test(shares_are_a_softmax_that_survives_any_variance),
		cmocka_unit_test(budgets_are_exact_when_nothing_is_bounded),
		cmocka_unit_test(budgets_keep_their_sum_inside_floors_and_ceilings),
		cmocka_unit_test(budgets_hold_for_random_bounds),
		cmocka_unit_test(order_is_by_score_then_by_age),
		cmocka_unit_test(quantiles_are_numpys),
		cmocka_unit_test(random_scores_spread_and_stay),
		cmocka_unit_test(dithers_are_those_worked_out_by_hand),
		cmocka_unit_test(dithers_lie_evenly_over_picture_and_time),
		cmocka_unit_test(priority_is_the_root_of_the_share_over_the_dither),
	};
	return cmocka_run_group_tests_name("model: policy", tests, NULL, NULL);
}
