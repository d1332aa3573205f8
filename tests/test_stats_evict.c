/* The statistics of e3-evict-stats on a run small enough to work out by hand, and --check against every violation it
 * names.
 *
 * Two layers, five tokens a frame: one special, 2 x 2 patches; four frames. Removed: step 1: layer 0 id 6. Step 2:
 * layer 0 id 7, layer 1 ids 6 and 13. Step 3: layer 0 id 11, layer 1 id 19. */
#include "../cmd/e3-evict-stats/evict-stats.h"
#include "check.h"

enum { L = 2, N = 5, T = 4 };
static const es_shape shape = {L, N, 2, 2, 1};

typedef struct story {
	e3_evict rec[T];
	e3_evict_layer layer[T][L];
	uint32_t id[T][L][4];
} story;

static const struct {
	size_t n;
	uint32_t id[4];
} removed[T][L] = {{{0, {0}}, {0, {0}}}, {{1, {6}}, {0, {0}}}, {{1, {7}}, {2, {6, 13}}}, {{1, {11}}, {1, {19}}}};

/* Every budget is met exactly, every protected token counted: no rule is violated. */
static void tell(story *s)
{
	uint32_t held[L] = {0};
	memset(s, 0, sizeof *s);
	for (int t = 0; t < T; t++) {
		s->rec[t] = (e3_evict){.i = 10 + t, .layer = s->layer[t], .n_layers = L};
		for (int l = 0; l < L; l++) {
			e3_evict_layer *x = &s->layer[t][l];
			memcpy(s->id[t][l], removed[t][l].id, sizeof s->id[t][l]);
			*x = (e3_evict_layer){.layer = l,
				.k_before = held[l] + N,
				.n_removed = removed[t][l].n,
				.removed = s->id[t][l],
				.prot = (uint32_t)(N + t),
				.alpha = l ? 0.25 : 0.75,
				.max_evicted = 1,
				.min_kept = 2};
			x->k_after = held[l] = x->k_before - (uint32_t)x->n_removed;
			x->budget = x->k_after - 0.5;
		}
	}
}

static void play(const story *s, es_replay *r)
{
	assert_int_equal(es_replay_init(r, &shape, NULL), 0);
	for (int t = 0; t < T; t++)
		assert_int_equal(es_replay_add(r, &s->rec[t], NULL), 0);
}

static void near(double got, double want)
{
	if (!(fabs(got - want) < 1e-12))
		fail_msg("%.15g, expected %.15g", got, want);
}

static void replay(void **state)
{
	(void)state;
	story s;
	es_replay r;
	tell(&s);
	play(&s, &r);
	static const uint64_t before[T] = {10, 20, 29, 36}, after[T] = {10, 19, 26, 34};
	for (int t = 0; t < T; t++) {
		assert_int_equal(r.step[t].before, before[t]);
		assert_int_equal(r.step[t].after, after[t]);
		assert_int_equal(r.step[t].i, 10 + t);
	}
	assert_int_equal(es_life(&r, 0, 1, 1), 0);
	assert_int_equal(es_life(&r, 0, 1, 2), 1);
	assert_int_equal(es_life(&r, 1, 1, 1), 1);
	assert_int_equal(es_life(&r, 0, 1, 3), -1);
	assert_false(es_alive_at(&r, 0, 1, 1, 1)); /* stillborn */
	assert_true(es_alive_at(&r, 0, 1, 2, 1));
	assert_false(es_alive_at(&r, 0, 1, 2, 2));
	assert_false(es_alive_at(&r, 0, 2, 2, 1)); /* not born */
	assert_int_equal(es_holding(&r, 1, 1, 1), 1);
	assert_int_equal(es_holding(&r, 1, 1, 3), 0);
	assert_int_equal(es_holding(&r, 0, 0, 3), 2);
	static const uint32_t by_frame[T] = {8, 5, 6, 7};
	assert_memory_equal(r.by_frame, by_frame, sizeof by_frame);
	/* ages of the 26 kept patches: 7 of 0, 6 of 1, 5 of 2, 8 of 3 */
	static const uint32_t age[ES_AGES] = {0, 0, 1, 3, 3};
	assert_memory_equal(r.step[3].age, age, sizeof age);
	assert_int_equal(r.step[3].age_max, 3);
	assert_int_equal(es_cell_at(&r, 2, 1)->stillborn, 1);
	assert_int_equal(es_cell_at(&r, 2, 0)->stillborn, 0);
	assert_int_equal(es_cell_at(&r, 2, 1)->protected_evicted, 0);
	near(es_cell_at(&r, 1, 0)->jaccard_next, (float)(7 / 8.0));
	near(es_cell_at(&r, 3, 0)->jaccard_next, (float)(11 / 15.0));
	assert_true(isnan(es_cell_at(&r, 3, 1)->jaccard_next));
	es_replay_release(&r);
}

static void survival(void **state)
{
	(void)state;
	story s;
	es_replay r;
	es_stats x;
	tell(&s);
	play(&s, &r);
	assert_int_equal(es_stats_init(&x, &r, NULL), 0);
	static const uint64_t risk[3][3] = {{12, 7, 2}, {12, 7, 3}, {24, 14, 5}},
						  deaths[3][3] = {{1, 2, 0}, {2, 1, 0}, {3, 3, 0}};
	const es_survival *v[3] = {&x.layer[0], &x.layer[1], &x.all};
	for (int k = 0; k < 3; k++) {
		double want = 1;
		for (int a = 0; a < 3; a++) {
			assert_int_equal(v[k]->at_risk[a], risk[k][a]);
			assert_int_equal(v[k]->deaths[a], deaths[k][a]);
			want *= 1 - (double)deaths[k][a] / (double)risk[k][a];
			near(v[k]->s[a], want);
		}
		assert_int_equal(v[k]->at_risk[3], 0);
		assert_int_equal(v[k]->median, -1);
	}
	near(x.all.s[1], 21 / 24.0 * 11 / 14.0);
	es_stats_release(&x);
	es_replay_release(&r);
}

static void figures(void **state)
{
	(void)state;
	story s;
	es_replay r;
	es_stats x;
	tell(&s);
	play(&s, &r);
	assert_int_equal(es_stats_init(&x, &r, NULL), 0);
	near(x.agreement[1], 11 / 15.0);
	near(x.agreement[2], 11 / 15.0);
	near(x.agreement[0], 1);
	near(x.spatial[0], (1 + 0 / 3.0 + 1 / 2.0 + 1) / 4);
	near(x.spatial[1], (1 + 1 / 3.0 + 1 + 1) / 4);
	near(x.spatial[4 + 2], (1 + 1 + 0 / 2.0 + 1) / 4);
	near(x.spatial[4 + 3], (1 + 1 + 1 + 0 / 1.0) / 4);
	static const double importance[T] = {0.8, 0.5, 0.6, 0.7};
	for (int f = 0; f < T; f++)
		near(x.importance[f], importance[f]);
	assert_int_equal(x.kept[2 * L], 3);
	assert_int_equal(x.peak_tokens, 36);
	assert_int_equal(x.removed, 6);
	assert_int_equal(x.stillborn, 3);
	assert_int_equal(x.born, 24);
	assert_int_equal(x.last_eviction, 3);
	assert_int_equal(x.protected_evicted, 0);
	near(x.first_kept, 1);
	near(x.special_kept, 1);
	near(x.entropy, -(0.75 * log(0.75) + 0.25 * log(0.25)) / log(2));
	near(es_budget_use(es_cell_at(&r, 3, 0)), 1);
	int size, bin;
	double *m = es_remembered(&r, 720, &size, &bin, NULL);
	static const double matrix[T][T] = {{1}, {1, 7 / 8.0}, {1, 5 / 8.0, 7 / 8.0}, {1, 5 / 8.0, 6 / 8.0, 7 / 8.0}};
	assert_int_equal(size, T);
	for (int t = 0; t < T; t++)
		for (int f = 0; f < T; f++)
			if (f > t)
				assert_true(isnan(m[t * T + f]));
			else
				near(m[t * T + f], matrix[t][f]);
	free(m);
	m = es_remembered(&r, 2, &size, &bin, NULL);
	assert_int_equal(size, 2);
	assert_int_equal(bin, 2);
	near(m[2], (1 + 5 / 8.0 + 1 + 5 / 8.0) / 4);
	free(m);
	es_stats_release(&x);
	es_replay_release(&r);
}

/* --- check --- */

static void dead(story *s) { s->id[2][0][0] = 6; }
static void unborn(story *s) { s->id[2][0][0] = 16; }
static void twice(story *s) { s->id[2][1][1] = 6; }
static void more_before(story *s) { s->layer[2][1].k_before++, s->layer[2][1].k_after++, s->layer[2][1].budget++; }
static void more_after(story *s) { s->layer[2][1].k_after++, s->layer[2][1].budget++; }
static void special(story *s) { s->id[2][0][0] = 5; }
static void first_frame(story *s) { s->id[2][0][0] = 1; }
static void at_frame_0(story *s) { s->layer[0][0].n_removed = 1, s->id[0][0][0] = 3, s->layer[0][0].k_after = 4; }
static void over_budget(story *s) { s->layer[3][1].budget -= 1; }
static void under_budget(story *s) { s->layer[3][1].budget += 1; }
static void below_protected(story *s) { s->layer[3][1].budget = 2; }
static void shares(story *s) { s->layer[2][0].alpha = 0.7; }
static void share_nan(story *s) { s->layer[2][0].alpha = NAN; }
static void order(story *s) { s->layer[2][0].max_evicted = 2.5f; }
static void protected_count(story *s) { s->layer[2][0].prot = 4; }

static void each_violation(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		void (*plant)(story *s);
		es_rule rule;
		int frame, layer;
		const char *text;
	} table[] = {
		{"dead", dead, ES_ALIVE, 12, 0,
			"frame 12, layer 0: alive: expected a token in the cache, found 6, which left at step 1"},
		{"unborn", unborn, ES_ALIVE, 12, 0, "frame 12, layer 0: alive: expected ids below 15, found 16"},
		{"twice", twice, ES_UNIQUE, 12, 1, "frame 12, layer 1: unique: expected ids above 6, found 6"},
		{"before", more_before, ES_COUNT, 12, 1, "frame 12, layer 1: count: expected 15 tokens before, found 16"},
		{"after", more_after, ES_COUNT, 12, 1, "frame 12, layer 1: count: expected 13 tokens after, found 14"},
		{"special", special, ES_PROTECTED, 12, 0,
			"frame 12, layer 0: protected: expected specials and frame 0 kept while others could go, found 1 of them removed"},
		{"frame 0", first_frame, ES_PROTECTED, 12, 0, NULL},
		{"at frame 0", at_frame_0, ES_PROTECTED, 10, 0, NULL},
		{"over", over_budget, ES_BUDGET, 13, 1,
			"frame 13, layer 1: budget: expected 16 kept (budget 15.50 of 18), found 17"},
		{"under", under_budget, ES_BUDGET, 13, 1,
			"frame 13, layer 1: budget: expected 18 kept (budget 17.50 of 18), found 17"},
		{"floor", below_protected, ES_BUDGET, 13, 1,
			"frame 13, layer 1: budget: expected 8 kept (or 2, the budget of 2.00), found 17"},
		{"shares", shares, ES_ALPHA, 12, -1, "frame 12, all layers: alpha: expected shares that sum to 1, found 0.95"},
		{"share nan", share_nan, ES_ALPHA, 12, -1, NULL},
		{"order", order, ES_ORDER, 12, 0,
			"frame 12, layer 0: order: expected no evicted score above a kept one, found 2.5 evicted, 2 kept"},
		{"count", protected_count, ES_PROTECTED, 12, 0, NULL},
	};
	for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
		story s;
		es_replay r;
		es_check c;
		char text[320];
		tell(&s);
		table[k].plant(&s);
		es_check_init(&c, &(e3_head){.policy = "evict3r", .budget = 34});
		assert_int_equal(es_replay_init(&r, &shape, NULL), 0);
		for (int t = 0; t < T && c.total == 0; t++) { /* what follows the first step in error follows from it */
			assert_int_equal(es_check_step(&c, &r, &s.rec[t], NULL), 0);
			assert_int_equal(es_replay_add(&r, &s.rec[t], NULL), 0);
		}
		if (c.total == 0)
			fail_msg("%s: not found", table[k].name);
		es_violation_text(&c.list[0], text, sizeof text);
		if (c.list[0].rule != table[k].rule || c.list[0].frame != table[k].frame || c.list[0].layer != table[k].layer)
			fail_msg("%s: found instead: %s", table[k].name, text);
		if (table[k].text)
			assert_string_equal(text, table[k].text);
		assert_int_equal(es_check_broken(&c) != NULL, table[k].rule <= ES_COUNT);
		es_replay_release(&r);
	}
}

/* What the rules allow: exact budgets, floors, budgets that are not whole in f32, protected ones leaving last, old
 * specials. */
static void nothing(story *s) { (void)s; }
static void saturated(story *s) { s->layer[2][0].max_evicted = 2.5f, s->layer[2][0].saturated = 1; }
static void unlimited(story *s)
{
	s->layer[3][1].budget = 1e9, s->layer[3][1].n_removed = 0, s->layer[3][1].k_after = 18;
}
static void rounded(story *s) { s->layer[3][1].budget = 17.0000001; }
static void old_special(story *s) { s->id[2][0][0] = 5, s->layer[2][0].prot = N + 1, s->layer[3][0].prot = N + 1; }
static void starved(story *s)
{
	/* layer 1 may keep 2 at step 1: the four patches go, then the special and two of frame 0 */
	static uint32_t all[8] = {0, 1, 2, 5, 6, 7, 8, 9};
	s->layer[1][1] = (e3_evict_layer){.layer = 1,
		.k_before = 10,
		.k_after = 2,
		.budget = 1.2,
		.alpha = 0.25,
		.prot = 6,
		.removed = all,
		.n_removed = 8,
		.max_evicted = 3,
		.min_kept = NAN};
	for (int t = 2; t < T; t++)
		s->layer[t][1] = (e3_evict_layer){.layer = 1,
			.k_before = (uint32_t)(2 + 5 * (t - 1)),
			.k_after = (uint32_t)(2 + 5 * (t - 1)),
			.budget = 1e3,
			.alpha = 0.25,
			.prot = (uint32_t)(2 + t - 1),
			.max_evicted = NAN,
			.min_kept = 1};
}

static void what_is_allowed(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		void (*plant)(story *s);
		uint32_t protected_evicted;
	} table[] = {{"as told", nothing, 0}, {"saturated", saturated, 0}, {"unlimited", unlimited, 0},
		{"rounded", rounded, 0}, {"old special", old_special, 0}, {"starved", starved, 4}};
	for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
		story s;
		es_replay r;
		es_check c;
		es_stats x;
		char text[320];
		tell(&s);
		table[k].plant(&s);
		es_check_init(&c, &(e3_head){.policy = "evict3r", .budget = 34});
		assert_int_equal(es_replay_init(&r, &shape, NULL), 0);
		for (int t = 0; t < T; t++) {
			assert_int_equal(es_check_step(&c, &r, &s.rec[t], NULL), 0);
			assert_int_equal(es_replay_add(&r, &s.rec[t], NULL), 0);
		}
		if (c.total) {
			es_violation_text(&c.list[0], text, sizeof text);
			fail_msg("%s: %s", table[k].name, text);
		}
		assert_int_equal(c.steps, T);
		assert_int_equal(es_stats_init(&x, &r, NULL), 0);
		assert_int_equal(x.protected_evicted, table[k].protected_evicted);
		es_stats_release(&x);
		es_replay_release(&r);
	}
}

static void what_does_not_belong(void **state)
{
	(void)state;
	story s;
	es_replay r;
	es_check c;
	e3_err err;
	tell(&s);
	es_check_init(&c, &(e3_head){.policy = "evict3r", .budget = 34});
	assert_int_equal(es_replay_init(&r, &shape, NULL), 0);
	assert_int_equal(es_check_step(&c, &r, &s.rec[2], &err), -1);
	assert_string_equal(err.text,
		"the beginning of the stream is missing: at frame 12 the cache already holds 14 tokens of a layer, "
		"one frame has 5; give the whole stream of e3-infer");
	s.rec[0].n_layers = 1;
	assert_int_equal(es_check_step(&c, &r, &s.rec[0], &err), -1);
	assert_string_equal(err.text, "frame 10: eviction record of 1 layers, the head says 2");
	s.rec[0].n_layers = 2, s.layer[0][1].layer = 0;
	assert_int_equal(es_check_step(&c, &r, &s.rec[0], &err), -1);
	assert_string_equal(err.text, "frame 10: layer 0 where layer 1 was expected");
	es_replay_release(&r);
}

/* --- bins, frames --- */

/* Binned in one go and binned while growing give the same sums and counts. */
static void bins_grow(void **state)
{
	(void)state;
	enum { SIDE = 8, ROWS = 37, COLS = 61 };
	es_bins b;
	assert_int_equal(es_bins_init(&b, SIDE, NULL), 0);
	double sum[SIDE][SIDE] = {{0}};
	uint32_t count[SIDE][SIDE] = {{0}};
	for (int r = 0; r < ROWS; r++) {
		int cols = r * COLS / (ROWS - 1) + 1 > COLS ? COLS : r * COLS / (ROWS - 1) + 1;
		es_bins_reach(&b, r + 1, cols);
		for (int c = 0; c < cols; c++) {
			if ((r * 7 + c * 3) % 5 == 0)
				continue; /* left out, as an evicted key is */
			es_bins_add(&b, r, c, (float)(r * 100 + c));
			sum[r / 8][c / 8] += r * 100 + c, count[r / 8][c / 8]++;
		}
	}
	assert_int_equal(b.row_bin, 8);
	assert_int_equal(b.col_bin, 8);
	assert_int_equal(es_bins_rows(&b), 5);
	assert_int_equal(es_bins_cols(&b), 8);
	for (int r = 0; r < SIDE; r++)
		for (int c = 0; c < SIDE; c++) {
			near(b.sum[r * SIDE + c], sum[r][c]);
			assert_int_equal(b.count[r * SIDE + c], count[r][c]);
		}
	es_bins_release(&b);
}

static void frames_stay_few(void **state)
{
	(void)state;
	enum { CAPACITY = 8, W = 4, H = 4 };
	for (int total = 1; total < 300; total += total < 30 ? 1 : 37) {
		es_frames fr;
		assert_int_equal(es_frames_init(&fr, &shape, CAPACITY, NULL), 0);
		for (int t = 0; t < total; t++) {
			uint8_t rgb[W * H * 3];
			float depth[W * H];
			memset(rgb, t % 251, sizeof rgb);
			for (int k = 0; k < W * H; k++)
				depth[k] = k == 3 ? NAN : k == 4 ? -1 : 2;
			assert_int_equal(es_frames_add(&fr, t,
								 &(e3_pred){.w = W, .h = H, .rgb = rgb, .depth = depth, .s = {.i = 5 * t}}, NULL),
				0);
			assert_true(fr.n <= CAPACITY);
		}
		const es_shot *pick[CAPACITY];
		int n = es_frames_pick(&fr, 4, pick), most = total < 4 ? total : 4;
		assert_int_equal(n, most);
		assert_int_equal(pick[0]->t, 0);
		if (n > 1)
			assert_int_equal(pick[n - 1]->t, total - 1);
		for (int k = 0; k < n; k++) {
			assert_int_equal(pick[k]->i, 5 * pick[k]->t);
			assert_int_equal(pick[k]->rgb.px[0], pick[k]->t % 251);
			if (n > 1)
				assert_true(fabs((double)pick[k]->t - (double)(total - 1) * k / (n - 1)) <= (double)fr.stride);
			assert_true(fabsf(pick[k]->inverse[pick[k]->rgb.w * pick[k]->rgb.h - 1] - 0.5f) < 1e-6f);
		}
		double range[2];
		es_frames_range(&fr, 2, 98, range);
		assert_true(range[0] > 0.49 && range[1] < 0.51);
		es_frames_release(&fr);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replay),
		cmocka_unit_test(survival),
		cmocka_unit_test(figures),
		cmocka_unit_test(each_violation),
		cmocka_unit_test(what_is_allowed),
		cmocka_unit_test(what_does_not_belong),
		cmocka_unit_test(bins_grow),
		cmocka_unit_test(frames_stay_few),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
