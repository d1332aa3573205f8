/* wire: every kind of message through a file and back, with equal values; the bytes equal those of Python's msgpack. */
#include "wire_file.h"
#include "e3/io.h"

static void same_source(const e3_source *a, const e3_source *b)
{
	assert_true(
		a->i == b->i && a->src_i == b->src_i && a->src_w == b->src_w && a->src_h == b->src_h && a->rot == b->rot);
	assert_true(a->pts == b->pts && a->fit.sx == b->fit.sx && a->fit.sy == b->fit.sy && a->fit.tx == b->fit.tx &&
		a->fit.ty == b->fit.ty);
}

static void same_frame(const e3_msg *msg)
{
	e3_err err;
	e3_frame got = {0}, sent = sample_frame(0);
	assert_int_equal(e3_frame_decode(msg, &got, &err), 0);
	same_source(&got.s, &sent.s);
	assert_true(got.w == SAMPLE_W && got.h == SAMPLE_H);
	assert_memory_equal(got.rgb, sent.rgb, SAMPLE_N * 3);
	assert_null(got.name);
	e3_frame_release(&got), e3_frame_release(&sent);
}

/* NaN included: the bits are compared. */
static void same_pred(const e3_msg *msg, int64_t i, bool half, e3_pred *got)
{
	e3_err err;
	e3_pred sent = sample_pred(i, half);
	void *before = got->depth;
	assert_int_equal(e3_pred_decode(msg, got, &err), 0);
	if (before)
		assert_ptr_equal(before, got->depth); /* the buffers serve the next message of the same size */
	same_source(&got->s, &sent.s);
	assert_true(got->w == SAMPLE_W && got->h == SAMPLE_H && got->half == half && got->has_pose && got->ms == 12.5);
	assert_memory_equal(got->pose, sent.pose, sizeof sent.pose);
	assert_memory_equal(got->rgb, sent.rgb, SAMPLE_N * 3);
	assert_memory_equal(got->depth, sent.depth, SAMPLE_N * 4);
	assert_memory_equal(got->depth_conf, sent.depth_conf, SAMPLE_N * 4);
	assert_memory_equal(got->points, sent.points, SAMPLE_N * 12);
	assert_memory_equal(got->points_conf, sent.points_conf, SAMPLE_N * 4);
	e3_pred_release(&sent);
}

static void same_evict(const e3_msg *msg)
{
	e3_err err;
	e3_evict got = {0}, sent = sample_evict(0);
	assert_int_equal(e3_evict_decode(msg, &got, &err), 0);
	assert_true(got.i == 0 && got.n_layers == 2);
	for (int l = 0; l < 2; l++) {
		e3_evict_layer a = got.layer[l], b = sent.layer[l];
		assert_int_equal(a.n_removed, b.n_removed);
		assert_memory_equal(a.removed, b.removed, 4 * b.n_removed);
		assert_memory_equal(a.score_q, b.score_q, sizeof b.score_q);
		assert_memory_equal(&a.max_evicted, &b.max_evicted, 4);
		assert_memory_equal(&a.min_kept, &b.min_kept, 4);
		assert_true(a.layer == b.layer && a.k_before == b.k_before && a.k_after == b.k_after && a.budget == b.budget);
		assert_true(a.alpha == b.alpha && a.variance == b.variance && a.saturated == b.saturated && a.prot == b.prot);
	}
	e3_evict_release(&got), e3_evict_release(&sent);
}

static void same_attn(const e3_msg *msg)
{
	e3_err err;
	e3_attn got = {0}, sent = sample_attn(0);
	assert_int_equal(e3_attn_decode(msg, &got, &err), 0);
	assert_true(got.i == 0 && got.layer == 11 && got.n_keys == 3 && got.n_frames == 2 && got.map_rows == 2 &&
		got.map_cols == 3);
	assert_memory_equal(got.key, sent.key, 12);
	assert_memory_equal(got.mass, sent.mass, 12);
	assert_memory_equal(got.frame_mass, sent.frame_mass, 8);
	assert_memory_equal(got.map, sent.map, 24);
	e3_attn_release(&got), e3_attn_release(&sent);
}

static void same_truth(const e3_msg *msg)
{
	e3_err err;
	e3_truth got = {0}, sent = sample_truth(0);
	assert_int_equal(e3_truth_decode(msg, &got, &err), 0);
	assert_true(got.i == 0 && got.w == SAMPLE_W && got.h == SAMPLE_H && got.has_pose && got.has_intrinsics);
	assert_memory_equal(got.depth, sent.depth, SAMPLE_N * 4);
	assert_memory_equal(got.pose, sent.pose, sizeof sent.pose);
	assert_memory_equal(got.intrinsics, sent.intrinsics, sizeof sent.intrinsics);
	assert_string_equal(got.unit, "m");
	e3_truth_release(&got), e3_truth_release(&sent);
}

static void same_mask(const e3_msg *msg)
{
	e3_err err;
	e3_mask got = {0}, sent = sample_mask(0);
	assert_int_equal(e3_mask_decode(msg, &got, &err), 0);
	assert_true(got.i == 0 && got.w == 3 && got.h == 2 && got.has_fit);
	assert_memory_equal(got.px, sent.px, 6);
	assert_memory_equal(&got.fit, &sent.fit, sizeof sent.fit);
	assert_string_equal(got.class, "sky");
	e3_mask_release(&got), e3_mask_release(&sent);
}

static void same_head(const e3_msg *msg)
{
	e3_err err;
	e3_head got = {0};
	assert_int_equal(e3_head_decode(msg, &got, &err), 0);
	assert_string_equal(got.tool, "e3-infer");
	assert_string_equal(got.version, "0.1.0");
	assert_string_equal(got.source, "clip.mp4");
	assert_string_equal(got.model, "tiny");
	assert_string_equal(got.policy, "evict3r");
	assert_string_equal(got.device, "cpu");
	assert_true(got.frames == 2 && got.fps == 2.5 && got.layers == 24 && got.tokens_per_frame == 782);
	assert_true(
		got.patch_grid[0] == 21 && got.patch_grid[1] == 37 && got.budget == 70000 && got.kv_token_bytes == 8192);
	e3_head_release(&got);
}

static void same_end(const e3_msg *msg)
{
	e3_err err;
	e3_end got, sent = sample_end(2);
	assert_int_equal(e3_end_decode(msg, &got, &err), 0);
	assert_true(got.frames == sent.frames && got.seconds == sent.seconds && got.peak_rss == sent.peak_rss);
	assert_true(got.device_used == 0); /* not sent: no GPU */
	assert_true(got.cache_now == 1000 && got.cache_peak == 2000 && got.cache_full == UINT64_MAX);
}

static void check_sample(e3_in *in)
{
	e3_err err;
	e3_msg msg;
	e3_pred pred = {0};
	next(in, E3_HEAD, &msg), same_head(&msg);
	next(in, E3_FRAME, &msg), same_frame(&msg);
	next(in, E3_TRUTH, &msg), same_truth(&msg);
	next(in, E3_MASK, &msg), same_mask(&msg);
	next(in, E3_PRED, &msg), same_pred(&msg, 0, false, &pred);
	next(in, E3_EVICT, &msg), same_evict(&msg);
	next(in, E3_ATTN, &msg), same_attn(&msg);
	next(in, E3_PRED, &msg), same_pred(&msg, 1, true, &pred);
	next(in, E3_END, &msg), same_end(&msg);
	assert_int_equal(e3_in_next(in, &msg, &err), 0);
	assert_int_equal(e3_in_next(in, &msg, &err), 0);
	e3_pred_release(&pred);
	e3_in_close(in);
}

static void test_every_kind_returns_equal(void **state)
{
	e3_err err = {""};
	e3_map map;
	assert_int_equal(sample_write(path, &err), 0);
	check_sample(e3_in_open(path, NULL, &err));
	assert_int_equal(e3_map_open(&map, path, &err), 0);
	check_sample(e3_in_memory(map.data, map.size, &err));
	e3_map_close(&map);
}

/* tests/data/stream/golden.py wrote this file with another msgpack. */
static void test_bytes_equal_those_of_python(void **state)
{
	e3_err err = {""};
	e3_map ours, theirs;
	assert_int_equal(sample_write(path, &err), 0);
	assert_int_equal(e3_map_open(&ours, path, &err), 0);
	if (e3_map_open(&theirs, "tests/data/stream/golden.e3", &err))
		fail_msg("%s (run from the top of the tree)", err.text);
	assert_int_equal(ours.size, theirs.size);
	for (size_t k = 0; k < ours.size; k++)
		if (ours.data[k] != theirs.data[k])
			fail_msg("byte %zu is %02x, expected %02x", k, ours.data[k], theirs.data[k]);
	e3_map_close(&ours), e3_map_close(&theirs);
	check_sample(e3_in_open("tests/data/stream/golden.e3", NULL, &err));
}

/* Writes a stream of one frame with this name. */
static int write_named(const char *name, e3_err *err)
{
	e3_frame frame = sample_frame(0);
	e3_head head = sample_head();
	head.frames = 1;
	frame.name = sample_text(name);
	unlink(path);
	e3_out *out = e3_out_open(path, NULL, err);
	int rc = e3_out_head(out, &head, err) || e3_out_frame(out, &frame, err) ||
		e3_out_end(out, &(e3_end){.frames = 1}, err) || e3_out_close(out, err);
	if (rc)
		e3_out_abort(out, "test", 1, "over");
	e3_frame_release(&frame), e3_head_release(&head);
	return rc;
}

static int read_named(const e3_map *map, e3_frame *got, e3_err *err)
{
	e3_msg msg;
	e3_in *in = e3_in_memory(map->data, map->size, err);
	next(in, E3_HEAD, &msg);
	int rc = e3_in_next(in, &msg, err) == 1 ? e3_frame_decode(&msg, got, err) : -1;
	e3_in_close(in);
	return rc;
}

/* Names of pictures are those of files: both ends refuse a path. */
static void names_of_frames_stay_in_their_folder(void **state)
{
	static const char *const bad[] = {"", ".", "..", "a/b.png", "/a"};
	char most[257];
	e3_err err;
	e3_map map;
	e3_frame got = {0};
	memset(most, 'n', sizeof most);
	most[256] = 0;
	for (int k = 0; k < 6; k++) {
		assert_int_not_equal(write_named(k < 5 ? bad[k] : most, &err), 0);
		assert_non_null(strstr(err.text, "expected the name of a file, without a folder, of 1 to 255 bytes"));
	}
	most[255] = 0;
	assert_int_equal(write_named(most, &err), 0);
	assert_int_equal(write_named("IMG_0001.jpg", &err), 0);
	assert_int_equal(e3_map_open(&map, path, &err), 0);
	assert_int_equal(read_named(&map, &got, &err), 0);
	assert_string_equal(got.name, "IMG_0001.jpg");
	e3_frame_release(&got);
	uint8_t *copy = malloc(map.size);
	memcpy(copy, map.data, map.size);
	uint8_t *name = memmem(copy, map.size, "IMG_0001.jpg", 12);
	assert_non_null(name);
	name[3] = '/';
	assert_int_equal(read_named(&(e3_map){copy, map.size}, &got, &err), -1);
	assert_non_null(strstr(err.text, "frame 0: name: 'IMG/0001.jpg': expected the name of a file"));
	assert_null(got.name);
	free(copy);
	e3_map_close(&map);
}

/* A stream that goes on after another one says so in its head. */
static void heads_of_resumed_streams_come_back(void **state)
{
	e3_err err;
	for (int k = 0; k < 3; k++) {
		e3_head sent = sample_head(), got = {.seen = 77, .after = 78, .frozen = true};
		e3_msg msg;
		unlink(path); /* an empty stream does not replace a file */
		e3_out *out = e3_out_open(path, NULL, &err);
		sent.seen = k ? 18 : 0, sent.after = k ? 40 : 0, sent.frozen = k == 2, sent.frames = 0;
		assert_int_equal(e3_out_head(out, &sent, &err) || e3_out_end(out, &(e3_end){.frames = 0}, &err) ||
				e3_out_close(out, &err),
			0);
		e3_in *in = e3_in_open(path, NULL, &err);
		next(in, E3_HEAD, &msg);
		assert_int_equal(e3_head_decode(&msg, &got, &err), 0);
		assert_true(got.seen == sent.seen && got.after == sent.after && got.frozen == sent.frozen &&
			got.kv_token_bytes == 8192);
		e3_in_close(in);
		e3_head_release(&got), e3_head_release(&sent);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind_returns_equal),
		cmocka_unit_test(test_bytes_equal_those_of_python),
		cmocka_unit_test(names_of_frames_stay_in_their_folder),
		cmocka_unit_test(heads_of_resumed_streams_come_back),
	};
	return cmocka_run_group_tests_name("wire_codec", tests, setup, teardown);
}
