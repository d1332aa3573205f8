/* wire: the head: who writes, from what, with which network. */
#include "checks.h"
#include "out.h"
#include "unpack.h"
#include <inttypes.h>

static int encode(e3_pack *p, const e3_head *x, e3_err *err)
{
	if (e3_reals_check("fps", &x->fps, 1, err))
		return e3_fail_in(err, "head");
	e3_pack_begin(p, E3_HEAD, x->corrects);
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
		if (x->kv)
			e3_pack_text(p, "kv", x->kv);
		e3_pack_int(p, "kv_token_bytes", x->kv_token_bytes);
		if (x->seen > 0) {
			e3_pack_int(p, "seen", x->seen);
			e3_pack_int(p, "after", x->after);
		}
		if (x->frozen)
			e3_pack_int(p, "frozen", 1);
	}
	if (x->corrects)
		e3_pack_int(p, "corrects", 1);
	return e3_pack_finish(p, err);
}

int e3_out_head(e3_out *out, const e3_head *x, e3_err *err)
{
	return e3_out_packed(out, encode(e3_out_pack(out), x, err), err);
}

static int head_fill(const e3_msg *msg, e3_head *x, e3_err *err)
{
	bool model, layers, tokens, grid, policy, budget, device, kv, bytes, seen, after, said;
	int v, frozen = 0, corrects = 0;
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
		{E3_F_TEXT, "kv", &x->kv, .has = &kv, .nil = true},
		E3_MAY(I64, "kv_token_bytes", &x->kv_token_bytes, &bytes),
		E3_MAY(I64, "seen", &x->seen, &seen),
		E3_MAY(I64, "after", &x->after, &after),
		{.type = E3_F_INT, .name = "frozen", .to = &frozen, .has = &said, .max = 1},
		{.type = E3_F_INT, .name = "corrects", .to = &corrects, .has = &said, .max = 1},
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
	x->seen = seen ? x->seen : 0, x->after = after ? x->after : 0, x->frozen = frozen, x->corrects = corrects;
	return 0;
}

int e3_head_decode(const e3_msg *msg, e3_head *x, e3_err *err)
{
	if (head_fill(msg, x, err) == 0)
		return 0;
	e3_head_release(x);
	return e3_decode_failed(msg, err);
}
