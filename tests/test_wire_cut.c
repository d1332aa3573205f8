/* wire: streams that begin or end in the middle: messages whose frame did not come are left out, frames of a stream
 * that failed stay as FILE.partial, and readers read that to its end. */
#include "wire/early.h"
#include "wire_file.h"

/* Streams are written as words: a letter for the kind, then the index. */
static const char letters[E3_KINDS] = {[E3_HEAD] = 'h',
	[E3_FRAME] = 'f',
	[E3_PRED] = 'p',
	[E3_EVICT] = 'e',
	[E3_ATTN] = 'a',
	[E3_TRUTH] = 't',
	[E3_MASK] = 'm',
	[E3_EDGE] = 'g',
	[E3_CORRECT] = 'c',
	[E3_END] = 'z'};

static int put(e3_out *out, char kind, int64_t i, e3_err *err)
{
	e3_head head = sample_head();
	e3_frame frame = sample_frame(i);
	e3_pred pred = sample_pred(i, false);
	e3_evict evict = sample_evict(i);
	e3_attn attn = sample_attn(i);
	e3_truth truth = sample_truth(i);
	e3_mask mask = sample_mask(i);
	e3_edge edge = sample_edge(i);
	e3_correct correct = sample_correct(i);
	e3_end end = sample_end(i);
	head.corrects = true;
	int rc = kind == 'h' ? e3_out_head(out, &head, err)
		: kind == 'f'    ? e3_out_frame(out, &frame, err)
		: kind == 'p'    ? e3_out_pred(out, &pred, err)
		: kind == 'e'    ? e3_out_evict(out, &evict, err)
		: kind == 'a'    ? e3_out_attn(out, &attn, err)
		: kind == 't'    ? e3_out_truth(out, &truth, err)
		: kind == 'm'    ? e3_out_mask(out, &mask, err)
		: kind == 'g'    ? e3_out_edge(out, &edge, err)
		: kind == 'c'    ? e3_out_correct(out, &correct, err)
						 : e3_out_end(out, &end, err);
	e3_head_release(&head), e3_frame_release(&frame), e3_pred_release(&pred), e3_evict_release(&evict);
	e3_attn_release(&attn), e3_truth_release(&truth), e3_mask_release(&mask);
	return rc;
}

static e3_out *write_words(const char *to, const char *words)
{
	e3_err err = {""};
	e3_out *out = e3_out_open(to, NULL, &err);
	for (const char *p = words; *p;) {
		char kind = *p++, *end;
		if (put(out, kind, strtol(p, &end, 10), &err))
			fail_msg("%s: %s", words, err.text);
		for (p = end; *p == ' ';)
			p++;
	}
	return out;
}

static void write_file(const char *words)
{
	e3_err err = {""};
	if (e3_out_close(write_words(path, words), &err))
		fail_msg("%s", err.text);
}

static void add_word(char *to, size_t size, const e3_msg *msg)
{
	size_t n = strlen(to);
	int64_t i = msg->kind == E3_END ? -2 : e3_msg_index(msg);
	e3_end end;
	if (msg->kind == E3_END && e3_end_decode(msg, &end, NULL) == 0)
		i = end.frames;
	snprintf(to + n, size - n, i < 0 ? "%s%c" : "%s%c%lld", n ? " " : "", letters[msg->kind], (long long)i);
}

/* What a reader gets. */
static const char *read_words(const char *from)
{
	static char got[256];
	e3_err err = {""};
	e3_msg msg;
	int more;
	got[0] = 0;
	e3_in *in = e3_in_open(from, NULL, &err);
	while ((more = e3_in_next(in, &msg, &err)) > 0)
		add_word(got, sizeof got, &msg);
	e3_in_close(in);
	if (more < 0)
		fail_msg("%s", err.text);
	return got;
}

/* The same with rules for a subscriber. */
static const char *early_words(bool sub)
{
	static char got[256];
	e3_err err = {""};
	e3_msg msg;
	e3_early early;
	got[0] = 0;
	e3_in *in = e3_in_open(path, &(e3_stream_options){.timeout = -1, .all = true}, &err);
	e3_early_init(&early, sub);
	while (e3_in_next(in, &msg, &err) > 0)
		for (int out = e3_early_take(&early, &msg, &err); out; out = e3_early_next(&early, &msg))
			add_word(got, sizeof got, &msg);
	e3_in_close(in);
	e3_early_release(&early);
	return got;
}

/* Each row: what came, and what a reader gets of it. */
static const struct row {
	const char *came, *got;
} joined[] = {
	{"h t0 f1 t1 f2 t2 z2", "h f1 t1 f2 t2 z2"}, {"h e0 a0 p1 e1 a1 z1", "h p1 e1 a1 z1"},
	{"h m0 m0 f1 m1 m1 f2 m2 z2", "h f1 m1 m1 f2 m2 z2"}, {"h a0 a0 t0 p1 z1", "h p1 z1"},
	{"h t0 e0 a0 g0 c0 p3 t3 z1", "h g0 c0 p3 t3 z1"}, {"h g0 t0 p1 e1 g1 z1", "h g0 p1 e1 g1 z1"},
	{"h t0 t1 t2 f2 t2 z1", "h t2 f2 t2 z1"},       /* of frame 2 before and after it */
	{"h t4 t5 p4 p5 e5 z2", "h t4 p4 t5 p5 e5 z2"}, /* ahead of their frames */
	{"h p5 t0 t4 t5 e4 e5 z1", "h p5 t5 e5 z1"},    /* late */
	{"h f0 t0 f1 t1 z2", "h f0 t0 f1 t1 z2"},       /* nothing is missing */
	{"h t0 t1 e1 z0", "h t0 t1 e1 z0"},             /* a stream without frames is passed on */
	{"h t0 t1 t2 t3 t4 t5 t6 t7 t8 t9 t10 t11 t12 t13 t14 t15 t16 t17 f17 z1", "h t0 t1 t17 f17 z1"}, /* no more room */
};

static void test_what_belongs_to_a_frame_before_the_first_is_left_out(void **state)
{
	for (size_t k = 0; k < sizeof joined / sizeof *joined; k++) {
		unlink(path);
		write_file(joined[k].came);
		assert_string_equal(read_words(path), joined[k].got);
		assert_string_equal(early_words(true), joined[k].got);
	}
}

static void test_what_belongs_to_a_frame_that_was_dropped_is_left_out(void **state)
{
	static const struct row rows[] = {
		{"h f0 t0 t1 f2 t2 z2", "h f0 t0 f2 t2 z2"},
		{"h p0 e0 e1 a1 g1 p2 e2 z2", "h p0 e0 g1 p2 e2 z2"},
		{"h f0 t0 f2 t1 t2 z2", "h f0 t0 f2 t2 z2"},
		{"h f0 f1 f2 t0 t1 t2 z3", "h f0 f1 f2 t0 t1 t2 z3"},
	};
	for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
		write_file(rows[k].came);
		assert_string_equal(early_words(true), rows[k].got);
		assert_string_equal(early_words(false), rows[k].came); /* a file and a pipe lose nothing */
	}
}

static char partial[80], told[512];

static void listen(e3_tell_level level, const char *text) { snprintf(told, sizeof told, "%s", text); }

/* Reads path.partial, whose end must say why. */
static void is_partial(const char *words, const char *why)
{
	char said[512];
	told[0] = 0;
	e3_tell_to(listen);
	assert_string_equal(read_words(partial), words);
	e3_tell_to(NULL);
	snprintf(said, sizeof said, "reading: %s: the stream was cut short after %s: %s", partial,
		strstr(words, "z1") ? "1 frame" : "2 frames", why);
	assert_string_equal(told, said);
}

static void test_frames_of_a_stream_that_failed_stay(void **state)
{
	snprintf(partial, sizeof partial, "%s.partial", path);
	unlink(path);
	e3_tell_to(listen);
	e3_out_abort(write_words(path, "h"), "e3-infer", 1, "no frame came");
	assert_true(access(path, F_OK) && access(partial, F_OK));
	e3_out_abort(write_words(path, "h p0 e0 p1"), "e3-infer", 1, "the disk is full");
	assert_true(access(path, F_OK) && strstr(told, "cut short: the 2 frames that came are kept in "));
	is_partial("h p0 e0 p1 z2", "e3-infer failed (exit 1): the disk is full");
	/* Nothing replaces it; a frame does. The first failure is named. */
	write_file("h p0 e0 p1 e1 z2");
	e3_out_abort(write_words(path, "h"), "e3-infer", 1, "no frame came");
	is_partial("h p0 e0 p1 z2", "e3-infer failed (exit 1): the disk is full");
	e3_out_abort(write_words(path, "h p0"), "e3-cat", 1, "e3-decode failed (exit 143): Fenster\xc3\xbc");
	is_partial("h p0 z1", "e3-decode failed (exit 143): Fenster\xc3\xbc");
	assert_string_equal(read_words(path), "h p0 e0 p1 e1 z2");
	unlink(partial);
}

/* Cut anywhere after its head: what its writer left that was ended at once. */
static void test_a_partial_file_may_lack_its_end(void **state)
{
	char bytes[20000];
	snprintf(partial, sizeof partial, "%s.partial", path);
	unlink(path);
	write_file("h p0 e0 p1 e1 z2");
	FILE *f = fopen(path, "r");
	size_t n = fread(bytes, 1, sizeof bytes, f), head = 6 + (size_t)(uint8_t)bytes[4] + 256 * (size_t)(uint8_t)bytes[3];
	fclose(f);
	for (size_t cut = head; cut < n; cut += 7) {
		f = fopen(partial, "w");
		fwrite(bytes, 1, cut, f);
		fclose(f);
		const char *got = read_words(partial), *end = strrchr(got, 'z');
		assert_non_null(end);
		assert_int_equal(end[1] - '0', strstr(got, "p1") ? 2 : strstr(got, "p0") ? 1 : 0);
	}
	is_partial("h p0 e0 p1 e1 z2", "its writer was ended before it could say why");
	assert_int_equal(rename(partial, path), 0);
	e3_err err = {""};
	e3_msg msg;
	e3_in *in = e3_in_open(path, NULL, &err);
	while (e3_in_next(in, &msg, &err) > 0)
		;
	e3_in_close(in);
	assert_non_null(strstr(err.text, "truncated"));
}

static int stopped(void) { return 1; }

static void test_a_stream_without_a_frame_replaces_no_file(void **state)
{
	e3_err err;
	unlink(path);
	write_file("h z0"); /* nothing was there */
	assert_string_equal(read_words(path), "h z0");
	write_file("h f0 z1");
	assert_int_equal(e3_out_close(write_words(path, "h z0"), &err), -1);
	assert_non_null(strstr(err.text, ": the stream has no frame: the file stays as it was"));
	assert_string_equal(read_words(path), "h f0 z1");
	/* Ended by the user. */
	for (int there = 1; there >= 0; there--) {
		e3_out *out = e3_out_open(path, &(e3_stream_options){.timeout = -1, .stop = stopped}, &err);
		assert_int_equal(put(out, 'h', 0, &err) | put(out, 'z', 0, &err) | e3_out_close(out, &err), 0);
		assert_int_equal(access(path, F_OK) == 0, there);
		unlink(path);
	}
}

static void test_a_long_reason_is_cut_between_characters(void **state)
{
	char why[400];
	for (int shift = 0; shift < 3; shift++) {
		e3_end end = {0};
		memset(why, 'x', sizeof why);
		for (int k = shift; k + 3 < 390; k += 3)
			memcpy(why + k, "\xe2\x82\xac", 3);
		why[390] = 0;
		e3_end_cut(&end, why);
		size_t n = strlen(end.cut);
		assert_true(n > 250 && n < sizeof end.cut && (n - (size_t)shift) % 3 == 0);
		assert_memory_equal(end.cut, why, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_belongs_to_a_frame_before_the_first_is_left_out),
		cmocka_unit_test(test_what_belongs_to_a_frame_that_was_dropped_is_left_out),
		cmocka_unit_test(test_frames_of_a_stream_that_failed_stay),
		cmocka_unit_test(test_a_partial_file_may_lack_its_end),
		cmocka_unit_test(test_a_stream_without_a_frame_replaces_no_file),
		cmocka_unit_test(test_a_long_reason_is_cut_between_characters),
	};
	return cmocka_run_group_tests_name("wire_cut", tests, setup, teardown);
}
