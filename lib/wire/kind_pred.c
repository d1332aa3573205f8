/* wire: a prediction: the picture as the network saw it, pose, depth, points. */
#include "e3/num.h"
#include "out.h"
#include "source.h"
#include "unpack.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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

static int encode(e3_pack *p, const e3_pred *x, e3_err *err)
{
	size_t h = (size_t)x->h, w = (size_t)x->w;
	uint16_t *half = NULL;
	e3_pack_begin(p, E3_PRED, x->s.i);
	if (e3_name_check(x->name, err) || e3_pack_source(p, &x->s, x->w, x->h, err) ||
		e3_reals_check("ms", &x->ms, 1, err) || e3_reals_check("latency", &x->latency, 1, err) ||
		(x->has_pose && e3_pose_check(x->pose, err)) || (x->has_segment && e3_sim_check("world", x->world, err)))
		return e3_fail_in(err, "pred %" PRId64, x->s.i);
	if (x->half && !(half = e3_pack_halves(p, h * w * 6, err)))
		return -1;
	if (x->name)
		e3_pack_text(p, "name", x->name);
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
	if (x->has_segment) {
		e3_pack_int(p, "segment", x->segment);
		e3_pack_reals(p, "world", x->world, 8);
	}
	return e3_pack_finish(p, err);
}

int e3_out_pred(e3_out *out, const e3_pred *x, e3_err *err)
{
	return e3_out_packed(out, encode(e3_out_pack(out), x, err), err);
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

static int pred_fill(const e3_msg *msg, e3_pred *x, char **name, bool take, e3_err *err)
{
	e3_source s = {0};
	e3_array rgb, pose;
	double fit[4], ms, latency = 0;
	int w, h;
	bool has_pose, named, live, timed, segment, world;
	dense d[4] = {
		{.name = "depth", .channels = 1, .to = &x->depth},
		{.name = "depth_conf", .channels = 1, .to = &x->depth_conf},
		{.name = "points", .channels = 3, .to = &x->points},
		{.name = "points_conf", .channels = 1, .to = &x->points_conf},
	};
	e3_field table[] = {
		E3_SOURCE_FIELDS(s, fit, live),
		E3_NEED(INT, "w", &w),
		E3_NEED(INT, "h", &h),
		E3_MAY(TEXT, "name", name, &named),
		E3_NEED(ARRAY, "rgb", &rgb),
		E3_MAY(ARRAY, "pose", &pose, &has_pose),
		E3_MAY(ARRAY, "depth", &d[0].a, &d[0].has),
		E3_MAY(ARRAY, "depth_conf", &d[1].a, &d[1].has),
		E3_MAY(ARRAY, "points", &d[2].a, &d[2].has),
		E3_MAY(ARRAY, "points_conf", &d[3].a, &d[3].has),
		E3_NEED(REAL, "ms", &ms),
		E3_MAY(REAL, "latency", &latency, &timed),
		E3_MAY(I64, "segment", &x->segment, &segment),
		{E3_F_REALS, "world", x->world, .has = &world, .n = 8},
		{.type = E3_F_END},
	};
	if (e3_decode_body(msg, E3_PRED, table, err))
		return -1;
	s.fit = (e3_fit){fit[0], fit[1], fit[2], fit[3]};
	if (e3_name_check(*name, err) || e3_size_check(w, h, err) || e3_source_check(&s, err) ||
		e3_decode_want(&rgb, "rgb", E3_ARRAY_U8, 3, (size_t[]){(size_t)h, (size_t)w, 3}, err) ||
		dense_check(d, w, h, err))
		return -1;
	if (segment != world)
		return e3_fail(err, "%s without %s", segment ? "segment" : "world", segment ? "world" : "segment");
	if (segment && e3_sim_check("world", x->world, err))
		return -1;
	if (has_pose && e3_decode_want(&pose, "pose", E3_ARRAY_F32, 1, (size_t[]){9}, err))
		return -1;
	memset(x->pose, 0, sizeof x->pose);
	if (has_pose)
		memcpy(x->pose, pose.data, sizeof x->pose);
	size_t held = (size_t)x->w * (size_t)x->h;
	if (has_pose && e3_pose_check(x->pose, err))
		return -1;
	if (!take)
		return 0;
	if (e3_decode_take(&x->rgb, held * 3, &rgb, "rgb", err) || dense_take(d, held, err))
		return -1;
	x->s = s, x->w = w, x->h = h, x->ms = ms, x->latency = latency, x->has_pose = has_pose;
	x->has_segment = segment;
	if (!segment) {
		x->segment = 0;
		memset(x->world, 0, sizeof x->world);
	}
	x->half = false;
	for (int k = 0; k < 4; k++)
		x->half |= d[k].has && d[k].a.dtype == E3_ARRAY_F16;
	return 0;
}

int e3_pred_check(const e3_msg *msg, e3_err *err)
{
	e3_pred x = {.w = 0};
	char *name = NULL;
	int rc = pred_fill(msg, &x, &name, false, err);
	free(name);
	return rc ? e3_decode_failed(msg, err) : 0;
}

int e3_pred_decode(const e3_msg *msg, e3_pred *x, e3_err *err)
{
	char *name = NULL;
	int rc = pred_fill(msg, x, &name, true, err);
	free(x->name);
	x->name = name;
	if (rc == 0)
		return 0;
	e3_pred_release(x);
	return e3_decode_failed(msg, err);
}
