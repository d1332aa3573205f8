/* wire: structs into messages: field order and names of e3-stream(5). Refuses values that a reader would refuse. */
#include "encode.h"
#include "e3/num.h"
#include "order.h"
#include <inttypes.h>

int e3_head_encode(e3_pack *p, const e3_head *x, e3_err *err)
{
	if (e3_reals_check("fps", &x->fps, 1, err))
		return e3_fail_in(err, "head");
	e3_pack_begin(p, E3_HEAD);
	e3_pack_int(p, "v", E3_STREAM_VERSION);
	e3_pack_text(p, "tool", x->tool);
	e3_pack_text(p, "version", x->version);
	e3_pack_text(p, "source", x->source);
	e3_pack_int_or_nil(p, "frames", x->frames);
	e3_pack_real(p, "fps", x->fps);
	if (x->model) {
		e3_pack_text(p, "model", x->model);
		e3_pack_int(p, "layers", x->layers);
		e3_pack_int(p, "tokens_per_frame", x->tokens_per_frame);
		e3_pack_ints(p, "patch_grid", x->patch_grid, 2);
		e3_pack_text(p, "policy", x->policy);
		e3_pack_int_or_nil(p, "budget", x->budget);
		e3_pack_text(p, "device", x->device);
		e3_pack_int(p, "kv_token_bytes", x->kv_token_bytes);
		if (x->seen > 0) {
			e3_pack_int(p, "seen", x->seen);
			e3_pack_int(p, "after", x->after);
		}
		if (x->frozen)
			e3_pack_int(p, "frozen", 1);
	}
	return e3_pack_finish(p, err);
}

static int pack_source(e3_pack *p, const e3_source *s, int w, int h, e3_err *err)
{
	const double fit[4] = {s->fit.sx, s->fit.sy, s->fit.tx, s->fit.ty};
	if (e3_source_check(s, err) || e3_size_check(w, h, err))
		return -1;
	e3_pack_int(p, "i", s->i);
	e3_pack_real(p, "pts", s->pts);
	e3_pack_int(p, "src_i", s->src_i);
	e3_pack_int(p, "src_w", s->src_w);
	e3_pack_int(p, "src_h", s->src_h);
	e3_pack_int(p, "rot", s->rot);
	e3_pack_reals(p, "fit", fit, 4);
	if (s->t_capture != 0)
		e3_pack_real(p, "t_capture", s->t_capture);
	e3_pack_int(p, "w", w);
	e3_pack_int(p, "h", h);
	return 0;
}

int e3_frame_encode(e3_pack *p, const e3_frame *x, e3_err *err)
{
	e3_pack_begin(p, E3_FRAME);
	if (pack_source(p, &x->s, x->w, x->h, err))
		return e3_fail_in(err, "frame %" PRId64, x->s.i);
	if (x->prepared)
		e3_pack_int(p, "prepared", 1);
	e3_pack_array(p, "rgb", E3_ARRAY_U8, x->rgb, 3, (size_t[]){(size_t)x->h, (size_t)x->w, 3});
	return e3_pack_finish(p, err);
}

/* The dense arrays of a pred: [h][w] or [h][w][3], f32, or f16 made in `room` from *used on. */
static void pack_dense(e3_pack *p, const char *name, const float *v, size_t shape[3], uint16_t **room)
{
	size_t n = shape[0] * shape[1] * shape[2];
	int rank = shape[2] == 1 ? 2 : 3;
	if (!*room) {
		e3_pack_array(p, name, E3_ARRAY_F32, v, rank, shape);
		return;
	}
	e3_f32_to_f16_n(v, *room, n);
	e3_pack_array(p, name, E3_ARRAY_F16, *room, rank, shape);
	*room += n;
}

int e3_pred_encode(e3_pack *p, const e3_pred *x, e3_halves *room, e3_err *err)
{
	size_t h = (size_t)x->h, w = (size_t)x->w;
	uint16_t *half = NULL;
	e3_pack_begin(p, E3_PRED);
	if (pack_source(p, &x->s, x->w, x->h, err) || e3_reals_check("ms", &x->ms, 1, err) ||
		e3_reals_check("latency", &x->latency, 1, err) || (x->has_pose && e3_pose_check(x->pose, err)))
		return e3_fail_in(err, "pred %" PRId64, x->s.i);
	if (x->half) {
		if (room->cap < h * w * 6) {
			room->cap = 0;
			if (e3_grow((void **)&room->data, h * w * 6, sizeof *room->data, "half precision arrays", err))
				return -1;
			room->cap = h * w * 6;
		}
		half = room->data;
	}
	e3_pack_array(p, "rgb", E3_ARRAY_U8, x->rgb, 3, (size_t[]){h, w, 3});
	if (x->has_pose)
		e3_pack_array(p, "pose", E3_ARRAY_F32, x->pose, 1, (size_t[]){9});
	if (x->depth) {
		pack_dense(p, "depth", x->depth, (size_t[]){h, w, 1}, &half);
		pack_dense(p, "depth_conf", x->depth_conf, (size_t[]){h, w, 1}, &half);
	}
	if (x->points) {
		pack_dense(p, "points", x->points, (size_t[]){h, w, 3}, &half);
		pack_dense(p, "points_conf", x->points_conf, (size_t[]){h, w, 1}, &half);
	}
	e3_pack_real(p, "ms", x->ms);
	if (x->latency != 0)
		e3_pack_real(p, "latency", x->latency);
	return e3_pack_finish(p, err);
}

static int pack_layer(e3_pack *p, const e3_evict_layer *x, e3_err *err)
{
	if (e3_reals_check("budget", &x->budget, 1, err) || e3_reals_check("alpha", &x->alpha, 1, err) ||
		e3_reals_check("variance", &x->variance, 1, err))
		return -1;
	if (x->k_after > x->k_before || x->k_before - x->k_after != x->n_removed)
		return e3_fail(err, "%" PRIu32 " tokens before, %" PRIu32 " after, but %zu removed", x->k_before, x->k_after,
			x->n_removed);
	e3_pack_map(p, 12);
	e3_pack_int(p, "layer", x->layer);
	e3_pack_int(p, "k_before", x->k_before);
	e3_pack_int(p, "k_after", x->k_after);
	e3_pack_real(p, "budget", x->budget);
	e3_pack_real(p, "alpha", x->alpha);
	e3_pack_real(p, "variance", x->variance);
	e3_pack_int(p, "saturated", x->saturated);
	e3_pack_int(p, "protected", x->prot);
	e3_pack_array(p, "score_q", E3_ARRAY_F32, x->score_q, 1, (size_t[]){9});
	e3_pack_single(p, "max_evicted", x->max_evicted);
	e3_pack_single(p, "min_kept", x->min_kept);
	e3_pack_array(p, "removed", E3_ARRAY_U32, x->removed, 1, &x->n_removed);
	return 0;
}

int e3_evict_encode(e3_pack *p, const e3_evict *x, e3_err *err)
{
	e3_pack_begin(p, E3_EVICT);
	e3_pack_int(p, "i", x->i);
	e3_pack_list(p, "layers", (size_t)x->n_layers);
	unsigned fields = p->fields;
	for (int k = 0; k < x->n_layers; k++)
		if (pack_layer(p, &x->layer[k], err))
			return e3_fail_in(err, "evict %" PRId64 ": layers[%d]", x->i, k);
	p->fields = fields;
	return e3_pack_finish(p, err);
}

int e3_attn_encode(e3_pack *p, const e3_attn *x, e3_err *err)
{
	if (x->map && x->map_cols != x->n_keys)
		return e3_fail(err, "attn %" PRId64 ": map has %" PRIu32 " columns for %" PRIu32 " keys", x->i, x->map_cols,
			x->n_keys);
	e3_pack_begin(p, E3_ATTN);
	e3_pack_int(p, "i", x->i);
	e3_pack_int(p, "layer", x->layer);
	e3_pack_array(p, "key", E3_ARRAY_U32, x->key, 1, (size_t[]){x->n_keys});
	e3_pack_array(p, "mass", E3_ARRAY_F32, x->mass, 1, (size_t[]){x->n_keys});
	e3_pack_array(p, "frame_mass", E3_ARRAY_F32, x->frame_mass, 1, (size_t[]){x->n_frames});
	if (x->map)
		e3_pack_array(p, "map", E3_ARRAY_F32, x->map, 2, (size_t[]){x->map_rows, x->map_cols});
	return e3_pack_finish(p, err);
}

int e3_truth_encode(e3_pack *p, const e3_truth *x, e3_err *err)
{
	if ((x->has_pose && e3_pose_check(x->pose, err)) ||
		(x->has_intrinsics && e3_reals_check("intrinsics", x->intrinsics, 4, err)) ||
		((x->depth || x->has_intrinsics) && e3_size_check(x->w, x->h, err)))
		return e3_fail_in(err, "truth %" PRId64, x->i);
	e3_pack_begin(p, E3_TRUTH);
	e3_pack_int(p, "i", x->i);
	if (x->w > 0) {
		e3_pack_int(p, "w", x->w);
		e3_pack_int(p, "h", x->h);
	}
	if (x->depth)
		e3_pack_array(p, "depth", E3_ARRAY_F32, x->depth, 2, (size_t[]){(size_t)x->h, (size_t)x->w});
	if (x->has_pose)
		e3_pack_array(p, "pose", E3_ARRAY_F32, x->pose, 1, (size_t[]){9});
	if (x->has_intrinsics)
		e3_pack_reals(p, "intrinsics", x->intrinsics, 4);
	if (x->unit)
		e3_pack_text(p, "unit", x->unit);
	return e3_pack_finish(p, err);
}

int e3_end_encode(e3_pack *p, const e3_end *x, e3_err *err)
{
	if (e3_reals_check("seconds", &x->seconds, 1, err) || e3_reals_check("latency_mean", &x->latency_mean, 1, err) ||
		e3_reals_check("latency_max", &x->latency_max, 1, err))
		return e3_fail_in(err, "end");
	e3_pack_begin(p, E3_END);
	e3_pack_int(p, "frames", x->frames);
	e3_pack_real(p, "seconds", x->seconds);
	e3_pack_u64(p, "peak_rss", x->peak_rss);
	e3_pack_u64(p, "cache_now", x->cache_now);
	e3_pack_u64(p, "cache_peak", x->cache_peak);
	e3_pack_u64(p, "cache_full", x->cache_full);
	if (x->latency_mean != 0 || x->latency_max != 0) {
		e3_pack_real(p, "latency_mean", x->latency_mean);
		e3_pack_real(p, "latency_max", x->latency_max);
	}
	if (x->device_used)
		e3_pack_u64(p, "device_used", x->device_used);
	return e3_pack_finish(p, err);
}

int e3_abort_encode(e3_pack *p, const e3_abort *x, e3_err *err)
{
	e3_pack_begin(p, E3_ABORT);
	e3_pack_text(p, "tool", x->tool);
	e3_pack_int(p, "code", x->code);
	e3_pack_text(p, "text", x->text);
	return e3_pack_finish(p, err);
}
