/* wire: a correction of what was sent for a range of frames. Refuses ranges of frames that were not sent yet. */
#include "checks.h"
#include "out.h"
#include "unpack.h"
#include <inttypes.h>

static int check(const e3_correct *x, e3_err *err)
{
	if (x->from < 0 || x->from > x->to || x->to > x->i)
		return e3_fail(err, "frames %" PRId64 " to %" PRId64 ", expected a range up to frame %" PRId64, x->from, x->to,
			x->i);
	return e3_sim_check("sim", x->sim, err);
}

static int encode(e3_pack *p, const e3_correct *x, e3_err *err)
{
	if (check(x, err))
		return e3_fail_in(err, "correct %" PRId64, x->i);
	e3_pack_begin(p, E3_CORRECT, x->i);
	e3_pack_int(p, "i", x->i);
	e3_pack_int(p, "from", x->from);
	e3_pack_int(p, "to", x->to);
	e3_pack_reals(p, "sim", x->sim, 8);
	return e3_pack_finish(p, err);
}

int e3_out_correct(e3_out *out, const e3_correct *x, e3_err *err)
{
	return e3_out_packed(out, encode(e3_out_pack(out), x, err), err);
}

int e3_correct_decode(const e3_msg *msg, e3_correct *x, e3_err *err)
{
	*x = (e3_correct){0};
	e3_field table[] = {
		E3_NEED(I64, "i", &x->i),
		E3_NEED(I64, "from", &x->from),
		E3_NEED(I64, "to", &x->to),
		{E3_F_REALS, "sim", x->sim, .n = 8},
		{.type = E3_F_END},
	};
	if (e3_decode_body(msg, E3_CORRECT, table, err) == 0 && check(x, err) == 0)
		return 0;
	*x = (e3_correct){0};
	return e3_decode_failed(msg, err);
}
