/* A stream of predictions with exact geometry, for the tests of the view: a wall seen by a camera that moves along x.
 */
#ifndef VIEW_STREAM_H
#define VIEW_STREAM_H

#include "check.h"
#include "e3/num.h"
#include "e3/stream.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WALL_W = 56, WALL_H = 42, WALL_N = WALL_W * WALL_H, WALL_LAYERS = 3, WALL_TOKENS = 5 + 12, WALL_ROWS = 3 };

static inline e3_head wall_head(int64_t frames)
{
	return (e3_head){.tool = strdup("test"),
		.version = strdup("0"),
		.source = strdup("walls/clip.mp4"),
		.frames = frames,
		.fps = 10,
		.model = strdup("tiny"),
		.layers = WALL_LAYERS,
		.tokens_per_frame = WALL_TOKENS,
		.patch_grid = {WALL_ROWS, 4},
		.policy = strdup("evict3r"),
		.budget = 100,
		.device = strdup("cpu"),
		.kv_token_bytes = 64};
}

/* The camera of frame i is at x = i * step, looks along z; the wall is 2 away, on its left half 1. */
static inline e3_pred wall_pred(int64_t i, double step)
{
	e3_pred p =
		{.s = {.i = i, .pts = 0.1 * (double)i, .src_i = i, .src_w = WALL_W, .src_h = WALL_H, .fit = {1, 1, 0, 0}},
			.w = WALL_W,
			.h = WALL_H,
			.rgb = calloc(WALL_N, 3),
			.has_pose = true,
			.pose = {(float)(-step * (double)i), 0, 0, 0, 0, 0, 1, 1.0f, 1.2f},
			.depth = calloc(WALL_N, sizeof(float)),
			.depth_conf = calloc(WALL_N, sizeof(float)),
			.ms = 12.5};
	for (int k = 0; k < WALL_N; k++) {
		p.depth[k] = k % WALL_W < WALL_W / 2 ? 1 : 2;
		p.depth_conf[k] = 1 + (float)(k % WALL_W);
		for (int c = 0; c < 3; c++)
			p.rgb[3 * k + c] = (uint8_t)(k % 251 + c);
	}
	return p;
}

/* Writes a stream of `frames` to a new file and returns its name, to be freed. */
typedef void wall_more(e3_out *out, int64_t i, void *with);
static inline void wall_write(char path[64], int64_t frames, double step, wall_more *more, void *with)
{
	e3_err err;
	snprintf(path, 64, "/tmp/e3-view-XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	e3_out *out = e3_out_open(path, NULL, &err);
	e3_head head = wall_head(frames);
	head.corrects = true;
	assert_non_null(out);
	assert_int_equal(e3_out_head(out, &head, &err), 0);
	e3_head_release(&head);
	for (int64_t i = 0; i < frames; i++) {
		e3_pred p = wall_pred(i, step);
		assert_int_equal(e3_out_pred(out, &p, &err), 0);
		e3_pred_release(&p);
		if (more)
			more(out, i, with);
	}
	e3_end end = {.frames = frames};
	assert_int_equal(e3_out_end(out, &end, &err), 0);
	assert_int_equal(e3_out_close(out, &err), 0);
}

#endif
