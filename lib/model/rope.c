/* model: the tables of rotation: of the frame blocks and, where the architecture has another one there, of the global
 * blocks (doc/network.md 5.3, 14.2). Owns the angles. A table stays where it is on the device: what depends on the
 * frame's time is copied into it, row by row, from a table of all times. */
#include "e3/mem.h"
#include "e3/num.h"
#include "session.h"
#include <math.h>
#include <stdlib.h>

/* Where a token stands in the grid; special tokens are not in it. */
typedef struct place {
	bool special;
	int row, column;
} place;

static place place_of(const e3_session *s, int token)
{
	int patch = token - s->plan.special, columns = s->plan.patch_grid[1];
	return patch < 0 ? (place){.special = true} : (place){false, patch / columns, patch % columns};
}

/* The same table for every lane. */
static int upload_lanes(e3_session *s, const float *table, size_t n, float **to, e3_err *err)
{
	e3_work *w = s->work;
	int rc = e3_arena_floats(&w->arena, (size_t)w->lanes * n, to, err);
	for (int k = 0; !rc && k < w->lanes; k++)
		rc = s->dev->ops->upload(s->dev, e3_tensor_f32(*to + (size_t)k * n), table, n, err);
	return rc;
}

/* Angles of the 2D rotation of every token: cosines, then sines; y half first (5.3). */
static int open_grid(e3_session *s, e3_err *err)
{
	int d = s->net->c.head_dim, quarter = d / 4;
	size_t n = (size_t)s->plan.tokens_per_frame * (size_t)d;
	float *table = e3_alloc(n, sizeof *table, "rotation table", err);
	if (!table)
		return -1;
	for (int t = 0; t < s->plan.tokens_per_frame; t++) {
		place p = place_of(s, t);
		int at[2] = {p.special ? 0 : p.row + 1, p.special ? 0 : p.column + 1};
		float *row = table + (size_t)t * (size_t)d;
		for (int k = 0; k < 2 * quarter; k++) {
			float f = (float)pow(100.0, -(double)(k % quarter) / quarter), angle = (float)at[k / quarter] * f;
			if (s->net->c.rope_bf16)
				angle = e3_bf16_to_f32(e3_f32_to_bf16((float)at[k / quarter] * e3_bf16_to_f32(e3_f32_to_bf16(f))));
			row[k] = (float)cos((double)angle);
			row[2 * quarter + k] = (float)sin((double)angle);
		}
	}
	int rc = upload_lanes(s, table, n, &s->work->rope.grid, err);
	free(table);
	return rc;
}

/* The pairs of an axis of so many channels, at a position: `half` values from the cosine to the sine of an angle. */
static void turn(const e3_arch *arch, int axis, int position, float *to, int half)
{
	for (int k = 0; k < arch->axis[axis] / 2; k++) {
		double angle = position * pow(arch->base, -2.0 * k / arch->axis[axis]);
		to[k] = (float)cos(angle);
		to[half + k] = (float)sin(angle);
	}
}

/* The pairs of a head in the order of the architecture's axes, each pair once: cosines, then sines (14.2). */
static int open_time(e3_session *s, e3_err *err)
{
	const e3_arch *arch = e3_config_arch(&s->net->c);
	int d = s->net->c.head_dim, half = d / 2, time = arch->axis[0] / 2, row = arch->axis[1] / 2;
	size_t n = (size_t)s->plan.tokens_per_frame * (size_t)d, m = 2 * (size_t)arch->times * (size_t)time;
	float *table = e3_alloc(n, sizeof *table, "rotation table", err);
	float *times = table ? e3_alloc(m, sizeof *times, "rotation table", err) : NULL;
	for (int t = 0; times && t < s->plan.tokens_per_frame; t++) {
		place p = place_of(s, t);
		float *to = table + (size_t)t * (size_t)d;
		turn(arch, 1, p.special ? t : s->plan.special + p.row, to + time, half);
		turn(arch, 2, p.special ? t : s->plan.special + p.column, to + time + row, half);
	}
	for (int t = 0; times && t < arch->times; t++)
		turn(arch, 0, t, times + 2 * t * time, time);
	int rc = !times || upload_lanes(s, table, n, &s->work->rope.global, err) ||
			e3_arena_upload(&s->work->arena, times, m, &s->work->rope.times, err)
		? -1
		: 0;
	free(table), free(times);
	return rc;
}

int e3_rope_open(e3_session *s, e3_err *err)
{
	if (open_grid(s, err))
		return -1;
	s->work->rope.global = s->work->rope.grid;
	return e3_config_arch(&s->net->c)->rope == E3_ROPE_TIME ? open_time(s, err) : 0;
}

int e3_rope_at(e3_session *s, int64_t time, e3_err *err)
{
	const e3_dev_ops *ops = s->dev->ops;
	int n = s->plan.tokens_per_frame, d = s->net->c.head_dim, pairs = e3_config_arch(&s->net->c)->axis[0] / 2;
	const e3_rope *rope = &s->work->rope;
	if (!rope->times)
		return 0;
	float *from = rope->times + 2 * time * pairs, *to = rope->global + (size_t)s->lane * (size_t)n * (size_t)d;
	return ops->copy_rows(s->dev, (e3_rows){from, n, 0}, pairs, (e3_rows){to, n, d}, err) ||
			ops->copy_rows(s->dev, (e3_rows){from + pairs, n, 0}, pairs, (e3_rows){to + d / 2, n, d}, err)
		? -1
		: 0;
}

int e3_rope_check(const e3_session *s, int64_t time, e3_err *err)
{
	const e3_arch *arch = e3_config_arch(&s->net->c);
	if (!arch->times || time < arch->times)
		return 0;
	return e3_fail(err, "%s counts to %d key frames: a 'segment' of fewer begins anew before that", arch->title,
		arch->times);
}
