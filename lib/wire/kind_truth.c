/* wire: ground truth of a frame. */
#include "checks.h"
#include "out.h"
#include "unpack.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int encode(e3_pack *p, const e3_truth *x, e3_err *err)
{
	if ((x->has_pose && e3_pose_check(x->pose, err)) ||
		(x->has_intrinsics && e3_reals_check("intrinsics", x->intrinsics, 4, err)) ||
		((x->depth || x->has_intrinsics) && e3_size_check(x->w, x->h, err)))
		return e3_fail_in(err, "truth %" PRId64, x->i);
	e3_pack_begin(p, E3_TRUTH, x->i);
	e3_pack_int(p, "i", x->i);
	if (x->w > 0) {
		e3_pack_int(p, "w", x->w);
		e3_pack_int(p, "h", x->h);
	}
	if (x->depth)
		e3_pack_array(p, "depth", E3_ARRAY_F32, x->depth, 2, (size_t[]){(size_t)x->h, (size_t)x->w});
	if (x->has_pose)
		e3_pack_array(p, "pose", E3_ARRAY_F32, x->pose, 1, (size_t[]){9});
	if (x->has_intrinsics)
		e3_pack_reals(p, "intrinsics", x->intrinsics, 4);
	if (x->unit)
		e3_pack_text(p, "unit", x->unit);
	return e3_pack_finish(p, err);
}

int e3_out_truth(e3_out *out, const e3_truth *x, e3_err *err)
{
	return e3_out_packed(out, encode(e3_out_pack(out), x, err), err);
}

static int truth_fill(const e3_msg *msg, e3_truth *x, bool take, e3_err *err)
{
	bool has_w, has_h, has_depth, has_unit;
	e3_array depth, pose;
	int64_t i;
	int w = 0, h = 0;
	size_t held = (size_t)x->w * (size_t)x->h;
	e3_field table[] = {
		E3_NEED(I64, "i", &i),
		E3_MAY(INT, "w", &w, &has_w),
		E3_MAY(INT, "h", &h, &has_h),
		E3_MAY(ARRAY, "depth", &depth, &has_depth),
		E3_MAY(ARRAY, "pose", &pose, &x->has_pose),
		{E3_F_REALS, "intrinsics", x->intrinsics, .has = &x->has_intrinsics, .n = 4},
		{E3_F_TEXT, "unit", &x->unit, .has = &has_unit, .nil = true},
		{.type = E3_F_END},
	};
	free(x->unit);
	x->unit = NULL;
	memset(x->pose, 0, sizeof x->pose);
	memset(x->intrinsics, 0, sizeof x->intrinsics);
	if (e3_decode_body(msg, E3_TRUTH, table, err))
		return -1;
	if (has_w != has_h || (!has_w && (has_depth || x->has_intrinsics)))
		return e3_fail(err, "w and h: missing");
	if (has_w && e3_size_check(w, h, err))
		return -1;
	if (has_depth && e3_decode_want(&depth, "depth", E3_ARRAY_F32, 2, (size_t[]){(size_t)h, (size_t)w}, err))
		return -1;
	if (x->has_pose && e3_decode_want(&pose, "pose", E3_ARRAY_F32, 1, (size_t[]){9}, err))
		return -1;
	if (x->has_pose)
		memcpy(x->pose, pose.data, sizeof x->pose);
	if (x->has_pose && e3_pose_check(x->pose, err))
		return -1;
	if (x->has_intrinsics && !(x->intrinsics[0] > 0 && x->intrinsics[1] > 0))
		return e3_fail(err, "intrinsics: focal lengths %g, %g; both must be above 0", x->intrinsics[0],
			x->intrinsics[1]);
	if (!take)
		return 0;
	if (!has_depth) {
		free(x->depth);
		x->depth = NULL;
	} else if (e3_decode_take(&x->depth, held, &depth, "depth", err)) {
		return -1;
	}
	x->i = i, x->w = w, x->h = h;
	return 0;
}

int e3_truth_check(const e3_msg *msg, e3_err *err)
{
	e3_truth x = {.w = 0};
	int rc = truth_fill(msg, &x, false, err);
	free(x.unit);
	return rc ? e3_decode_failed(msg, err) : 0;
}

int e3_truth_decode(const e3_msg *msg, e3_truth *x, e3_err *err)
{
	if (truth_fill(msg, x, true, err) == 0)
		return 0;
	e3_truth_release(x);
	return e3_decode_failed(msg, err);
}
