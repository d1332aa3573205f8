/* wire: head, frame, pred, truth, end and abort into structs; refuses what e3-stream(5) does not allow. */
#include "decode.h"
#include "order.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int head_fill(const e3_msg *msg, e3_head *x, e3_err *err)
{
	bool model, layers, tokens, grid, policy, budget, device, bytes, seen, after, said;
	int v, frozen = 0;
	e3_field table[] = {
		{E3_F_INT, "v", &v, .min = INT32_MIN, .max = INT32_MAX},
		E3_NEED(TEXT, "tool", &x->tool),
		E3_NEED(TEXT, "version", &x->version),
		E3_NEED(TEXT, "source", &x->source),
		{E3_F_I64, "frames", &x->frames, .nil = true},
		E3_NEED(REAL, "fps", &x->fps),
		{E3_F_TEXT, "model", &x->model, .has = &model, .nil = true},
		{E3_F_INT, "layers", &x->layers, .has = &layers, .nil = true},
		{E3_F_INT, "tokens_per_frame", &x->tokens_per_frame, .has = &tokens, .nil = true},
		{E3_F_INTS, "patch_grid", x->patch_grid, .has = &grid, .nil = true, .n = 2},
		{E3_F_TEXT, "policy", &x->policy, .has = &policy, .nil = true},
		{E3_F_I64, "budget", &x->budget, .has = &budget, .nil = true},
		{E3_F_TEXT, "device", &x->device, .has = &device, .nil = true},
		E3_MAY(I64, "kv_token_bytes", &x->kv_token_bytes, &bytes),
		E3_MAY(I64, "seen", &x->seen, &seen),
		E3_MAY(I64, "after", &x->after, &after),
		{.type = E3_F_INT, .name = "frozen", .to = &frozen, .has = &said, .max = 1},
		{.type = E3_F_END},
	};
	e3_head_release(x);
	x->budget = -1;
	if (e3_decode_body(msg, E3_HEAD, table, err))
		return -1;
	if (v != E3_STREAM_VERSION)
		return e3_fail(err, "stream version %d; this program reads version %d", v, E3_STREAM_VERSION);
	if (x->fps < 0)
		return e3_fail(err, "fps: is %g, expected 0 (unknown) or more", x->fps);
	if (seen && x->seen > 0 && !after)
		return e3_fail(err, "seen: is %" PRId64 ", but there is no after", x->seen);
	x->seen = seen ? x->seen : 0, x->after = after ? x->after : 0, x->frozen = frozen;
	return 0;
}

int e3_head_decode(const e3_msg *msg, e3_head *x, e3_err *err)
{
	if (head_fill(msg, x, err) == 0)
		return 0;
	e3_head_release(x);
	return e3_decode_failed(msg, err);
}

/* The fields frame and pred share, at the front of their tables. */
#define SOURCE_FIELDS(s, fit, live) \
	E3_NEED(I64, "i", &(s).i), E3_NEED(REAL, "pts", &(s).pts), E3_NEED(I64, "src_i", &(s).src_i), \
		E3_NEED(INT, "src_w", &(s).src_w), E3_NEED(INT, "src_h", &(s).src_h), E3_NEED(INT, "rot", &(s).rot), \
		{E3_F_REALS, "fit", fit, .n = 4}, E3_MAY(REAL, "t_capture", &(s).t_capture, &live)

static int frame_fill(const e3_msg *msg, e3_frame *x, e3_err *err)
{
	e3_source s = {0};
	e3_array rgb;
	double fit[4];
	int w, h, prepared = 0;
	bool live, said;
	e3_field table[] = {
		SOURCE_FIELDS(s, fit, live),
		E3_NEED(INT, "w", &w),
		E3_NEED(INT, "h", &h),
		{.type = E3_F_INT, .name = "prepared", .to = &prepared, .has = &said, .max = 1},
		E3_NEED(ARRAY, "rgb", &rgb),
		{.type = E3_F_END},
	};
	if (e3_decode_body(msg, E3_FRAME, table, err))
		return -1;
	s.fit = (e3_fit){fit[0], fit[1], fit[2], fit[3]};
	if (e3_size_check(w, h, err) || e3_source_check(&s, err))
		return -1;
	if (e3_decode_want(&rgb, "rgb", E3_ARRAY_U8, 3, (size_t[]){(size_t)h, (size_t)w, 3}, err) ||
		e3_decode_take(&x->rgb, (size_t)x->w * (size_t)x->h * 3, &rgb, "rgb", err))
		return -1;
	x->s = s, x->w = w, x->h = h, x->prepared = prepared;
	return 0;
}

int e3_frame_decode(const e3_msg *msg, e3_frame *x, e3_err *err)
{
	if (frame_fill(msg, x, err) == 0)
		return 0;
	e3_frame_release(x);
	return e3_decode_failed(msg, err);
}

/* The dense pairs of a pred: both or neither; each checked before anything is copied. */
typedef struct dense {
	const char *name;
	e3_array a;
	bool has;
	int channels;
	float **to;
} dense;

static int dense_check(const dense d[4], int w, int h, e3_err *err)
{
	for (int k = 0; k < 4; k += 2)
		if (d[k].has != d[k + 1].has)
			return e3_fail(err, "%s without %s", d[d[k].has ? k : k + 1].name, d[d[k].has ? k + 1 : k].name);
	for (int k = 0; k < 4; k++)
		if (d[k].has &&
			e3_decode_want_dense(&d[k].a, d[k].name, d[k].channels == 1 ? 2 : 3,
				(size_t[]){(size_t)h, (size_t)w, (size_t)d[k].channels}, err))
			return -1;
	return 0;
}

static int dense_take(const dense d[4], size_t held, e3_err *err)
{
	for (int k = 0; k < 4; k++) {
		if (!d[k].has) {
			free(*d[k].to);
			*d[k].to = NULL;
		} else if (e3_decode_take(d[k].to, held * (size_t)d[k].channels, &d[k].a, d[k].name, err)) {
			return -1;
		}
	}
	return 0;
}

static int pred_fill(const e3_msg *msg, e3_pred *x, e3_err *err)
{
	e3_source s = {0};
	e3_array rgb, pose;
	double fit[4], ms, latency = 0;
	int w, h;
	bool has_pose, live, timed;
	dense d[4] = {
		{.name = "depth", .channels = 1, .to = &x->depth},
		{.name = "depth_conf", .channels = 1, .to = &x->depth_conf},
		{.name = "points", .channels = 3, .to = &x->points},
		{.name = "points_conf", .channels = 1, .to = &x->points_conf},
	};
	e3_field table[] = {
		SOURCE_FIELDS(s, fit, live),
		E3_NEED(INT, "w", &w),
		E3_NEED(INT, "h", &h),
		E3_NEED(ARRAY, "rgb", &rgb),
		E3_MAY(ARRAY, "pose", &pose, &has_pose),
		E3_MAY(ARRAY, "depth", &d[0].a, &d[0].has),
		E3_MAY(ARRAY, "depth_conf", &d[1].a, &d[1].has),
		E3_MAY(ARRAY, "points", &d[2].a, &d[2].has),
		E3_MAY(ARRAY, "points_conf", &d[3].a, &d[3].has),
		E3_NEED(REAL, "ms", &ms),
		E3_MAY(REAL, "latency", &latency, &timed),
		{.type = E3_F_END},
	};
	if (e3_decode_body(msg, E3_PRED, table, err))
		return -1;
	s.fit = (e3_fit){fit[0], fit[1], fit[2], fit[3]};
	if (e3_size_check(w, h, err) || e3_source_check(&s, err) ||
		e3_decode_want(&rgb, "rgb", E3_ARRAY_U8, 3, (size_t[]){(size_t)h, (size_t)w, 3}, err) ||
		dense_check(d, w, h, err))
		return -1;
	if (has_pose && e3_decode_want(&pose, "pose", E3_ARRAY_F32, 1, (size_t[]){9}, err))
		return -1;
	memset(x->pose, 0, sizeof x->pose);
	if (has_pose)
		memcpy(x->pose, pose.data, sizeof x->pose);
	size_t held = (size_t)x->w * (size_t)x->h;
	if (e3_pose_check(x->pose, err) || e3_decode_take(&x->rgb, held * 3, &rgb, "rgb", err) || dense_take(d, held, err))
		return -1;
	x->s = s, x->w = w, x->h = h, x->ms = ms, x->latency = latency, x->has_pose = has_pose;
	x->half = false;
	for (int k = 0; k < 4; k++)
		x->half |= d[k].has && d[k].a.dtype == E3_ARRAY_F16;
	return 0;
}

int e3_pred_decode(const e3_msg *msg, e3_pred *x, e3_err *err)
{
	if (pred_fill(msg, x, err) == 0)
		return 0;
	e3_pred_release(x);
	return e3_decode_failed(msg, err);
}

int e3_end_decode(const e3_msg *msg, e3_end *x, e3_err *err)
{
	bool has;
	e3_field table[] = {
		E3_NEED(I64, "frames", &x->frames),
		E3_NEED(REAL, "seconds", &x->seconds),
		E3_MAY(U64, "peak_rss", &x->peak_rss, &has),
		E3_MAY(U64, "cache_now", &x->cache_now, &has),
		E3_MAY(U64, "cache_peak", &x->cache_peak, &has),
		E3_MAY(U64, "cache_full", &x->cache_full, &has),
		E3_MAY(REAL, "latency_mean", &x->latency_mean, &has),
		E3_MAY(REAL, "latency_max", &x->latency_max, &has),
		E3_MAY(U64, "device_used", &x->device_used, &has),
		{.type = E3_F_END},
	};
	*x = (e3_end){0};
	if (e3_decode_body(msg, E3_END, table, err) == 0)
		return 0;
	*x = (e3_end){0};
	return e3_decode_failed(msg, err);
}

int e3_abort_decode(const e3_msg *msg, e3_abort *x, e3_err *err)
{
	e3_field table[] = {
		E3_NEED(TEXT, "tool", &x->tool),
		{E3_F_INT, "code", &x->code, .min = 0, .max = 255},
		E3_NEED(TEXT, "text", &x->text),
		{.type = E3_F_END},
	};
	e3_abort_release(x);
	if (e3_decode_body(msg, E3_ABORT, table, err) == 0)
		return 0;
	e3_abort_release(x);
	return e3_decode_failed(msg, err);
}

static int truth_fill(const e3_msg *msg, e3_truth *x, e3_err *err)
{
	bool has_w, has_h, has_depth, has_unit;
	e3_array depth, pose;
	int64_t i;
	int w = 0, h = 0;
	size_t held = (size_t)x->w * (size_t)x->h;
	e3_field table[] = {
		E3_NEED(I64, "i", &i),
		E3_MAY(INT, "w", &w, &has_w),
		E3_MAY(INT, "h", &h, &has_h),
		E3_MAY(ARRAY, "depth", &depth, &has_depth),
		E3_MAY(ARRAY, "pose", &pose, &x->has_pose),
		{E3_F_REALS, "intrinsics", x->intrinsics, .has = &x->has_intrinsics, .n = 4},
		{E3_F_TEXT, "unit", &x->unit, .has = &has_unit, .nil = true},
		{.type = E3_F_END},
	};
	free(x->unit);
	x->unit = NULL;
	memset(x->pose, 0, sizeof x->pose);
	memset(x->intrinsics, 0, sizeof x->intrinsics);
	if (e3_decode_body(msg, E3_TRUTH, table, err))
		return -1;
	if (has_w != has_h || (!has_w && (has_depth || x->has_intrinsics)))
		return e3_fail(err, "w and h: missing");
	if (has_w && e3_size_check(w, h, err))
		return -1;
	if (has_depth && e3_decode_want(&depth, "depth", E3_ARRAY_F32, 2, (size_t[]){(size_t)h, (size_t)w}, err))
		return -1;
	if (x->has_pose && e3_decode_want(&pose, "pose", E3_ARRAY_F32, 1, (size_t[]){9}, err))
		return -1;
	if (x->has_pose)
		memcpy(x->pose, pose.data, sizeof x->pose);
	if (e3_pose_check(x->pose, err))
		return -1;
	if (x->has_intrinsics && !(x->intrinsics[0] > 0 && x->intrinsics[1] > 0))
		return e3_fail(err, "intrinsics: focal lengths %g, %g; both must be above 0", x->intrinsics[0],
			x->intrinsics[1]);
	if (!has_depth) {
		free(x->depth);
		x->depth = NULL;
	} else if (e3_decode_take(&x->depth, held, &depth, "depth", err)) {
		return -1;
	}
	x->i = i, x->w = w, x->h = h;
	return 0;
}

int e3_truth_decode(const e3_msg *msg, e3_truth *x, e3_err *err)
{
	if (truth_fill(msg, x, err) == 0)
		return 0;
	e3_truth_release(x);
	return e3_decode_failed(msg, err);
}
