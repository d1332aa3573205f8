/* dev: the table of operands and types at the head of e3/dev.h, as code. Refuses what a backend would misread. */
#include "dev/check.h"

/* The types that an operand may have. */
enum { F32 = 1, ATTN = 2, FEATURES = 4, OPTIONAL = 8 };

typedef struct operand {
	const char *name;
	e3_tensor t;
	int may;
} operand;

static bool allowed(const e3_dev *dev, const operand *o)
{
	e3_dtype t = o->t.dtype;
	return (o->may & F32 && t == E3_F32) || (o->may & ATTN && t == dev->attn_dtype) ||
		(o->may & FEATURES && t == dev->feature_dtype) || (o->may & OPTIONAL && !o->t.p);
}

/* The list ends with an operand without a name. */
static int check(const e3_dev *dev, const char *op, const operand *o, e3_err *err)
{
	for (; o->name; o++)
		if (!allowed(dev, o))
			return e3_fail(err, "%s: %s is %s, expected %s", op, o->name, e3_dtype_name(o->t.dtype),
				e3_dtype_name(o->may & ATTN ? dev->attn_dtype
						: o->may & FEATURES ? dev->feature_dtype
											: E3_F32));
	return 0;
}

static int same_shape(const char *op, e3_features got, const int want[3], e3_err *err)
{
	if (got.h == want[0] && got.w == want[1] && got.c == want[2])
		return 0;
	return e3_fail(err, "%s: a feature map of %d x %d, %d channels, expected %d x %d, %d channels", op, got.h, got.w,
		got.c, want[0], want[1], want[2]);
}

int e3_check_copy(e3_tensor to, e3_tensor from, e3_err *err)
{
	if (to.dtype == from.dtype)
		return 0;
	return e3_fail(err, "copy: %s into %s", e3_dtype_name(from.dtype), e3_dtype_name(to.dtype));
}

int e3_check_rows(const char *op, e3_rows x, e3_rows out, e3_err *err)
{
	return x.n == out.n ? 0 : e3_fail(err, "%s: %d rows into %d", op, x.n, out.n);
}

int e3_check_linear(const e3_dev *dev, const e3_linear *op, e3_err *err)
{
	const operand list[] = {{"x", op->x, F32 | ATTN | FEATURES},
		{"out", op->out, op->add ? F32 : F32 | ATTN | FEATURES}, {0}};
	if (check(dev, "linear", list, err))
		return -1;
	if (e3_is_row8(op->mat) && (op->rows > 1 || op->x.dtype != E3_F32 || op->out.dtype != E3_F32))
		return e3_fail(err, "linear: a matrix for rows in 8 bits: takes one row of f32");
	return 0;
}

/* Queries are of the type of the keys. */
static int check_attention(const e3_dev *dev, const char *op, e3_tensor q, const e3_kv *kv, e3_err *err)
{
	const operand list[] = {{"kv", {NULL, kv->dtype}, F32 | ATTN}, {0}};
	if (check(dev, op, list, err))
		return -1;
	if (q.dtype == kv->dtype)
		return 0;
	return e3_fail(err, "%s: q is %s, expected %s", op, e3_dtype_name(q.dtype), e3_dtype_name(kv->dtype));
}

int e3_check_qkv(const e3_dev *dev, const e3_qkv *op, e3_err *err)
{
	if (check_attention(dev, "qkv", op->q, op->kv, err))
		return -1;
	if (e3_is_row8(op->mat) && (op->rows > 1 || op->kv->dtype != E3_F32 || op->q_norm || op->k_norm || op->rope))
		return e3_fail(err, "qkv: a matrix for rows in 8 bits: takes one row, into f32, without norms and rotation");
	return 0;
}

int e3_check_attend(const e3_dev *dev, const e3_attend *op, e3_err *err)
{
	if (check_attention(dev, "attend", op->q, op->kv, err))
		return -1;
	if (op->groups > 1 && (op->lse || op->kv->n_keys > op->kv->page_keys))
		return e3_fail(err, "attend: groups with a log-sum-exp, or of several pages");
	if (op->out.dtype == op->q.dtype)
		return 0;
	return e3_fail(err, "attend: out is %s, expected %s", e3_dtype_name(op->out.dtype), e3_dtype_name(op->q.dtype));
}

int e3_check_mass(const e3_dev *dev, const e3_mass *op, e3_err *err)
{
	return check_attention(dev, "mass", op->q, op->kv, err);
}

int e3_check_match(const e3_dev *dev, const e3_match *op, e3_err *err)
{
	if (check_attention(dev, "match", op->q, op->kv, err))
		return -1;
	return op->kv->scored && op->pool > 0 ? 0 : e3_fail(err, "match: keys without scores, or groups of %d", op->pool);
}

int e3_check_conv(const e3_dev *dev, const e3_conv *op, e3_err *err)
{
	const operand list[] = {{"x", op->x.t, FEATURES}, {"resid", op->resid, FEATURES | OPTIONAL},
		{"plus", op->plus, FEATURES | OPTIONAL}, {"out", op->out.t, FEATURES}, {0}};
	int h = op->resize[0] ? op->resize[0] : op->x.h, w = op->resize[1] ? op->resize[1] : op->x.w;
	const int in[3] = {op->x.h, op->x.w, op->mat->in / 9},
			  out[3] = {(h - 1) / op->stride + 1, (w - 1) / op->stride + 1, op->mat->out};
	return check(dev, "conv", list, err) || same_shape("conv", op->x, in, err) || same_shape("conv", op->out, out, err)
		? -1
		: 0;
}

int e3_check_deconv(const e3_dev *dev, e3_features x, const e3_mat *mat, e3_features out, e3_err *err)
{
	const operand list[] = {{"x", x.t, FEATURES}, {"out", out.t, FEATURES}, {0}};
	int k = x.h > 0 ? out.h / x.h : 0;
	const int in[3] = {x.h, x.w, mat->in}, want[3] = {k * x.h, k * x.w, mat->out / ((k + 2) * (k + 2))};
	return check(dev, "deconv", list, err) || same_shape("deconv", x, in, err) || same_shape("deconv", out, want, err)
		? -1
		: 0;
}

int e3_check_upsample(const e3_dev *dev, e3_features x, e3_features out, e3_err *err)
{
	const operand list[] = {{"x", x.t, FEATURES}, {"out", out.t, FEATURES}, {0}};
	return check(dev, "upsample", list, err) || same_shape("upsample", out, (const int[]){out.h, out.w, x.c}, err) ? -1
																												   : 0;
}

int e3_check_add_uv(const e3_dev *dev, e3_features x, e3_err *err)
{
	const operand list[] = {{"x", x.t, FEATURES}, {0}};
	return check(dev, "add_uv", list, err);
}

int e3_check_dense(const e3_dev *dev, const e3_dense *op, e3_err *err)
{
	const operand list[] = {{"z", op->z.t, FEATURES}, {0}};
	const int want[3] = {op->z.h, op->z.w, op->conv->in / 9};
	return check(dev, "dense", list, err) || same_shape("dense", op->z, want, err) ? -1 : 0;
}
