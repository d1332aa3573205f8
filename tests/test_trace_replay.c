/* The trace of a run that is small enough to work out by hand: its replay and statistics, every rule violated once, and
 * what the rules allow; bins and pictures of frames.
 *
 * The run: two layers; five tokens a frame, one special and 2 x 2 patches; four frames. Removed: at step 1 id 6 of
 * layer 0; at step 2 id 7 of layer 0, ids 6 and 13 of layer 1; at step 3 id 11 of layer 0 and id 19 of layer 1. */
#include "e3/trace_draw.h"
#include "trace/bins.h"
#include "check.h"

enum { L = 2, N = 5, T = 4 };
static const e3_trace_shape shape = {L, N, 2, 2, 1};

typedef struct story {
	e3_evict rec[T];
	e3_evict_layer layer[T][L];
	uint32_t id[T][L][4];
} story;

static const struct {
	size_t n;
	uint32_t id[4];
} removed[T][L] = {{{0, {0}}, {0, {0}}}, {{1, {6}}, {0, {0}}}, {{1, {7}}, {2, {6, 13}}}, {{1, {11}}, {1, {19}}}};

/* Every budget is met exactly and every protected token is counted: no rule is violated. */
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

static void play(const story *s, e3_replay *r)
{
	assert_int_equal(e3_replay_init(r, &shape, NULL), 0);
	for (int t = 0; t < T; t++)
		assert_int_equal(e3_replay_add(r, &s->rec[t], NULL), 0);
}

static void near(double got, double want)
{
	if (!(fabs(got - want) < 1e-12))
		fail_msg("%.15g, expected %.15g", got, want);
}

static void the_replay_knows_what_is_alive_and_how_long_the_rest_was(void **state)
{
	(void)state;
	story s;
	e3_replay r;
	tell(&s);
	play(&s, &r);
	static const uint64_t before[T] = {10, 20, 29, 36}, after[T] = {10, 19, 26, 34};
	for (int t = 0; t < T; t++) {
		assert_int_equal(r.step[t].before, before[t]);
		assert_int_equal(r.step[t].after, after[t]);
		assert_int_equal(r.step[t].i, 10 + t);
	}
	assert_int_equal(e3_replay_life(&r, 0, 1, 1), 0);
	assert_int_equal(e3_replay_life(&r, 0, 1, 2), 1);
	assert_int_equal(e3_replay_life(&r, 1, 1, 1), 1);
	assert_int_equal(e3_replay_life(&r, 0, 1, 3), -1);
	assert_false(e3_replay_alive_at(&r, 0, 1, 1, 1)); /* stillborn */
	assert_true(e3_replay_alive_at(&r, 0, 1, 2, 1));
	assert_false(e3_replay_alive_at(&r, 0, 1, 2, 2));
	assert_false(e3_replay_alive_at(&r, 0, 2, 2, 1)); /* not born */
	assert_int_equal(e3_replay_holders(&r, 1, 1, 1), 1);
	assert_int_equal(e3_replay_holders(&r, 1, 1, 3), 0);
	assert_int_equal(e3_replay_holders(&r, 0, 0, 3), 2);
	static const uint32_t by_frame[T] = {8, 5, 6, 7};
	assert_memory_equal(r.by_frame, by_frame, sizeof by_frame);
	/* ages of the 26 kept patches: 7 of 0, 6 of 1, 5 of 2, 8 of 3 */
	static const uint32_t age[E3_TRACE_AGES] = {0, 0, 1, 3, 3};
	assert_memory_equal(r.step[3].age, age, sizeof age);
	assert_int_equal(r.step[3].age_max, 3);
	assert_int_equal(e3_trace_cell_at(&r, 2, 1)->stillborn, 1);
	assert_int_equal(e3_trace_cell_at(&r, 2, 0)->stillborn, 0);
	assert_int_equal(e3_trace_cell_at(&r, 2, 1)->protected_evicted, 0);
	near(e3_trace_cell_at(&r, 1, 0)->jaccard_next, (float)(7 / 8.0));
	near(e3_trace_cell_at(&r, 3, 0)->jaccard_next, (float)(11 / 15.0));
	assert_true(isnan(e3_trace_cell_at(&r, 3, 1)->jaccard_next));
	e3_replay_release(&r);
}

/* The replay of the story, and its statistics. */
static void work_out(e3_replay *r, e3_trace_stats *x)
{
	story s;
	tell(&s);
	play(&s, r);
	assert_int_equal(e3_trace_stats_init(x, r, NULL), 0);
}

static void survival_is_the_kaplan_meier_estimate(void **state)
{
	(void)state;
	e3_replay r;
	e3_trace_stats x;
	work_out(&r, &x);
	static const uint64_t risk[3][3] = {{12, 7, 2}, {12, 7, 3}, {24, 14, 5}},
						  deaths[3][3] = {{1, 2, 0}, {2, 1, 0}, {3, 3, 0}};
	const e3_trace_survival *v[3] = {&x.layer[0], &x.layer[1], &x.all};
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
	e3_trace_stats_release(&x);
	e3_replay_release(&r);
}

static void statistics_equal_those_worked_out_by_hand(void **state)
{
	(void)state;
	e3_replay r;
	e3_trace_stats x;
	work_out(&r, &x);
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
	near(e3_trace_budget_use(e3_trace_cell_at(&r, 3, 0)), 1);
	int size, bin;
	double *m = e3_trace_remembered(&r, 720, &size, &bin, NULL);
	static const double matrix[T][T] = {{1}, {1, 7 / 8.0}, {1, 5 / 8.0, 7 / 8.0}, {1, 5 / 8.0, 6 / 8.0, 7 / 8.0}};
	assert_int_equal(size, T);
	for (int t = 0; t < T; t++)
		for (int f = 0; f < T; f++)
			if (f > t)
				assert_true(isnan(m[t * T + f]));
			else
				near(m[t * T + f], matrix[t][f]);
	free(m);
	m = e3_trace_remembered(&r, 2, &size, &bin, NULL);
	assert_int_equal(size, 2);
	assert_int_equal(bin, 2);
	near(m[2], (1 + 5 / 8.0 + 1 + 5 / 8.0) / 4);
	free(m);
	e3_trace_stats_release(&x);
	e3_replay_release(&r);
}

/* The story told twice: segment 0 as it is, and as segment 1 from its third frame on, which answers from the fifth on.
 */
static void segments_are_caches_of_their_own(void **state)
{
	(void)state;
	story s, again;
	e3_replay r;
	e3_trace_stats x;
	tell(&s), tell(&again);
	assert_int_equal(e3_replay_init(&r, &shape, NULL), 0);
	for (int t = 0; t < T; t++)
		again.rec[t].i = 12 + t, again.rec[t].segment = 1, again.rec[t].first = 12;
	for (int t = 0; t < T; t++) {
		assert_int_equal(e3_replay_add(&r, &s.rec[t], NULL), 0);
		if (t >= 2)
			assert_int_equal(e3_replay_add(&r, &again.rec[t - 2], NULL), 0);
	}
	for (int t = 2; t < T; t++)
		assert_int_equal(e3_replay_add(&r, &again.rec[t], NULL), 0);
	static const int64_t answer[6] = {0, 1, 2, 4, 6, 7}, local[8] = {0, 1, 2, 0, 3, 1, 2, 3},
						 frame[8] = {0, 1, 2, 2, 3, 3, 4, 5};
	assert_int_equal(r.segments, 2);
	assert_int_equal(r.frames, 6);
	assert_memory_equal(r.answer, answer, sizeof answer);
	for (int t = 0; t < 8; t++) {
		assert_int_equal(r.step[t].local, local[t]);
		assert_int_equal(r.step[t].frame, frame[t]);
	}
	assert_int_equal(r.segment[0].end, 6);
	assert_null(e3_replay_segment(&r, 0));
	assert_ptr_equal(e3_replay_segment(&r, 1), &r.segment[1]);
	assert_int_equal(e3_replay_step_of(&r, 1, 3), 5);
	assert_int_equal(e3_replay_step_of(&r, 1, 1), -1);
	assert_int_equal(e3_replay_step_of(&r, 0, 4), -1);
	assert_int_equal(e3_replay_answer(&r, 6), -1);
	assert_int_equal(e3_replay_last(&r, 0), 4);
	for (int k = 0; k < 2; k++) /* frame 1 of either: ids 6 and 7 of layer 0 */
		for (int id = 1; id <= 2; id++)
			assert_int_equal(e3_replay_life(&r, 0, e3_replay_step_of(&r, k, 1 + 2 * k), id), id - 1);
	assert_false(e3_replay_alive_at(&r, 0, 0, 0, 6)); /* its segment is over */
	assert_true(e3_replay_alive_at(&r, 0, 0, 0, 4));
	assert_int_equal(e3_trace_stats_init(&x, &r, NULL), 0);
	/* before 10 20 29 36, after 10 19 26 34: alone, while both are there, and alone again */
	static const uint64_t held[6] = {10, 19, 26 + 10, 34 + 19, 26, 34};
	assert_memory_equal(x.held, held, sizeof held);
	assert_int_equal(x.peak_tokens, 34 + 20);
	assert_int_equal(x.full_tokens, 6 * L * N);
	assert_int_equal(x.removed, 12);
	assert_int_equal(x.born, 48);
	near(x.agreement[1], 11 / 15.0);
	near(x.all.s[1], 21 / 24.0 * 11 / 14.0);
	near(x.first_kept, 1);
	near(x.special_kept, 1);
	int size, bin;
	double *m = e3_trace_remembered(&r, 720, &size, &bin, NULL);
	static const double matrix[6][6] = {{1}, {1, 7 / 8.0}, {1, 5 / 8.0, 7 / 8.0}, {1, 5 / 8.0, 6 / 8.0, 7 / 8.0},
		{0, 0, 1, 5 / 8.0, 7 / 8.0}, {0, 0, 1, 5 / 8.0, 6 / 8.0, 7 / 8.0}};
	assert_int_equal(size, 6);
	for (int t = 0; t < 6; t++)
		for (int f = 0; f <= t; f++)
			near(m[t * 6 + f], matrix[t][f]);
	free(m);
	e3_trace_stats_release(&x);
	e3_replay_release(&r);
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

static void every_violation_is_found_and_named(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		void (*plant)(story *s);
		e3_trace_rule rule;
		int frame, layer;
		const char *text;
	} table[] = {
		{"dead", dead, E3_RULE_ALIVE, 12, 0,
			"frame 12, layer 0: alive: expected a token in the cache, found 6, which was evicted at step 1"},
		{"unborn", unborn, E3_RULE_ALIVE, 12, 0, "frame 12, layer 0: alive: expected ids below 15, found 16"},
		{"twice", twice, E3_RULE_UNIQUE, 12, 1, "frame 12, layer 1: unique: expected ids above 6, found 6"},
		{"before", more_before, E3_RULE_COUNT, 12, 1, "frame 12, layer 1: count: expected 15 tokens before, found 16"},
		{"after", more_after, E3_RULE_COUNT, 12, 1, "frame 12, layer 1: count: expected 13 tokens after, found 14"},
		{"special", special, E3_RULE_PROTECTED, 12, 0,
			"frame 12, layer 0: protected: expected special tokens and frame 0 kept while others could be evicted, found 1 of them removed"},
		{"frame 0", first_frame, E3_RULE_PROTECTED, 12, 0, NULL},
		{"at frame 0", at_frame_0, E3_RULE_PROTECTED, 10, 0, NULL},
		{"over", over_budget, E3_RULE_BUDGET, 13, 1,
			"frame 13, layer 1: budget: expected 16 kept (budget 15.50 of 18), found 17"},
		{"under", under_budget, E3_RULE_BUDGET, 13, 1,
			"frame 13, layer 1: budget: expected 18 kept (budget 17.50 of 18), found 17"},
		{"floor", below_protected, E3_RULE_BUDGET, 13, 1,
			"frame 13, layer 1: budget: expected 8 kept (or 2, the budget of 2.00), found 17"},
		{"shares", shares, E3_RULE_ALPHA, 12, -1,
			"frame 12, all layers: alpha: expected shares that sum to 1, found 0.95"},
		{"share nan", share_nan, E3_RULE_ALPHA, 12, -1, NULL},
		{"order", order, E3_RULE_ORDER, 12, 0,
			"frame 12, layer 0: order: expected no evicted score above a kept one, found 2.5 evicted, 2 kept"},
		{"count", protected_count, E3_RULE_PROTECTED, 12, 0, NULL},
	};
	for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
		story s;
		e3_replay r;
		e3_trace_check c;
		char text[320];
		tell(&s);
		table[k].plant(&s);
		e3_trace_check_init(&c, &(e3_head){.policy = "evict3r", .budget = 34});
		assert_int_equal(e3_replay_init(&r, &shape, NULL), 0);
		for (int t = 0; t < T && c.total == 0; t++) { /* later violations follow from the first */
			assert_int_equal(e3_trace_check_step(&c, &r, &s.rec[t], NULL), 0);
			assert_int_equal(e3_replay_add(&r, &s.rec[t], NULL), 0);
		}
		if (c.total == 0)
			fail_msg("%s: not found", table[k].name);
		e3_trace_violation_text(&c.list[0], text, sizeof text);
		if (c.list[0].rule != table[k].rule || c.list[0].frame != table[k].frame || c.list[0].layer != table[k].layer)
			fail_msg("%s: found instead: %s", table[k].name, text);
		if (table[k].text)
			assert_string_equal(text, table[k].text);
		assert_int_equal(e3_trace_check_broken(&c) != NULL, table[k].rule <= E3_RULE_COUNT);
		e3_replay_release(&r);
	}
}

/* What the rules allow: budgets met exactly, the floor of protected tokens, budgets that f32 rounds, protected tokens
 * evicted when nothing else is left, special tokens of old frames evicted. */
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
	/* layer 1 may keep 2 tokens at step 1: four patches are removed, then special tokens and tokens of frame 0 */
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

static void what_the_rules_allow_is_no_violation(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		void (*plant)(story *s);
		uint32_t protected_evicted;
	} table[] = {{"unchanged", nothing, 0}, {"saturated", saturated, 0}, {"unlimited", unlimited, 0},
		{"rounded", rounded, 0}, {"old special", old_special, 0}, {"starved", starved, 4}};
	for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
		story s;
		e3_replay r;
		e3_trace_check c;
		e3_trace_stats x;
		char text[320];
		tell(&s);
		table[k].plant(&s);
		e3_trace_check_init(&c, &(e3_head){.policy = "evict3r", .budget = 34});
		assert_int_equal(e3_replay_init(&r, &shape, NULL), 0);
		for (int t = 0; t < T; t++) {
			assert_int_equal(e3_trace_check_step(&c, &r, &s.rec[t], NULL), 0);
			assert_int_equal(e3_replay_add(&r, &s.rec[t], NULL), 0);
		}
		if (c.total) {
			e3_trace_violation_text(&c.list[0], text, sizeof text);
			fail_msg("%s: %s", table[k].name, text);
		}
		assert_int_equal(c.steps, T);
		assert_int_equal(e3_trace_stats_init(&x, &r, NULL), 0);
		assert_int_equal(x.protected_evicted, table[k].protected_evicted);
		e3_trace_stats_release(&x);
		e3_replay_release(&r);
	}
}

static void records_of_another_run_are_refused(void **state)
{
	(void)state;
	story s;
	e3_replay r;
	e3_trace_check c;
	e3_err err;
	tell(&s);
	e3_trace_check_init(&c, &(e3_head){.policy = "evict3r", .budget = 34});
	assert_int_equal(e3_replay_init(&r, &shape, NULL), 0);
	assert_int_equal(e3_trace_check_step(&c, &r, &s.rec[2], &err), -1);
	assert_string_equal(err.text,
		"the beginning of the stream is missing: at frame 12 the cache already holds 14 tokens of a layer, "
		"one frame has 5; give the whole stream of e3-infer");
	s.rec[0].n_layers = 1;
	assert_int_equal(e3_trace_check_step(&c, &r, &s.rec[0], &err), -1);
	assert_string_equal(err.text, "frame 10: eviction record of 1 layer, the head says 2");
	s.rec[0].n_layers = 2, s.layer[0][1].layer = 0;
	assert_int_equal(e3_trace_check_step(&c, &r, &s.rec[0], &err), -1);
	assert_string_equal(err.text, "frame 10: layer 0 where layer 1 was expected");
	e3_replay_release(&r);
}

/* --- bins, shots --- */

static void bins_merged_while_growing_equal_bins_made_at_once(void **state)
{
	(void)state;
	enum { SIDE = 8, ROWS = 37, COLS = 61 };
	trace_bins b;
	assert_int_equal(trace_bins_init(&b, SIDE, NULL), 0);
	double sum[SIDE][SIDE] = {{0}};
	uint32_t count[SIDE][SIDE] = {{0}};
	for (int r = 0; r < ROWS; r++) {
		int cols = r * COLS / (ROWS - 1) + 1 > COLS ? COLS : r * COLS / (ROWS - 1) + 1;
		trace_bins_reach(&b, r + 1, cols);
		for (int c = 0; c < cols; c++) {
			if ((r * 7 + c * 3) % 5 == 0)
				continue; /* left out, as an evicted key is */
			trace_bins_add(&b, r, c, (float)(r * 100 + c));
			sum[r / 8][c / 8] += r * 100 + c, count[r / 8][c / 8]++;
		}
	}
	assert_int_equal(b.row_bin, 8);
	assert_int_equal(b.col_bin, 8);
	assert_int_equal(trace_bins_rows(&b), 5);
	assert_int_equal(trace_bins_cols(&b), 8);
	for (int r = 0; r < SIDE; r++)
		for (int c = 0; c < SIDE; c++) {
			near(b.sum[r * SIDE + c], sum[r][c]);
			assert_int_equal(b.count[r * SIDE + c], count[r][c]);
		}
	trace_bins_release(&b);
}

static void shots_stay_few_and_evenly_spaced(void **state)
{
	(void)state;
	enum { CAPACITY = 8, W = 4, H = 4 };
	for (int total = 1; total < 300; total += total < 30 ? 1 : 37) {
		e3_trace_shots fr;
		assert_int_equal(e3_trace_shots_init(&fr, &shape, CAPACITY, NULL), 0);
		for (int t = 0; t < total; t++) {
			uint8_t rgb[W * H * 3];
			float depth[W * H];
			memset(rgb, t % 251, sizeof rgb);
			for (int k = 0; k < W * H; k++)
				depth[k] = k == 3 ? NAN : k == 4 ? -1 : 2;
			assert_int_equal(e3_trace_shots_add(&fr, t,
								 &(e3_pred){.w = W, .h = H, .rgb = rgb, .depth = depth, .s = {.i = 5 * t}}, NULL),
				0);
			assert_true(fr.n <= CAPACITY);
		}
		const e3_trace_shot *pick[CAPACITY];
		int n = e3_trace_shots_pick(&fr, 4, pick), most = total < 4 ? total : 4;
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
		e3_trace_shots_range(&fr, 2, 98, range);
		assert_true(range[0] > 0.49 && range[1] < 0.51);
		e3_trace_shots_release(&fr);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_replay_knows_what_is_alive_and_how_long_the_rest_was),
		cmocka_unit_test(survival_is_the_kaplan_meier_estimate),
		cmocka_unit_test(statistics_equal_those_worked_out_by_hand),
		cmocka_unit_test(segments_are_caches_of_their_own),
		cmocka_unit_test(every_violation_is_found_and_named),
		cmocka_unit_test(what_the_rules_allow_is_no_violation),
		cmocka_unit_test(records_of_another_run_are_refused),
		cmocka_unit_test(bins_merged_while_growing_equal_bins_made_at_once),
		cmocka_unit_test(shots_stay_few_and_evenly_spaced),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
