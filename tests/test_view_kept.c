/* view: what the cache holds, frame by frame, against lib/trace's replay of the same records. */
#include "check.h"
#include "e3/num.h"
#include "e3/trace.h"
#include "view/kept.h"

enum {
	LAYERS = 3,
	ROWS = 3,
	COLS = 4,
	SPECIAL = 2,
	PATCHES = ROWS * COLS,
	N = SPECIAL + PATCHES,
	STEPS = 150,
	ROOM = STEPS * N
};
static const uint32_t whole_mark = UINT32_MAX;

static uint32_t rolled = 1;
static uint32_t roll(uint32_t n) { return (rolled = e3_fmix32(rolled + 0x9E3779B9u)) % n; }

/* A cache of which a part of the tokens is removed at random, the way records say it. */
typedef struct cache {
	bool alive[LAYERS][ROOM];
	int64_t steps;
	uint32_t removed[LAYERS][ROOM];
} cache;

static void step(cache *c, e3_evict *x, int percent)
{
	size_t ids = (size_t)++c->steps * N;
	for (int l = 0; l < LAYERS; l++) {
		e3_evict_layer *y = &x->layer[l];
		*y = (e3_evict_layer){.layer = l, .removed = c->removed[l]};
		for (size_t k = 0; k < ids; k++) {
			c->alive[l][k] |= k >= ids - N;
			y->k_before += c->alive[l][k];
			if (k >= N && c->alive[l][k] && (int)roll(100) < percent) /* the first frame stays */
				c->alive[l][k] = false, y->removed[y->n_removed++] = (uint32_t)k;
		}
		y->k_after = y->k_before - (uint32_t)y->n_removed;
	}
}

/* What a reader of records knows. */
typedef struct known {
	int holders[STEPS * 2][PATCHES];
	bool there[STEPS * 2];
} known;

static void read_body(known *k, const e3_buf *body, bool want_full)
{
	const uint8_t *p = (const uint8_t *)body->data, *end = p + body->len;
	assert_int_equal(e3_le16(p), ROWS);
	assert_int_equal(e3_le16(p + 2), COLS);
	assert_int_equal(e3_le16(p + 4), LAYERS);
	assert_int_equal(view_kept_full(p), want_full);
	if (want_full)
		memset(k, 0, sizeof *k);
	uint32_t m = e3_le32(p + 8), last = 0;
	p += 12;
	for (uint32_t j = 0; j < m; j++) {
		uint32_t n = e3_le32(p), tokens = e3_le32(p + 4), c = e3_le32(p + 8), sum = 0;
		assert_true(n < 2 * STEPS && (j == 0 || n > last));
		p += 12, last = n;
		for (int q = 0; q < PATCHES; q++)
			k->holders[n][q] = c == whole_mark ? LAYERS : 0;
		for (uint32_t q = 0; c != whole_mark && q < c; q++, p += 4) {
			assert_true(e3_le16(p) < PATCHES && p[2] > 0 && p[2] <= LAYERS && p[3] == 0);
			k->holders[n][e3_le16(p)] = p[2];
		}
		for (int q = 0; q < PATCHES; q++)
			sum += (uint32_t)k->holders[n][q];
		assert_int_equal(sum, tokens);
		k->there[n] = tokens > 0;
	}
	assert_true(p == end);
}

static e3_head head(void)
{
	return (
		e3_head){.model = (char *)(uintptr_t) "m", .layers = LAYERS, .tokens_per_frame = N, .patch_grid = {ROWS, COLS}};
}

/* Every patch of every frame, as the replay has it after step t, of the segment that answered. */
static void compare(const known *k, const e3_replay *r, int64_t t, const uint32_t *number)
{
	for (int64_t f = 0; f < r->steps; f++) {
		if (r->step[f].segment != r->step[t].segment)
			continue;
		uint32_t sum = 0;
		for (int q = 0; q < PATCHES; q++) {
			int holders = e3_replay_holders(r, f, SPECIAL + q, t);
			if (k->holders[number[f]][q] != holders)
				fail_msg("after step %lld frame %u, patch %d: %d layers, expected %d", (long long)t, number[f], q,
					k->holders[number[f]][q], holders);
			sum += (uint32_t)holders;
		}
		assert_int_equal(k->there[number[f]], sum > 0);
	}
}

/* Two segments of 100 frames that share the last 20 of the first one. */
static void what_is_kept_is_what_the_replay_has(void **state)
{
	enum { LENGTH = 100, SHARED = 20 };
	e3_err err;
	view_kept kept;
	e3_replay r;
	static cache a, b;
	static known now, at;
	static uint32_t number[2 * STEPS];
	const e3_head h = head();
	const e3_trace_shape shape = {LAYERS, N, ROWS, COLS, SPECIAL};
	e3_evict_layer layer[LAYERS];
	e3_buf body = {0}, whole = {0};
	int fulls = 0;
	assert_true(view_kept_init(&kept, &h));
	assert_int_equal(e3_replay_init(&r, &shape, &err), 0);
	for (int64_t i = 0; i < STEPS; i++) {
		for (int64_t segment = 0; segment < 2; segment++) {
			bool answers = segment == (i >= LENGTH);
			e3_evict x = {.i = 10 * i,
				.segment = segment,
				.first = segment ? 10 * (LENGTH - SHARED) : 0,
				.layer = layer,
				.n_layers = LAYERS};
			if (segment ? i < LENGTH - SHARED : i >= LENGTH)
				continue;
			step(segment ? &b : &a, &x, i % 7 ? 9 : 0);
			number[r.steps] = (uint32_t)i;
			assert_int_equal(e3_replay_add(&r, &x, &err), 0);
			body.len = 0;
			assert_int_equal(view_kept_add(&kept, &x, (uint32_t)i, &body, &err), answers);
			if (!answers)
				continue;
			bool full = view_kept_full(body.data);
			assert_int_equal(full, i == 0 || i == 64 || i == LENGTH);
			fulls += full;
			read_body(&now, &body, full);
			compare(&now, &r, r.steps - 1, number);
			/* the same from a full record with the changes since */
			if (full)
				whole.len = 0, assert_int_equal(e3_buf_add(&whole, body.data, body.len, &err), 0);
			else
				assert_int_equal(view_kept_apply(&whole, body.data, body.len, &err), 0);
			read_body(&at, &whole, true);
			compare(&at, &r, r.steps - 1, number);
		}
	}
	assert_int_equal(fulls, 3);
	e3_replay_release(&r);
	view_kept_release(&kept);
	e3_buf_release(&body), e3_buf_release(&whole);
}

/* However long a run is, the cache's size is all that is remembered. */
static void memory_is_that_of_the_cache(void **state)
{
	e3_err err;
	view_kept kept;
	const e3_head h = head();
	e3_buf body = {0};
	uint32_t gone[N];
	assert_true(view_kept_init(&kept, &h));
	for (uint32_t i = 0; i < 5000; i++) { /* keeps frame 0 and the newest 8 */
		e3_evict_layer layer[LAYERS];
		for (int l = 0; l < LAYERS; l++) {
			layer[l] = (e3_evict_layer){.layer = l, .removed = gone, .n_removed = i > 8 ? N : 0};
			for (uint32_t k = 0; k < N; k++)
				gone[k] = (i - 8) * N + k;
		}
		e3_evict x = {.i = i, .layer = layer, .n_layers = LAYERS};
		body.len = 0;
		assert_int_equal(view_kept_add(&kept, &x, i, &body, &err), 1);
		assert_true(body.len <= 12 + 10 * 12);
		assert_int_equal(kept.cache[0].n, i > 8 ? 9 : i + 1);
		assert_true(kept.cache[0].room <= 16);
	}
	view_kept_release(&kept);
	e3_buf_release(&body);
}

/* Ids of frames that nobody saw, and twice the same one, change nothing else. */
static void damaged_records_are_survived(void **state)
{
	e3_err err;
	view_kept kept;
	const e3_head h = head();
	e3_buf body = {0};
	static known now;
	uint32_t ids[] = {SPECIAL, SPECIAL, SPECIAL + 1, N + 3, 7 * N, UINT32_MAX};
	e3_evict_layer layer[LAYERS] = {{.removed = ids, .n_removed = 6}, {.removed = ids, .n_removed = 2},
		{.removed = ids, .n_removed = 2}};
	e3_evict x = {.i = 0, .layer = layer, .n_layers = LAYERS};
	assert_true(view_kept_init(&kept, &h));
	assert_int_equal(view_kept_add(&kept, &x, 0, &body, &err), 1);
	read_body(&now, &body, true);
	assert_int_equal(now.holders[0][0], 0);
	assert_int_equal(now.holders[0][1], LAYERS - 1);
	assert_int_equal(now.holders[0][2], LAYERS);
	view_kept_release(&kept);
	e3_head bad[] = {h, h, h, h};
	bad[0].model = NULL, bad[1].layers = 256, bad[2].patch_grid[0] = 0, bad[3].patch_grid[1] = 30000;
	for (int k = 0; k < 4; k++)
		assert_false(view_kept_init(&kept, &bad[k]));
	e3_buf_release(&body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_kept_is_what_the_replay_has),
		cmocka_unit_test(memory_is_that_of_the_cache),
		cmocka_unit_test(damaged_records_are_survived),
	};
	return cmocka_run_group_tests_name("view_kept", tests, NULL, NULL);
}
