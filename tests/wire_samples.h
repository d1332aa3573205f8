/* One message of every kind with values that are easy to state: shared by the stream's unit tests and by
 * tests/data/stream/golden.py, which writes the same stream with Python's msgpack. */
#ifndef WIRE_SAMPLES_H
#define WIRE_SAMPLES_H

#include "e3/stream.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLE_W = 6, SAMPLE_H = 4, SAMPLE_N = SAMPLE_W * SAMPLE_H };

static inline char *sample_text(const char *s)
{
	char *copy = malloc(strlen(s) + 1);
	return copy ? strcpy(copy, s) : NULL;
}

static inline e3_head sample_head(void)
{
	return (e3_head){.tool = sample_text("e3-infer"),
		.version = sample_text("0.1.0"),
		.source = sample_text("clip.mp4"),
		.frames = 2,
		.fps = 2.5,
		.model = sample_text("tiny"),
		.layers = 24,
		.tokens_per_frame = 782,
		.patch_grid = {21, 37},
		.policy = sample_text("evict3r"),
		.budget = 70000,
		.device = sample_text("cpu"),
		.kv_token_bytes = 8192};
}

static inline e3_source sample_source(int64_t i)
{
	return (e3_source){.i = i,
		.pts = 0.5 * (double)i,
		.src_i = 15 * i,
		.src_w = 1920,
		.src_h = 1080,
		.rot = 90,
		.fit = {0.25, 0.5, -1.5, 2}};
}

static inline uint8_t *sample_rgb(int64_t i)
{
	uint8_t *px = malloc(SAMPLE_N * 3);
	for (int k = 0; px && k < SAMPLE_N * 3; k++)
		px[k] = (uint8_t)(k * 7 + 31 * i);
	return px;
}

/* k/8 - 3, exact in f16 too; element 1 is NaN, element 2 infinite: dense arrays may hold anything. */
static inline float *sample_dense(int n)
{
	float *v = malloc((size_t)n * sizeof *v);
	for (int k = 0; v && k < n; k++)
		v[k] = k == 1 ? NAN : k == 2 ? INFINITY : (float)k / 8 - 3;
	return v;
}

static inline e3_frame sample_frame(int64_t i)
{
	return (e3_frame){.s = sample_source(i), .w = SAMPLE_W, .h = SAMPLE_H, .rgb = sample_rgb(i)};
}

static inline e3_pred sample_pred(int64_t i, bool half)
{
	return (e3_pred){.s = sample_source(i),
		.w = SAMPLE_W,
		.h = SAMPLE_H,
		.rgb = sample_rgb(i),
		.has_pose = true,
		.pose = {1, 2, 3, 0, 0, 0.5f, -1, 0.75f, 1.25f},
		.depth = sample_dense(SAMPLE_N),
		.depth_conf = sample_dense(SAMPLE_N),
		.points = sample_dense(3 * SAMPLE_N),
		.points_conf = sample_dense(SAMPLE_N),
		.ms = 12.5,
		.half = half};
}

static inline e3_evict sample_evict(int64_t i)
{
	e3_evict x = {.i = i, .n_layers = 2, .layer = calloc(2, sizeof *x.layer)};
	for (int l = 0; x.layer && l < 2; l++) {
		x.layer[l] = (e3_evict_layer){.layer = l,
			.k_before = 1564,
			.k_after = l ? 1564 : 1561,
			.budget = 1560.25,
			.alpha = 0.5,
			.variance = 0.125,
			.saturated = 7,
			.prot = 787,
			.max_evicted = l ? NAN : 0.5f,
			.min_kept = l ? NAN : 0.625f,
			.n_removed = l ? 0 : 3};
		for (int k = 0; k < 9; k++)
			x.layer[l].score_q[k] = l ? NAN : (float)k;
		x.layer[l].removed = calloc(3, 4);
		if (x.layer[l].removed && !l)
			x.layer[l].removed[0] = 790, x.layer[l].removed[1] = 1000, x.layer[l].removed[2] = 70001;
	}
	return x;
}

static inline e3_attn sample_attn(int64_t i)
{
	e3_attn x = {.i = i,
		.layer = 11,
		.n_keys = 3,
		.n_frames = 2,
		.map_rows = 2,
		.map_cols = 3,
		.key = calloc(3, 4),
		.mass = sample_dense(3),
		.frame_mass = sample_dense(2),
		.map = sample_dense(6)};
	if (x.key)
		x.key[0] = 0, x.key[1] = 5, x.key[2] = 783;
	return x;
}

static inline e3_truth sample_truth(int64_t i)
{
	return (e3_truth){.i = i,
		.w = SAMPLE_W,
		.h = SAMPLE_H,
		.depth = sample_dense(SAMPLE_N),
		.has_pose = true,
		.pose = {0, 0, 0, 0, 0, 0, 1, 1, 1.5f},
		.has_intrinsics = true,
		.intrinsics = {500.5, 501, 3, 2},
		.unit = sample_text("m")};
}

/* 255 where the sum of row and column is even. */
static inline e3_mask sample_mask(int64_t i)
{
	e3_mask x = {.i = i,
		.class = sample_text("sky"),
		.w = 3,
		.h = 2,
		.px = calloc(6, 1),
		.has_fit = true,
		.fit = {0.125, 0.25, 0, -1}};
	for (int k = 0; x.px && k < 6; k++)
		x.px[k] = (k / 3 + k % 3) % 2 ? 0 : 255;
	return x;
}

static inline e3_edge sample_edge(int64_t i)
{
	return (e3_edge){.i = i,
		.type = E3_EDGE_LOOP,
		.a = 0,
		.b = 1,
		.frame = {0, i},
		.sim = {1.25, 0, 0, 0.5, 0.5, -1, 2.5, 3},
		.sigma = {0.015625, 0.0625, 0.03125}};
}

static inline e3_correct sample_correct(int64_t i)
{
	return (e3_correct){.i = i, .from = 0, .to = i, .sim = {0.75, 0, 0, 0, 1, 0.125, 0, -4}};
}

static inline e3_end sample_end(int64_t frames)
{
	return (e3_end){.frames = frames,
		.seconds = 1.75,
		.peak_rss = (uint64_t)1 << 33,
		.cache_now = 1000,
		.cache_peak = 2000,
		.cache_full = UINT64_MAX};
}

/* Writes the whole sample stream to an endpoint: 0 or -1. */
static inline int sample_write(const char *endpoint, e3_err *err)
{
	e3_head head = sample_head();
	e3_frame frame = sample_frame(0);
	e3_pred pred[2] = {sample_pred(0, false), sample_pred(1, true)};
	e3_evict evict = sample_evict(0);
	e3_attn attn = sample_attn(0);
	e3_truth truth = sample_truth(0);
	e3_mask mask = sample_mask(0);
	e3_end end = sample_end(2);
	e3_out *out = e3_out_open(endpoint, NULL, err);
	int rc = !out || e3_out_head(out, &head, err) || e3_out_frame(out, &frame, err) || e3_out_truth(out, &truth, err) ||
		e3_out_mask(out, &mask, err) || e3_out_pred(out, &pred[0], err) || e3_out_evict(out, &evict, err) ||
		e3_out_attn(out, &attn, err) || e3_out_pred(out, &pred[1], err) || e3_out_end(out, &end, err);
	if (rc)
		e3_out_abort(out, "sample", 1, err->text);
	else
		rc = e3_out_close(out, err);
	e3_head_release(&head), e3_frame_release(&frame), e3_pred_release(&pred[0]), e3_pred_release(&pred[1]);
	e3_evict_release(&evict), e3_attn_release(&attn), e3_truth_release(&truth), e3_mask_release(&mask);
	return rc ? -1 : 0;
}

/* The same for a stream in segments that is corrected: pred 1 has a name and is answered by segment 1,
 * whose first frame is 1. */
static inline int sample_write_segments(const char *endpoint, e3_err *err)
{
	e3_head head = sample_head();
	e3_pred pred[2] = {sample_pred(0, false), sample_pred(1, false)};
	e3_evict evict[2] = {sample_evict(1), sample_evict(1)};
	e3_attn attn = sample_attn(2);
	const e3_edge edge = sample_edge(1);
	const e3_correct correct = sample_correct(1);
	e3_end end = sample_end(2);
	for (int k = 0; k < 2; k++) {
		pred[k].has_segment = true, pred[k].segment = k, pred[k].world[0] = pred[k].world[4] = 1;
		evict[k].segment = k, evict[k].first = k;
	}
	pred[1].name = sample_text("IMG_0001.jpg");
	pred[1].world[0] = 0.5, pred[1].world[7] = -2, attn.segment = attn.first = 1, head.corrects = true;
	e3_out *out = e3_out_open(endpoint, NULL, err);
	int rc = !out || e3_out_head(out, &head, err) || e3_out_pred(out, &pred[0], err) ||
		e3_out_pred(out, &pred[1], err) || e3_out_evict(out, &evict[1], err) || e3_out_evict(out, &evict[0], err) ||
		e3_out_attn(out, &attn, err) || e3_out_edge(out, &edge, err) || e3_out_correct(out, &correct, err) ||
		e3_out_end(out, &end, err);
	if (rc)
		e3_out_abort(out, "sample", 1, err->text);
	else
		rc = e3_out_close(out, err);
	e3_head_release(&head), e3_attn_release(&attn);
	for (int k = 0; k < 2; k++)
		e3_pred_release(&pred[k]), e3_evict_release(&evict[k]);
	return rc ? -1 : 0;
}

#endif
