/* wire: what streams in segments carry: segment and world, whose cache a record is about, edges, corrections. Through a
 * file and back; the bytes equal those of Python's msgpack (tests/data/stream/golden.py --segments); damage, one change
 * at a time, each with the message it must give. */
#include "e3/io.h"
#include "e3/num.h"
#include "e3/value.h"
#include "wire_file.h"
#include "wire_read.h"

enum { HEAD, PRED, PRED1, EVICT, EVICT0, ATTN, EDGE, CORRECT, END, MESSAGES };
#define GOLDEN "tests/data/stream/segments.e3"

static uint8_t *golden;
static size_t size, at[MESSAGES + 1];

static int load(void **state)
{
	e3_map map;
	e3_err err;
	setup(state);
	if (e3_map_open(&map, GOLDEN, &err)) {
		print_error("%s (run from the top of the tree)\n", err.text);
		return -1;
	}
	size = map.size;
	golden = malloc(size);
	memcpy(golden, map.data, size);
	e3_map_close(&map);
	for (int k = 0; k < MESSAGES; k++)
		at[k + 1] = at[k] + 6 + e3_be32(golden + at[k] + 1);
	return at[MESSAGES] == size ? 0 : -1;
}

static int unload(void **state)
{
	free(golden);
	return teardown(state);
}

static void same_preds(e3_in *in)
{
	e3_err err;
	e3_msg msg;
	e3_pred pred = {0};
	for (int k = 0; k < 2; k++) {
		next(in, E3_PRED, &msg);
		assert_int_equal(e3_pred_decode(&msg, &pred, &err), 0);
		assert_true(pred.has_segment && pred.segment == k);
		if (k)
			assert_string_equal(pred.name, "IMG_0001.jpg");
		else
			assert_null(pred.name);
		assert_true(pred.world[0] == (k ? 0.5 : 1) && pred.world[4] == 1 && pred.world[7] == (k ? -2 : 0));
	}
	e3_pred_release(&pred);
}

static void same_records(e3_in *in)
{
	e3_err err;
	e3_msg msg;
	e3_evict evict = {0};
	e3_attn attn = {0};
	for (int k = 1; k >= 0; k--) {
		next(in, E3_EVICT, &msg);
		assert_int_equal(e3_evict_decode(&msg, &evict, &err), 0);
		assert_true(evict.i == 1 && evict.segment == k && evict.first == k && evict.n_layers == 2);
	}
	next(in, E3_ATTN, &msg);
	assert_int_equal(e3_attn_decode(&msg, &attn, &err), 0);
	assert_true(attn.i == 2 && attn.segment == 1 && attn.first == 1 && attn.n_frames == 2);
	e3_evict_release(&evict), e3_attn_release(&attn);
}

static void check_sample(e3_in *in)
{
	e3_err err;
	e3_msg msg;
	e3_head head = {0};
	e3_edge edge, edge_sent = sample_edge(1);
	e3_correct correct, correct_sent = sample_correct(1);
	next(in, E3_HEAD, &msg);
	assert_int_equal(e3_head_decode(&msg, &head, &err), 0);
	assert_true(head.corrects && !head.frozen);
	e3_head_release(&head);
	same_preds(in);
	same_records(in);
	next(in, E3_EDGE, &msg);
	assert_int_equal(e3_edge_decode(&msg, &edge, &err), 0);
	assert_true(edge.i == 1 && edge.type == E3_EDGE_LOOP && edge.a == 0 && edge.b == 1);
	assert_true(edge.frame[0] == 0 && edge.frame[1] == 1);
	assert_memory_equal(edge.sim, edge_sent.sim, sizeof edge.sim);
	assert_memory_equal(edge.sigma, edge_sent.sigma, sizeof edge.sigma);
	next(in, E3_CORRECT, &msg);
	assert_int_equal(e3_correct_decode(&msg, &correct, &err), 0);
	assert_true(correct.i == 1 && correct.from == 0 && correct.to == 1);
	assert_memory_equal(correct.sim, correct_sent.sim, sizeof correct.sim);
	next(in, E3_END, &msg);
	assert_int_equal(e3_in_next(in, &msg, &err), 0);
	e3_in_close(in);
}

static void everything_returns_equal(void **state)
{
	e3_err err = {""};
	if (sample_write_segments(path, &err))
		fail_msg("%s", err.text);
	check_sample(e3_in_open(path, NULL, &err));
	check_sample(e3_in_memory(golden, size, &err));
}

static void bytes_equal_those_of_python(void **state)
{
	e3_err err = {""};
	e3_map ours;
	assert_int_equal(sample_write_segments(path, &err), 0);
	assert_int_equal(e3_map_open(&ours, path, &err), 0);
	assert_int_equal(ours.size, size);
	for (size_t k = 0; k < size; k++)
		if (ours.data[k] != golden[k])
			fail_msg("byte %zu is %02x, expected %02x", k, ours.data[k], golden[k]);
	e3_map_close(&ours);
}

/* One struct serves a stream: what the message before had does not stay. */
static void nothing_stays_from_the_message_before(void **state)
{
	e3_err err;
	e3_msg msg;
	e3_pred pred = {.has_segment = true, .segment = 7, .world = {3}}, sent = sample_pred(0, false);
	e3_end end = sample_end(1);
	e3_head head = sample_head(), got = {.corrects = true};
	e3_out *out = e3_out_open(path, NULL, &err);
	assert_int_equal(e3_out_head(out, &head, &err) || e3_out_pred(out, &sent, &err) || e3_out_end(out, &end, &err) ||
			e3_out_close(out, &err),
		0);
	e3_in *in = e3_in_open(path, NULL, &err);
	next(in, E3_HEAD, &msg);
	assert_int_equal(e3_head_decode(&msg, &got, &err), 0);
	assert_false(got.corrects);
	next(in, E3_PRED, &msg);
	assert_int_equal(e3_pred_decode(&msg, &pred, &err), 0);
	assert_true(!pred.has_segment && pred.segment == 0 && pred.world[0] == 0);
	e3_in_close(in);
	e3_pred_release(&pred), e3_pred_release(&sent), e3_head_release(&head), e3_head_release(&got);
}

/* What a writer is given is checked too. */
static void writers_refuse(void **state)
{
	static const struct {
		e3_correct correct;
		const char *text;
	} rows[] = {
		{{.i = 4, .from = 3, .to = 2, .sim = {1, 0, 0, 0, 1}},
			"correct 4: frames 3 to 2, expected a range up to frame 4"},
		{{.i = 4, .from = 3, .to = 5, .sim = {1, 0, 0, 0, 1}},
			"correct 4: frames 3 to 5, expected a range up to frame 4"},
		{{.i = 4, .sim = {0, 0, 0, 0, 1}}, "correct 4: sim: scale 0, expected more than 0"},
		{{.i = 4, .sim = {1}}, "correct 4: sim: the quaternion is zero"},
		{{.i = 4, .sim = {1, 0, 0, NAN, 1}}, "correct 4: sim: is not a number, expected a finite number"},
	};
	for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
		e3_err err = {""};
		e3_head head = sample_head();
		head.corrects = true;
		e3_out *out = e3_out_open(path, NULL, &err);
		assert_int_equal(e3_out_head(out, &head, &err), 0);
		assert_int_equal(e3_out_correct(out, &rows[k].correct, &err), -1);
		if (!strstr(err.text, rows[k].text))
			fail_msg("'%s'; expected '%s'", err.text, rows[k].text);
		e3_out_abort(out, "sample", 1, "");
		e3_head_release(&head);
	}
	e3_err err = {""};
	e3_head head = sample_head();
	e3_correct correct = sample_correct(1);
	e3_edge edge = sample_edge(1);
	e3_out *out = e3_out_open(path, NULL, &err);
	assert_int_equal(e3_out_head(out, &head, &err), 0);
	assert_int_equal(e3_out_correct(out, &correct, &err), -1);
	assert_non_null(strstr(err.text, "a correct, but the head does not announce corrections"));
	edge.type = 2;
	assert_int_equal(e3_out_edge(out, &edge, &err), -1);
	assert_non_null(strstr(err.text, "edge 1: type 2, expected 0 to 1"));
	e3_out_abort(out, "sample", 1, "");
	e3_head_release(&head);
}

static void refused(const uint8_t *bytes, size_t n, const char *text, const char *what)
{
	e3_err err = {"(no error)"};
	uint8_t *copy = malloc(n);
	memcpy(copy, bytes, n);
	int rc = read_all(e3_in_memory(copy, n, &err), &err);
	free(copy);
	if (rc != -1 || !strstr(err.text, text))
		fail_msg("%s: %d, '%s'; expected '%s'", what, rc, err.text, text);
}

/* Where the key and its value stand in a message. */
static void find(int m, const char *key, size_t *from, size_t *to)
{
	e3_value v;
	e3_cursor c;
	if (!e3_body_find(golden + at[m] + 6, at[m + 1] - at[m] - 6, key, &v, &c))
		fail_msg("the golden stream has no %s in message %d", key, m);
	*from = (size_t)(c.at - golden);
	assert_int_equal(e3_value_skip(&c), 0);
	*to = (size_t)(c.at - golden);
}

#define BYTES(s) s, sizeof(s) - 1
#define NAN64 "\xcb\x7f\xf8\0\0\0\0\0\0"

// clang-format off
static const struct {
	int m;
	const char *key, *value;
	size_t n;
	const char *text;
} values[] = {
	{HEAD, "corrects", BYTES("\x02"), "head: corrects: is 2, expected 0 to 1"},
	{HEAD, "corrects", BYTES("\x00"), "message 8: a correct, but the head does not announce corrections (corrects)"},
	{PRED, "segment", BYTES("\xff"), "pred 0: segment: is -1, expected 0 to"},
	{PRED1, "name", BYTES("\xa3" "a/b"), "pred 1: name: 'a/b': expected the name of a file, without a folder"},
	{PRED1, "name", BYTES("\xa0"), "pred 1: name: '': expected the name of a file, without a folder, of 1 to 255 bytes"},
	{PRED1, "world", BYTES("\x93\0\0\0"), "pred 1: world: expected a list of 8 numbers"},
	{PRED1, "world", BYTES("\x98\0\0\0\0\1\0\0\0"), "pred 1: world: scale 0, expected more than 0"},
	{PRED1, "world", BYTES("\x98\1\0\0\0\0\0\0\0"), "pred 1: world: the quaternion is zero"},
	{PRED1, "world", BYTES("\x98\1\0\0\0\1\0\0" NAN64), "pred 1: world: [7]: is not a number, expected a finite number"},
	{EVICT, "first", BYTES("\x02"), "evict 1: first: is 2, after frame 1"},
	{EVICT, "segment", BYTES("\xc0"), "evict 1: segment: is nil, expected a whole number"},
	{ATTN, "first", BYTES("\x03"), "attn 2: first: is 3, after frame 2"},
	{EDGE, "type", BYTES("\xa4" "gaps"), "edge 1: type: is 'gaps', expected join or loop"},
	{EDGE, "type", BYTES("\x00"), "edge 1: type: is a whole number, expected text"},
	{EDGE, "b", BYTES("\x00"), "edge 1: segments 0 and 0, expected two different ones"},
	{EDGE, "frames", BYTES("\x92\x00\x02"), "edge 1: frames[1]: is 2, expected 0 to 1"},
	{EDGE, "frames", BYTES("\x92\x00\xff"), "edge 1: frames: [1]: is -1, expected 0 to"},
	{EDGE, "frames", BYTES("\x91\x00"), "edge 1: frames: expected a list of 2 numbers"},
	{EDGE, "sim", BYTES("\x98\xff\0\0\0\1\0\0\0"), "edge 1: sim: scale -1, expected more than 0"},
	{EDGE, "sigma", BYTES("\x93\0\0\xff"), "edge 1: sigma[2]: is -1, expected 0 or more"},
	{CORRECT, "to", BYTES("\x02"), "correct 1: frames 0 to 2, expected a range up to frame 1"},
	{CORRECT, "from", BYTES("\x02"), "correct 1: frames 2 to 1, expected a range up to frame 1"},
	{CORRECT, "sim", BYTES("\x98\0\0\0\0\1\0\0\0"), "correct 1: sim: scale 0, expected more than 0"},
	{CORRECT, "i", BYTES("\xff"), "message 8: correct: i: missing, or not a whole number"},
};
static const struct {
	int m;
	const char *key, *text;
} missing[] = {
	{HEAD, "corrects", "message 8: a correct, but the head does not announce corrections"},
	{PRED, "segment", "pred 0: world without segment"}, {PRED, "world", "pred 0: segment without world"},
	{EVICT, "segment", "evict 1: first without segment"}, {EVICT, "first", "evict 1: segment without first"},
	{ATTN, "segment", "attn 2: first without segment"}, {ATTN, "first", "attn 2: segment without first"},
	{EDGE, "type", "edge 1: type: missing"}, {EDGE, "a", "edge 1: a: missing"}, {EDGE, "b", "edge 1: b: missing"},
	{EDGE, "frames", "edge 1: frames: missing"}, {EDGE, "sim", "edge 1: sim: missing"}, {EDGE, "sigma", "edge 1: sigma: missing"},
	{CORRECT, "from", "correct 1: from: missing"}, {CORRECT, "to", "correct 1: to: missing"}, {CORRECT, "sim", "correct 1: sim: missing"},
};
// clang-format on

static void damage_is_named(void **state)
{
	for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
		size_t from, to, n = values[k].n;
		int m = values[k].m;
		find(m, values[k].key, &from, &to);
		uint8_t *copy = malloc(size + n);
		memcpy(copy, golden, from);
		memcpy(copy + from, values[k].value, n);
		memcpy(copy + from + n, golden + to, size - to);
		e3_put_be32(copy + at[m] + 1, (uint32_t)(at[m + 1] - at[m] - 6 + n - (to - from)));
		refused(copy, from + n + size - to, values[k].text, values[k].key);
		free(copy);
	}
	uint8_t *copy = malloc(size);
	for (size_t k = 0; k < sizeof missing / sizeof *missing; k++) {
		size_t from, to;
		find(missing[k].m, missing[k].key, &from, &to);
		memcpy(copy, golden, size);
		copy[from - 1] = '?';
		refused(copy, size, missing[k].text, missing[k].key);
	}
	memcpy(copy, golden, size);
	for (int m = EDGE; m <= CORRECT; m++) {
		e3_put_be32(copy + at[m] + 1, 65537);
		refused(copy, size, "at most 65536", "length");
		memcpy(copy, golden, size);
	}
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_returns_equal),
		cmocka_unit_test(bytes_equal_those_of_python),
		cmocka_unit_test(nothing_stays_from_the_message_before),
		cmocka_unit_test(writers_refuse),
		cmocka_unit_test(damage_is_named),
	};
	return cmocka_run_group_tests_name("wire_segments", tests, load, unload);
}
