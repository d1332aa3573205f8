/* wire: which pixels of a frame belong to a class. */
#include "checks.h"
#include "out.h"
#include "unpack.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int check_class(const char *name, e3_err *err)
{
	return e3_mask_class_ok(name, strlen(name))
		? 0
		: e3_fail(err, "class: '%.70s': expected a name of 1 to %d bytes, without a comma", name, E3_MASK_CLASS);
}

static int encode(e3_pack *p, const e3_mask *x, e3_err *err)
{
	const double fit[4] = {x->fit.sx, x->fit.sy, x->fit.tx, x->fit.ty};
	if (check_class(x->class, err) || e3_size_check(x->w, x->h, err) || (x->has_fit && e3_fit_check(fit, err)))
		return e3_fail_in(err, "mask %" PRId64, x->i);
	e3_pack_begin(p, E3_MASK, x->i);
	e3_pack_int(p, "i", x->i);
	e3_pack_text(p, "class", x->class);
	if (x->has_fit)
		e3_pack_reals(p, "fit", fit, 4);
	e3_pack_array(p, "mask", E3_ARRAY_U8, x->px, 2, (size_t[]){(size_t)x->h, (size_t)x->w});
	return e3_pack_finish(p, err);
}

int e3_out_mask(e3_out *out, const e3_mask *x, e3_err *err)
{
	return e3_out_packed(out, encode(e3_out_pack(out), x, err), err);
}

static int side(size_t n) { return n <= E3_MAX_SIDE ? (int)n : E3_MAX_SIDE + 1; }

static int mask_fill(const e3_msg *msg, e3_mask *x, bool take, e3_err *err)
{
	e3_array px;
	double fit[4] = {0};
	int64_t i;
	size_t held = (size_t)x->w * (size_t)x->h;
	e3_field table[] = {
		E3_NEED(I64, "i", &i),
		E3_NEED(TEXT, "class", &x->class),
		{E3_F_REALS, "fit", fit, .has = &x->has_fit, .n = 4},
		E3_NEED(ARRAY, "mask", &px),
		{.type = E3_F_END},
	};
	free(x->class);
	x->class = NULL;
	if (e3_decode_body(msg, E3_MASK, table, err) || check_class(x->class, err) ||
		(x->has_fit && e3_fit_check(fit, err)))
		return -1;
	const size_t shape[2] = {px.shape[0], px.shape[1]};
	if (e3_decode_want(&px, "mask", E3_ARRAY_U8, 2, shape, err))
		return -1;
	if (e3_size_check(side(shape[1]), side(shape[0]), err))
		return e3_fail_in(err, "mask");
	if (take && e3_decode_take(&x->px, held, &px, "mask", err))
		return -1;
	x->i = i, x->w = take ? (int)shape[1] : 0, x->h = take ? (int)shape[0] : 0;
	x->fit = (e3_fit){fit[0], fit[1], fit[2], fit[3]};
	return 0;
}

int e3_mask_check(const e3_msg *msg, e3_err *err)
{
	e3_mask x = {.w = 0};
	int rc = mask_fill(msg, &x, false, err);
	free(x.class);
	return rc ? e3_decode_failed(msg, err) : 0;
}

int e3_mask_decode(const e3_msg *msg, e3_mask *x, e3_err *err)
{
	if (mask_fill(msg, x, true, err) == 0)
		return 0;
	e3_mask_release(x);
	return e3_decode_failed(msg, err);
}
