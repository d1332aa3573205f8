/* video: when the frames of a live source were taken: even times from packets that come in bursts, drift, jumps, order.
 */
#include "check.h"
#include "video/clock.h"
#include <math.h>

/* Frames 40 ms apart by the source's clock, which counts from 5000; each takes 20 ms to come, and `late` more. */
static double taken(video_clock *c, int k, double late)
{
	return video_clock_taken(c, 5000 + 0.04 * k, 100 + 0.04 * k + 0.02 + late, false);
}

static void test_bursts_become_even(void **state)
{
	video_clock c = {0};
	assert_true(fabs(taken(&c, 0, 0) - 100.02) < 1e-9);
	/* Every fifth packet is on time, the others wait for it. */
	for (int k = 1; k < 400; k++) {
		double t = taken(&c, k, 0.04 * (4 - k % 5));
		assert_true(fabs(t - (100.02 + 0.04 * k)) < 1e-9);
	}
	assert_true(fabs(c.last - c.origin - 0.04 * 399) < 1e-9);
}

static void test_a_frame_without_a_stamp_was_taken_on_arrival(void **state)
{
	video_clock c = {0};
	assert_true(video_clock_taken(&c, NAN, 7, false) == 7);
	assert_true(video_clock_taken(&c, NAN, 7.5, false) == 7.5);
}

static void test_times_ascend_strictly(void **state)
{
	video_clock c = {0};
	double last = 0;
	for (int k = 0; k < 50; k++) {
		double t = video_clock_taken(&c, k % 3, 10, false); /* stamps that go back, arrivals that stand still */
		assert_true(t > last && t < 10.001);
		last = t;
	}
}

static void test_drift_is_followed(void **state)
{
	/* A thousand seconds of a clock that is slow by 200 ppm: 0.2 s in all. What is unseen stays below what it loses in
	 * two windows. */
	video_clock slow = {0}, fast = {0};
	for (int k = 0; k < 25000; k++) {
		double now = 0.04 * k;
		double a = video_clock_taken(&slow, now * (1 - 200e-6), now + 0.02, false);
		double b = video_clock_taken(&fast, now * (1 + 200e-6), now + 0.02, false);
		assert_true(a <= now + 0.02 && now + 0.02 - a < 0.005);
		assert_true(b <= now + 0.02 + 1e-6 && now + 0.02 - b < 0.005);
	}
}

static void test_a_clock_that_jumps_is_another_clock(void **state)
{
	video_clock c = {0};
	assert_true(fabs(taken(&c, 0, 0) - 100.02) < 1e-9);
	/* The source began again at 0. */
	double t = video_clock_taken(&c, 0, 101, false);
	assert_true(t == 101);
	assert_true(fabs(video_clock_taken(&c, 0.04, 101.04, false) - 101.04) < 1e-9);
	/* Connected anew: what was learnt is forgotten, the order stays. */
	video_clock_renew(&c);
	assert_true(video_clock_taken(&c, 0.08, 103, false) == 103);
}

static void test_a_driver_on_our_clock_is_believed(void **state)
{
	video_clock c = {0};
	assert_true(video_clock_taken(&c, 9.97, 10, true) == 9.97);
	assert_true(
		video_clock_taken(&c, 10.01, 10.5, true) == 10.01); /* held for half a second, and not taken later for it */
	/* Not so one whose stamps cannot be: of the future, or of long ago. */
	video_clock d = {0};
	assert_true(video_clock_taken(&d, 1.7e9, 10, true) == 10);
	video_clock e = {0};
	assert_true(video_clock_taken(&e, 3, 10, true) == 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bursts_become_even),
		cmocka_unit_test(test_a_frame_without_a_stamp_was_taken_on_arrival),
		cmocka_unit_test(test_times_ascend_strictly),
		cmocka_unit_test(test_drift_is_followed),
		cmocka_unit_test(test_a_clock_that_jumps_is_another_clock),
		cmocka_unit_test(test_a_driver_on_our_clock_is_believed),
	};
	return cmocka_run_group_tests_name("video_clock", tests, NULL, NULL);
}
