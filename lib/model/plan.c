/* model: what a budget means: from an option to tokens, pages and bytes, before anything is allocated. Refuses budgets
 * that cannot hold the protected tokens; the error names the smallest that can. */
#include "e3/infer.h"
#include <math.h>
#include <stdio.h>

e3_infer_options e3_infer_defaults(void)
{
	return (e3_infer_options){.policy = &e3_policies[0],
		.budget_kind = E3_BUDGET_FRACTION,
		.budget = 0.5,
		.temperature = 0.5,
		.frames = -1,
		.outputs = E3_OUT_ALL,
		.window = 64,
		.keyframe = 1,
		.camera_frames = 1024};
}

void e3_infer_use_device(e3_infer_options *o, const e3_dev *dev)
{
	o->cached = dev->attn_dtype;
	if (o->pack == E3_PACK_BF16 && o->cached != E3_F32) /* 16 bits, as they are anyway */
		o->pack = E3_PACK_NONE;
}

const char *e3_infer_kept_as(const e3_infer_options *o)
{
	static const char *const packs[E3_PACKS] = {"", "bf16", "fp8", "int8", "k8v4"};
	return o->pack ? packs[o->pack] : o->cached == E3_BF16 ? "bf16" : o->cached == E3_F16 ? "f16" : "f32";
}

int64_t e3_plan_frames(const e3_infer_options *o)
{
	bool known = o->frames >= 0;
	return o->segment > 0 && (!known || o->segment < o->frames) ? o->segment : known ? o->frames : -1;
}

/* Pages that hold `kept` tokens after every step, the tokens of `frames` more, and the unused ends of pages. */
static int64_t pages_for(const e3_plan *p, double kept, int frames)
{
	double tokens = ceil(kept) + p->layers + (double)frames * p->layers * p->tokens_per_frame;
	return (int64_t)ceil(tokens / p->page_keys) + p->layers;
}

/* A side evicts by the same budget, but has hardly as many frames. */
static int64_t side_pages(const e3_plan *p, const e3_infer_options *o)
{
	return o->side ? pages_for(p, (double)(o->side - 1) * p->layers * p->tokens_per_frame, 1) : 0;
}

static double tokens_in_bytes(const e3_plan *p, double bytes)
{
	double page_bytes = (double)p->page_bytes;
	double pages = floor(bytes / page_bytes) - p->layers;
	return pages * p->page_keys - p->layers - (double)p->layers * p->tokens_per_frame;
}

void e3_infer_use_policy(e3_infer_options *o, const e3_policy *policy)
{
	o->policy = policy;
	if (policy->whole.frames)
		o->budget_kind = E3_BUDGET_FRAMES, o->budget = policy->whole.frames;
	if (policy->slides)
		o->budget_kind = E3_BUDGET_FRAMES, o->budget = o->window;
}

/* Of whole frames, each of which is compared with the others. */
enum { WHOLE_MOST = 256 };

/* A policy that evicts whole frames rounds its budget down to frames. */
static int plan_whole(const e3_infer_options *o, e3_plan *p, e3_err *err)
{
	const e3_policy *policy = o->policy;
	double frame = (double)p->layers * p->tokens_per_frame;
	if (policy->whole.frames && (o->budget_kind != E3_BUDGET_FRAMES || o->budget != policy->whole.frames))
		return e3_fail(err, "planning: 'budget': the policy %s keeps %d frames, which is the only budget it works with",
			policy->name, policy->whole.frames);
	double frames = floor(p->budget / frame * (1 + 1e-12));
	if (frames > WHOLE_MOST)
		return e3_fail(err, "planning: 'budget': the policy %s keeps at most %d frames in each layer, got %.0f",
			policy->name, WHOLE_MOST, frames);
	p->frames = (int)frames, p->budget = frames * frame;
	return 0;
}

/* Key frames among so many frames of a past. All that it saw while it was beside another one are. */
static double keys_among(const e3_plan *p, const e3_infer_options *o, int64_t frames)
{
	double start = fmax(p->together, (double)o->side), every = o->keyframe > 1 ? o->keyframe : 1;
	return (double)frames <= start ? (double)frames : start + ceil(((double)frames - start) / every);
}

/* Policies that slide leave something of every key frame for ever, and some networks can tell only so many apart. */
static int64_t most_keys(const e3_config *c, const e3_infer_options *o)
{
	int64_t most = o->policy->slides ? o->camera_frames : INT64_MAX, times = e3_config_arch(c)->times;
	return times && times < most ? times : most;
}

int64_t e3_plan_longest(const e3_config *c, const e3_infer_options *o)
{
	/* Key frames at the beginning: those that begin together, or that a side saw (e3/track.h). */
	int64_t most = most_keys(c, o), start = o->start ? o->start : e3_config_arch(c)->start;
	start = start < 8 ? 8 : start;
	return o->keyframe <= 1 || most == INT64_MAX || most <= start ? most : start + (most - start) * o->keyframe;
}

/* How many key frames a past will have: as many as there can be, or as the stream has. */
static int plan_keys(const e3_config *c, const e3_infer_options *o, e3_plan *p, e3_err *err)
{
	int64_t stream = e3_plan_frames(o);
	p->keys = p->most_keys = most_keys(c, o);
	if (p->most_keys == INT64_MAX)
		return 0;
	if (o->side > p->most_keys)
		return e3_fail(err, "planning: %lld frames beside the stream, and there can be %lld key frames",
			(long long)o->side, (long long)p->most_keys);
	double keys = stream < 0 ? INFINITY : keys_among(p, o, stream);
	if (stream >= 0 && keys > (double)p->most_keys)
		return e3_fail(err,
			"planning: %s of %lld frames: has %.0f key frames, and there can be %lld: give 'segment' or 'keyframe'",
			o->segment ? "a segment" : "a stream", (long long)stream, keys, (long long)p->most_keys);
	p->keys = (int64_t)fmin(keys, (double)p->most_keys);
	return 0;
}

/* What a policy that slides keeps: so many frames whole, of the other key frames the special tokens. */
static int plan_slide(const e3_infer_options *o, e3_plan *p, e3_err *err)
{
	if (o->window < 1)
		return e3_fail(err, "planning: 'window' of %d frames: expected at least 1", o->window);
	if (o->free_first)
		return e3_fail(err, "planning: the policy %s never evicts the first frames", o->policy->name);
	double whole = fmin(p->together + (double)o->window, (double)p->keys), rest = (double)p->keys - whole;
	p->budget = p->smallest = p->layers * (whole * p->tokens_per_frame + rest * p->special);
	p->pages = pages_for(p, p->budget, 1);
	p->side_pages = side_pages(p, o);
	p->pages += p->side_pages;
	p->cache_bytes = (uint64_t)p->pages * p->page_bytes;
	return 0;
}

static int refuse(const e3_infer_options *o, const e3_plan *p, e3_err *err)
{
	int64_t stream = e3_plan_frames(o);
	double least = fmax(p->smallest, 1), frames = least / ((double)p->layers * p->tokens_per_frame);
	char what[80] = "frame 0 and one frame's special tokens";
	if (p->together > 1 && frames == p->together)
		snprintf(what, sizeof what, "the %d frames of the 'start'", p->together);
	else if (o->policy->whole.rule || o->policy->newest_whole)
		snprintf(what, sizeof what, "frame 0 and the newest frame");
	if (o->budget_kind == E3_BUDGET_FRACTION)
		return e3_fail(err,
			"planning: 'fraction' %g of %lld frames is too small: %s must fit; "
			"the smallest that works is 'fraction' %.4f",
			o->budget, (long long)stream, what, ceil(frames / (double)stream * 1e4) / 1e4);
	double mib = (double)(pages_for(p, p->smallest, 1) + side_pages(p, o)) * (double)p->page_bytes / 1048576;
	return e3_fail(err,
		"planning: 'budget' is too small: %s must fit; "
		"the smallest that works is 'budget' %.4ff, %.0f or %.1fM",
		what, ceil(frames * 1e4) / 1e4, ceil(least), ceil(mib * 10) / 10);
}

enum { START_MOST = 64 };

static int plan_start(const e3_config *c, const e3_infer_options *o, e3_plan *p, e3_err *err)
{
	const e3_arch *arch = e3_config_arch(c);
	p->start = o->start ? o->start : arch->start;
	if (p->start < 1 || p->start > START_MOST)
		return e3_fail(err, "planning: 'start' of %d frames: expected 1 to %d", p->start, START_MOST);
	if (o->start > 1 && !arch->joint)
		return e3_fail(err, "planning: 'start' of %d frames: %s begins with one", o->start, arch->title);
	p->together = arch->joint ? p->start : 1;
	if (p->together > 1 && o->compat & E3_COMPAT_CAMERA)
		return e3_fail(err, "planning: 'start' of %d frames: with one camera cache for all iterations it can only be 1",
			p->start);
	if (p->together > 1 && o->camera_frames < p->together)
		return e3_fail(err, "planning: 'camera-frames' of %d: expected at least the %d frames of the 'start'",
			o->camera_frames, p->start);
	return 0;
}

int e3_plan_make(const e3_config *c, const e3_infer_options *o, int h, int w, e3_plan *p, e3_err *err)
{
	if (h < c->patch || w < c->patch || h % c->patch || w % c->patch)
		return e3_fail(err, "planning: frames of %d × %d: not a multiple of the patch size %d", w, h, c->patch);
	*p = (e3_plan){.special = e3_config_special(c),
		.layers = c->layers,
		.patch_grid = {h / c->patch, w / c->patch},
		.size = {h, w},
		.describes = c->embed};
	int64_t n = p->special + (int64_t)p->patch_grid[0] * p->patch_grid[1];
	if (n > 1 << 20)
		return e3_fail(err, "planning: frames of %d × %d: too large", w, h);
	p->tokens_per_frame = (int)n;
	p->page_keys = 64;
	while (p->page_keys < 256 && p->page_keys < p->tokens_per_frame)
		p->page_keys *= 2;
	const e3_kv kv = {.dtype = o->cached,
		.page_keys = p->page_keys,
		.heads = c->heads,
		.head_dim = c->head_dim,
		.scored = true,
		.pack = o->pack};
	p->token_bytes = e3_kv_token(&kv);
	p->page_bytes = e3_page_bytes(&kv);
	p->budget = INFINITY;
	if (plan_start(c, o, p, err) || plan_keys(c, o, p, err))
		return -1;
	if (o->policy->keeps_all)
		return 0;
	if (o->policy->slides)
		return plan_slide(o, p, err);
	int64_t stream = e3_plan_frames(o);
	double frame = (double)p->layers * p->tokens_per_frame,
		   floor_tokens =
			   (o->free_first ? 0 : frame) + (o->policy->newest_whole ? frame : (double)p->layers * p->special);
	bool starve = o->compat & E3_COMPAT_STARVE;
	p->smallest = o->policy->whole.rule ? 2 * frame : starve ? 0 : floor_tokens;
	if (p->together > 1) /* nothing is evicted before they are all there */
		p->smallest = fmax(p->smallest, p->together * frame);
	switch (o->budget_kind) {
	case E3_BUDGET_FRACTION:
		if (stream < 0)
			return e3_fail(err,
				"planning: 'fraction' needs the length of the stream, which is unknown: give 'frames', or an absolute 'budget'");
		/* Neither the first frame nor the last evicts: of two frames nothing is evicted, whatever the fraction. */
		p->budget =
			fmax(o->budget * (double)stream * frame, stream <= 2 ? fmin(p->smallest, (double)stream * frame) : 0);
		break;
	case E3_BUDGET_FRAMES:
		p->budget = o->budget * frame;
		break;
	case E3_BUDGET_TOKENS:
		p->budget = o->budget;
		break;
	case E3_BUDGET_BYTES:
		p->budget = tokens_in_bytes(p, o->budget - (double)side_pages(p, o) * (double)p->page_bytes);
		break;
	}
	/* Without an option as many begin together as the budget holds. */
	if (!o->start && p->together > 1 && p->budget < p->together * frame) {
		p->start = p->together = (int)fmax(1, floor(p->budget / frame * (1 + 1e-12)));
		p->smallest = o->policy->whole.rule ? 2 * frame : starve ? 0 : floor_tokens;
		p->smallest = fmax(p->smallest, p->together > 1 ? p->together * frame : 0);
	}
	if (o->policy->whole.rule && plan_whole(o, p, err))
		return -1;
	/* A stream shorter than the budget never evicts, whatever is protected. */
	double whole = stream >= 0 ? (double)stream * frame : INFINITY, least = fmin(p->smallest, whole);
	if (p->budget < least && p->budget >= least * (1 - 1e-9))
		p->budget = least; /* the smallest one, rounded to the digits of the error message */
	if (p->budget < least || p->budget < 0)
		return refuse(o, p, err);
	double per_layer = p->budget / p->layers - (o->free_first ? 0 : p->tokens_per_frame);
	p->protected_frames =
		(int64_t)fmax(1, floor((o->budget_kind == E3_BUDGET_FRACTION ? 1.0 : 0.5) * per_layer / p->special));
	if (o->policy->protects_newest || o->policy->first_only)
		p->protected_frames = !o->policy->first_only;
	/* The last frame of a known length does not evict. If the stream is longer than announced, one more frame has room.
	 */
	p->pages = pages_for(p, fmin(p->budget, whole), o->budget_kind == E3_BUDGET_FRACTION ? 2 : 1);
	p->side_pages = side_pages(p, o);
	p->pages += p->side_pages;
	p->cache_bytes = (uint64_t)p->pages * p->page_bytes;
	return 0;
}
