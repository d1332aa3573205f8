/* wire: a frame: a picture and where it came from. */
#include "out.h"
#include "source.h"
#include "unpack.h"
#include <inttypes.h>
#include <stdlib.h>

static int encode(e3_pack *p, const e3_frame *x, e3_err *err)
{
	e3_pack_begin(p, E3_FRAME, x->s.i);
	if (e3_name_check(x->name, err) || e3_pack_source(p, &x->s, x->w, x->h, err))
		return e3_fail_in(err, "frame %" PRId64, x->s.i);
	if (x->name)
		e3_pack_text(p, "name", x->name);
	if (x->prepared)
		e3_pack_int(p, "prepared", 1);
	e3_pack_array(p, "rgb", E3_ARRAY_U8, x->rgb, 3, (size_t[]){(size_t)x->h, (size_t)x->w, 3});
	return e3_pack_finish(p, err);
}

int e3_out_frame(e3_out *out, const e3_frame *x, e3_err *err)
{
	return e3_out_packed(out, encode(e3_out_pack(out), x, err), err);
}

/* x NULL: only checks. */
static int frame_fill(const e3_msg *msg, e3_frame *x, char **name, e3_err *err)
{
	e3_source s = {0};
	e3_array rgb;
	double fit[4];
	int w, h, prepared = 0;
	bool live, named, said;
	e3_field table[] = {
		E3_SOURCE_FIELDS(s, fit, live),
		E3_NEED(INT, "w", &w),
		E3_NEED(INT, "h", &h),
		E3_MAY(TEXT, "name", name, &named),
		{.type = E3_F_INT, .name = "prepared", .to = &prepared, .has = &said, .max = 1},
		E3_NEED(ARRAY, "rgb", &rgb),
		{.type = E3_F_END},
	};
	if (e3_decode_body(msg, E3_FRAME, table, err))
		return -1;
	s.fit = (e3_fit){fit[0], fit[1], fit[2], fit[3]};
	if (e3_name_check(*name, err) || e3_size_check(w, h, err) || e3_source_check(&s, err))
		return -1;
	if (e3_decode_want(&rgb, "rgb", E3_ARRAY_U8, 3, (size_t[]){(size_t)h, (size_t)w, 3}, err))
		return -1;
	if (!x)
		return 0;
	if (e3_decode_take(&x->rgb, (size_t)x->w * (size_t)x->h * 3, &rgb, "rgb", err))
		return -1;
	x->s = s, x->w = w, x->h = h, x->prepared = prepared;
	return 0;
}

int e3_frame_check(const e3_msg *msg, e3_err *err)
{
	char *name = NULL;
	int rc = frame_fill(msg, NULL, &name, err);
	free(name);
	return rc ? e3_decode_failed(msg, err) : 0;
}

int e3_frame_decode(const e3_msg *msg, e3_frame *x, e3_err *err)
{
	char *name = NULL;
	int rc = frame_fill(msg, x, &name, err);
	free(x->name);
	x->name = name;
	if (rc == 0)
		return 0;
	e3_frame_release(x);
	return e3_decode_failed(msg, err);
}
