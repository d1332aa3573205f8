/* model: a dense head: four kept layers to depth or points of every pixel (doc/network.md 7).
 *
 * The 1×1 convolution after each fusion is done before the enlargement, which it commutes with, for a quarter of the
 * work. The last enlargement is part of the convolution after it.
 */
#include "e3/mem.h"
#include "session.h"
#include <math.h>
#include <stdlib.h>

/* `n` values from -span (n-1)/n to the same above 0, spaced and rounded as the reference does in f32 (7.1). */
static float spaced(int k, int n, float span)
{
	float end = span * (float)(n - 1) / (float)n, start = -end;
	if (n == 1)
		return start;
	float step = (end - start) / (float)(n - 1);
	return k < n / 2 ? start + step * (float)k : end - step * (float)(n - 1 - k);
}

/* 0.1 × [sin, cos] of the positions along one axis: [n][c/2]. */
static int uv_axis(e3_session *s, int n, int c, float span, const float **out, e3_err *err)
{
	int quarter = c / 4;
	float *device = NULL;
	float *host = e3_alloc((size_t)n * (size_t)(c / 2), sizeof *host, "position table", err);
	if (!host)
		return -1;
	for (int i = 0; i < n; i++)
		for (int k = 0; k < quarter; k++) {
			double angle = spaced(i, n, span) * pow(100.0, -(double)k / quarter);
			host[(size_t)i * (size_t)(c / 2) + (size_t)k] = 0.1f * (float)sin(angle);
			host[(size_t)i * (size_t)(c / 2) + (size_t)(quarter + k)] = 0.1f * (float)cos(angle);
		}
	int rc = e3_arena_upload(&s->work->arena, host, (size_t)n * (size_t)(c / 2), &device, err);
	*out = device;
	free(host);
	return rc;
}

static int uv_tables(e3_session *s, int h, int w, int c, e3_uv *out, e3_err *err)
{
	double aspect = (double)s->w / s->h, diagonal = sqrt(aspect * aspect + 1);
	return uv_axis(s, w, c, (float)(aspect / diagonal), &out->x, err) ||
			uv_axis(s, h, c, (float)(1 / diagonal), &out->y, err)
		? -1
		: 0;
}

/* What one head needs of the feature maps that both share, in values. */
typedef struct need {
	size_t projected, small, level[E3_DPT_LEVELS], work, last;
} need;

static void most(size_t *a, size_t b) { *a = *a > b ? *a : b; }

static int open_head(e3_session *s, const e3_dpt_config *c, e3_dpt_state *d, need *n, e3_err *err)
{
	int gh = s->plan.patch_grid[0], gw = s->plan.patch_grid[1];
	int size[E3_DPT_LEVELS][2] = {{c->up[0] * gh, c->up[0] * gw}, {c->up[1] * gh, c->up[1] * gw}, {gh, gw},
		{(gh - 1) / 2 + 1, (gw - 1) / 2 + 1}};
	size_t f = (size_t)c->features, top = 4 * (size_t)size[0][0] * (size_t)size[0][1];
	for (int k = 0; k < E3_DPT_LEVELS; k++) {
		size_t area = (size_t)size[k][0] * (size_t)size[k][1], oc = (size_t)c->oc[k];
		d->size[k][0] = size[k][0], d->size[k][1] = size[k][1];
		most(&n->projected, (size_t)gh * (size_t)gw * oc);
		most(&n->small, k == 3 ? area * oc : 0);
		most(&n->level[k], area * f);
		most(&n->work, area * f);
		if (uv_tables(s, gh, gw, c->oc[k], &d->uv[k], err))
			return -1;
	}
	most(&n->last, top * (f / 2));
	return uv_tables(s, s->h, s->w, c->features / 2, &d->uv_full, err);
}

/* Two pieces, in which what is not needed at the same time lies in the same place: the levels, s and u, later z; t and
 * y. A level's making takes s and u. */
static int open_work(e3_session *s, const need *n, e3_dpt_work *w, e3_err *err)
{
	size_t at = 0, level[E3_DPT_LEVELS], second = n->work, third = n->work, t = (n->work + 127) & ~(size_t)127;
	e3_tensor early, late;
	e3_dtype type = s->dev->feature_dtype;
	most(&second, n->projected), most(&third, n->small);
	for (int k = 0; k < E3_DPT_LEVELS; k++)
		level[k] = at, at += (n->level[k] + 127) & ~(size_t)127;
	size_t s_at = at, u_at = s_at + ((second + 127) & ~(size_t)127), first = u_at + third, last = t + n->work;
	most(&first, n->last);
	if (e3_arena_alloc(&s->work->arena, type, first, &early, err) ||
		e3_arena_alloc(&s->work->arena, type, last, &late, err))
		return -1;
	for (int k = 0; k < E3_DPT_LEVELS; k++)
		w->level[k] = e3_tensor_at(early, level[k]);
	w->s = w->projected = e3_tensor_at(early, s_at), w->u = w->small = e3_tensor_at(early, u_at), w->z = early;
	w->t = late, w->y = e3_tensor_at(late, t);
	return 0;
}

/* Each head works in maps of its own where they run side by side. */
int e3_dpt_open(e3_session *s, e3_err *err)
{
	need n[2] = {{0}};
	bool wants_depth = s->o.outputs & E3_OUT_DEPTH, wants_points = s->o.outputs & E3_OUT_POINTS,
		 alone = !s->dev->branches;
	e3_dpt_state *depth = &s->work->depth, *point = &s->work->point;
	if (!e3_work_is_new(s))
		return 0;
	depth->name = "depth", point->name = "point";
	if ((wants_depth && open_head(s, &s->net->c.depth, depth, &n[0], err)) ||
		(wants_points && open_head(s, &s->net->c.point, point, &n[!alone], err)))
		return -1;
	if ((wants_depth || (alone && wants_points)) && open_work(s, &n[0], &depth->work, err))
		return -1;
	if (!alone)
		return wants_points ? open_work(s, &n[1], &point->work, err) : 0;
	point->work = depth->work;
	return 0;
}

static int features_of(const e3_dpt *net) { return net->conv1.in / 9; }

/* Level k: norm, projection, position, resize, and the convolution to `features` channels. */
static int make_level(e3_session *s, const e3_dpt *net, const e3_dpt_state *d, int k, e3_err *err)
{
	const e3_dpt_work *w = &d->work;
	const e3_dev_ops *ops = s->dev->ops;
	int gh = s->plan.patch_grid[0], gw = s->plan.patch_grid[1], oc = net->project[k].out;
	e3_features map = {w->projected, gh, gw, oc}, level = {w->level[k], d->size[k][0], d->size[k][1], features_of(net)};
	e3_features small = {w->small, level.h, level.w, oc};
	e3_linear project = {.x = e3_tensor_f32(s->now.cat[k]),
		.rows = gh * gw,
		.ldx = 2 * s->net->c.embed,
		.norm = &net->norm,
		.mat = &net->project[k],
		.out = w->projected,
		.ldo = oc};
	if (ops->linear(s->dev, &project, err) || ops->add_uv(s->dev, map, d->uv[k], err))
		return -1;
	e3_conv down = {.x = map, .mat = &net->down, .stride = 2, .out = small};
	e3_conv rn = {.x = k == 3 ? small : map, .mat = &net->rn[k], .stride = 1, .out = level};
	e3_activation made = {d->name, k, "level", level.t, {level.h, level.w, level.c}, 0};
	if (k < 2 ? ops->deconv(s->dev, map, &net->rn[k], level, err)
			  : (k == 3 && ops->conv(s->dev, &down, err)) || ops->conv(s->dev, &rn, err))
		return -1;
	return e3_session_note(s, &made, err);
}

/* out = relu(x) + conv2(relu(conv1(relu(x)))) + plus. The first ReLU is in place in the reference: the skip carries it
 * too. */
typedef struct rcu_run {
	const e3_rcu *net;
	e3_features x;
	e3_tensor plus; /* or none */
	e3_tensor work, out;
} rcu_run;

static int rcu(e3_dev *dev, const rcu_run *r, e3_err *err)
{
	e3_features work = r->x, out = r->x;
	work.t = r->work, out.t = r->out;
	e3_conv one = {.x = r->x, .mat = &r->net->conv[0], .stride = 1, .relu_in = true, .act = E3_ACT_RELU, .out = work};
	e3_conv two = {.x = work,
		.mat = &r->net->conv[1],
		.stride = 1,
		.resid = r->x.t,
		.relu_resid = true,
		.plus = r->plus,
		.out = out};
	return dev->ops->conv(dev, &one, err) || dev->ops->conv(dev, &two, err) ? -1 : 0;
}

int e3_dpt_step(e3_session *s, const e3_dpt *net, const e3_dpt_state *d, float *value, float *conf, e3_err *err)
{
	const e3_dpt_work *w = &d->work;
	int features = features_of(net);
	const e3_dev_ops *ops = s->dev->ops;
	if (e3_session_note(s, &(e3_activation){.stage = d->name, .index = -1}, err))
		return -1;
	for (int k = 0; k < E3_DPT_LEVELS; k++)
		if (make_level(s, net, d, k, err))
			return e3_fail_in(err, "level %d", k);
	e3_tensor fused = w->level[3];
	int twice[2] = {2 * d->size[0][0], 2 * d->size[0][1]};
	for (int k = E3_DPT_LEVELS - 1; k >= 0; k--) {
		const int *size = d->size[k];
		if (k < E3_DPT_LEVELS - 1) { /* y + RCU(level) */
			rcu_run skip = {&net->skip[k], {w->level[k], size[0], size[1], features}, w->y, w->t, w->s};
			if (rcu(s->dev, &skip, err))
				return -1;
			fused = w->s;
		}
		int area = size[0] * size[1];
		rcu_run fuse = {&net->fuse[k], {fused, size[0], size[1], features}, {0}, w->t, w->u};
		e3_linear out = {.x = w->u, .rows = area, .ldx = features, .mat = &net->out[k], .out = w->t, .ldo = features};
		e3_features small = {w->t, size[0], size[1], features}, large = small;
		if (k)
			large = (e3_features){w->y, d->size[k - 1][0], d->size[k - 1][1], features};
		e3_activation made = {d->name, k, "fused", large.t, {large.h, large.w, large.c}, 0};
		if (rcu(s->dev, &fuse, err) || ops->linear(s->dev, &out, err) ||
			(k && ops->upsample(s->dev, small, large, err)) || e3_session_note(s, &made, err))
			return e3_fail_in(err, "fusion %d", k);
	}
	e3_features y = {w->t, d->size[0][0], d->size[0][1], features}, z = {w->z, twice[0], twice[1], net->conv1.out};
	e3_conv conv1 = {.x = y, .resize = {twice[0], twice[1]}, .mat = &net->conv1, .stride = 1, .out = z};
	e3_dense dense = {.z = z,
		.uv = d->uv_full,
		.conv = &net->conv2,
		.out = &net->last,
		.H = s->h,
		.W = s->w,
		.value = value,
		.conf = conf};
	return ops->conv(s->dev, &conv1, err) || ops->dense(s->dev, &dense, err) ? -1 : 0;
}
