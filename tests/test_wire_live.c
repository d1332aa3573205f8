/* wire: what only live sources say: when a frame was taken, how far behind a stage was. */
#include "wire_file.h"

/* Two frames and their predictions, the first pair with a time of capture. */
static void write_stream(const e3_end *end)
{
	e3_err err = {""};
	e3_head head = sample_head();
	e3_out *out = e3_out_open(path, NULL, &err);
	assert_non_null(out);
	assert_int_equal(e3_out_head(out, &head, &err), 0);
	for (int64_t i = 0; i < 2; i++) {
		e3_frame frame = sample_frame(i);
		e3_pred pred = sample_pred(i, false);
		frame.s.t_capture = pred.s.t_capture = i == 0 ? 1795426122.4375 : 0;
		pred.latency = i == 0 ? 0.3125 : 0;
		assert_int_equal(e3_out_frame(out, &frame, &err), 0);
		assert_int_equal(e3_out_pred(out, &pred, &err), 0);
		e3_frame_release(&frame), e3_pred_release(&pred);
	}
	assert_int_equal(e3_out_end(out, end, &err), 0);
	assert_int_equal(e3_out_close(out, &err), 0);
	e3_head_release(&head);
}

static void test_capture_time_and_latency_arrive(void **state)
{
	e3_err err = {""};
	e3_msg msg;
	e3_frame frame = {0};
	e3_pred pred = {0};
	e3_end end = sample_end(2);
	end.latency_mean = 0.25, end.latency_max = 1.5, end.device_used = (uint64_t)9 << 32;
	write_stream(&end);
	e3_in *in = e3_in_open(path, NULL, &err);
	assert_non_null(in);
	next(in, E3_HEAD, &msg);
	for (int i = 0; i < 2; i++) {
		double expected = i == 0 ? 1795426122.4375 : 0;
		next(in, E3_FRAME, &msg);
		assert_int_equal(e3_frame_decode(&msg, &frame, &err), 0);
		next(in, E3_PRED, &msg);
		assert_int_equal(e3_pred_decode(&msg, &pred, &err), 0);
		assert_true(frame.s.t_capture == expected && pred.s.t_capture == expected);
		assert_true(pred.latency == (i == 0 ? 0.3125 : 0));
	}
	next(in, E3_END, &msg);
	assert_int_equal(e3_end_decode(&msg, &end, &err), 0);
	assert_true(end.latency_mean == 0.25 && end.latency_max == 1.5 && end.device_used == (uint64_t)9 << 32);
	e3_frame_release(&frame), e3_pred_release(&pred);
	e3_in_close(in);
}

static void test_what_is_not_live_does_not_say_so(void **state)
{
	e3_err err = {""};
	e3_msg msg;
	e3_end end = sample_end(2);
	write_stream(&end);
	e3_in *in = e3_in_open(path, NULL, &err);
	for (int k = 0; k < 6; k++)
		assert_int_equal(e3_in_next(in, &msg, &err), 1);
	assert_int_equal(msg.kind, E3_END);
	assert_null(memmem(msg.bytes, msg.len, "latency", 7));
	end.latency_mean = end.latency_max = 7;
	assert_int_equal(e3_end_decode(&msg, &end, &err), 0);
	assert_true(end.latency_mean == 0 && end.latency_max == 0);
	e3_in_close(in);
}

static void test_a_time_that_is_none_is_refused(void **state)
{
	e3_err err = {""};
	e3_head head = sample_head();
	e3_frame frame = sample_frame(0);
	e3_out *out = e3_out_open(path, NULL, &err);
	assert_int_equal(e3_out_head(out, &head, &err), 0);
	frame.s.t_capture = INFINITY;
	assert_int_equal(e3_out_frame(out, &frame, &err), -1);
	assert_non_null(strstr(err.text, ": frame 0: t_capture: is infinite, expected a finite number"));
	e3_pred pred = sample_pred(0, false);
	pred.latency = NAN;
	assert_int_equal(e3_out_pred(out, &pred, &err), -1);
	assert_non_null(strstr(err.text, ": pred 0: latency: is not a number, expected a finite number"));
	e3_out_abort(out, "test", 1, "done");
	e3_head_release(&head), e3_frame_release(&frame), e3_pred_release(&pred);
}

static void test_latency_is_counted_only_where_capture_is_known(void **state)
{
	e3_latency l = {0};
	char text[64] = "x";
	e3_latency_print(&l, text, sizeof text);
	assert_string_equal(text, "");
	e3_latency_add(&l, 0, 1000);
	assert_true(l.n == 0 && e3_latency_mean(&l) == 0);
	e3_latency_add(&l, 1000, 1000.5);
	e3_latency_add(&l, 0, 1001);
	e3_latency_add(&l, 1001, 1001.25);
	e3_latency_print(&l, text, sizeof text);
	assert_true(l.n == 2 && l.last == 0.25 && l.max == 0.5 && e3_latency_mean(&l) == 0.375);
	assert_string_equal(text, ", 0.25 s behind (mean 0.38)");
	/* Clocks that disagree: said as it is. */
	e3_latency early = {0};
	e3_latency_add(&early, 1000, 999);
	assert_true(early.max == -1 && e3_latency_mean(&early) == -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_capture_time_and_latency_arrive),
		cmocka_unit_test(test_what_is_not_live_does_not_say_so),
		cmocka_unit_test(test_a_time_that_is_none_is_refused),
		cmocka_unit_test(test_latency_is_counted_only_where_capture_is_known),
	};
	return cmocka_run_group_tests_name("wire_live", tests, setup, teardown);
}
