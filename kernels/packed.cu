/* kernels: matrices in 8 bits (doc/network.md 15): rows rounded to int8 or e4m3 with a scale each, after their norm;
 * and products for other GPUs than Hopper (gemm8_wgmma.cu): cuBLASLt's, of int8 from compute capability 8.0 on, of e4m3
 * from 8.9. Where it has none both sides are widened to half precision, which holds every value exactly: only the order
 * of the sums differs. */
#include "packed.cuh"
#include "place.cuh"
#include "values.cuh"

enum { THREADS = 128, PER = 4, ROWS = 4 }; /* a thread holds PER values at a time; a block of warps has ROWS rows */

typedef struct round_args {
	int ldx, dim, ldo, width;
	bool norm;
	float eps;
	const float *w, *b;
	float *scale;
} round_args;

/* The largest |v| of a block; not a number if one is not. */
static __device__ __forceinline__ float block_most(float v, float *room)
{
	int warp = threadIdx.x / 32;
#pragma unroll
	for (int k = 16; k; k >>= 1)
		v = most_of(v, __shfl_xor_sync(~0u, v, k));
	if (threadIdx.x % 32 == 0)
		room[warp] = v;
	__syncthreads();
	v = room[0];
	for (int k = 1; k < (int)blockDim.x / 32; k++)
		v = most_of(v, room[k]);
	return v;
}

/* Rows of at most THREADS * PER * N values, which stay in registers; everything in fours. */
template <typename TI, typename TO, int N>
static __global__ void __launch_bounds__(THREADS) round_held(const TI *x, TO *out, round_args a)
{
	__shared__ float room[32], top[THREADS / 32];
#if __CUDA_ARCH__ >= 900
	asm volatile("griddepcontrol.launch_dependents;"); /* the product that takes this may set itself up */
	asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
	x += (size_t)blockIdx.x * a.ldx;
	out += (size_t)blockIdx.x * a.ldo;
	float v[N][PER], sum = 0, var = 0, most = 0;
#pragma unroll
	for (int k = 0; k < N; k++) {
		int c = (k * THREADS + threadIdx.x) * PER;
#pragma unroll
		for (int e = 0; e < PER; e++)
			v[k][e] = 0;
		if (c < a.dim)
			load_pack<TI, PER>(x + c, v[k]);
#pragma unroll
		for (int e = 0; e < PER; e++)
			sum += v[k][e];
	}
	if (a.norm) {
		float mean = block_sum(sum, room) / a.dim;
#pragma unroll
		for (int k = 0; k < N; k++)
#pragma unroll
			for (int e = 0; e < PER; e++) {
				v[k][e] -= mean;
				var += (k * THREADS + threadIdx.x) * PER < a.dim ? v[k][e] * v[k][e] : 0;
			}
		float inv = 1.0f / sqrtf(block_sum(var, room) / a.dim + a.eps);
#pragma unroll
		for (int k = 0; k < N; k++) {
			int c = (k * THREADS + threadIdx.x) * PER;
			float w[PER] = {1, 1, 1, 1}, b[PER] = {0, 0, 0, 0};
			if (c < a.dim && a.w)
				load_pack<float, PER>(a.w + c, w), load_pack<float, PER>(a.b + c, b);
#pragma unroll
			for (int e = 0; e < PER; e++)
				v[k][e] = c < a.dim ? v[k][e] * inv * w[e] + b[e] : 0;
		}
	}
#pragma unroll
	for (int k = 0; k < N; k++)
#pragma unroll
		for (int e = 0; e < PER; e++)
			most = most_of(most, fabsf(v[k][e]));
	most = block_most(most, top);
	float up = to_top<TO>(most);
#pragma unroll
	for (int k = 0; k < N; k++) {
		int c = (k * THREADS + threadIdx.x) * PER;
		if (c < a.width)
			*(uint32_t *)(void *)(out + c) = round_four<TO>(v[k], up);
	}
	if (threadIdx.x == 0)
		a.scale[blockIdx.x] = most / top8<TO>;
}

/* A warp for each row of at most 32 * PER * N values, which stay in registers; everything in fours. */
template <typename TI, typename TO, int N>
static __global__ void __launch_bounds__(ROWS * 32) round_warp(const TI *x, TO *out, int rows, round_args a)
{
	int row = blockIdx.x * ROWS + threadIdx.x / 32, lane = threadIdx.x % 32;
#if __CUDA_ARCH__ >= 900
	asm volatile("griddepcontrol.launch_dependents;"); /* the product that takes this may set itself up */
	asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
	if (row >= rows)
		return;
	x += (size_t)row * a.ldx;
	out += (size_t)row * a.ldo;
	float v[N][PER], sum = 0, var = 0, most = 0;
#pragma unroll
	for (int k = 0; k < N; k++) {
		int c = (k * 32 + lane) * PER;
#pragma unroll
		for (int e = 0; e < PER; e++)
			v[k][e] = 0;
		if (c < a.dim)
			load_pack<TI, PER>(x + c, v[k]);
#pragma unroll
		for (int e = 0; e < PER; e++)
			sum += v[k][e];
	}
	if (a.norm) {
		float mean = warp_sum(sum) / a.dim;
#pragma unroll
		for (int k = 0; k < N; k++)
#pragma unroll
			for (int e = 0; e < PER; e++) {
				v[k][e] -= mean;
				var += (k * 32 + lane) * PER < a.dim ? v[k][e] * v[k][e] : 0;
			}
		float inv = 1.0f / sqrtf(warp_sum(var) / a.dim + a.eps);
#pragma unroll
		for (int k = 0; k < N; k++) {
			int c = (k * 32 + lane) * PER;
			float w[PER] = {1, 1, 1, 1}, b[PER] = {0, 0, 0, 0};
			if (c < a.dim && a.w)
				load_pack<float, PER>(a.w + c, w), load_pack<float, PER>(a.b + c, b);
#pragma unroll
			for (int e = 0; e < PER; e++)
				v[k][e] = c < a.dim ? v[k][e] * inv * w[e] + b[e] : 0;
		}
	}
#pragma unroll
	for (int k = 0; k < N; k++)
#pragma unroll
		for (int e = 0; e < PER; e++)
			most = most_of(most, fabsf(v[k][e]));
#pragma unroll
	for (int k = 16; k; k >>= 1)
		most = most_of(most, __shfl_xor_sync(~0u, most, k));
	float up = to_top<TO>(most);
#pragma unroll
	for (int k = 0; k < N; k++) {
		int c = (k * 32 + lane) * PER;
		if (c < a.width)
			*(uint32_t *)(void *)(out + c) = round_four<TO>(v[k], up);
	}
	if (lane == 0)
		a.scale[row] = most / top8<TO>;
}

/* Any length and alignment: the row is read again for each step. */
template <typename TI, typename TO>
static __global__ void __launch_bounds__(THREADS) round_any(const TI *x, TO *out, round_args a)
{
	__shared__ float room[32], top[THREADS / 32];
	x += (size_t)blockIdx.x * a.ldx;
	out += (size_t)blockIdx.x * a.ldo;
	float mean = 0, inv = 1, sum = 0, var = 0, most = 0;
	if (a.norm) {
		for (int c = threadIdx.x; c < a.dim; c += THREADS)
			sum += as_f32(x[c]);
		mean = block_sum(sum, room) / a.dim;
		for (int c = threadIdx.x; c < a.dim; c += THREADS)
			var += (as_f32(x[c]) - mean) * (as_f32(x[c]) - mean);
		inv = 1.0f / sqrtf(block_sum(var, room) / a.dim + a.eps);
	}
	auto value = [&](int c) {
		float v = as_f32(x[c]);
		return a.norm ? (v - mean) * inv * (a.w ? a.w[c] : 1.0f) + (a.w ? a.b[c] : 0.0f) : v;
	};
	for (int c = threadIdx.x; c < a.dim; c += THREADS)
		most = most_of(most, fabsf(value(c)));
	most = block_most(most, top);
	float up = to_top<TO>(most);
	for (int c = threadIdx.x; c < a.width; c += THREADS)
		out[c] = round_one<TO>(c < a.dim ? value(c) : 0, up);
	if (threadIdx.x == 0)
		a.scale[blockIdx.x] = most / top8<TO>;
}

/* Set up while the kernel before it still runs; ROWS warps are as many threads as THREADS. */
template <typename... Args, typename... Given>
static cudaError_t launch_early(void (*kernel)(Args...), int blocks, cudaStream_t s, Given... given)
{
	static_assert(ROWS * 32 == THREADS, "one size of blocks");
	cudaLaunchAttribute early = {};
	early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
	early.val.programmaticStreamSerializationAllowed = 1;
	cudaLaunchConfig_t how = {};
	how.gridDim = dim3((unsigned)blocks), how.blockDim = dim3(THREADS), how.stream = s;
	how.attrs = &early, how.numAttrs = 1;
	return cudaLaunchKernelEx(&how, kernel, (Args)given...);
}

template <typename TI, typename TO>
static cudaError_t launch_round(const e3_convert *r, const round_args *a, cudaStream_t s)
{
	const TI *x = (const TI *)r->x;
	TO *out = (TO *)r->out;
	bool fours = r->dim % PER == 0 && r->ldx % PER == 0 && r->ldo % PER == 0 && r->width % PER == 0 &&
		e3_aligned(x, sizeof(TI) * PER) && e3_aligned(out, PER) &&
		(!a->w || (e3_aligned(a->w, 16) && e3_aligned(a->b, 16)));
	if (fours && r->width <= 32 * PER * 8)
		return launch_early(round_warp<TI, TO, 8>, e3_ceil_div(r->rows, ROWS), s, x, out, r->rows, *a);
	if (fours && r->width <= THREADS * PER * 8)
		return launch_early(round_held<TI, TO, 8>, r->rows, s, x, out, *a);
	round_any<TI, TO><<<r->rows, THREADS, 0, s>>>(x, out, *a);
	return cudaGetLastError();
}

int e3_cuda_round(e3_cuda *c, const e3_convert *r, float *scale, e3_err *err)
{
	if (r->rows <= 0)
		return 0;
	round_args a = {r->ldx, r->dim, r->ldo, r->width, r->norm != NULL, r->norm ? r->norm->eps : 0,
		r->norm ? r->norm->w : NULL, r->norm ? r->norm->b : NULL, scale};
	cudaStream_t s = e3_cuda_stream(c);
	cudaError_t code = cudaSuccess;
	if (r->out_type == E3_I8) {
		E3_WITH_TYPE(r->x_type, TI, code = launch_round<TI, int8_t>(r, &a, s));
	} else {
		E3_WITH_TYPE(r->x_type, TI, code = launch_round<TI, e4m3>(r, &a, s));
	}
	E3_TRY(code, "rounding to 8 bits");
	return 0;
}

/* ---- products in half precision ---- */

template <typename T> static __global__ void widen(const T *from, size_t n, f16 *to)
{
	size_t step = (size_t)gridDim.x * blockDim.x;
	for (size_t k = (size_t)blockIdx.x * blockDim.x + threadIdx.x; k < n / 4; k += step) {
		uint32_t four = ((const uint32_t *)from)[k];
		float v[4];
#pragma unroll
		for (int e = 0; e < 4; e++)
			v[e] = value_of8<T>((uint8_t)(four >> (8 * e)));
		store_pack<f16, 4>(to + 4 * k, v);
	}
}

static int run_widen(e3_cuda *c, e3_dtype type, const void *from, size_t n, void *to, e3_err *err)
{
	cudaStream_t s = e3_cuda_stream(c);
	int blocks = (int)((n / 4 + 255) / 256 < 2048 ? (n / 4 + 255) / 256 : 2048);
	if (type == E3_I8)
		widen<int8_t><<<blocks, 256, 0, s>>>((const int8_t *)from, n, (f16 *)to);
	else
		widen<e4m3><<<blocks, 256, 0, s>>>((const e4m3 *)from, n, (f16 *)to);
	E3_LAUNCHED("8 bits");
	return 0;
}

typedef struct finish8_args {
	const void *y;
	bool ints; /* y is */
	const float *x_scale, *w_scale, *b;
	int rows, cols, ldo;
	e3_act act;
	bool add;
} finish8_args;

/* S: int or float, the type of the sums. */
template <typename S, typename T> static __global__ void __launch_bounds__(256) finish8(finish8_args a, T *out)
{
	size_t n = (size_t)a.rows * a.cols;
	for (size_t k = (size_t)blockIdx.x * blockDim.x + threadIdx.x; k < n; k += (size_t)gridDim.x * blockDim.x) {
		int row = (int)(k / a.cols), col = (int)(k % a.cols);
		float v =
			activate((float)((const S *)a.y)[k] * (a.x_scale[row] * a.w_scale[col]) + (a.b ? a.b[col] : 0.0f), a.act);
		T *to = out + (size_t)row * a.ldo + col;
		*to = as<T>(a.add ? as_f32(*to) + v : v);
	}
}

/* The rounded input of a product, and what the widened product needs. */
typedef struct input8 {
	const void *x;
	const float *scale;
	int ld;
} input8;

static int round_input(e3_cuda *c, const e3_convert *from, const e3_mat *m, input8 *to, e3_err *err)
{
	int ld = e3_cuda_weight_ld(m);
	size_t bytes = ((size_t)from->rows * ld + 255) & ~(size_t)255;
	void *p;
	if (e3_cuda_scratch_get(c, SCRATCH_INPUT, bytes + (size_t)from->rows * sizeof(float), &p, err))
		return -1;
	e3_convert r = *from;
	r.out = p, r.out_type = m->w.dtype, r.ldo = r.width = ld;
	*to = (input8){p, (const float *)((const char *)p + bytes), ld};
	return e3_cuda_round(c, &r, (float *)((char *)p + bytes), err);
}

/* y [rows][out]: the sums, without scales, as integers or f32. */
static int plain_product(e3_cuda *c, const input8 *x, int rows, const e3_mat *m, finish8_args *to, e3_err *err)
{
	size_t nw = (size_t)m->out * x->ld, nx = (size_t)rows * x->ld;
	bool ints = m->w.dtype == E3_I8, *lacks = &c->lacks8[!ints];
	void *wide, *sums;
	e3_err why = {""};
	*to = (finish8_args){.x_scale = x->scale, .w_scale = m->scale, .rows = rows, .cols = m->out};
	if (e3_cuda_scratch_get(c, SCRATCH_PRODUCT, (size_t)rows * m->out * sizeof(float), &sums, err))
		return -1;
	to->y = sums;
	e3_gemm g = {x->x, m->w.p, m->w.dtype, rows, x->ld, m->out, x->ld, x->ld, NULL, false, sums, ints ? E3_I32 : E3_F32,
		m->out};
	if (!*lacks && m->out % 16 == 0) {
		if (e3_cuda_gemm(c, &g, &why) == 0) {
			to->ints = ints;
			return 0;
		}
		*lacks = true;
	}
	if (e3_cuda_scratch_get(c, SCRATCH_WIDE, (nw + nx) * sizeof(f16), &wide, err) ||
		run_widen(c, m->w.dtype, m->w.p, nw, wide, err) || run_widen(c, m->w.dtype, x->x, nx, (f16 *)wide + nw, err))
		return -1;
	g.x = (f16 *)wide + nw, g.w = wide, g.type = E3_F16, g.d_type = E3_F32;
	return e3_cuda_gemm(c, &g, err);
}

template <typename T> static cudaError_t launch_finish8(const finish8_args *a, T *out, cudaStream_t s)
{
	size_t n = ((size_t)a->rows * a->cols + 255) / 256;
	unsigned blocks = (unsigned)(n < 8192 ? n : 8192);
	if (a->ints)
		finish8<int, T><<<blocks, 256, 0, s>>>(*a, out);
	else
		finish8<float, T><<<blocks, 256, 0, s>>>(*a, out);
	return cudaGetLastError();
}

int e3_cuda_linear8(e3_cuda *c, const e3_linear *op, e3_err *err)
{
	const e3_mat *m = op->mat;
	e3_convert from = {op->x.p, op->x.dtype, op->ldx, op->rows, m->in, op->norm};
	input8 x;
	finish8_args a;
	if (round_input(c, &from, m, &x, err))
		return e3_fail_in(err, "linear");
	e3_tiles8 t = {.x = x.x,
		.x_scale = x.scale,
		.rows = op->rows,
		.ld = x.ld,
		.mat = m,
		.act = op->act,
		.add = op->add,
		.out = op->out,
		.ldo = op->ldo};
	if (e3_cuda_tiles8_can(c, &t))
		return e3_cuda_tiles8(c, &t, err) ? e3_fail_in(err, "linear") : 0;
	if (plain_product(c, &x, op->rows, m, &a, err))
		return e3_fail_in(err, "linear");
	a.b = m->b, a.ldo = op->ldo, a.act = op->act, a.add = op->add;
	cudaError_t code = cudaSuccess;
	E3_WITH_TYPE(op->out.dtype, T, code = launch_finish8<T>(&a, (T *)op->out.p, e3_cuda_stream(c)));
	E3_TRY(code, "linear");
	return 0;
}

int e3_cuda_product8(e3_cuda *c, const e3_convert *from, const e3_mat *m, const place_args *place, float **sums,
	e3_err *err)
{
	input8 x;
	finish8_args a;
	*sums = NULL;
	if (round_input(c, from, m, &x, err))
		return -1;
	e3_tiles8 t = {.x = x.x, .x_scale = x.scale, .rows = from->rows, .ld = x.ld, .mat = m, .place = place};
	if (place && e3_cuda_tiles8_can(c, &t))
		return e3_cuda_tiles8(c, &t, err);
	if (plain_product(c, &x, from->rows, m, &a, err))
		return -1;
	*sums = (float *)const_cast<void *>(a.y);
	a.ldo = m->out;
	E3_TRY(launch_finish8<float>(&a, *sums, e3_cuda_stream(c)), "product");
	return 0;
}
