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
	return s->past->keys < s->camera.frames ? s->past->keys : s->camera.frames;
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
	int64_t most = s->o.policy->slides ? s->plan.keys : e3_plan_frames(&s->o);
	if (most > 0 && most < frames)
		frames = most;
	if (frames < 2)
		frames = 2;
	k->frames = coupled(s) ? s->plan.frames : (int)frames;
	k->caches = c->camera_depth * (shared ? 1 : E3_CAMERA_ITERATIONS);
	/* Where no frame gives its place to the current one, that needs room too. */
	int keys = (k->frames + (s->o.frozen || coupled(s) || s->o.keyframe != 1)) * keys_each(s);
	k->page_keys = coupled(s) ? keys_each(s) : keys < 256 ? keys : 256;
	k->pages_each = (keys + k->page_keys - 1) / k->page_keys;
	size_t dim = (size_t)c->camera_dim, n = (size_t)k->caches * (size_t)k->pages_each,
		   hidden = (size_t)(c->camera_hidden > c->camera_mlp ? c->camera_hidden : c->camera_mlp);
	e3_arena *a = &s->arena;
	for (int p = 0; p <= (s->o.side > 0); p++)
		if (open_pages(s, &s->pasts[p].camera, n, 2 * dim * (size_t)k->page_keys, err))
			return -1;
	size_t each = (size_t)s->together;
	return e3_arena_floats(a, each * dim, &k->normed, err) || e3_arena_floats(a, each * dim, &k->x, err) ||
			e3_arena_floats(a, 3 * dim, &k->mod, err) || e3_arena_floats(a, dim, &k->embed, err) ||
			e3_arena_floats(a, each * E3_POSE, &k->pose, err) || e3_arena_alloc(a, E3_F32, each * dim, &k->q, err) ||
			e3_arena_alloc(a, E3_F32, dim, &k->attended, err) || e3_arena_alloc(a, E3_F32, hidden, &k->hidden, err)
		? -1
		: 0;
}

/* The place of the oldest frame but frame 0, when all places are taken. */
static int64_t oldest(const e3_session *s) { return 1 + (s->past->keys - 1) % (s->camera.frames - 1); }

int e3_camera_keep(e3_session *s, e3_err *err)
{
	int each = keys_each(s);
	uint32_t from[E3_CAMERA_ITERATIONS], to[E3_CAMERA_ITERATIONS];
	if (s->o.keyframe == 1 || coupled(s) || s->past->keys < s->camera.frames)
		return 0;
	/* The head has a branch of its own. */
	if (s->dev->ops->finish(s->dev, err))
		return -1;
	for (int k = 0; k < each; k++)
		from[k] = (uint32_t)(s->camera.frames * each + k), to[k] = (uint32_t)(oldest(s) * each + k);
	for (int c = 0; c < s->camera.caches; c++) {
		e3_kv kv = view(s, c, (s->camera.frames + 1) * each);
		if (s->dev->ops->move(s->dev, &kv, from, to, each, err))
			return -1;
	}
	return 0;
}

/* Where the key of frame[at] goes in this refinement, and how many there are then: n frames see each other. */
typedef struct place {
	uint32_t slot;
	int keys;
} place;

static place place_of(const e3_session *s, int iteration, int n)
{
	const e3_camera_state *k = &s->camera;
	int64_t before = remembered(s);
	if (n > 1)
		return (place){(uint32_t)(before + s->at), (int)before + n};
	/* Else this frame takes the place of the oldest but frame 0; at once, if it is known to be kept. */
	bool room = s->o.frozen || coupled(s) || s->past->keys < k->frames || s->o.keyframe != 1;
	int64_t frame = room ? before : oldest(s), held = room ? before + 1 : before;
	if (!(s->o.compat & E3_COMPAT_CAMERA))
		return (place){(uint32_t)frame, (int)held};
	return (place){(uint32_t)(frame * E3_CAMERA_ITERATIONS + iteration),
		(int)(room ? frame * E3_CAMERA_ITERATIONS + iteration + 1 : held * E3_CAMERA_ITERATIONS)};
}

/* One part of a block of the trunk, for frame[at]. */
static int trunk_part(e3_session *s, int block, int iteration, int n, bool keys, e3_err *err)
{
	e3_camera_state *k = &s->camera;
	size_t row = (size_t)s->at * (size_t)s->net->c.camera_dim;
	int cache = s->o.compat & E3_COMPAT_CAMERA ? block : block * E3_CAMERA_ITERATIONS + iteration;
	place p = place_of(s, iteration, n);
	e3_kv kv = view(s, cache, p.keys);
	e3_block_run run = {.block = &s->net->trunk[block],
		.x = k->x + row,
		.rows = 1,
		.kv = &kv,
		.slot = &p.slot,
		.q = e3_tensor_at(k->q, row),
		.attended = k->attended,
		.hidden = k->hidden};
	return (keys ? e3_block_keys : e3_block_rest)(s->dev, &run, err);
}

/* Runs the trunk for one refinement: every block appends a key for each frame, which sees those before it too. */
static int trunk_step(e3_session *s, int iteration, int n, e3_err *err)
{
	for (int b = 0; b < s->net->c.camera_depth; b++)
		for (int part = 0; part < 2; part++)
			for (int f = 0; f < n; f++) {
				e3_session_turn_to(s, f);
				if (trunk_part(s, b, iteration, n, !part, err))
					return e3_fail_in(err, "camera trunk %d", b);
			}
	return 0;
}

/* What the trunk begins with: the frame's token, modulated by the pose so far. */
static int modulate(e3_session *s, int iteration, e3_err *err)
{
	const e3_net *net = s->net;
	const e3_dev_ops *ops = s->dev->ops;
	e3_camera_state *k = &s->camera;
	int dim = net->c.camera_dim;
	size_t row = (size_t)s->at * (size_t)dim;
	/* SiLU belongs to the modulation; it is taken where its input is made. */
	e3_linear embed = {.x = e3_tensor_f32(iteration ? k->pose + s->at * E3_POSE : net->empty_pose),
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
	return ops->linear(s->dev, &embed, err) || ops->linear(s->dev, &mod, err) ||
			ops->modulate(s->dev, k->normed + row, k->mod, dim, k->x + row, err)
		? -1
		: 0;
}

static int refine(e3_session *s, int iteration, e3_err *err)
{
	const e3_net *net = s->net;
	const e3_dev_ops *ops = s->dev->ops;
	e3_camera_state *k = &s->camera;
	int dim = net->c.camera_dim;
	float *x = k->x + (size_t)s->at * (size_t)dim, *pose = k->pose + s->at * E3_POSE;
	e3_linear fc1 = {.x = e3_tensor_f32(x),
		.rows = 1,
		.ldx = dim,
		.norm = &net->trunk_norm,
		.mat = &net->pose1,
		.act = E3_ACT_GELU,
		.out = k->hidden,
		.ldo = net->c.camera_mlp};
	e3_linear fc2 = {.x = k->hidden,
		.rows = 1,
		.ldx = net->c.camera_mlp,
		.mat = &net->pose2,
		.add = iteration > 0,
		.out = e3_tensor_f32(pose),
		.ldo = E3_POSE};
	return e3_session_note(s, &(e3_activation){"camera", iteration, "trunk", e3_tensor_f32(x), {dim}, 0}, err) ||
			ops->linear(s->dev, &fc1, err) || ops->linear(s->dev, &fc2, err) ||
			e3_session_note(s, &(e3_activation){"camera", iteration, "pose", e3_tensor_f32(pose), {E3_POSE}, 0}, err)
		? -1
		: 0;
}

int e3_camera_step(e3_session *s, int n, e3_err *err)
{
	const e3_dev_ops *ops = s->dev->ops;
	e3_camera_state *k = &s->camera;
	int dim = s->net->c.camera_dim;
	for (int f = 0; f < n; f++) {
		e3_rows out = {k->normed + (size_t)f * (size_t)dim, 1, dim};
		if (ops->norm(s->dev, (e3_rows){s->frame[f].last, 1, dim}, &s->net->token_norm, out, err))
			return -1;
	}
	for (int it = 0; it < E3_CAMERA_ITERATIONS; it++) {
		for (int f = 0; f < n; f++) {
			e3_session_turn_to(s, f);
			if (modulate(s, it, err))
				return -1;
		}
		if (trunk_step(s, it, n, err))
			return -1;
		for (int f = 0; f < n; f++) {
			e3_session_turn_to(s, f);
			if (refine(s, it, err))
				return -1;
		}
	}
	e3_session_turn_to(s, 0);
	return ops->fetch(s->dev, s->pose, e3_tensor_f32(k->pose), (size_t)n * E3_POSE, err);
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
