/* view: what is held of a run without end, what is new in a frame, and what a frame loses when there is no time. */
#include "view_stream.h"

#include "e3/thread.h"
#include "view/merge.h"
#include "view/store.h"
#include "view_read.h"
#include <stdatomic.h>

/* Feeds frames from..from + frames - 1; the cache keeps frame 0 and the newest ones. light: as when there is no time.
 */
static void feed_more(e3_view_store *v, int64_t from, int64_t frames, double step, bool light)
{
	char path[64];
	e3_err err;
	e3_msg msg;
	e3_buf small = {0};
	snprintf(path, sizeof path, "/tmp/e3-view-%ld.e3", (long)getpid());
	e3_out *out = e3_out_open(path, NULL, &err);
	e3_head head = wall_head(-1);
	assert_int_equal(e3_out_head(out, &head, &err), 0);
	e3_head_release(&head);
	for (int64_t i = from; i < from + frames; i++) {
		e3_pred p = wall_pred(i, step);
		assert_int_equal(e3_out_pred(out, &p, &err), 0);
		e3_pred_release(&p);
		e3_evict_layer layer[WALL_LAYERS];
		static uint32_t gone[WALL_TOKENS];
		for (int l = 0; l < WALL_LAYERS; l++) {
			layer[l] = (e3_evict_layer){.layer = l, .removed = gone, .n_removed = i > 8 ? WALL_TOKENS : 0};
			for (uint32_t k = 0; k < WALL_TOKENS; k++)
				gone[k] = (uint32_t)(i - 8) * WALL_TOKENS + k;
			layer[l].k_before = 9 * WALL_TOKENS, layer[l].k_after = layer[l].k_before - (uint32_t)layer[l].n_removed;
		}
		e3_evict x = {.i = i, .layer = layer, .n_layers = WALL_LAYERS};
		assert_int_equal(e3_out_evict(out, &x, &err), 0);
	}
	e3_end end = {.frames = frames};
	assert_int_equal(e3_out_end(out, &end, &err), 0);
	assert_int_equal(e3_out_close(out, &err), 0);
	e3_in *in = e3_in_open(path, NULL, &err);
	while (e3_in_next(in, &msg, &err) > 0) {
		if (msg.kind == E3_HEAD && from)
			continue;
		int rc = light ? e3_view_lighten(&msg, &small, &err) : 0;
		assert_int_equal(rc, light && msg.kind == E3_PRED);
		if (rc) {
			assert_true(small.len < 1000);
			msg.bytes = (uint8_t *)small.data, msg.len = small.len;
		}
		if (e3_view_feed(v, 0, &msg, &err))
			fail_msg("%s", err.text);
	}
	e3_in_close(in);
	unlink(path);
	e3_buf_release(&small);
}

static bool has(e3_view_store *v, int type, int64_t n, e3_buf *out)
{
	return get(v, (e3_view_key){.type = type, .n = n}, out);
}

static void memory_is_bounded_and_thinned_evenly(void **state)
{
	enum { FRAMES = 1200, EIGHTH = FRAMES / 8 };
	e3_err err;
	e3_buf out = {0};
	const e3_view_options o = {.points = 20000, .bytes = 600000, .chunk = 1000};
	e3_view_store *v = e3_view_open(&o, &err);
	e3_view_facts f;
	for (int64_t from = 0; from < FRAMES; from += 100) {
		feed_more(v, from, 100, 0.5, false);
		e3_view_facts_of(v, 0, &f);
		assert_true(f.points <= o.points && f.bytes <= o.bytes);
	}
	assert_int_equal(e3_view_frames(v, 0), FRAMES);
	assert_true(f.points > o.points / 5 && f.bytes > o.bytes / 3);
	int pictures[8] = {0}, wholes[8] = {0};
	int64_t points[8] = {0};
	for (int64_t n = 0; n < FRAMES; n++) {
		assert_true(has(v, E3_VIEW_FRAME, n, &out)); /* these are all there */
		pictures[n / EIGHTH] += has(v, E3_VIEW_PICTURE, n, &out);
		assert_int_equal(has(v, E3_VIEW_DEPTH, n, &out), has(v, E3_VIEW_PICTURE, n, &out));
		if (has(v, E3_VIEW_CHUNK, n, &out)) {
			assert_int_equal(u32(&out, 16), e3_view_points(v, 0, n));
			points[n / EIGHTH] += u32(&out, 16);
		} else {
			assert_int_equal(e3_view_points(v, 0, n), 0);
		}
		wholes[n / EIGHTH] += has(v, E3_VIEW_KEPT, n, &out) && e3_le16((uint8_t *)out.data + 22) == 1;
		if (n >= FRAMES - 100)
			assert_true(has(v, E3_VIEW_PICTURE, n, &out) && has(v, E3_VIEW_KEPT, n, &out));
	}
	for (int k = 0; k < 8; k++) {
		printf("# frames %d to %d: %d pictures, %d full records, %lld points\n", k * EIGHTH, (k + 1) * EIGHTH - 1,
			pictures[k], wholes[k], (long long)points[k]);
		assert_true(pictures[k] >= 2 && points[k] > f.points / 8 / 4 && points[k] < f.points / 8 * 4);
		assert_true(pictures[k] >= pictures[0] - 2 && (k > 3 || pictures[k] <= pictures[0] + 2)); /* newer ones later */
	}
	/* of any frame there is a full record at or before it */
	for (int64_t n = 0; n < FRAMES; n += 37) {
		assert_int_equal(get(v, (e3_view_key){.type = E3_VIEW_KEPT, .n = n, .count = 1}, &out), 1);
		assert_true(u32(&out, 8) <= n);
		assert_int_equal(e3_le16((uint8_t *)out.data + 22), 1);
	}
	e3_view_close(v);
	e3_buf_release(&out);
}

/* A camera that stands still has nothing new; one that moves has the new part; a correction starts anew. */
static void points_are_merged(void **state)
{
	e3_err err;
	e3_view_store *v = e3_view_open(NULL, &err);
	feed_more(v, 0, 1, 0, false);
	int64_t all = e3_view_points(v, 0, 0);
	feed_more(v, 1, 3, 0, false);
	printf("# %lld points, then %lld\n", (long long)all, (long long)e3_view_points(v, 0, 1));
	assert_true(all > 500);
	for (int n = 1; n < 4; n++)
		assert_true(e3_view_points(v, 0, n) <= all / 50);
	feed_more(v, 4, 1, 0.15, false); /* 0.6 to the right, of 1.4 that are seen of the near wall */
	printf("# moved: %lld\n", (long long)e3_view_points(v, 0, 4));
	assert_true(e3_view_points(v, 0, 4) > all / 8 && e3_view_points(v, 0, 4) < all * 7 / 8);
	e3_view_close(v);
}

static void cells_know_what_was_seen(void **state)
{
	view_merge m;
	e3_err err;
	const double x[3] = {1.01, -2.02, 3.03}, y[3] = {1.02, -2.02, 3.03};
	assert_int_equal(view_merge_open(&m, 1 << 20, &err), 0);
	assert_true(view_merge_take(&m, x, 0.1, 10));
	assert_false(view_merge_take(&m, x, 0.1, 10));
	assert_false(view_merge_take(&m, y, 0.1, 13)); /* the same cell; hardly more certain */
	assert_true(view_merge_take(&m, y, 0.1, 14));
	assert_false(view_merge_take(&m, x, 0.1, 14));
	assert_true(view_merge_take(&m, x, 0.001, 14));  /* seen from nearer: a finer cell */
	assert_false(view_merge_take(&m, x, 0.002, 14)); /* from far again: known */
	view_merge_forget(&m);
	assert_true(view_merge_take(&m, x, 0.1, 10));
	for (int k = 0; k < 3; k++) { /* numbers without bound are survived */
		const double far[3] = {1e300, -1e300, 1e-300};
		view_merge_take(&m, far, k ? 1e-300 : 1e300, 0);
	}
	/* a few thousand cells are all remembered */
	int again = 0;
	for (int round = 0; round < 2; round++)
		for (int k = 0; k < 4000; k++) {
			const double p[3] = {k % 64, k / 64, 0.5};
			again += view_merge_take(&m, p, 1, 0) == round;
		}
	assert_int_equal(again, 0);
	view_merge_close(&m);
	assert_true(view_merge_take(&m, x, 0.1, 0));
}

/* A frame that came when there was no time has its record, what the cache kept, and nothing else. */
static void a_light_frame_keeps_its_record(void **state)
{
	e3_err err;
	e3_buf out = {0};
	e3_view_facts f;
	e3_view_store *v = e3_view_open(NULL, &err);
	feed_more(v, 0, 2, 0.5, false);
	feed_more(v, 2, 2, 0.5, true);
	feed_more(v, 4, 1, 0.5, false);
	e3_view_facts_of(v, 0, &f);
	assert_int_equal(f.dropped, 2);
	assert_int_equal(f.frames, 5);
	assert_int_equal(f.cache, 3 * 9 * WALL_TOKENS * 64);
	assert_int_equal(f.budget, 6400);
	for (int64_t n = 0; n < 5; n++) {
		bool light = n == 2 || n == 3;
		assert_true(has(v, E3_VIEW_FRAME, n, &out));
		assert_int_equal(e3_le16((uint8_t *)out.data + 6), light ? 1 + 8 : 31);
		assert_float_equal(f32(&out, 52), 0.5 * (double)n, 1e-6);
		assert_float_equal(f32(&out, 108), 12.5, 0);
		assert_int_equal(u32(&out, 116), 3 * 9 * WALL_TOKENS);
		for (int type = E3_VIEW_PICTURE; type <= E3_VIEW_CHUNK; type++)
			if (type != E3_VIEW_KEPT && type != E3_VIEW_CORRECT)
				assert_int_equal(has(v, type, n, &out), !light);
		assert_true(has(v, E3_VIEW_KEPT, n, &out));
	}
	e3_view_close(v);
	e3_buf_release(&out);
}

typedef struct reader {
	e3_view_store *v;
	atomic_bool quit;
	int64_t got;
} reader;

static void *read_all(void *arg)
{
	reader *r = arg;
	e3_buf out = {0};
	e3_view_facts f;
	while (!atomic_load(&r->quit) || e3_view_frames(r->v, 0) == 0) {
		int64_t frames = e3_view_frames(r->v, 0);
		e3_view_facts_of(r->v, 0, &f);
		out.len = 0;
		(void)e3_view_hello(r->v, &out, NULL);
		for (int type = E3_VIEW_FRAME; type <= E3_VIEW_CHUNK; type++) {
			const e3_view_key key = {.type = type, .n = frames - 1, .count = type == E3_VIEW_KEPT};
			out.len = 0;
			r->got += e3_view_get(r->v, &key, &out, NULL) > 0;
		}
		(void)e3_view_points(r->v, 0, 0);
	}
	e3_buf_release(&out);
	return NULL;
}

/* (For the thread sanitizer.) */
static void it_is_read_while_it_is_fed(void **state)
{
	e3_err err;
	e3_thread thread = {0};
	const e3_view_options o = {.points = 5000, .bytes = 100000, .chunk = 500};
	reader r = {.v = e3_view_open(&o, &err)};
	assert_int_equal(e3_thread_start(&thread, read_all, &r, &err), 0);
	feed_more(r.v, 0, 200, 0.5, false);
	feed_more(r.v, 200, 10, 0.5, true);
	e3_view_ended(r.v, 0, "why");
	atomic_store(&r.quit, true);
	e3_thread_join(&thread);
	e3_view_facts f;
	e3_view_facts_of(r.v, 0, &f);
	assert_int_equal(f.state, E3_VIEW_FAILED);
	assert_string_equal(f.reason, "why");
	assert_true(r.got > 0);
	e3_view_close(r.v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_bounded_and_thinned_evenly),
		cmocka_unit_test(points_are_merged),
		cmocka_unit_test(cells_know_what_was_seen),
		cmocka_unit_test(a_light_frame_keeps_its_record),
		cmocka_unit_test(it_is_read_while_it_is_fed),
	};
	return cmocka_run_group_tests_name("view_limits", tests, NULL, NULL);
}
