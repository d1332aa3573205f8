/* Saved sessions: resumed they give the bits an uninterrupted one gives, frozen they give the same answers in any order
 * and keep what they had; every damaged byte, every other network and every file that is too short is refused. */
#include "model_saved.h"

/* At every frame the session is saved, thrown away and resumed; beside it one goes through. */
static void a_resumed_session_gives_the_same_bits(void **state)
{
	size_t removed = 0;
	for (size_t h = 0; h < sizeof hows / sizeof *hows; h++) {
		e3_infer_options o = options_of(&hows[h]);
		stream through, stopped;
		stream_open(dev, &through, &custom_tall, &o);
		stream_open(dev, &stopped, &custom_tall, &o);
		for (int i = 0; i < STEPS; i++) {
			stream_step(&through, i), stream_step(&stopped, i);
			stream_same_maps(&through.pred, &stopped.pred);
			same_records(&through.evict, &stopped.evict);
			same_use(through.s, stopped.s);
			removed += through.evict.layer[2].n_removed;
			save(&through, path_of("a")), save(&stopped, path_of("b"));
			same_files(path_of("a"), path_of("b"));
			resume(&stopped, path_of("b"), NULL);
		}
		stream_close(&through), stream_close(&stopped);
		print_message("# %s\n", hows[h].name);
	}
	assert_true(removed > 500);
	unlink(path_of("a")), unlink(path_of("b"));
}

static void the_header_describes_the_session(void **state)
{
	e3_err err = {""};
	e3_infer_options o = options_of(&hows[2]);
	stream t;
	stream_open(dev, &t, &custom_tall, &o);
	assert_int_equal(e3_session_save(t.s, &position, NULL, path_of("a"), &err), -1);
	assert_non_null(strstr(err.text, "saving the cache: "));
	assert_non_null(strstr(err.text, "it has seen no frame yet"));
	stream_step(&t, 0), stream_step(&t, 1);
	save(&t, path_of("a"));
	e3_saved_file *file = e3_saved_open(path_of("a"), &err);
	assert_non_null(file);
	const e3_saved *x = e3_saved_head(file);
	assert_true(x->past[0].t == 2 && x->size[0] == t.size[0] && x->size[1] == t.size[1] && x->tokens_per_frame == 25 &&
		x->layers == 6);
	assert_true(x->fingerprint == e3_net_fingerprint(t.net) && strcmp(x->device, "cpu") == 0);
	assert_true(strcmp(x->o.policy->name, "evict3r") == 0 && x->o.budget_kind == E3_BUDGET_FRACTION &&
		x->o.budget == 0.4 && x->o.temperature == 0.02);
	assert_true(x->o.frames == STEPS && x->o.camera_frames == 1024 && x->o.compat == 0 && !x->o.attn && !x->o.frozen);
	assert_true(x->camera_caches == 4 && x->past[0].camera_keys == 2 && x->past[0].slots[5] >= 25);
	assert_true(x->position.first_i == 3 && x->position.last_i == 40 && x->position.last_pts == 1.25 &&
		x->position.shift_i == -4 && x->position.shift_pts == 0.1 && x->position.first_crc == 7);
	assert_true(x->position.last_crc == 0xfffffff0u && x->position.truths == 2 && x->position.fit == 1);
	assert_string_equal(x->position.source, "a \"clip\".mp4");
	e3_saved_close(file);
	stream_close(&t);
	unlink(path_of("a"));
}

/* A second, smaller budget: the surplus leaves after the next frame. */
static void a_resumed_session_may_have_another_budget(void **state)
{
	e3_infer_options o = options_of(&hows[0]);
	stream t;
	o.budget = 8;
	stream_open(dev, &t, &custom_tall, &o);
	for (int i = 0; i < 6; i++)
		stream_step(&t, i);
	save(&t, path_of("a"));
	o.budget = 2;
	resume(&t, path_of("a"), &o);
	for (int i = 6; i < 12; i++) {
		double held = 0;
		stream_step(&t, i);
		for (int l = 0; l < 6; l++)
			held += t.evict.layer[l].k_after;
		assert_int_equal(t.evict.layer[0].k_before,
			i == 6 ? 175 : t.s->past->cache.layer[0].n + t.evict.layer[0].n_removed - t.s->past->cache.layer[0].holes);
		assert_true(held >= 300 && held < 306);
	}
	stream_close(&t);
	unlink(path_of("a"));
}

/* ---- frozen ---- */

static void results_of_a_frozen_session_do_not_depend_on_order(void **state)
{
	static const int order[2][4] = {{9, 4, 20, 9}, {20, 9, 9, 4}};
	for (size_t h = 0; h < sizeof hows / sizeof *hows; h++) {
		e3_infer_options o = options_of(&hows[h]), frozen = o;
		bool wrapped = hows[h].camera_frames < 6 && hows[h].keyframe < 2; /* else it forgets afterwards */
		stream scan, next, query;
		float depth[25][4], pose[25][9];
		stream_open(dev, &scan, &custom_tall, &o), stream_open(dev, &next, &custom_tall, &o),
			stream_open(dev, &query, &custom_tall, &o);
		for (int i = 0; i < 6; i++)
			stream_step(&scan, i);
		save(&scan, path_of("a"));
		frozen.frozen = true;
		resume(&query, path_of("a"), &frozen);
		e3_cache_use before = e3_session_cache(query.s);
		for (int pass = 0; pass < 2; pass++)
			for (int k = 0; k < 4; k++) {
				int i = order[pass][k];
				stream_step(&query, i);
				if (pass == 0)
					memcpy(depth[i], query.pred.depth + 100, sizeof depth[i]),
						memcpy(pose[i], query.pred.pose, sizeof pose[i]);
				assert_memory_equal(depth[i], query.pred.depth + 100, sizeof depth[i]);
				assert_memory_equal(pose[i], query.pred.pose, sizeof pose[i]);
				resume(&next, path_of("a"), &o); /* what it would have been as the next frame of the scan */
				stream_step(&next, i);
				size_t area = (size_t)next.pred.h * (size_t)next.pred.w * sizeof(float);
				assert_memory_equal(next.pred.depth, query.pred.depth, area);
				assert_memory_equal(next.pred.points, query.pred.points, 3 * area);
				/* Only the camera head, once it would have had to forget a frame, sees one more. */
				assert_int_equal(memcmp(next.pred.pose, query.pred.pose, sizeof next.pred.pose) != 0, wrapped);
				assert_int_equal(query.evict.i, 6);
				for (int l = 0; l < 6; l++) {
					const e3_evict_layer *r = &query.evict.layer[l];
					assert_true(
						!r->n_removed && r->k_before == r->k_after && r->k_after == scan.evict.layer[l].k_after);
					assert_int_equal(query.s->past->cache.layer[l].n, scan.s->past->cache.layer[l].n);
					assert_int_equal(query.s->past->cache.layer[l].n_pages, scan.s->past->cache.layer[l].n_pages);
					assert_memory_equal(query.s->past->cache.layer[l].id, scan.s->past->cache.layer[l].id,
						scan.s->past->cache.layer[l].n * sizeof(uint32_t));
				}
			}
		e3_cache_use after = e3_session_cache(query.s);
		assert_true(before.now == after.now && before.full == after.full && e3_session_frames(query.s) == 6);
		stream_close(&scan), stream_close(&next), stream_close(&query);
	}
	unlink(path_of("a"));
}

/* ---- refused ---- */

static void refused(const stream *t, const e3_infer_options *o, const char *text)
{
	e3_err err = {""};
	assert_null(resume_with(t, path_of("a"), o, &err));
	if (!strstr(err.text, text))
		fail_msg("'%s' lacks '%s'", err.text, text);
}

static void a_session_of_another_network_or_device_is_refused(void **state)
{
	e3_infer_options o = options_of(&hows[0]), blind = o;
	custom other = custom_tall;
	stream t, u;
	other.seed++;
	blind.outputs = E3_OUT_DEPTH | E3_OUT_POINTS;
	stream_open(dev, &t, &custom_tall, &o), stream_open(dev, &u, &other, &o);
	stream_step(&t, 0);
	save(&t, path_of("a"));
	refused(&u, NULL, "belongs to the network unnamed (");
	assert_int_not_equal(e3_net_fingerprint(t.net), e3_net_fingerprint(u.net));
	dev->attn_dtype = E3_F16;
	refused(&t, NULL, "has keys and values in f32, saved on cpu; this run has them in f16 (see 'device', 'precision')");
	dev->attn_dtype = E3_F32;
	resume(&t, path_of("a"), &blind); /* poses may be left out ... */
	stream_step(&t, 1);
	save(&t, path_of("a"));
	refused(&t, NULL,
		"has no camera memory, since it was saved without poses: leave pose out of 'outputs'"); /* ... but do not come
																								   back */
	resume(&t, path_of("a"), &blind);
	/* What CUDA saved in bf16 before it had f16. */
	e3_infer_options halves = o;
	stream brain;
	halves.pack = E3_PACK_BF16;
	stream_open(dev, &brain, &custom_tall, &halves);
	stream_step(&brain, 0);
	save(&brain, path_of("a"));
	dev->attn_dtype = E3_F16;
	refused(&brain, NULL,
		"has keys and values in bf16, saved on cpu; this run has them in f16 (see 'device', 'precision')");
	dev->attn_dtype = E3_F32;
	stream_close(&brain);
	unlink(path_of("a"));
	refused(&t, NULL, "No such file or directory");
	stream_close(&t), stream_close(&u);
	e3_err err = {""};
	assert_null(e3_saved_open(folder, &err));
	assert_non_null(strstr(err.text, "not a regular file"));
}

static void every_damaged_byte_is_noticed(void **state)
{
	e3_infer_options o = e3_infer_defaults();
	custom small = custom_bare;
	stream t;
	size_t n;
	e3_result side;
	e3_evict evict = {0};
	e3_err err = {""};
	o.policy = e3_policy_find("window"), o.budget_kind = E3_BUDGET_FRAMES, o.budget = 2, o.outputs = E3_OUT_POSE,
	o.camera_frames = 4, o.side = 4, o.segment = 8;
	small.size[0] = small.size[1] = 4;
	stream_open(dev, &t, &small, &o);
	stream_step(&t, 0);
	step_beside(&t, &side, &evict);
	save_with(&t, "some bytes", path_of("a"));
	uint8_t *bytes = contents(path_of("a"), &n);
	unlink(path_of("a"));
	assert_true(loads(&t, bytes, n, &err));
	for (size_t k = 0; k < n; k++) {
		bytes[k] ^= (uint8_t)(1u << k % 8);
		err.text[0] = 0;
		if (loads(&t, bytes, n, &err) || !strstr(err.text, "memory: "))
			fail_msg("byte %zu of %zu: '%s'", k, n, err.text);
		bytes[k] ^= (uint8_t)(1u << k % 8);
	}
	for (size_t k = 0; k < n; k += k < 1000 ? 1 : 97) {
		assert_false(loads(&t, bytes, k, &err));
		if (k > 1000)
			assert_non_null(strstr(err.text, "truncated: "));
	}
	bytes = realloc(bytes, n + 1);
	bytes[n] = 0;
	assert_false(loads(&t, bytes, n + 1, &err));
	assert_non_null(strstr(err.text, "too long: "));
	print_message("# %zu bytes\n", n);
	free(bytes);
	e3_evict_release(&evict);
	stream_close(&t);
}

static void a_file_that_contradicts_itself_is_refused(void **state)
{
	static const char *const rows[][3] = {
		{"\"policy\":\"window\"", "\"policy\":\"widow!\"", "header: policy: 'widow!' is not known to this program"},
		{"\"layers\":4", "\"layers\":3", "header: slots: expected a list of 3 numbers"},
		{"\"layers\":4", "\"layers\":0", "header: layers: expected a whole number from 1 to 256"},
		{"\"t\":2", "\"t\":0", "header: t: expected a whole number from 1 to"},
		{"\"t\":2", "\"t\":9", "header: camera memory: "},
		{"\"last_i\":40", "\"last_i\":03", "header: not a JSON object: "},
		{"\"last_i\":40", "\"layers\":4 ", "header: not a JSON object: duplicate object key"},
		{"\"last_i\":40", "\"last_i\":2 ", "header: frame 2 is the last of 2, and 3 the first"},
		{"\"holes\":[0,", "\"holes\":[9,", "layer 0: 0 holes in 24 slots, expected 9"},
		{"\"slots\":[24,", "\"slots\":[25,", "truncated: "},
		{"\"slots\":[24,", "\"slots\":[23,", "too long: "},
		{"\"tokens_per_frame\":12", "\"tokens_per_frame\":13", "13 tokens a frame, expected 12"},
		{"\"heads\":3", "\"heads\":\"", "header: not a JSON object: "},
		{"\"heads\":3,\"head_dim\":12", "\"heads\":6,\"head_dim\":06", "header: not a JSON object: "},
		{"\"heads\":3,\"head_dim\":12", "\"heads\":9,\"head_dim\": 4",
			"has 4 layers of 9 heads of 4 values, the network 4 of 3 of 12"},
		{"\"budget\":2.0", "\"budget\":-2.", "header: not a JSON object: "},
		{"\"camera_heads\":2", "\"camera_heads\":0", "header: camera memory: "},
		{"\"camera_room\":4", "\"camera_room\":1", "header: camera memory: "},
	};
	e3_infer_options o = e3_infer_defaults();
	stream t;
	size_t n;
	o.policy = e3_policy_find("window"), o.budget_kind = E3_BUDGET_FRAMES, o.budget = 2, o.outputs = E3_OUT_POSE,
	o.camera_frames = 4;
	stream_open(dev, &t, &custom_bare, &o);
	stream_step(&t, 0), stream_step(&t, 1);
	save(&t, path_of("a"));
	for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
		e3_err err = {""};
		uint8_t *bytes = contents(path_of("a"), &n);
		change(bytes, rows[k][0], rows[k][1]);
		if (loads(&t, bytes, n, &err) || !strstr(err.text, rows[k][2]))
			fail_msg("%s: '%s' lacks '%s'", rows[k][1], err.text, rows[k][2]);
		free(bytes);
	}
	unlink(path_of("a"));
	stream_close(&t);
}

/* Settings that came later: a file without them is of version 1 and loads as before; one with them is of version 2,
 * which an older program refuses. */
static void files_say_which_version_reads_them(void **state)
{
	static const struct {
		const char *policy;
		bool free_first;
		uint32_t seed;
		uint8_t version;
	} rows[] = {{"window", false, 0, 1}, {"random", false, 5, 2}, {"window", true, 0, 2}, {"k4", false, 0, 2}};
	for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
		e3_infer_options o = e3_infer_defaults();
		e3_err err = {""};
		stream t;
		size_t n;
		o.budget_kind = E3_BUDGET_FRAMES, o.budget = 2, o.outputs = E3_OUT_POSE;
		e3_infer_use_policy(&o, e3_policy_find(rows[k].policy));
		o.free_first = rows[k].free_first, o.seed = rows[k].seed;
		stream_open(dev, &t, &custom_bare, &o);
		for (int i = 0; i < 6; i++)
			stream_step(&t, i);
		save(&t, path_of("a"));
		uint8_t *bytes = contents(path_of("a"), &n);
		assert_int_equal(bytes[8], rows[k].version);
		e3_saved_file *file = e3_saved_memory(bytes, n, &err);
		assert_non_null(file);
		assert_true(
			e3_saved_head(file)->o.free_first == rows[k].free_first && e3_saved_head(file)->o.seed == rows[k].seed);
		e3_saved_close(file);
		assert_int_equal(!memmem(bytes, n, "protect_first", 13), !rows[k].free_first);
		assert_int_equal(!memmem(bytes, n, "\"seed\"", 6), !rows[k].seed);
		if (strcmp(rows[k].policy, "k4") == 0) {
			change(bytes, "\"bank_numbers\":36", "\"bank_numbers\":37");
			assert_null(e3_saved_memory(bytes, n, &err));
			assert_non_null(strstr(err.text, "truncated: "));
			change(bytes, "\"bank_numbers\":37", "\"bank_numbers\":36"), change(bytes, "\"banks\":1", "\"banks\":0");
			assert_null(e3_saved_memory(bytes, n, &err));
			assert_non_null(strstr(err.text, "header: 0 sets of frames, with policy k4"));
		}
		bytes[8] = 5;
		assert_null(e3_saved_memory(bytes, n, &err));
		assert_non_null(strstr(err.text, "version 5; this program reads versions 1 to 4"));
		free(bytes);
		stream_close(&t);
	}
	unlink(path_of("a"));
}

static void a_full_disk_leaves_the_old_file(void **state)
{
	e3_infer_options o = options_of(&hows[0]);
	e3_err err = {""};
	stream t;
	stream_open(dev, &t, &custom_tall, &o);
	stream_step(&t, 0);
	assert_int_equal(e3_session_save(t.s, &position, NULL, "/dev/full", &err), -1);
	assert_non_null(strstr(err.text, "saving the cache: writing: /dev/full: No space left on device"));
	assert_int_equal(e3_session_save(t.s, &position, NULL, "/dev/null/a", &err), -1);
	assert_non_null(strstr(err.text, "/dev/null: exists and is not a directory"));
	stream_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_resumed_session_gives_the_same_bits),
		cmocka_unit_test(the_header_describes_the_session),
		cmocka_unit_test(a_resumed_session_may_have_another_budget),
		cmocka_unit_test(results_of_a_frozen_session_do_not_depend_on_order),
		cmocka_unit_test(a_session_of_another_network_or_device_is_refused),
		cmocka_unit_test(every_damaged_byte_is_noticed),
		cmocka_unit_test(a_file_that_contradicts_itself_is_refused),
		cmocka_unit_test(files_say_which_version_reads_them),
		cmocka_unit_test(a_full_disk_leaves_the_old_file),
	};
	return cmocka_run_group_tests_name("model: saved sessions", tests, set_up, tear_down);
}
