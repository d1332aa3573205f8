/* view: a recording gives the records that its stream gave, is not read whole for them, and says what is wrong with it;
 * corrections; a page in one file. */
#include "view_stream.h"

#include "view/store.h"
#include "view_read.h"
#include <sys/stat.h>

/* After frame i every layer lost some of its tokens; every fifth frame earlier ones were corrected. */
static void more(e3_out *out, int64_t i, void *with)
{
	e3_err err;
	static uint32_t ids[WALL_LAYERS][4];
	e3_evict_layer layer[WALL_LAYERS];
	for (int l = 0; l < WALL_LAYERS; l++) {
		layer[l] = (e3_evict_layer){.layer = l,
			.k_before = 100,
			.k_after = 100 - 2 * (uint32_t)(i > 0),
			.removed = ids[l],
			.n_removed = i > 0 ? 2 : 0};
		ids[l][0] = (uint32_t)(i - 1) * WALL_TOKENS + 5 + (uint32_t)l, ids[l][1] = ids[l][0] + 3;
	}
	e3_evict x = {.i = i, .layer = layer, .n_layers = WALL_LAYERS};
	assert_int_equal(e3_out_evict(out, &x, &err), 0);
	e3_correct c = {.i = i, .from = i - 3, .to = i - 1, .sim = {1 + 0.1 * (double)i, 0, 0, 0, 1, 1, 2, 3}};
	if (i % 5 == 4)
		assert_int_equal(e3_out_correct(out, &c, &err), 0);
}

static e3_view_store *open_recording(const char *path)
{
	e3_err err;
	e3_view_store *v = e3_view_open(NULL, &err);
	if (e3_view_recording(v, 0, path, &err))
		fail_msg("%s", err.text);
	assert_int_equal(e3_view_indexed(v, 0, NULL), 0);
	return v;
}

static uint64_t bytes_read(void)
{
	FILE *f = fopen("/proc/self/io", "r");
	unsigned long long n = 0;
	assert_non_null(f);
	assert_int_equal(fscanf(f, "rchar: %llu", &n), 1);
	fclose(f);
	return n;
}

static void a_recording_gives_the_same_records(void **state)
{
	enum { FRAMES = 70 };
	char path[64];
	e3_err err;
	e3_buf a = {0}, b = {0};
	wall_write(path, FRAMES, 0.1, more, NULL);
	e3_view_store *fed = e3_view_open(NULL, &err), *v = open_recording(path);
	feed_file(fed, 0, path);
	assert_int_equal(e3_view_frames(v, 0), FRAMES);
	assert_int_equal(e3_view_kept(v, 0), FRAMES);
	assert_int_equal(e3_view_corrections(v, 0), FRAMES / 5);
	assert_int_equal(e3_view_corrections(fed, 0), FRAMES / 5);
	for (int64_t n = 0; n < FRAMES; n++)
		for (int type = E3_VIEW_FRAME; type <= E3_VIEW_CORRECT; type++) {
			e3_view_key key = {.type = type, .n = n};
			int there = get(fed, key, &a);
			assert_int_equal(get(v, key, &b), there);
			assert_int_equal(there, type == E3_VIEW_CORRECT ? n < FRAMES / 5 : 1);
			if (type == E3_VIEW_FRAME && e3_view_points(fed, 0, n) == 0)
				a.data[6] |= 16; /* a frame without anything new: a recording does not know that */
			assert_int_equal(a.len, b.len);
			assert_memory_equal(a.data, b.data, a.len);
		}
	/* tokens after frame 1: three layers of 98 */
	assert_int_equal(get(v, (e3_view_key){.type = E3_VIEW_FRAME, .n = 1}, &a), 1);
	assert_int_equal(u32(&a, 116), 3 * 98);
	/* a full record of any frame, with the changes since the last full one */
	assert_int_equal(get(v, (e3_view_key){.type = E3_VIEW_KEPT, .n = 40}, &a), 1);
	assert_int_equal(e3_le16((uint8_t *)a.data + 22), 0);
	assert_int_equal(get(v, (e3_view_key){.type = E3_VIEW_KEPT, .n = 40, .count = 1}, &a), 1);
	assert_int_equal(u32(&a, 8), 40);
	assert_int_equal(e3_le16((uint8_t *)a.data + 22), 1);
	assert_int_equal(u32(&a, 24), 41); /* frames, each of which lost two patches of each layer but the last one */
	assert_int_equal(u32(&a, 28), 0);
	assert_int_equal(u32(&a, 32), 3 * (12 - 2));
	unlink(path);
	e3_view_close(v), e3_view_close(fed);
	e3_buf_release(&a), e3_buf_release(&b);
}

/* 100 frames of 26 KB: rows are made of the few bytes that say where the camera was. */
static void a_recording_is_not_read_whole(void **state)
{
	enum { FRAMES = 100 };
	char path[64];
	e3_buf a = {0};
	struct stat st;
	wall_write(path, FRAMES, 0.1, NULL, NULL);
	assert_int_equal(stat(path, &st), 0);
	uint64_t before = bytes_read();
	e3_view_store *v = open_recording(path);
	assert_int_equal(get(v, (e3_view_key){.type = E3_VIEW_CHUNK, .n = 90}, &a), 1);
	uint64_t read = bytes_read() - before;
	printf("# %llu bytes of %llu\n", (unsigned long long)read, (unsigned long long)st.st_size);
	/* two windows of 4 KiB for a message, since these are short, and two frames whole */
	assert_true(read < (uint64_t)FRAMES * 3 * 4096 + 200000 && read < (uint64_t)st.st_size / 2);
	unlink(path);
	e3_view_close(v);
	e3_buf_release(&a);
}

static void damaged(const char *path, off_t cut, off_t at, const char *want, int64_t frames)
{
	e3_err err;
	e3_view_facts facts;
	if (cut)
		assert_int_equal(truncate(path, cut), 0);
	if (at) {
		FILE *f = fopen(path, "r+");
		assert_non_null(f);
		fseek(f, at, SEEK_SET);
		fputc('x', f);
		fclose(f);
	}
	e3_view_store *v = e3_view_open(NULL, &err);
	if (e3_view_recording(v, 0, path, &err)) {
		snprintf(facts.reason, sizeof facts.reason, "%s", err.text);
		facts.frames = 0;
	} else {
		assert_int_equal(e3_view_indexed(v, 0, NULL), 0);
		e3_view_facts_of(v, 0, &facts);
		assert_int_equal(facts.state, E3_VIEW_FAILED);
	}
	if (!strstr(facts.reason, want))
		fail_msg("'%s', expected '%s'", facts.reason, want);
	assert_int_equal(facts.frames, frames);
	e3_view_close(v);
}

static void damage_is_said_and_the_rest_is_shown(void **state)
{
	char path[64];
	struct stat st;
	wall_write(path, 3, 0.1, NULL, NULL);
	assert_int_equal(stat(path, &st), 0);
	damaged(path, st.st_size - 5, 0, "is cut", 3);
	damaged(path, 60000, 0, "truncated: message 4 (pred) is cut", 2);
	damaged(path, 40000, 0, "truncated: message 3 (pred) is cut", 1);
	damaged(path, 0, 0, "is cut", 1);
	damaged(path, 0, 12, "head", 0);
	damaged(path, 0, 1, "", 0);
	damaged(path, 3, 0, "truncated", 0);
	damaged(path, 0, 2, "", 0);
	assert_int_equal(truncate(path, 0), 0);
	damaged(path, 0, 0, "empty", 0);
	unlink(path);
	damaged("/nonexistent/run.e3", 0, 0, "/nonexistent/run.e3", 0);
	damaged("/dev/null", 0, 0, "not a regular file", 0);
}

/* What newer corrections replaced is forgotten; what is left says the same. */
static void corrections_stay_few(void **state)
{
	char path[64];
	e3_err err;
	e3_buf out = {0};
	wall_write(path, 1, 0.1, NULL, NULL);
	e3_view_store *v = e3_view_open(NULL, &err);
	e3_in *in = e3_in_open(path, NULL, &err);
	e3_msg msg;
	while (e3_in_next(in, &msg, &err) > 0 && msg.kind != E3_END)
		assert_int_equal(e3_view_feed(v, 0, &msg, &err), 0);
	e3_in_close(in);
	for (int round = 0; round < 300; round++) { /* ten segments, each corrected again and again */
		char other[80];
		snprintf(other, sizeof other, "%s.c", path);
		e3_out *o = e3_out_open(other, NULL, &err);
		e3_head head = wall_head(1);
		head.corrects = true;
		assert_int_equal(e3_out_head(o, &head, &err), 0);
		e3_head_release(&head);
		e3_pred p = wall_pred(100, 0);
		assert_int_equal(e3_out_pred(o, &p, &err), 0);
		e3_pred_release(&p);
		for (int s = 0; s < 10; s++) {
			e3_correct c = {.i = 100, .from = 10 * s, .to = 10 * s + 9, .sim = {1 + round, 0, 0, 0, 1, s, 0, 0}};
			assert_int_equal(e3_out_correct(o, &c, &err), 0);
		}
		e3_end end = {.frames = 1};
		assert_int_equal(e3_out_end(o, &end, &err), 0);
		assert_int_equal(e3_out_close(o, &err), 0);
		in = e3_in_open(other, NULL, &err);
		while (e3_in_next(in, &msg, &err) > 0)
			if (msg.kind == E3_CORRECT)
				assert_int_equal(e3_view_feed(v, 0, &msg, &err), 0);
		e3_in_close(in);
		unlink(other);
	}
	int64_t count = e3_view_corrections(v, 0), there = 0;
	double scale[10] = {0};
	assert_true(count >= 3000);
	for (int64_t n = 0; n < count; n++) {
		if (!get(v, (e3_view_key){.type = E3_VIEW_CORRECT, .n = n}, &out))
			continue;
		there++;
		assert_int_equal(out.len, 16 + 80);
		scale[(int)f64(&out, 16) / 10] = f64(&out, 32);
	}
	printf("# %lld of %lld corrections\n", (long long)there, (long long)count);
	assert_true(there <= 1024);
	for (int s = 0; s < 10; s++)
		assert_true(scale[s] == 300);
	unlink(path);
	e3_view_close(v);
	e3_buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_recording_gives_the_same_records),
		cmocka_unit_test(a_recording_is_not_read_whole),
		cmocka_unit_test(damage_is_said_and_the_rest_is_shown),
		cmocka_unit_test(corrections_stay_few),
	};
	return cmocka_run_group_tests_name("view_recording", tests, NULL, NULL);
}
