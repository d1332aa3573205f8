/* view: in which order a client gets records, from a source whose records are numbers only. */
#include "check.h"
#include "e3/num.h"
#include "view/plan.h"

enum { HAS = 2 | 4 | 8 | 16 };

typedef struct made {
	int64_t frames[E3_VIEW_RUNS], kept, corrections;
	int64_t points; /* of each frame */
	int64_t none;   /* this frame has no record of any kind but its own */
	e3_view_key last;
	int asked;
} made;

static int64_t frames(void *of, int run) { return ((made *)of)->frames[run]; }
static int64_t kept(void *of, int run) { return run ? 0 : ((made *)of)->kept; }
static int64_t corrections(void *of, int run) { return run ? 0 : ((made *)of)->corrections; }

static int get(void *of, const e3_view_key *key, e3_buf *out, e3_err *err)
{
	made *m = of;
	uint8_t record[64] = {0};
	int64_t left = m->points - key->offset, count = left < key->count ? left : key->count;
	m->last = *key, m->asked++;
	if (key->type != E3_VIEW_FRAME && key->n == m->none)
		return 0;
	if (key->type == E3_VIEW_CHUNK && left <= 0)
		return 0;
	e3_put_le32(record, sizeof record);
	record[4] = (uint8_t)key->type, record[5] = (uint8_t)key->run;
	e3_put_le16(record + 6, HAS);
	e3_put_le32(record + 8, (uint32_t)key->n);
	if (key->type == E3_VIEW_CHUNK) {
		e3_put_le32(record + 16, (uint32_t)count);
		e3_put_le32(record + 20, (uint32_t)key->offset);
		e3_put_le32(record + 24, (uint32_t)m->points);
	}
	return e3_buf_add(out, record, sizeof record, err) ? -1 : 1;
}

static view_plan plan_of(made *m)
{
	view_plan p;
	view_plan_init(&p, (view_source){m, frames, kept, corrections, get});
	return p;
}

/* The next record's key; type 0: none. */
static e3_view_key next(view_plan *p, made *m)
{
	e3_buf out = {0};
	e3_err err = {""};
	int got;
	do
		got = view_plan_next(p, &out, &err);
	while (got == 0 && p->unfinished);
	e3_buf_release(&out);
	assert_int_not_equal(got, -1);
	return got ? m->last : (e3_view_key){0};
}

static void expect(view_plan *p, made *m, int type, int64_t n)
{
	e3_view_key k = next(p, m);
	if (k.type != type || k.n != n)
		fail_msg("type %d of %lld, expected %d of %lld", k.type, (long long)k.n, type, (long long)n);
}

static void frames_then_the_newest_then_points(void **state)
{
	made m = {.frames = {3}, .kept = 3, .corrections = 1, .points = 3000, .none = -1};
	view_plan p = plan_of(&m);
	for (int n = 0; n < 3; n++)
		expect(&p, &m, E3_VIEW_FRAME, n);
	expect(&p, &m, E3_VIEW_CORRECT, 0);
	expect(&p, &m, E3_VIEW_PICTURE, 2), expect(&p, &m, E3_VIEW_DEPTH, 2), expect(&p, &m, E3_VIEW_CONFIDENCE, 2);
	expect(&p, &m, E3_VIEW_KEPT, 2);
	assert_int_equal(m.last.count, 1); /* in full */
	expect(&p, &m, E3_VIEW_CHUNK, 2);
	assert_int_equal(m.last.offset, 0);
	/* the first points of all, before more of any */
	bool first[3] = {false, false, true};
	for (int k = 0; k < 2; k++) {
		e3_view_key key = next(&p, &m);
		assert_int_equal(key.offset, 0);
		first[key.n] = true;
	}
	assert_true(first[0] && first[1]);
	int rest = 0;
	while (next(&p, &m).type)
		rest++;
	assert_int_equal(rest, 3 * 2); /* pieces of 1024 and 952 */
	/* a frame that comes is sent at once, and what the cache lost since the one before */
	m.frames[0] = 4, m.kept = 4;
	expect(&p, &m, E3_VIEW_FRAME, 3);
	expect(&p, &m, E3_VIEW_PICTURE, 3), expect(&p, &m, E3_VIEW_DEPTH, 3), expect(&p, &m, E3_VIEW_CONFIDENCE, 3);
	expect(&p, &m, E3_VIEW_KEPT, 3);
	assert_int_equal(m.last.count, 0);
	view_plan_release(&p);
}

static void what_is_not_there_is_asked_for_once(void **state)
{
	made m = {.frames = {2}, .kept = 2, .points = 10, .none = 1};
	view_plan p = plan_of(&m);
	int sent = 0;
	while (next(&p, &m).type)
		sent++;
	assert_int_equal(sent, 2 + 1); /* frames, points of frame 0 */
	int asked = m.asked;
	assert_int_equal(next(&p, &m).type, 0);
	assert_int_equal(m.asked, asked);
	view_plan_release(&p);
}

static void a_long_run_does_not_hide_the_picture(void **state)
{
	made m = {.frames = {100000}, .points = 1, .none = -1};
	view_plan p = plan_of(&m);
	int before = 0;
	while (next(&p, &m).type == E3_VIEW_FRAME)
		before++;
	assert_in_range(before, 100, VIEW_PLAN_ROW / 64 + 1);
	assert_int_equal(m.last.type, E3_VIEW_PICTURE);
	view_plan_release(&p);
}

static void what_is_wanted(void **state)
{
	made m = {.frames = {200}, .kept = 200, .points = 5000, .none = -1};
	view_plan p = plan_of(&m);
	view_ask ask = {.want = {.from = 50, .to = 60, .at = 55, .look = 7, .also = {3, 1000, 55, 8}, .n_also = 4}};
	view_plan_want(&p, &ask);
	for (int n = 0; n < 200; n++)
		expect(&p, &m, E3_VIEW_FRAME, n);
	expect(&p, &m, E3_VIEW_PICTURE, 55), expect(&p, &m, E3_VIEW_DEPTH, 55), expect(&p, &m, E3_VIEW_CONFIDENCE, 55);
	expect(&p, &m, E3_VIEW_KEPT, 55);
	expect(&p, &m, E3_VIEW_PICTURE, 7), expect(&p, &m, E3_VIEW_DEPTH, 7), expect(&p, &m, E3_VIEW_CONFIDENCE, 7);
	expect(&p, &m, E3_VIEW_CHUNK, 55);
	expect(&p, &m, E3_VIEW_PICTURE, 3), expect(&p, &m, E3_VIEW_PICTURE, 8);
	for (int k = 0; k < 10; k++) {
		e3_view_key key = next(&p, &m);
		assert_in_range(key.n, 50, 60);
		assert_int_equal(key.offset, 0);
	}
	assert_false(next(&p, &m).n >= 50 && m.last.n <= 60);
	/* forgotten by the client */
	ask.want.again = true, ask.want.from = ask.want.to = 55;
	view_plan_want(&p, &ask);
	expect(&p, &m, E3_VIEW_PICTURE, 55);
	/* beyond the end: the newest */
	ask.want.at = 1000, ask.want.again = false;
	view_plan_want(&p, &ask);
	expect(&p, &m, E3_VIEW_PICTURE, 199);
	view_plan_release(&p);
}

static void a_limit_of_points(void **state)
{
	made m = {.frames = {10}, .points = 100000, .none = -1};
	view_plan p = plan_of(&m);
	int64_t points = 0;
	p.points = 10 * 4096;
	for (e3_view_key k; (k = next(&p, &m)).type;)
		points += k.type == E3_VIEW_CHUNK ? k.count : 0;
	assert_int_equal(points, 10 * 4096);
	p.points = INT64_MAX;
	while (next(&p, &m).type)
		points += m.last.type == E3_VIEW_CHUNK
			? (m.last.offset + m.last.count > m.points ? m.points - m.last.offset : m.last.count)
			: 0;
	assert_int_equal(points, 10 * m.points);
	view_plan_release(&p);
}

static void two_runs_share(void **state)
{
	made m = {.frames = {50, 50}, .points = 5000, .none = -1};
	view_plan p = plan_of(&m);
	int seen[2] = {0};
	for (int k = 0; k < 100; k++)
		seen[next(&p, &m).run]++;
	assert_int_equal(seen[0], 50);
	seen[0] = seen[1] = 0;
	for (int k = 0; k < 60; k++)
		seen[next(&p, &m).run]++;
	assert_in_range(seen[0], 25, 35);
	view_plan_release(&p);
}

static void pieces_follow_each_other(void **state)
{
	for (int k = 0; k < 100; k++) {
		assert_int_equal(view_piece_at(k) + view_piece_points(k), view_piece_at(k + 1));
		assert_in_range(view_piece_points(k), VIEW_PIECE, VIEW_PIECE_MOST);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_then_the_newest_then_points),
		cmocka_unit_test(what_is_not_there_is_asked_for_once),
		cmocka_unit_test(a_long_run_does_not_hide_the_picture),
		cmocka_unit_test(what_is_wanted),
		cmocka_unit_test(a_limit_of_points),
		cmocka_unit_test(two_runs_share),
		cmocka_unit_test(pieces_follow_each_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
