/* hold: the newest correction of every frame, against a table with an entry for each frame; held streams. */
#include "e3/hold.h"
#include "wire_file.h"
#include <math.h>

static e3_correct correct(int64_t from, int64_t to, double s)
{
	return (e3_correct){.i = to, .from = from, .to = to, .sim = {s, 0, 0, 0, 1, s, -s, 2 * s}};
}

static double scale_of(const e3_corrections *c, int64_t i)
{
	const e3_correction *at = e3_corrections_of(c, i);
	return at ? at->sim[0] : 0;
}

/* Random ranges, few different similarities so that neighbours join. */
static void newest_correction_of_each_frame(void **state)
{
	enum { FRAMES = 200 };
	uint32_t x = 1;
	e3_err err;
	for (int round = 0; round < 50; round++) {
		e3_corrections c = {0};
		double want[FRAMES] = {0};
		for (int k = 0; k < 200; k++) {
			uint32_t draw[3];
			for (int j = 0; j < 3; j++)
				x = x * 1664525 + 1013904223, draw[j] = x >> 8;
			int from = (int)(draw[0] % FRAMES), to = from + (int)(draw[1] % 20),
				s = 1 + (int)(draw[2] % (k % 2 ? 3 : 90));
			to = to < FRAMES ? to : FRAMES - 1;
			e3_correct now = correct(from, to, s);
			assert_int_equal(e3_corrections_add(&c, &now, &err), 0);
			for (int i = from; i <= to; i++)
				want[i] = s;
			for (int i = 0; i < FRAMES; i++)
				if (scale_of(&c, i) != want[i])
					fail_msg("round %d, correction %d: frame %d has %g, expected %g", round, k, i, scale_of(&c, i),
						want[i]);
			size_t stretches = 0;
			for (int i = 0; i < FRAMES; i++)
				stretches += want[i] != 0 && (i == 0 || want[i] != want[i - 1]);
			assert_int_equal(c.n, stretches); /* as few as can be */
		}
		assert_null(e3_corrections_of(&c, FRAMES));
		e3_corrections_release(&c);
	}
}

/* Of a stream in segments that is corrected again and again there is one stretch for each segment. */
static void memory_is_one_stretch_a_segment(void **state)
{
	e3_corrections c = {0};
	e3_err err;
	for (int newest = 0; newest < 100; newest++)
		for (int segment = 0; segment <= newest; segment++) {
			e3_correct x = correct(16 * segment, 16 * segment + 15, 1 + segment + newest / 128.0);
			assert_int_equal(e3_corrections_add(&c, &x, &err), 0);
		}
	assert_int_equal(c.n, 100);
	assert_true(c.room <= 256);
	assert_int_equal(sizeof *c.at, 80);
	e3_corrections_release(&c);
}

/* Writes preds 0 to 3, with what the test wants between them. */
static void write_stream(bool corrects)
{
	e3_err err = {""};
	e3_head head = sample_head();
	e3_end end = sample_end(4);
	e3_correct first = correct(0, 1, 3), second = correct(1, 2, 2);
	head.corrects = corrects;
	e3_out *out = e3_out_open(path, NULL, &err);
	int rc = e3_out_head(out, &head, &err);
	for (int i = 0; i < 4 && !rc; i++) {
		e3_pred p = sample_pred(i, false);
		e3_evict evict = sample_evict(i);
		p.has_segment = true, p.segment = i / 2, p.world[0] = 5, p.world[4] = 1;
		rc = e3_out_pred(out, &p, &err) || e3_out_evict(out, &evict, &err);
		e3_pred_release(&p), e3_evict_release(&evict);
		if (corrects && i == 1)
			rc = rc || e3_out_correct(out, &first, &err);
		if (corrects && i == 3)
			rc = rc || e3_out_correct(out, &second, &err);
	}
	if (rc || e3_out_end(out, &end, &err) || e3_out_close(out, &err))
		fail_msg("%s", err.text);
	e3_head_release(&head);
}

/* Frame i of the held stream: what was sent, times the scale. */
static void check_pred(const e3_hold *h, const e3_msg *msg, int64_t i, float s)
{
	e3_err err = {""};
	e3_pred got = {0}, sent = sample_pred(i, false);
	if (e3_pred_decode(msg, &got, &err) || e3_hold_pred(h, &got, &err))
		fail_msg("%s", err.text);
	assert_true(got.s.i == i && got.world[0] == 5 * (double)s);
	for (int k = 0; k < SAMPLE_N; k++)
		assert_true(k == 1 || got.depth[k] == s * sent.depth[k]);
	/* y = s x + t */
	const float off[3] = {s, -s, 2 * s};
	for (int k = 3; k < 3 * SAMPLE_N; k++)
		assert_true(got.points[k] == s * sent.points[k] + (s == 1 ? 0 : off[k % 3]));
	assert_memory_equal(got.depth_conf, sent.depth_conf, SAMPLE_N * 4);
	if (s == 1)
		assert_memory_equal(got.pose, sent.pose, sizeof sent.pose);
	else
		assert_true(fabsf(hypotf(got.pose[5], got.pose[6]) - 1) < 1e-6f);
	e3_pred_release(&got), e3_pred_release(&sent);
}

static void held_streams_come_corrected_and_in_order(void **state)
{
	e3_err err = {""};
	e3_msg msg;
	static const float scale[4] = {3, 2, 2, 1};
	write_stream(true);
	e3_in *in = e3_in_open(path, NULL, &err);
	e3_hold *h = e3_hold_open(0, &err);
	int64_t preds = 0, evicts = 0, ends = 0;
	assert_int_equal(e3_hold_read(h, e3_hold_from_in, in, &msg, &err), 1);
	assert_int_equal(msg.kind, E3_HEAD);
	assert_int_equal(e3_hold_bytes(h), 0);
	int more;
	while ((more = e3_hold_read(h, e3_hold_from_in, in, &msg, &err)) > 0) {
		assert_int_not_equal(msg.kind, E3_CORRECT);
		if (msg.kind == E3_PRED)
			check_pred(h, &msg, preds, scale[preds]), preds++;
		else if (msg.kind == E3_EVICT)
			assert_int_equal(e3_msg_index(&msg), evicts), evicts++, assert_int_equal(evicts, preds);
		ends += msg.kind == E3_END;
	}
	if (more)
		fail_msg("%s", err.text);
	assert_true(preds == 4 && evicts == 4 && ends == 1);
	assert_int_equal(e3_hold_read(h, e3_hold_from_in, in, &msg, &err), 0);
	assert_true(e3_hold_bytes(h) > 4 * SAMPLE_N * 27);
	e3_hold_close(h), e3_in_close(in);
}

static void other_streams_pass_through(void **state)
{
	e3_err err = {""};
	e3_msg msg;
	write_stream(false);
	e3_in *in = e3_in_open(path, NULL, &err);
	e3_hold *h = e3_hold_open(1U << E3_PRED, &err);
	int n = 0, more;
	int64_t preds = 0;
	for (; (more = e3_hold_read(h, e3_hold_from_in, in, &msg, &err)) > 0; n++)
		if (msg.kind == E3_PRED)
			check_pred(h, &msg, preds++, 1);
	assert_true(more == 0 && n == 10 && preds == 4 && e3_hold_bytes(h) == 0); /* all kinds: nothing was held */
	e3_hold_close(h), e3_in_close(in);
}

/* Only what was asked for is held; a stream that stops short fails. */
static void kinds_and_truncation(void **state)
{
	e3_err err = {""};
	e3_msg msg;
	write_stream(true);
	e3_in *in = e3_in_open(path, NULL, &err);
	e3_hold *h = e3_hold_open(1U << E3_EVICT, &err);
	int n = 0;
	while (e3_hold_read(h, e3_hold_from_in, in, &msg, &err) > 0)
		assert_int_equal(msg.kind, n++ ? E3_EVICT : E3_HEAD);
	assert_int_equal(n, 5);
	e3_hold_close(h), e3_in_close(in);
	assert_int_equal(truncate(path, 6000), 0);
	in = e3_in_open(path, NULL, &err);
	h = e3_hold_open(0, &err);
	assert_int_equal(e3_hold_read(h, e3_hold_from_in, in, &msg, &err), 1);
	assert_int_equal(e3_hold_read(h, e3_hold_from_in, in, &msg, &err), -1);
	assert_non_null(strstr(err.text, "truncated"));
	e3_hold_close(h), e3_in_close(in);
}

/* As a stage does that finds the corrections itself. */
static void stages_hold_and_correct(void **state)
{
	e3_err err = {""};
	e3_msg msg;
	e3_correct x = correct(2, 3, 2);
	write_stream(false);
	e3_in *in = e3_in_open(path, NULL, &err);
	e3_hold *h = e3_hold_open(0, &err);
	assert_int_equal(e3_hold_next(h, &msg, &err), 0); /* empty */
	while (e3_in_next(in, &msg, &err) > 0)
		assert_int_equal(e3_hold_put(h, &msg, &err), 0);
	assert_int_equal(e3_hold_correct(h, &x, &err), 0);
	int n = 0, more;
	int64_t preds = 0;
	for (; (more = e3_hold_next(h, &msg, &err)) > 0; n++)
		if (msg.kind == E3_PRED)
			check_pred(h, &msg, preds, preds < 2 ? 1 : 2), preds++;
	assert_true(more == 0 && n == 10 && preds == 4);
	e3_hold_close(h), e3_in_close(in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(newest_correction_of_each_frame),
		cmocka_unit_test(memory_is_one_stretch_a_segment),
		cmocka_unit_test(held_streams_come_corrected_and_in_order),
		cmocka_unit_test(other_streams_pass_through),
		cmocka_unit_test(kinds_and_truncation),
		cmocka_unit_test(stages_hold_and_correct),
	};
	return cmocka_run_group_tests_name("hold_corrections", tests, setup, teardown);
}
