/* The clock of live sources: even times from packets that come in bursts, drift, jumps, order. */
#include "check.h"
#include "video/clock.h"
#include <math.h>

/* Frame k of a source whose clock counts from 5000, 40 ms a frame; the frame arrives 20 ms + `late` after it is taken.
 */
static double taken(video_clock *c, int k, double late)
{
	return video_clock_taken(c, 5000 + 0.04 * k, 100 + 0.04 * k + 0.02 + late, false);
}

static void test_times_are_even_although_packets_come_in_bursts(void **state)
{
	video_clock c = {0};
	assert_true(fabs(taken(&c, 0, 0) - 100.02) < 1e-9);
	/* Every fifth packet is on time; the others wait for it. */
	for (int k = 1; k < 400; k++) {
		double t = taken(&c, k, 0.04 * (4 - k % 5));
		assert_true(fabs(t - (100.02 + 0.04 * k)) < 1e-9);
	}
	assert_true(fabs(c.last - c.origin - 0.04 * 399) < 1e-9);
}

static void test_a_frame_without_a_stamp_is_dated_on_arrival(void **state)
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
		double t = video_clock_taken(&c, k % 3, 10, false); /* stamps go back, arrivals stand still */
		assert_true(t > last && t < 10.001);
		last = t;
	}
}

static void test_drift_is_followed(void **state)
{
	/* 1000 s of a clock that is slow or fast by 200 ppm, 0.2 s in all. The error stays below what two windows lose. */
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
	/* Connected again: the offset is forgotten, the order is kept. */
	video_clock_renew(&c);
	assert_true(video_clock_taken(&c, 0.08, 103, false) == 103);
}

static void test_stamps_of_a_driver_on_our_clock_are_used(void **state)
{
	video_clock c = {0};
	assert_true(video_clock_taken(&c, 9.97, 10, true) == 9.97);
	assert_true(video_clock_taken(&c, 10.01, 10.5, true) == 10.01); /* the driver held it for half a second */
	/* Stamps in the future or long ago are not on our clock. */
	video_clock d = {0};
	assert_true(video_clock_taken(&d, 1.7e9, 10, true) == 10);
	video_clock e = {0};
	assert_true(video_clock_taken(&e, 3, 10, true) == 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_times_are_even_although_packets_come_in_bursts),
		cmocka_unit_test(test_a_frame_without_a_stamp_is_dated_on_arrival),
		cmocka_unit_test(test_times_ascend_strictly),
		cmocka_unit_test(test_drift_is_followed),
		cmocka_unit_test(test_a_clock_that_jumps_is_another_clock),
		cmocka_unit_test(test_stamps_of_a_driver_on_our_clock_are_used),
	};
	return cmocka_run_group_tests_name("video_clock", tests, NULL, NULL);
}
