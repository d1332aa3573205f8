/* A chain of segments that was saved and resumed: wherever it was cut it gives the bits of one that was not; frozen it
 * answers in the world; damage and contradictions are refused. */
#include "e3/track.h"
#include "model_saved.h"
#include "track/track.h"

enum { FRAMES = 13, SEGMENT = 5, OVERLAP = 2 };

/* A stream with its chain. */
typedef struct chain {
	stream t;
	e3_track *track;
	e3_track_options o;
} chain;

static void open_chain(chain *c, const custom *net, e3_infer_options o, int64_t frames)
{
	e3_err err = {""};
	c->o.segment = c->o.segment ? c->o.segment : SEGMENT, c->o.overlap = OVERLAP, c->o.frames = frames;
	o.frames = frames;
	assert_int_equal(e3_track_prepare(&c->o, &o, &err), 0);
	stream_open(dev, &c->t, net, &o);
	c->track = e3_track_open(c->t.s, &c->o, &err);
	assert_non_null(c->track);
}

static void close_chain(chain *c)
{
	e3_track_close(c->track);
	stream_close(&c->t);
}

/* Frame i, and what was made beside it, as one hash. */
static uint64_t step_picture(chain *c, int i, int picture)
{
	e3_err err = {""};
	uint8_t *rgb = custom_picture(picture, c->t.size[0], c->t.size[1]);
	if (e3_track_step(c->track, rgb, i, &c->t.pred, &c->t.evict, &err))
		fail_msg("%s", err.text);
	e3_track_place at = e3_track_placed(c->track);
	size_t area = (size_t)c->t.size[0] * (size_t)c->t.size[1] * sizeof(float);
	uint64_t h = e3_fnv1a64(&c->t.pred.pose, sizeof c->t.pred.pose) ^ e3_fnv1a64(c->t.pred.depth, area);
	h = h * 31 + (e3_fnv1a64(&at.segment, sizeof at.segment) ^ e3_fnv1a64(&at.world, sizeof at.world));
	if (e3_track_beside(c->track, &err))
		fail_msg("%s", err.text);
	free(rgb);
	e3_track_report r = e3_track_reported(c->track);
	for (int l = 0; l < r.evict->n_layers; l++)
		h = h * 31 + e3_fnv1a64(r.evict->layer[l].removed, r.evict->layer[l].n_removed * sizeof(uint32_t));
	h = h * 31 + (uint64_t)(r.evict->n_layers ? r.evict->i + r.evict->first : 0);
	for (int k = 0; k < r.n_edges; k++)
		h = h * 31 + e3_fnv1a64(r.edge[k].sim, sizeof r.edge[k].sim) + (uint64_t)r.edge[k].b;
	if (r.evict->n_layers) /* taken: else it would be lost by saving now */
		assert_int_equal(e3_track_save(c->track, &position, path_of("none"), &err), -1);
	e3_evict_release(r.evict);
	assert_int_equal(e3_track_reported(c->track).n_edges, 0);
	return h;
}

static uint64_t step_chain(chain *c, int i) { return step_picture(c, i, i); }

static void save_chain(chain *c, int i, const char *path)
{
	e3_err err = {""};
	e3_stream_position p = position;
	p.first_i = 0, p.last_i = i;
	if (e3_track_save(c->track, &p, path, &err))
		fail_msg("%s", err.text);
}

/* Resumes on the network of c, whose chain and session are closed before. */
static int resume_chain(chain *c, e3_saved_file *file, bool frozen, e3_err *err)
{
	e3_infer_options o = e3_saved_head(file)->o;
	e3_track_close(c->track);
	e3_session_close(c->t.s);
	c->track = NULL, c->t.s = NULL;
	const e3_stream_position *p = &e3_saved_head(file)->position;
	c->o = (e3_track_options){.segment = o.segment,
		.overlap = p->overlap,
		.frames = o.frames,
		.loops = p->places > 0 && !frozen,
		.places = p->places};
	o.outputs = c->t.net && e3_net_config(c->t.net)->point.present ? E3_OUT_ALL : E3_OUT_POSE | E3_OUT_DEPTH;
	o.frozen = frozen;
	if (e3_track_prepare(&c->o, &o, err) || !(c->t.s = e3_session_resume(c->t.net, dev, &o, file, err)) ||
		!(c->track = e3_track_open(c->t.s, &c->o, err)))
		return -1;
	return e3_track_restore(c->track, file, err);
}

static void resume_from(chain *c, const char *path, bool frozen)
{
	e3_err err = {""};
	e3_saved_file *file = e3_saved_open(path, &err);
	if (!file || resume_chain(c, file, frozen, &err))
		fail_msg("%s", err.text);
	e3_saved_close(file);
}

/* Cut after every frame: before, between and after the shared ones. In turn the length is unknown; known, with a last
 * segment that is full; known, with one that is not. A budget that is a share of the length is cut with and without. */
static void a_resumed_chain_gives_the_same_bits(void **state)
{
	static const int64_t lengths[] = {-1, FRAMES, FRAMES - 2};
	for (size_t h = 0; h < sizeof hows / sizeof *hows; h++)
		for (int k = 0; k < (hows[h].kind == E3_BUDGET_FRACTION ? 2 : 1); k++) {
			int n = hows[h].kind != E3_BUDGET_FRACTION ? (int)h % 3 : k ? 1 + (int)h % 2 : 0;
			e3_infer_options o = options_of(&hows[h]);
			chain through = {0}, stopped = {0};
			int frames = lengths[n] < 0 ? FRAMES : (int)lengths[n], cuts = 0;
			if (o.budget_kind == E3_BUDGET_BYTES)
				o.budget *= 2;
			open_chain(&through, &custom_tall, o, lengths[n]), open_chain(&stopped, &custom_tall, o, lengths[n]);
			for (int i = 0; i < frames; i++) {
				uint64_t a = step_chain(&through, i), b = step_chain(&stopped, i);
				if (a != b)
					fail_msg("%s, %d frames: frame %d differs", hows[h].name, (int)lengths[n], i);
				stream_same_maps(&through.t.pred, &stopped.t.pred);
				same_records(&through.t.evict, &stopped.t.evict);
				assert_int_equal(e3_track_frames(stopped.track), i + 1);
				e3_cache_use x = e3_track_cache(through.track), y = e3_track_cache(stopped.track);
				assert_true(x.now == y.now && x.peak == y.peak && x.full == y.full);
				save_chain(&through, i, path_of("a")), save_chain(&stopped, i, path_of("b"));
				same_files(path_of("a"), path_of("b"));
				cuts += e3_session_side_frames(stopped.t.s) > 0;
				resume_from(&stopped, path_of("b"), false);
			}
			assert_true(cuts > 1);
			assert_int_equal(e3_track_placed(stopped.track).segment, frames == FRAMES && n == 0 ? 3 : n == 1 ? 3 : 2);
			close_chain(&through), close_chain(&stopped);
		}
	unlink(path_of("a")), unlink(path_of("b"));
}

/* With loops: places that are kept, and trials, which use the side between two overlaps. A frozen one has none. */
static void a_resumed_chain_has_its_loops_again(void **state)
{
	chain through = {.o = {.segment = 9, .loops = true, .places = 6}}, stopped = through, frozen = {0};
	int trials = 0, cuts = 0;
	open_chain(&through, &custom_tall, options_of(&hows[0]), -1);
	open_chain(&stopped, &custom_tall, options_of(&hows[0]), -1);
	open_chain(&frozen, &custom_tall, options_of(&hows[0]), -1);
	for (int i = 0; i < 80; i++) {
		int picture = i % 49; /* back where it was, seven segments later */
		uint64_t a = step_picture(&through, i, picture), b = step_picture(&stopped, i, picture);
		if (a != b)
			fail_msg("frame %d differs", i);
		const e3_loops *x = through.track->loops, *y = stopped.track->loops;
		assert_true(x->at == y->at && x->tried == y->tried && x->places == y->places && x->walked == y->walked);
		trials = (int)x->tried;
		if (i < 48 && i % 7)
			continue;
		cuts += x->at > 0;
		save_chain(&through, i, path_of("a")), save_chain(&stopped, i, path_of("b"));
		same_files(path_of("a"), path_of("b"));
		resume_from(&stopped, path_of("b"), false);
		if (i % 9 == 0) {
			resume_from(&frozen, path_of("a"), true);
			assert_null(frozen.track->loops);
			step_picture(&frozen, i, picture);
		}
	}
	print_message("# %d trials, cut %d times\n", trials, cuts);
	assert_true(trials > 1 && cuts > 2);
	close_chain(&through), close_chain(&stopped), close_chain(&frozen);
	unlink(path_of("a")), unlink(path_of("b"));
}

/* A frozen chain answers with the segment that was the last, in the world of the stream, also between two shared
 * frames; nothing is computed beside. */
static void a_frozen_chain_answers_in_the_world(void **state)
{
	chain scan = {0}, query = {0}, next = {0};
	open_chain(&scan, &custom_tall, options_of(&hows[0]), -1);
	open_chain(&query, &custom_tall, options_of(&hows[0]), -1);
	open_chain(&next, &custom_tall, options_of(&hows[0]), -1);
	for (int i = 0; i < 10; i++) {
		step_chain(&scan, i);
		save_chain(&scan, i, path_of("a"));
		resume_from(&query, path_of("a"), true), resume_from(&next, path_of("a"), false);
		for (int again = 0; again < 2; again++) {
			step_chain(&query, i + 1 + 5 * (1 - again));
			assert_int_equal(query.t.evict.segment, e3_track_placed(scan.track).segment);
			assert_int_equal(e3_session_side_frames(query.t.s), 0);
			assert_int_equal(e3_track_frames(query.track), i + 1);
		}
		step_chain(&next, i + 1);
		stream_same_maps(&next.t.pred, &query.t.pred);
	}
	assert_true(e3_track_placed(scan.track).segment == 2);
	close_chain(&scan), close_chain(&query), close_chain(&next);
	unlink(path_of("a"));
}

/* The stream goes on after the frame that was said to be its last: the shared frames come later, and the segment is
 * longer. */
static void a_chain_goes_on_after_its_announced_end(void **state)
{
	e3_infer_options o = options_of(&hows[0]);
	e3_err err = {""};
	chain c = {0};
	open_chain(&c, &custom_tall, o, 8);
	for (int i = 0; i < 8; i++)
		step_chain(&c, i);
	assert_int_equal(e3_session_frames(c.t.s), 5);
	save_chain(&c, 7, path_of("a"));
	e3_saved_file *file = e3_saved_open(path_of("a"), &err);
	assert_non_null(file);
	o = e3_saved_head(file)->o;
	e3_track_close(c.track), e3_session_close(c.t.s);
	c.o.frames = o.frames = -1, o.outputs = E3_OUT_ALL;
	assert_int_equal(e3_track_prepare(&c.o, &o, &err), 0);
	c.t.s = e3_session_resume(c.t.net, dev, &o, file, &err);
	c.track = e3_track_open(c.t.s, &c.o, &err);
	assert_int_equal(e3_track_restore(c.track, file, &err), 0);
	e3_saved_close(file);
	static const int64_t segment[] = {1, 1, 2, 2, 2, 3};
	for (int i = 8; i < 14; i++) {
		step_chain(&c, i);
		assert_int_equal(c.t.evict.segment, segment[i - 8]);
	}
	assert_int_equal(e3_track_placed(c.track).first, 11);
	close_chain(&c);
	unlink(path_of("a"));
}

/* ---- refused ---- */

/* A saved chain between two shared frames, as bytes, and the network that it is of. */
static uint8_t *saved_bytes(chain *c, size_t *n)
{
	e3_infer_options o = e3_infer_defaults();
	custom small = custom_bare;
	small.size[0] = small.size[1] = 4;
	o.policy = e3_policy_find("window"), o.budget_kind = E3_BUDGET_FRAMES, o.budget = 2,
	o.outputs = E3_OUT_POSE | E3_OUT_DEPTH, o.camera_frames = 4;
	open_chain(c, &small, o, -1);
	for (int i = 0; i < 7; i++)
		step_chain(c, i);
	save_chain(c, 6, path_of("a"));
	uint8_t *bytes = contents(path_of("a"), n);
	unlink(path_of("a"));
	return bytes;
}

static bool restores(chain *c, const uint8_t *bytes, size_t n, e3_err *err)
{
	e3_saved_file *file = e3_saved_memory(bytes, n, err);
	bool good = file && resume_chain(c, file, false, err) == 0;
	e3_saved_close(file);
	return good;
}

static void every_damaged_byte_of_a_chain_is_noticed(void **state)
{
	chain c = {0};
	size_t n;
	e3_err err = {""};
	uint8_t *bytes = saved_bytes(&c, &n);
	e3_saved_file *file = e3_saved_memory(bytes, n, &err);
	size_t from = n - 4 - (size_t)e3_saved_head(file)->extra; /* the last section is the chain's */
	e3_saved_close(file);
	assert_true(restores(&c, bytes, n, &err));
	for (size_t k = from; k < n; k++) {
		bytes[k] ^= (uint8_t)(1u << k % 8);
		err.text[0] = 0;
		if (restores(&c, bytes, n, &err) || !strstr(err.text, "memory: beside the session: damaged: "))
			fail_msg("byte %zu of %zu: '%s'", k, n, err.text);
		bytes[k] ^= (uint8_t)(1u << k % 8);
	}
	free(bytes);
	close_chain(&c);
}

static void a_chain_that_contradicts_itself_is_refused(void **state)
{
	/* Where in the chain's bytes, what is there instead, the message. */
	static const struct row {
		size_t at, n;
		uint8_t bytes[8];
		const char *text;
	} rows[] = {
		{0, 1, {'S'}, "a part that is not known to this program or comes twice"},
		{15, 1, {'x'}, "a part that is not known to this program or comes twice"},
		{16, 1, {2}, "segments: segments: version 2; this program reads version 1"},
		{28, 1, {9}, "segments: segment 9 from frame 3 on, 7 frames, the last 6"},
		{28, 8, {255, 255, 255, 255, 255, 255, 255, 255}, "segments: segment -1 from"},
		{36, 1, {7}, "segments: segment 1 from frame 7 on"},
		{44, 1, {5}, "7 frames, the last 5"},
		{52, 1, {8}, "8 frames, the last 6"},
		{60, 1, {0}, "segments: 0 shared frames from 6 on"},
		{60, 1, {2}, "segments: 2 shared frames from 6 on"},
		{68, 1, {7}, "segments: 1 shared frames from 7 on"},
		{76, 8, {0}, "segments: a scale of 0"},
		{82, 2, {0xf0, 0x7f}, "segments: a number is not finite"},
		{180, 1, {0}, "segments: shared frame 0: a view of 0 × 4 depths"},
		{182, 1, {1}, "segments: shared frame 0: a view of 65540 × 4 depths"},
		{188, 1, {99}, "segments: shared frame 0: a view of 4 × 99 depths"},
		{180, 1, {5}, "segments: shared frame 0: a view of 5 × 4 depths, of a picture of 4 × 4"},
		{180, 1, {2}, "segments: shared frame 0: a view of 2 × 4 depths, of a picture of 4 × 4"},
		{204, 1, {2}, "segments: shared frame 0: a view of 4 × 4 depths, of a picture of 4 × 4"},
	};
	chain c = {0};
	size_t n;
	uint8_t *good = saved_bytes(&c, &n);
	e3_err err = {""};
	e3_saved_file *file = e3_saved_memory(good, n, &err);
	size_t from = n - 4 - (size_t)e3_saved_head(file)->extra;
	e3_saved_close(file);
	for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
		uint8_t *bytes = malloc(n);
		memcpy(bytes, good, n);
		memcpy(bytes + from + rows[k].at, rows[k].bytes, rows[k].n);
		e3_put_le32(bytes + n - 4, (uint32_t)crc32_z(0, bytes, n - 4));
		err.text[0] = 0;
		if (restores(&c, bytes, n, &err) || !strstr(err.text, rows[k].text))
			fail_msg("row %zu: '%s' lacks '%s'", k, err.text, rows[k].text);
		free(bytes);
	}
	free(good);
	close_chain(&c);
}

/* A saved chain in the middle of a trial, as bytes; where its loops begin. */
static uint8_t *trying(chain *c, size_t *n, size_t *loops)
{
	e3_infer_options o = e3_infer_defaults();
	custom small = custom_bare;
	small.size[0] = small.size[1] = 12;
	o.policy = e3_policy_find("window"), o.budget_kind = E3_BUDGET_FRAMES, o.budget = 2,
	o.outputs = E3_OUT_POSE | E3_OUT_DEPTH, o.camera_frames = 4;
	*c = (chain){.o = {.segment = 9, .loops = true, .places = 6}};
	open_chain(c, &small, o, -1);
	int i = 0;
	for (; i < 300 && c->track->loops->at < 2; i++)
		step_picture(c, i, i % 49);
	assert_true(c->track->loops->at >= 2);
	save_chain(c, i - 1, path_of("a"));
	uint8_t *bytes = contents(path_of("a"), n), *at = memmem(bytes, *n, "loops\0\0\0\0\0\0\0\0\0\0\0\1", 17);
	assert_non_null(at);
	*loops = (size_t)(at - bytes);
	unlink(path_of("a"));
	return bytes;
}

static void loops_that_are_damaged_or_contradict_the_chain_are_refused(void **state)
{
	/* Where in the part; 100: the sum of 36 descriptors' numbers; 388: what loops made of the world; 524: the bank. */
	static const struct row {
		size_t at, n;
		uint8_t bytes[8];
		const char *text;
	} rows[] = {
		{16, 1, {7}, "loops: version 7; this program reads version 1"},
		{20, 1, {0}, "loops: "},
		{28, 1, {7}, "loops: 7 places of "},
		{28, 8, {255, 255, 255, 255, 255, 255, 255, 255}, "loops: -1 places of "},
		{36, 1, {35}, "with 35 numbers, expected up to 6 with 36"},
		{44, 1, {4}, "loops: a place with 4 pictures"},
		{60, 1, {0}, "loops: 6 places of 0, "},
		{68, 1, {2}, "loops of "},
		{76, 1, {6}, "loops: 6 frames tried, "},
		{76, 1, {1}, "loops: 1 frames tried, "},
		{92, 1, {99}, "loops: 99 loops of "},
		{106, 2, {0xf0, 0x7f}, "loops: a number is not finite"},
		{388, 8, {0}, "loops: a scale of 0"},
		{524, 1, {6}, "loops: place 0 looks like place 6 of 6"},
		{540, 8, {255, 255, 255, 255, 255, 255, 255, 255}, "loops: place 0: segment -1, "},
		{556, 1, {2}, "with 2 pictures, expected 3"},
	};
	chain c;
	size_t n, loops;
	e3_err err = {""};
	uint8_t *good = trying(&c, &n, &loops);
	if (!restores(&c, good, n, &err))
		fail_msg("%s", err.text);
	for (size_t k = loops; k < n; k += 61) {
		good[k] ^= (uint8_t)(1u << k % 8);
		if (restores(&c, good, n, &err) || !strstr(err.text, "memory: beside the session: damaged: "))
			fail_msg("byte %zu of %zu: '%s'", k, n, err.text);
		good[k] ^= (uint8_t)(1u << k % 8);
	}
	for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
		uint8_t *bytes = malloc(n);
		memcpy(bytes, good, n);
		memcpy(bytes + loops + rows[k].at, rows[k].bytes, rows[k].n);
		e3_put_le32(bytes + n - 4, (uint32_t)crc32_z(0, bytes, n - 4));
		if (restores(&c, bytes, n, &err) || !strstr(err.text, rows[k].text))
			fail_msg("row %zu: '%s' lacks '%s'", k, err.text, rows[k].text);
		free(bytes);
	}
	free(good);
	close_chain(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_resumed_chain_gives_the_same_bits),
		cmocka_unit_test(a_resumed_chain_has_its_loops_again),
		cmocka_unit_test(a_frozen_chain_answers_in_the_world),
		cmocka_unit_test(a_chain_goes_on_after_its_announced_end),
		cmocka_unit_test(every_damaged_byte_of_a_chain_is_noticed),
		cmocka_unit_test(a_chain_that_contradicts_itself_is_refused),
		cmocka_unit_test(loops_that_are_damaged_or_contradict_the_chain_are_refused),
	};
	return cmocka_run_group_tests_name("track: saved chains", tests, set_up, tear_down);
}
