/* Saved sessions with a side of the stream, with bytes of the caller's, and of older versions: what comes back, what is
 * skipped, what is refused. */
#include "model_saved.h"

/* The same in segments of four frames, two of them shared: saved before, between and after the shared ones. */
static void a_resumed_session_has_its_side_again(void **state)
{
	for (size_t h = 0; h < sizeof hows / sizeof *hows; h++) {
		e3_infer_options o = options_of(&hows[h]);
		e3_evict evict[2] = {{0}, {0}};
		e3_result side[2];
		stream through, stopped;
		o.frames = -1, o.segment = 4, o.side = 4;
		if (hows[h].kind == E3_BUDGET_BYTES)
			o.budget *= 2;
		stream_open(dev, &through, &custom_tall, &o), stream_open(dev, &stopped, &custom_tall, &o);
		for (int i = 0; i < STEPS; i++) {
			stream_step(&through, i), stream_step(&stopped, i);
			stream_same_maps(&through.pred, &stopped.pred);
			same_records(&through.evict, &stopped.evict);
			if (i > 1) {
				step_beside(&through, &side[0], &evict[0]), step_beside(&stopped, &side[1], &evict[1]);
				same_records(&evict[0], &evict[1]);
				assert_memory_equal(side[0].pose, side[1].pose, sizeof side[0].pose);
				assert_memory_equal(side[0].depth, side[1].depth, 56 * 24 * sizeof(float));
			}
			same_use(through.s, stopped.s);
			assert_int_equal(e3_session_side_frames(through.s), e3_session_side_frames(stopped.s));
			assert_int_equal(e3_session_side_frames(stopped.s), i > 1 ? (i + 1) % 2 : 0);
			save(&through, path_of("a")), save(&stopped, path_of("b"));
			same_files(path_of("a"), path_of("b"));
			resume(&stopped, path_of("b"), NULL);
		}
		stream_close(&through), stream_close(&stopped);
		e3_evict_release(&evict[0]), e3_evict_release(&evict[1]);
	}
	unlink(path_of("a")), unlink(path_of("b"));
}

/* Who wants no side, or no poses, reads past what the file has of them; the caller's own bytes come back. */
static void what_is_not_wanted_is_skipped(void **state)
{
	static const int outputs[] = {E3_OUT_ALL, E3_OUT_DEPTH};
	e3_infer_options o = options_of(&hows[0]);
	e3_evict evict = {0};
	e3_result side;
	e3_err err = {""};
	stream t;
	char text[8] = "";
	o.side = 4, o.segment = 8;
	stream_open(dev, &t, &custom_tall, &o);
	stream_step(&t, 0), stream_step(&t, 1);
	step_beside(&t, &side, &evict);
	save_with(&t, "my own", path_of("a"));
	for (int k = 0; k < 4; k++) {
		e3_saved_file *file = e3_saved_open(path_of("a"), &err);
		assert_non_null(file);
		e3_infer_options with = e3_saved_head(file)->o;
		assert_true(with.side && with.segment == 8 && e3_saved_head(file)->extra == 6);
		with.side = 4 * (k % 2), with.outputs = outputs[k / 2];
		e3_session *s = e3_session_resume(t.net, dev, &with, file, &err);
		if (!s)
			fail_msg("%s", err.text);
		assert_true(e3_session_frames(s) == 2 && e3_session_side_frames(s) == k % 2);
		assert_int_equal(e3_saved_left(file), 6);
		assert_int_equal(e3_saved_get(file, text, 4, &err), 0);
		assert_int_equal(e3_saved_get(file, text + 4, 2, &err), 0);
		assert_string_equal(text, "my own");
		assert_int_equal(e3_saved_get(file, text, 1, &err), -1);
		e3_session_close(s);
		e3_saved_close(file);
	}
	unlink(path_of("a"));
	e3_evict_release(&evict);
	stream_close(&t);
}

/* Older programs read what they know: a file is of version 2 only with a key that version 1 does not have. */
static void a_file_has_the_lowest_version_that_says_all(void **state)
{
	static const char key[] = "\"segment\":8";
	e3_infer_options o = options_of(&hows[0]);
	e3_err err = {""};
	for (int segment = 0; segment <= 8; segment += 8) {
		stream t;
		size_t n;
		o.segment = segment;
		stream_open(dev, &t, &custom_tall, &o);
		stream_step(&t, 0);
		save(&t, path_of("a"));
		uint8_t *bytes = contents(path_of("a"), &n);
		assert_int_equal(e3_le32(bytes + 8), segment ? 2 : 1);
		assert_int_equal(memmem(bytes + 16, e3_le32(bytes + 12), key, sizeof key - 1) != NULL, segment > 0);
		e3_saved_file *file = e3_saved_memory(bytes, n, &err);
		assert_non_null(file);
		assert_int_equal(e3_saved_head(file)->o.segment, segment);
		e3_saved_close(file);
		bytes[8] = 5;
		assert_null(e3_saved_memory(bytes, n, &err));
		assert_non_null(strstr(err.text, "version 5; this program reads versions 1 to 4"));
		free(bytes);
		stream_close(&t);
	}
	unlink(path_of("a"));
}

/* What a program wrote before there were segments: it goes on as a session that was never stopped (up to the rounding
 * of another machine), and is written again as it was, byte for byte. */
/* What older versions wrote into free slots is zeros now, and so the checksums after that differ, of 4 layers and 4
 * camera memories. Nothing else does. */
static void same_but_for_free_slots(const char *path, const char *old)
{
	FILE *f = fopen(path, "rb"), *g = fopen(old, "rb");
	int zeros = 0, others = 0, a, b;
	assert_true(f && g);
	do {
		a = getc(f), b = getc(g);
		zeros += a != b && !a, others += a != b && a;
	} while (a != EOF && b != EOF);
	assert_true(a == EOF && b == EOF);
	assert_true(zeros > 0 && others <= 4 * (4 + 4));
	fclose(f), fclose(g);
}

static void a_file_of_an_older_version_still_loads(void **state)
{
	static const char old[] = "tests/data/saved/before-segments.e3cache";
	e3_infer_options o = e3_infer_defaults();
	custom small = custom_bare;
	stream through, stopped;
	o.policy = e3_policy_find("spread"), o.budget_kind = E3_BUDGET_FRAMES, o.budget = 2,
	o.outputs = E3_OUT_POSE | E3_OUT_DEPTH, o.camera_frames = 4;
	small.size[0] = small.size[1] = 8;
	stream_open(dev, &through, &small, &o), stream_open(dev, &stopped, &small, &o);
	for (int i = 0; i < 5; i++)
		stream_step(&through, i);
	resume(&stopped, old, &o);
	save(&stopped, path_of("a"));
	same_but_for_free_slots(path_of("a"), old);
	for (int i = 5; i < 9; i++) {
		stream_step(&through, i), stream_step(&stopped, i);
		for (int k = 0; k < 64; k++)
			assert_true(fabsf(through.pred.depth[k] / stopped.pred.depth[k] - 1) < 1e-4f);
		for (int k = 0; k < 9; k++)
			assert_true(fabsf(through.pred.pose[k] - stopped.pred.pose[k]) < 1e-4f);
		for (int l = 0; l < 4; l++)
			assert_true(through.evict.layer[l].k_after == stopped.evict.layer[l].k_after);
	}
	unlink(path_of("a"));
	stream_close(&through), stream_close(&stopped);
}

static void a_side_that_contradicts_its_session_is_refused(void **state)
{
	static const char *const rows[][3] = {
		{"\"side\":12", "\"side\":0 ", "header: 1 frames beside the stream, of a session that has no side"},
		{"\"side\":12", "\"side\":-1", "header: side: expected a whole number from 0 to 1048576"},
		{"\"side_t\":1", "\"side_t\":0", "header: layer 0: 12 slots after no frame"},
		{"\"side_t\":1", "\"side_t\":9", "truncated: "},
		{"\"side_slots\":[12,", "\"side_slots\":[13,", "truncated: "},
		{"\"side_slots\":[12,", "\"side_slots\":[11,", "too long: "},
		{"\"side_slots\":[12,12,", "\"side_slots\":[12,   ", "header: side_slots: expected a list of 4 numbers"},
		{"\"side_slots\":", "\"side_holes\":", "header: layer 0: 12 holes in 0 slots"},
		{"\"extra\":6", "\"extra\":5", "too long: "},
		{"\"extra\":6", "\"extra\":7", "truncated: "},
		{"\"segment\":8", "\"segment\":.", "header: not a JSON object: "},
		{"\"earlier\":4", "\"earlier\":9", "header: frame 9 is the last of 11, and 3 the first"},
	};
	e3_infer_options o = e3_infer_defaults();
	e3_evict evict = {0};
	e3_result side;
	e3_stream_position late = position;
	e3_err err = {""};
	e3_saved_extra extra = {write_text, (void *)(uintptr_t) "my own"};
	stream t;
	size_t n;
	o.policy = e3_policy_find("window"), o.budget_kind = E3_BUDGET_FRAMES, o.budget = 2, o.outputs = E3_OUT_POSE,
	o.camera_frames = 4, o.side = 12, o.segment = 8;
	late.earlier = 4, late.last_i = 9;
	stream_open(dev, &t, &custom_bare, &o);
	stream_step(&t, 0), stream_step(&t, 1);
	step_beside(&t, &side, &evict);
	assert_int_equal(e3_session_save(t.s, &late, &extra, path_of("a"), &err), 0);
	for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
		uint8_t *bytes = contents(path_of("a"), &n);
		err.text[0] = 0;
		change(bytes, rows[k][0], rows[k][1]);
		if (loads(&t, bytes, n, &err) || !strstr(err.text, rows[k][2]))
			fail_msg("%s: '%s' lacks '%s'", rows[k][1], err.text, rows[k][2]);
		free(bytes);
	}
	unlink(path_of("a"));
	e3_evict_release(&evict);
	stream_close(&t);
}

static int write_more(void *ctx, e3_saved_out *to, e3_err *err)
{
	int *calls = ctx;
	return e3_saved_put(to, "xyz", (size_t)++ * calls, err);
}

static int write_too_much(void *ctx, e3_saved_out *to, e3_err *err)
{
	return e3_saved_put(to, ctx, 1, err) || e3_saved_put(to, ctx, (size_t)E3_SAVED_EXTRA_MOST, err);
}

static void bytes_that_change_or_are_too_many_are_not_saved(void **state)
{
	e3_infer_options o = options_of(&hows[0]);
	e3_err err = {""};
	int calls = 0;
	e3_saved_extra more = {write_more, &calls}, too_much = {write_too_much, &calls};
	stream t;
	stream_open(dev, &t, &custom_tall, &o);
	stream_step(&t, 0);
	assert_int_equal(e3_session_save(t.s, &position, &more, path_of("a"), &err), -1);
	assert_string_equal(err.text, "saving the cache: 1 bytes beside the session, then 2");
	assert_int_equal(e3_session_save(t.s, &position, &too_much, path_of("a"), &err), -1);
	assert_string_equal(err.text, "saving the cache: more than 4294967296 bytes beside the session");
	assert_int_equal(access(path_of("a"), F_OK), -1);
	stream_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_resumed_session_has_its_side_again),
		cmocka_unit_test(what_is_not_wanted_is_skipped),
		cmocka_unit_test(a_file_has_the_lowest_version_that_says_all),
		cmocka_unit_test(a_file_of_an_older_version_still_loads),
		cmocka_unit_test(a_side_that_contradicts_its_session_is_refused),
		cmocka_unit_test(bytes_that_change_or_are_too_many_are_not_saved),
	};
	return cmocka_run_group_tests_name("model: saved sessions, with sides", tests, set_up, tear_down);
}
