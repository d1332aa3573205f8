/* Which frames are kept: the lists of doc/formats.md 5.1, times, gaps, limits. */
#include "check.h"
#include "e3/video.h"

enum { MANY = 100 };

/* Feeds n frames `dt` seconds apart. kept[] receives the indices of those that are kept; returns how many. */
static int keep(e3_sampling rule, int n, double dt, int kept[MANY])
{
	e3_sampler s;
	int count = 0;
	if (rule.end == 0)
		rule.end = INFINITY;
	e3_sampler_init(&s, &rule);
	for (int k = 0; k < n; k++) {
		e3_sample what = e3_sampler_feed(&s, k * dt);
		if (what == E3_SAMPLE_DONE)
			break;
		if (what == E3_SAMPLE_KEEP && count < MANY)
			kept[count++] = k;
	}
	return count;
}

static void list_is(e3_sampling rule, int n, double dt, const char *want)
{
	int kept[MANY], count = keep(rule, n, dt, kept);
	char got[512] = "";
	for (int k = 0; k < count; k++)
		snprintf(got + strlen(got), sizeof got - strlen(got), "%s%d", k ? " " : "", kept[k]);
	assert_string_equal(got, want);
}

static void counting_follows_the_reference(void **state)
{
	list_is((e3_sampling){.step = 75}, 300, 1 / 30.0, "74 149 224 299");
	list_is((e3_sampling){.step = 29}, 120, 1001 / 30000.0, "28 57 86 115");
	list_is((e3_sampling){.step = 1}, 5, 0.04, "0 1 2 3 4");
	list_is((e3_sampling){.step = 75}, 60, 1 / 30.0, ""); /* 2 s at one frame every 2.5 s: none */
	list_is((e3_sampling){.step = 75, .first = true}, 60, 1 / 30.0, "0");
	list_is((e3_sampling){.step = 3, .first = true}, 10, 0.04, "0 2 5 8");
	list_is((e3_sampling){.step = 1, .first = true}, 3, 0.04, "0 1 2");
}

static void counting_begins_at_the_start_time(void **state)
{
	list_is((e3_sampling){.step = 5, .start = 1}, 50, 0.04, "29 34 39 44 49");
	list_is((e3_sampling){.step = 5, .start = 1, .end = 1.6}, 50, 0.04, "29 34 39");
	list_is((e3_sampling){.step = 1, .start = 0.08, .end = 0.16}, 50, 0.04, "2 3");
}

static void time_takes_the_first_frame_at_or_after_each_multiple(void **state)
{
	list_is((e3_sampling){.every = 0.5}, 60, 1 / 24.0, "0 12 24 36 48");
	list_is((e3_sampling){.every = 0.1}, 12, 1 / 30.0, "0 3 6 9"); /* 9/30 is less than 3 × 0.1 in the last bit */
	list_is((e3_sampling){.every = 0.1}, 8, 0.04, "0 3 5");
	list_is((e3_sampling){.every = 0.5, .start = 0.2}, 60, 1 / 24.0, "5 17 29 41 53");
	list_is((e3_sampling){.every = 0.01}, 4, 0.04, "0 1 2 3"); /* more often than frames come: each once */
}

/* Half a second of frames, then a gap of two seconds: one frame after it, then regular intervals. */
static void a_gap_is_not_followed_by_a_burst(void **state)
{
	e3_sampling rule = {.every = 0.25, .end = INFINITY};
	e3_sampler s;
	e3_sampler_init(&s, &rule);
	double kept[MANY];
	int n = 0;
	for (int k = 0; k < 30; k++) {
		double t = k < 10 ? k * 0.05 : 2.5 + (k - 10) * 0.05 + 0.01;
		if (e3_sampler_feed(&s, t) == E3_SAMPLE_KEEP)
			kept[n++] = t;
	}
	const double want[] = {0, 0.25, 2.51, 2.76, 3.01, 3.26};
	assert_int_equal(n, 6);
	for (int k = 0; k < 6; k++)
		assert_true(fabs(kept[k] - want[k]) < 1e-9);
}

static void no_frame_is_kept_beyond_the_limits(void **state)
{
	e3_sampler s;
	list_is((e3_sampling){.step = 2, .max_frames = 3}, 100, 0.04, "1 3 5");
	list_is((e3_sampling){.every = 1, .max_frames = 2}, 100, 0.04, "0 25");
	e3_sampler_init(&s, &(e3_sampling){.step = 1, .end = INFINITY, .max_frames = 1});
	assert_false(e3_sampler_full(&s));
	assert_int_equal(e3_sampler_feed(&s, 0), E3_SAMPLE_KEEP);
	assert_true(e3_sampler_full(&s));
	assert_int_equal(e3_sampler_feed(&s, 1), E3_SAMPLE_DONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counting_follows_the_reference),
		cmocka_unit_test(counting_begins_at_the_start_time),
		cmocka_unit_test(time_takes_the_first_frame_at_or_after_each_multiple),
		cmocka_unit_test(a_gap_is_not_followed_by_a_burst),
		cmocka_unit_test(no_frame_is_kept_beyond_the_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
