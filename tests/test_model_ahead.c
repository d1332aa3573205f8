/* What is begun of the next frame before the results of this one are there (lib/model/ahead.c): results are those of
 * one frame after the other, and whatever comes between two frames finds a past that knows nothing of it. */
#include "model_stream.h"
#include "e3/saved.h"
#include "model/session.h"
#include <unistd.h>

enum { FRAMES = 8 };

static e3_dev *dev;
static uint8_t *picture[FRAMES];

/* The CPU as a device that can begin with the next frame; counts the pictures it got, and how often it began. */
static struct {
	e3_dev_ops ops;
	const e3_dev_ops *real;
	e3_halt *halt;
	int now, late, pictures, vits, aggregators;
	int entered, broken; /* aggregators that were asked for, and the one from which on that fails; 0: none */
} early;

static int early_patchify(e3_dev *d, const e3_patchify *op, e3_err *err)
{
	early.pictures++;
	return early.real->patchify(d, op, err);
}

static int early_ahead(e3_dev *d, int which, e3_err *err)
{
	if (which == E3_BRANCH_NEXT)
		early.vits++;
	else
		early.aggregators++;
	return 0;
}

static int early_enter(e3_dev *d, const e3_entered *op, int layers, e3_err *err)
{
	if (early.broken && ++early.entered >= early.broken)
		return e3_fail(err, "enter: out of memory");
	return early.real->enter(d, op, layers, err);
}

static const uint8_t *early_next(void *ctx)
{
	return early.now + 1 == FRAMES || early.now == early.late ? NULL : picture[early.now + 1];
}

static int set_up(void **state)
{
	e3_err err = {""};
	dev = e3_dev_cpu(2, &err);
	if (!dev)
		return -1;
	early.real = dev->ops, early.halt = dev->halt;
	early.ops = *dev->ops, early.ops.patchify = early_patchify, early.ops.ahead = early_ahead;
	early.ops.enter = early_enter;
	for (int i = 0; i < FRAMES; i++)
		picture[i] = custom_picture(i, custom_tall.size[0], custom_tall.size[1]);
	return 0;
}

static int tear_down(void **state)
{
	for (int i = 0; i < FRAMES; i++)
		free(picture[i]);
	e3_dev_close(dev);
	return 0;
}

/* A stream in order, and the same with a look ahead. */
static void open_both(stream *plain, stream *t, const e3_infer_options *o)
{
	stream_open(dev, plain, &custom_tall, o), stream_open(dev, t, &custom_tall, o);
	early.now = early.pictures = early.vits = early.aggregators = 0, early.late = -1;
	e3_session_look_ahead(t->s, early_next, NULL);
}

/* A step of the stream that looks ahead. */
static void look_step(stream *t, int i)
{
	e3_err err = {""};
	early.now = i;
	dev->ops = &early.ops, dev->halt = NULL;
	if (e3_session_step(t->s, picture[i], &t->pred, &t->evict, &err))
		fail_msg("%s", err.text);
	dev->ops = early.real, dev->halt = early.halt;
}

static void same_step(const stream *a, const stream *b)
{
	e3_cache_use x = e3_session_cache(a->s), y = e3_session_cache(b->s);
	stream_same_maps(&a->pred, &b->pred);
	assert_true(x.now == y.now && x.peak == y.peak && x.full == y.full);
	assert_int_equal(e3_session_frames(a->s), e3_session_frames(b->s));
	for (int l = 0; l < a->evict.n_layers; l++) {
		const e3_evict_layer *p = &a->evict.layer[l], *q = &b->evict.layer[l];
		assert_int_equal(p->n_removed, q->n_removed);
		assert_true(p->k_before == q->k_before && p->k_after == q->k_after);
		if (p->n_removed)
			assert_memory_equal(p->removed, q->removed, p->n_removed * sizeof *p->removed);
	}
}

static e3_infer_options two_frames(const char *policy)
{
	e3_infer_options o = e3_infer_defaults();
	o.frames = FRAMES;
	o.policy = e3_policy_find(policy), o.budget_kind = E3_BUDGET_FRAMES, o.budget = 2.5;
	return o;
}

static void run(const char *policy, int late)
{
	e3_infer_options o = two_frames(policy);
	stream plain, t;
	open_both(&plain, &t, &o);
	early.late = late;
	for (int i = 0; i < FRAMES; i++) {
		stream_step(&plain, i), look_step(&t, i);
		same_step(&plain, &t);
	}
	stream_close(&plain), stream_close(&t);
}

static void results_are_those_of_one_frame_after_the_other(void **state)
{
	static const char *const policies[] = {"evict3r", "window", "random", "spread", "xstream", "ovggt", "frames"};
	for (int k = 0; k < (int)(sizeof policies / sizeof *policies); k++) {
		run(policies[k], -1);
		assert_int_equal(early.pictures, FRAMES);
		assert_int_equal(early.vits, FRAMES - 1);
		assert_int_equal(early.aggregators, FRAMES - 1);
	}
}

static void a_picture_that_is_not_there_is_not_waited_for(void **state)
{
	run("evict3r", 3);
	assert_int_equal(early.pictures, FRAMES);
	assert_int_equal(early.vits, FRAMES - 2);
	assert_int_equal(early.aggregators, FRAMES - 2);
}

static void another_picture_than_the_promised_one_is_taken(void **state)
{
	e3_infer_options o = two_frames("evict3r");
	stream plain, t;
	open_both(&plain, &t, &o);
	for (int i = 0; i < FRAMES; i++) {
		int is = i == 4 ? 1 : i; /* after 3, 4 was under way */
		stream_step(&plain, is), look_step(&t, is);
		same_step(&plain, &t);
	}
	stream_close(&plain), stream_close(&t);
}

/* What is in a cache: of each layer its tokens and where they are. */
static void same_cache(const stream *a, const stream *b)
{
	const e3_cache *x = &a->s->past->cache, *y = &b->s->past->cache;
	assert_int_equal(x->n_spare, y->n_spare);
	for (int l = 0; l < x->layers; l++) {
		assert_int_equal(x->layer[l].n, y->layer[l].n);
		assert_int_equal(x->layer[l].holes, y->layer[l].holes);
		assert_memory_equal(x->layer[l].id, y->layer[l].id, x->layer[l].n * sizeof *x->layer[l].id);
	}
}

/* The session in a file, which is read again and removed; *n: its length. */
static uint8_t *saved(const stream *t, size_t *n)
{
	char path[] = "/tmp/e3-test-ahead-XXXXXX";
	const e3_stream_position position = {.source = "clip"};
	e3_err err = {""};
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	if (e3_session_save(t->s, &position, NULL, path, &err))
		fail_msg("%s", err.text);
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	*n = (size_t)ftell(f);
	rewind(f);
	uint8_t *bytes = malloc(*n);
	assert_true(bytes && fread(bytes, 1, *n, f) == *n);
	fclose(f);
	unlink(path);
	return bytes;
}

/* The same file, though the slots that are free have held something else. */
static void a_session_is_saved_without_what_is_under_way(void **state)
{
	e3_infer_options o = two_frames("evict3r");
	stream plain, t;
	uint32_t holes = 0;
	open_both(&plain, &t, &o);
	for (int i = 0; i < FRAMES; i++) {
		stream_step(&plain, i), look_step(&t, i);
		same_step(&plain, &t);
		if (i % 3)
			continue;
		size_t n, m;
		assert_true(t.s->under_way);
		uint8_t *a = saved(&plain, &n), *b = saved(&t, &m);
		assert_false(t.s->under_way);
		same_cache(&plain, &t);
		assert_int_equal(n, m);
		assert_memory_equal(a, b, n);
		free(a), free(b);
		for (int l = 0; l < t.s->past->cache.layers; l++)
			holes += t.s->past->cache.layer[l].holes;
	}
	assert_true(holes > 0);
	stream_close(&plain), stream_close(&t);
}

/* A chain of segments of six frames that share two: nothing is begun before a frame that is shared has been seen twice.
 */
static void a_chain_looks_ahead_where_no_frame_is_shared(void **state)
{
	e3_infer_options o = two_frames("evict3r");
	stream plain, t;
	int expected = 0;
	o.segment = 6, o.side = 2, o.frames = -1;
	open_both(&plain, &t, &o);
	for (int i = 0; i < FRAMES; i++) {
		stream_step(&plain, i), look_step(&t, i);
		same_step(&plain, &t);
		bool shared = e3_session_frames(t.s) > 4;
		expected += !shared && i + 1 < FRAMES;
		assert_int_equal(early.vits, expected);
		assert_int_equal(early.aggregators, expected);
		stream *both[] = {&plain, &t};
		for (int k = 0; shared && k < 2; k++) {
			e3_err err = {""};
			stream *x = both[k];
			if (e3_session_side(x->s, k ? NULL : picture[i], &x->pred, &x->evict, &err))
				fail_msg("%s", err.text);
			if (e3_session_side_frames(x->s) == 2)
				e3_session_take_over(x->s);
		}
		if (shared) {
			size_t area = (size_t)t.size[0] * (size_t)t.size[1] * sizeof(float);
			assert_memory_equal(plain.pred.depth, t.pred.depth, area);
			assert_memory_equal(plain.pred.pose, t.pred.pose, sizeof t.pred.pose);
		}
	}
	assert_int_equal(e3_session_frames(t.s), 4);
	stream_close(&plain), stream_close(&t);
}

/* A step beside the stream finds no trace of the frame that was under way, which is computed again. */
static void a_step_beside_the_stream_takes_back_what_is_under_way(void **state)
{
	e3_infer_options o = two_frames("evict3r");
	e3_err err = {""};
	stream plain, t;
	o.segment = 20, o.side = 2, o.frames = -1;
	open_both(&plain, &t, &o);
	for (int i = 0; i < 5; i++) {
		stream_step(&plain, i), look_step(&t, i);
		same_step(&plain, &t);
		assert_true(t.s->under_way);
		if (i % 2)
			continue;
		if (e3_session_side(plain.s, picture[i], &plain.pred, &plain.evict, &err) ||
			e3_session_side(t.s, i ? picture[i] : NULL, &t.pred, &t.evict, &err))
			fail_msg("%s", err.text);
		assert_memory_equal(plain.pred.pose, t.pred.pose, sizeof t.pred.pose);
		assert_false(t.s->under_way);
		e3_session_side_clear(plain.s), e3_session_side_clear(t.s);
	}
	stream_close(&plain), stream_close(&t);
}

/* Where a frame may not be kept, or is asked about, the next one sees what becomes of it. */
static void only_plain_steps_begin_with_the_next_aggregator(void **state)
{
	static const bool all[8] = {true, true, true, true, true, true, true, true};
	e3_infer_options o = two_frames("evict3r");
	for (int k = 0; k < 3; k++) {
		e3_infer_options odd = o;
		stream plain, t;
		odd.keyframe = k == 0 ? 2 : k == 1 ? 0 : 1, odd.attn = k == 2 ? all : NULL;
		open_both(&plain, &t, &odd);
		for (int i = 0; i < FRAMES; i++) {
			stream_step(&plain, i), look_step(&t, i);
			same_step(&plain, &t);
		}
		assert_int_equal(early.vits, FRAMES - 1);
		assert_int_equal(early.aggregators, 0);
		stream_close(&plain), stream_close(&t);
	}
}

/* Frame 4 fails: frame 3, beside whose heads it was begun, does not. */
static void a_frame_does_not_fail_with_the_next_one(void **state)
{
	e3_infer_options o = two_frames("evict3r");
	e3_err err = {""};
	stream plain, t;
	open_both(&plain, &t, &o);
	early.entered = 0, early.broken = 5;
	for (int i = 0; i < 4; i++) {
		stream_step(&plain, i), look_step(&t, i);
		same_step(&plain, &t);
	}
	assert_int_equal(early.aggregators, 4);
	early.now = 4;
	dev->ops = &early.ops, dev->halt = NULL;
	assert_int_equal(e3_session_step(t.s, picture[4], &t.pred, &t.evict, &err), -1);
	dev->ops = early.real, dev->halt = early.halt;
	early.broken = 0;
	assert_string_equal(err.text, "inferring: frame 4: enter: out of memory");
	assert_int_equal(e3_session_frames(t.s), 4);
	assert_int_equal(e3_session_save(t.s, &(e3_stream_position){.source = "clip"}, NULL, "/tmp/e3-test-ahead", &err),
		-1);
	assert_string_equal(err.text,
		"saving the cache: /tmp/e3-test-ahead: frame 4 failed, and what is in the cache is not known");
	stream_close(&plain), stream_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(results_are_those_of_one_frame_after_the_other),
		cmocka_unit_test(a_picture_that_is_not_there_is_not_waited_for),
		cmocka_unit_test(another_picture_than_the_promised_one_is_taken),
		cmocka_unit_test(a_session_is_saved_without_what_is_under_way),
		cmocka_unit_test(a_chain_looks_ahead_where_no_frame_is_shared),
		cmocka_unit_test(a_step_beside_the_stream_takes_back_what_is_under_way),
		cmocka_unit_test(only_plain_steps_begin_with_the_next_aggregator),
		cmocka_unit_test(a_frame_does_not_fail_with_the_next_one),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
