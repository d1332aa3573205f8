/* kernels: linear layers: input brought to the type of the matrix (with its norm), product, and what follows it. Where
 * a GPU has no kernel for all of it (gemm_wgmma.cu) and the result is in half precision, so is the product, in the
 * result's own place: f32 between the two would be three times the bytes. */
#include "values.cuh"

int e3_cuda_product_input(e3_cuda *c, const e3_convert *from, const e3_mat *mat, const void **x, int *ldx, e3_err *err)
{
	e3_dtype type = mat->w.dtype;
	bool fits = type == E3_F32 || (from->ldx % 8 == 0 && mat->in % 8 == 0 && e3_aligned(from->x, 16));
	if (from->x_type == type && !from->norm && fits) {
		*x = from->x, *ldx = from->ldx;
		return 0;
	}
	int ld = type == E3_F32 ? mat->in : e3_cuda_padded(mat->in);
	void *to;
	if (e3_cuda_scratch_get(c, SCRATCH_INPUT, (size_t)from->rows * ld * e3_dtype_size(type), &to, err))
		return -1;
	e3_convert rows = *from;
	rows.out = to, rows.out_type = type, rows.ldo = rows.width = ld;
	*x = to, *ldx = ld;
	return e3_cuda_convert(c, &rows, err);
}

typedef struct finish_args {
	const void *y; /* f32 [rows][cols]; finish_half: it is in the place of the result */
	const float *b;
	int rows, cols, ldo;
	e3_act act;
	bool add;
} finish_args;

/* x Phi(x) to 1e-6 of |x|, far below what half precision keeps: erfc after Abramowitz and Stegun 7.1.26. */
static __device__ __forceinline__ float half_gelu(float x)
{
	float t = __fdividef(1.0f, fmaf(0.231641888f, fabsf(x), 1.0f));
	float p = fmaf(t, 0.530702715f, -0.726576014f);
	p = fmaf(p, t, 0.710706871f);
	p = fmaf(p, t, -0.142248368f);
	p = fmaf(p, t, 0.127414796f);
	float tail = p * t * exp2f(-0.721347520f * x * x); /* half of erfc(|x| / sqrt 2) */
	return x * (x >= 0 ? 1.0f - tail : tail);
}

/* act(y + b), added or stored: V columns at a time. */
template <typename T, int V> static __global__ void __launch_bounds__(256) finish(finish_args a, T *out)
{
	int per_row = a.cols / V;
	size_t n = (size_t)a.rows * per_row;
	for (size_t k = (size_t)blockIdx.x * blockDim.x + threadIdx.x; k < n; k += (size_t)gridDim.x * blockDim.x) {
		int row = (int)(k / per_row), col = (int)(k % per_row) * V;
		float v[V], b[V], t[V];
		load_pack<float, V>((const float *)a.y + (size_t)row * a.cols + col, v);
		T *to = out + (size_t)row * a.ldo + col;
		if (a.b) {
			load_pack<float, V>(a.b + col, b);
#pragma unroll
			for (int e = 0; e < V; e++)
				v[e] += b[e];
		}
#pragma unroll
		for (int e = 0; e < V; e++)
			v[e] = activate(v[e], a.act);
		if (a.add) {
			load_pack<T, V>(to, t);
#pragma unroll
			for (int e = 0; e < V; e++)
				v[e] += t[e];
		}
		store_pack<T, V>(to, v);
	}
}

/* act(out + b) in place: 8 columns at a time. A product beyond the range of half precision is taken as its end. */
static __global__ void __launch_bounds__(256) finish_half(finish_args a, f16 *out)
{
	int per_row = a.cols / 8, n = a.rows * per_row;
	for (int k = blockIdx.x * blockDim.x + threadIdx.x; k < n; k += gridDim.x * blockDim.x) {
		int row = k / per_row, col = k % per_row * 8;
		float v[8], b[8] = {};
		f16 *at = out + (size_t)row * a.ldo + col;
		load_pack<f16, 8>(at, v);
		if (a.b)
			load_pack<float, 4>(a.b + col, b), load_pack<float, 4>(a.b + col + 4, b + 4);
#pragma unroll
		for (int e = 0; e < 8; e++) {
			v[e] = fminf(fmaxf(v[e], -65504.0f), 65504.0f) + b[e];
			v[e] = a.act == E3_ACT_GELU ? half_gelu(v[e]) : activate(v[e], a.act);
		}
		store_pack<f16, 8>(at, v);
	}
}

template <typename T> static void launch_finish(const finish_args *a, T *out, cudaStream_t stream)
{
	bool fours = a->cols % 4 == 0 && a->ldo % 4 == 0 && e3_aligned(out, 4 * sizeof(T)) && e3_aligned(a->y, 16) &&
		e3_aligned(a->b, 16);
	size_t n = (size_t)a->rows * a->cols / (fours ? 4 : 1);
	int blocks = (int)((n + 255) / 256 < 8192 ? (n + 255) / 256 : 8192);
	if (fours)
		finish<T, 4><<<blocks, 256, 0, stream>>>(*a, out);
	else
		finish<T, 1><<<blocks, 256, 0, stream>>>(*a, out);
}

static int run_finish(e3_cuda *c, const finish_args *a, e3_tensor out, e3_err *err)
{
	E3_WITH_TYPE(out.dtype, T, launch_finish<T>(a, (T *)out.p, e3_cuda_stream(c)));
	E3_LAUNCHED("linear");
	return 0;
}

/* Enough rows that bytes are what it costs, in eights of columns. */
static bool can_stay_half(const e3_linear *op, e3_dtype type)
{
	return type == E3_F16 && op->out.dtype == E3_F16 && !op->add && op->rows >= 64 && op->mat->out % 8 == 0 &&
		op->ldo % 8 == 0 && e3_aligned(op->out.p, 16) && e3_aligned(op->mat->b, 16) &&
		(int64_t)op->rows * op->mat->out < 1 << 30;
}

static int stay_half(e3_cuda *c, const e3_linear *op, e3_gemm *g, e3_err *err)
{
	const e3_mat *m = op->mat;
	g->d = op->out.p, g->d_type = E3_F16, g->ldd = op->ldo;
	if (e3_cuda_gemm(c, g, err))
		return -1;
	finish_args a = {NULL, m->b, op->rows, m->out, op->ldo, op->act, false};
	int wanted = e3_ceil_div(op->rows * (m->out / 8), 256), blocks = wanted < 8192 ? wanted : 8192;
	finish_half<<<blocks, 256, 0, e3_cuda_stream(c)>>>(a, (f16 *)op->out.p);
	E3_LAUNCHED("linear");
	return 0;
}

int e3_cuda_linear(e3_dev *dev, const e3_linear *op, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	const e3_mat *m = op->mat;
	e3_dtype out_type = op->out.dtype;
	if (e3_check_linear(dev, op, err))
		return -1;
	if (op->rows <= 0 || m->out <= 0)
		return 0;
	if (e3_dtype_is_8(m->w.dtype) && !e3_is_row8(m))
		return e3_cuda_linear8(c, op, err);
	if (op->rows == 1 && op->x.dtype == E3_F32 && out_type == E3_F32) {
		e3_gemv v = {(const float *)op->x.p, op->norm, m, op->act, op->add, (float *)op->out.p};
		return e3_cuda_gemv(c, &v, err);
	}
	e3_convert from = {op->x.p, op->x.dtype, op->ldx, op->rows, m->in, op->norm};
	e3_gemm g = {NULL, m->w.p, m->w.dtype, op->rows, m->in, m->out, 0, e3_cuda_weight_ld(m)};
	if (e3_cuda_product_input(c, &from, m, &g.x, &g.ldx, err))
		return e3_fail_in(err, "linear");
	if (!op->add && op->act != E3_ACT_SILU && out_type == g.type && op->ldo % 8 == 0 && e3_aligned(op->out.p, 16) &&
		e3_cuda_tiles_can(c, m, op->rows)) {
		e3_tiles t = {g.x, m->w.p, op->rows, m->in, m->out, g.ldx, g.ldw, m->b, op->act, op->out.p, op->ldo};
		return e3_cuda_tiles(c, &t, err) ? e3_fail_in(err, "linear") : 0;
	}
	if (can_stay_half(op, g.type))
		return stay_half(c, op, &g, err) ? e3_fail_in(err, "linear") : 0;
	bool whole = op->act == E3_ACT_NONE && out_type == E3_F32; /* the product can do all of it */
	if (whole && op->add && g.type == E3_F16 && e3_cuda_turned_add_can(c, op)) {
		e3_tiles t = {g.x, m->w.p, op->rows, m->in, m->out, g.ldx, g.ldw, m->b, op->act, op->out.p, op->ldo};
		return e3_cuda_turned_add(c, &t, err) ? e3_fail_in(err, "linear") : 0;
	}
	if (whole) {
		g.bias = m->b, g.add = op->add, g.d = op->out.p, g.d_type = E3_F32, g.ldd = op->ldo;
		return e3_cuda_gemm(c, &g, err) ? e3_fail_in(err, "linear") : 0;
	}
	if (e3_cuda_scratch_get(c, SCRATCH_PRODUCT, (size_t)op->rows * m->out * sizeof(float), &g.d, err))
		return e3_fail_in(err, "linear");
	g.d_type = E3_F32, g.ldd = m->out;
	finish_args a = {g.d, m->b, op->rows, m->out, op->ldo, op->act, op->add};
	return e3_cuda_gemm(c, &g, err) || run_finish(c, &a, op->out, err) ? e3_fail_in(err, "linear") : 0;
}
