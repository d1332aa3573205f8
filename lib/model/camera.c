/* model: the camera head: four refinements of the pose, each seeing what it saw in earlier frames (doc/network.md 6).
 *
 * By default every refinement has its own cache, which is the form the network was trained in; the released streaming
 * code puts all four into one (E3_COMPAT_CAMERA). Bounded: frame 0 stays, the others are the newest; or the frames that
 * the cache keeps, if the policy keeps whole frames in all layers alike.
 */
#include "e3/mem.h"
#include "session.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Keys that a frame has in a cache. */
static int keys_each(const e3_session *s) { return s->o.compat & E3_COMPAT_CAMERA ? E3_CAMERA_ITERATIONS : 1; }

static e3_kv view(const e3_session *s, int cache, int keys)
{
	const e3_config *c = &s->net->c;
	const e3_camera_state *k = &s->camera;
	return (e3_kv){.page = s->past->camera + (size_t)cache * (size_t)k->pages_each,
		.dtype = E3_F32,
		.page_keys = k->page_keys,
		.n_keys = keys,
		.heads = c->camera_heads,
		.head_dim = c->camera_dim / c->camera_heads};
}

/* Does the camera head remember the frames that the cache keeps? Then each has a page of its own, in their order. */
static bool coupled(const e3_session *s) { return s->o.policy->whole.rule && !s->o.policy->whole.by_layer; }

/* Frames that it remembers. */
static int64_t remembered(const e3_session *s)
{
	if (coupled(s))
		return s->past->evictor.bank[0].n;
	return s->past->t < s->camera.frames ? s->past->t : s->camera.frames;
}

void e3_camera_forget(e3_session *s, int place)
{
	int each = s->camera.pages_each;
	for (int c = 0; c < s->camera.caches; c++) {
		uint8_t **page = s->past->camera + (size_t)c * (size_t)each, *freed = page[place];
		memmove(page + place, page + place + 1, (size_t)(each - place - 1) * sizeof *page);
		page[each - 1] = freed;
	}
}

e3_kv e3_camera_view(const e3_session *s, int cache) { return view(s, cache, (int)remembered(s) * keys_each(s)); }

/* n pages of so many values. */
static int open_pages(e3_session *s, uint8_t ***pages, size_t n, size_t each, e3_err *err)
{
	e3_tensor values;
	*pages = e3_alloc(n, sizeof **pages, "camera cache", err);
	if (!*pages || e3_arena_alloc(&s->arena, E3_F32, n * each, &values, err))
		return -1;
	for (size_t p = 0; p < n; p++)
		(*pages)[p] = e3_tensor_at(values, p * each).p;
	return 0;
}

int e3_camera_open(e3_session *s, e3_err *err)
{
	const e3_config *c = &s->net->c;
	e3_camera_state *k = &s->camera;
	bool shared = s->o.compat & E3_COMPAT_CAMERA;
	int64_t frames = s->o.camera_frames;
	int64_t most = e3_plan_frames(&s->o);
	if (most > 0 && most < frames)
		frames = most;
	if (frames < 2)
		frames = 2;
	k->frames = coupled(s) ? s->plan.frames : (int)frames;
	k->caches = c->camera_depth * (shared ? 1 : E3_CAMERA_ITERATIONS);
	/* Where no frame gives its place to the current one, that needs room too. */
	int keys = (k->frames + (s->o.frozen || coupled(s))) * keys_each(s);
	k->page_keys = coupled(s) ? keys_each(s) : keys < 256 ? keys : 256;
	k->pages_each = (keys + k->page_keys - 1) / k->page_keys;
	size_t dim = (size_t)c->camera_dim, n = (size_t)k->caches * (size_t)k->pages_each,
		   hidden = (size_t)(c->camera_hidden > c->camera_mlp ? c->camera_hidden : c->camera_mlp);
	e3_arena *a = &s->arena;
	for (int p = 0; p <= (s->o.side > 0); p++)
		if (open_pages(s, &s->pasts[p].camera, n, 2 * dim * (size_t)k->page_keys, err))
			return -1;
	return e3_arena_floats(a, dim, &k->normed, err) || e3_arena_floats(a, dim, &k->x, err) ||
			e3_arena_floats(a, 3 * dim, &k->mod, err) || e3_arena_floats(a, dim, &k->embed, err) ||
			e3_arena_floats(a, E3_POSE, &k->pose, err) || e3_arena_alloc(a, E3_F32, dim, &k->q, err) ||
			e3_arena_alloc(a, E3_F32, dim, &k->attended, err) || e3_arena_alloc(a, E3_F32, hidden, &k->hidden, err)
		? -1
		: 0;
}

/* Runs the trunk for one refinement: every block appends one key and sees those before it. */
static int trunk_step(e3_session *s, int iteration, e3_err *err)
{
	const e3_config *c = &s->net->c;
	e3_camera_state *k = &s->camera;
	bool shared = s->o.compat & E3_COMPAT_CAMERA;
	int64_t before = remembered(s);
	/* Else this frame takes the place of the oldest but frame 0. */
	bool room = s->o.frozen || coupled(s) || s->past->t < k->frames;
	int64_t frame = room ? before : 1 + (s->past->t - 1) % (k->frames - 1), held = room ? before + 1 : before;
	uint32_t slot = (uint32_t)(shared ? frame * E3_CAMERA_ITERATIONS + iteration : frame);
	int keys = (int)(!shared ? held
			: room           ? frame * E3_CAMERA_ITERATIONS + iteration + 1
							 : held * E3_CAMERA_ITERATIONS);
	for (int b = 0; b < c->camera_depth; b++) {
		int cache = shared ? b : b * E3_CAMERA_ITERATIONS + iteration;
		e3_kv kv = view(s, cache, keys);
		e3_block_run run = {.block = &s->net->trunk[b],
			.x = k->x,
			.rows = 1,
			.kv = &kv,
			.slot = &slot,
			.q = k->q,
			.attended = k->attended,
			.hidden = k->hidden};
		if (e3_block_step(s->dev, &run, err))
			return e3_fail_in(err, "camera trunk %d", b);
	}
	return 0;
}

int e3_camera_step(e3_session *s, e3_err *err)
{
	const e3_config *c = &s->net->c;
	const e3_net *net = s->net;
	const e3_dev_ops *ops = s->dev->ops;
	e3_camera_state *k = &s->camera;
	int dim = c->camera_dim;
	if (ops->norm(s->dev, (e3_rows){s->last, 1, dim}, &net->token_norm, (e3_rows){k->normed, 1, dim}, err))
		return -1;
	for (int it = 0; it < E3_CAMERA_ITERATIONS; it++) {
		/* SiLU belongs to the modulation; it is taken where its input is made. */
		e3_linear embed = {.x = e3_tensor_f32(it ? k->pose : net->empty_pose),
			.rows = 1,
			.ldx = E3_POSE,
			.mat = &net->embed_pose,
			.act = E3_ACT_SILU,
			.out = e3_tensor_f32(k->embed),
			.ldo = dim};
		e3_linear mod = {.x = e3_tensor_f32(k->embed),
			.rows = 1,
			.ldx = dim,
			.mat = &net->modulation,
			.out = e3_tensor_f32(k->mod),
			.ldo = 3 * dim};
		e3_linear fc1 = {.x = e3_tensor_f32(k->x),
			.rows = 1,
			.ldx = dim,
			.norm = &net->trunk_norm,
			.mat = &net->pose1,
			.act = E3_ACT_GELU,
			.out = k->hidden,
			.ldo = c->camera_mlp};
		e3_linear fc2 = {.x = k->hidden,
			.rows = 1,
			.ldx = c->camera_mlp,
			.mat = &net->pose2,
			.add = it > 0,
			.out = e3_tensor_f32(k->pose),
			.ldo = E3_POSE};
		if (ops->linear(s->dev, &embed, err) || ops->linear(s->dev, &mod, err) ||
			ops->modulate(s->dev, k->normed, k->mod, dim, k->x, err) || trunk_step(s, it, err) ||
			ops->note(s->dev, &(e3_activation){"camera", it, "trunk", e3_tensor_f32(k->x), {dim}}, err) ||
			ops->linear(s->dev, &fc1, err) || ops->linear(s->dev, &fc2, err) ||
			ops->note(s->dev, &(e3_activation){"camera", it, "pose", e3_tensor_f32(k->pose), {E3_POSE}}, err))
			return -1;
	}
	return ops->fetch(s->dev, s->pose, e3_tensor_f32(k->pose), E3_POSE, err);
}

/* [R|T] the other way round: the conjugate quaternion, and -R^T T (doc/network.md 6, "Decoding"). */
static void invert(float pose[E3_POSE])
{
	double t[3] = {pose[0], pose[1], pose[2]}, q[4] = {-pose[3], -pose[4], -pose[5], pose[6]}, u[3], v[3];
	double n = q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3], k = n > 0 ? 2 / n : 0;
	for (int a = 0; a < 3; a++)
		u[a] = q[(a + 1) % 3] * t[(a + 2) % 3] - q[(a + 2) % 3] * t[(a + 1) % 3] + q[3] * t[a];
	for (int a = 0; a < 3; a++)
		v[a] = q[(a + 1) % 3] * u[(a + 2) % 3] - q[(a + 2) % 3] * u[(a + 1) % 3];
	for (int a = 0; a < 3; a++)
		pose[a] = (float)-(t[a] + k * v[a]), pose[3 + a] = -pose[3 + a];
}

int e3_camera_pose(const e3_session *s, const float raw[E3_POSE], float pose[E3_POSE], e3_err *err)
{
	for (int k = 0; k < E3_POSE; k++) {
		pose[k] = k < 7 ? raw[k] : fmaxf(raw[k], 0);
		if (!isfinite(raw[k]))
			return e3_fail(err, "the pose is not finite: the weights do not fit the network");
	}
	if (e3_config_arch(&s->net->c)->to_world)
		invert(pose);
	return 0;
}
