/* Times that go on: regular stamps, missing ones, small steps back, clocks that start again or jump ahead. */
#include "check.h"
#include "video/times.h"
#include <libavutil/avutil.h>

static void run(video_times t, const int64_t *raw, const int64_t *want, int n, int64_t restarts)
{
	for (int k = 0; k < n; k++) {
		int64_t at = video_times_add(&t, raw[k]);
		if (at != want[k])
			fail_msg("frame %d: %lld, expected %lld", k, (long long)at, (long long)want[k]);
	}
	assert_int_equal(t.restarts, restarts);
}

static void stamps_of_one_clock_stay(void **state)
{
	const int64_t raw[] = {700, 740, 790, 5000, 5040};
	run((video_times){.slack = 300, .step = 40}, raw, raw, 5, 0);
}

static void a_clock_that_starts_again_goes_on_by_a_frame(void **state)
{
	const int64_t raw[] = {900, 940, 980, 10, 50, 90, 5, 45},
				  want[] = {900, 940, 980, 1020, 1060, 1100, 1060 + 80, 1180};
	run((video_times){.slack = 60, .step = 40}, raw, want, 8, 2);
}

static void a_jump_ahead_is_another_clock_only_where_that_is_usual(void **state)
{
	const int64_t raw[] = {0, 40, 900000, 900040}, joined[] = {0, 40, 80, 120};
	run((video_times){.slack = 300, .step = 40, .longest = 10000}, raw, joined, 4, 1);
	run((video_times){.slack = 300, .step = 40}, raw, raw, 4, 0);
}

static void small_steps_back_and_missing_stamps_still_rise(void **state)
{
	const int64_t back[] = {0, 40, 120, 80, 160}, rises[] = {0, 40, 120, 121, 160};
	run((video_times){.slack = 300, .step = 40}, back, rises, 5, 0);
	const int64_t no = AV_NOPTS_VALUE, some[] = {0, no, no, 120, no, no, no, 280},
				  all[] = {0, 40, 80, 120, 160, 200, 240, 280};
	run((video_times){.slack = 300, .step = 40}, some, all, 8, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stamps_of_one_clock_stay),
		cmocka_unit_test(a_clock_that_starts_again_goes_on_by_a_frame),
		cmocka_unit_test(a_jump_ahead_is_another_clock_only_where_that_is_usual),
		cmocka_unit_test(small_steps_back_and_missing_stamps_still_rise),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
