/* kernels: LayerNorm and changes of type, a warp or a block per row; the camera head's modulation (doc/network.md
 * 4, 5.2, 6).
 *
 * What lost against a kernel of its own between two products: the product before it leaves x in half precision and the
 * moments of every 64 values, the one after it corrects its sums. Each block then reads the moments of its rows before
 * its first step, and proj and fc1 together took 33 us, where they take 29.9; frames/s fell by 3 %.
 */
#include "values.cuh"

enum { THREADS = 128, WARPS = 8, PER = 4 }; /* a thread holds PER values at a time */

typedef struct row_args {
	int ldx, dim, ldo, width;
	bool norm;
	float eps;
	const float *w, *b;
} row_args;

/* Rows of at most 32 * PER * N values, a warp for each: nothing is waited for but x itself, which is what counts, for
 * this stands between two products and hides behind neither. On Hopper it is set up while the kernel before still runs.
 */
template <typename TI, typename TO, int N>
static __global__ void __launch_bounds__(32 * WARPS) rows_of_warps(const TI *x, TO *out, int rows, row_args a)
{
	int row = blockIdx.x * WARPS + threadIdx.x / 32, lane = threadIdx.x % 32;
	float w[N][PER], b[N][PER], v[N][PER], sum = 0, var = 0;
#pragma unroll
	for (int k = 0; k < N; k++) {
		int c = (k * 32 + lane) * PER;
#pragma unroll
		for (int e = 0; e < PER; e++)
			w[k][e] = 1, b[k][e] = v[k][e] = 0;
		if (c < a.dim && a.w)
			load_pack<float, PER>(a.w + c, w[k]), load_pack<float, PER>(a.b + c, b[k]);
	}
#if __CUDA_ARCH__ >= 900
	asm volatile("griddepcontrol.launch_dependents;"); /* the product that takes this may set itself up */
	asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
	if (row >= rows)
		return;
	x += (size_t)row * a.ldx;
	out += (size_t)row * a.ldo;
#pragma unroll
	for (int k = 0; k < N; k++)
		if ((k * 32 + lane) * PER < a.dim)
			load_pack<TI, PER>(x + (k * 32 + lane) * PER, v[k]);
	if (a.norm) {
#pragma unroll
		for (int k = 0; k < N * PER; k++)
			sum += v[k / PER][k % PER];
		float mean = warp_sum(sum) / a.dim;
#pragma unroll
		for (int k = 0; k < N * PER; k++) {
			v[k / PER][k % PER] -= mean;
			if ((k / PER * 32 + lane) * PER < a.dim)
				var += v[k / PER][k % PER] * v[k / PER][k % PER];
		}
		float inv = 1.0f / sqrtf(warp_sum(var) / a.dim + a.eps);
#pragma unroll
		for (int k = 0; k < N * PER; k++)
			v[k / PER][k % PER] = v[k / PER][k % PER] * inv * w[k / PER][k % PER] + b[k / PER][k % PER];
	}
#pragma unroll
	for (int k = 0; k < N; k++)
		if ((k * 32 + lane) * PER < a.dim)
			store_pack<TO, PER>(out + (k * 32 + lane) * PER, v[k]);
	for (int c = a.dim + lane; c < a.width; c += 32)
		out[c] = as<TO>(0);
}

/* Rows of at most THREADS * PER * N values, which stay in registers; everything in fours. */
template <typename TI, typename TO, int N>
static __global__ void __launch_bounds__(THREADS) rows_held(const TI *x, TO *out, row_args a)
{
	__shared__ float room[32];
#if __CUDA_ARCH__ >= 900
	asm volatile("griddepcontrol.launch_dependents;"); /* the product that takes this may set itself up */
#endif
	x += (size_t)blockIdx.x * a.ldx;
	out += (size_t)blockIdx.x * a.ldo;
	float v[N][PER], sum = 0, var = 0;
#pragma unroll
	for (int k = 0; k < N; k++) {
		int c = (k * THREADS + threadIdx.x) * PER;
		if (c < a.dim)
			load_pack<TI, PER>(x + c, v[k]);
		for (int e = 0; e < PER; e++)
			sum += c < a.dim ? v[k][e] : 0;
	}
	if (a.norm) {
		float mean = block_sum(sum, room) / a.dim;
#pragma unroll
		for (int k = 0; k < N; k++)
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
			for (int e = 0; e < PER; e++)
				v[k][e] = v[k][e] * inv * w[e] + b[e];
		}
	}
#pragma unroll
	for (int k = 0; k < N; k++) {
		int c = (k * THREADS + threadIdx.x) * PER;
		if (c < a.dim)
			store_pack<TO, PER>(out + c, v[k]);
	}
	for (int c = a.dim + threadIdx.x; c < a.width; c += THREADS)
		out[c] = as<TO>(0);
}

/* Any length and alignment. */
template <typename TI, typename TO>
static __global__ void __launch_bounds__(THREADS) rows_any(const TI *x, TO *out, row_args a)
{
	__shared__ float room[32];
	x += (size_t)blockIdx.x * a.ldx;
	out += (size_t)blockIdx.x * a.ldo;
	float mean = 0, inv = 1, sum = 0, var = 0;
	if (a.norm) {
		for (int c = threadIdx.x; c < a.dim; c += THREADS)
			sum += as_f32(x[c]);
		mean = block_sum(sum, room) / a.dim;
		for (int c = threadIdx.x; c < a.dim; c += THREADS)
			var += (as_f32(x[c]) - mean) * (as_f32(x[c]) - mean);
		inv = 1.0f / sqrtf(block_sum(var, room) / a.dim + a.eps);
	}
	for (int c = threadIdx.x; c < a.width; c += THREADS) {
		float v = c < a.dim ? as_f32(x[c]) : 0;
		if (a.norm && c < a.dim)
			v = (v - mean) * inv * (a.w ? a.w[c] : 1.0f) + (a.w ? a.b[c] : 0.0f);
		out[c] = as<TO>(v);
	}
}

template <typename TI, typename TO> static cudaError_t launch(e3_cuda *c, const e3_convert *r, const row_args *a)
{
	cudaStream_t stream = e3_cuda_stream(c);
	const TI *x = (const TI *)r->x;
	TO *out = (TO *)r->out;
	bool fours = r->dim % PER == 0 && r->ldx % PER == 0 && r->ldo % PER == 0 && e3_aligned(x, sizeof(TI) * PER) &&
		e3_aligned(out, sizeof(TO) * PER) && (!a->w || (e3_aligned(a->w, 16) && e3_aligned(a->b, 16)));
	if (fours && r->dim <= 32 * PER * 8) {
		cudaLaunchAttribute early = {};
		early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
		early.val.programmaticStreamSerializationAllowed = 1;
		cudaLaunchConfig_t how = {};
		how.gridDim = dim3((unsigned)e3_ceil_div(r->rows, WARPS)), how.blockDim = dim3(32 * WARPS), how.stream = stream;
		how.attrs = &early, how.numAttrs = c->attend.wgmma ? 1 : 0;
		return cudaLaunchKernelEx(&how, rows_of_warps<TI, TO, 8>, x, out, r->rows, *a);
	}
	if (fours && r->dim <= THREADS * PER * 4)
		rows_held<TI, TO, 4><<<r->rows, THREADS, 0, stream>>>(x, out, *a);
	else
		rows_any<TI, TO><<<r->rows, THREADS, 0, stream>>>(x, out, *a);
	return cudaGetLastError();
}

int e3_cuda_convert(e3_cuda *c, const e3_convert *r, e3_err *err)
{
	if (r->rows <= 0)
		return 0;
	row_args a = {r->ldx, r->dim, r->ldo, r->width, r->norm != NULL, r->norm ? r->norm->eps : 0,
		r->norm ? r->norm->w : NULL, r->norm ? r->norm->b : NULL};
	cudaError_t code = cudaSuccess;
	if (r->x_type == E3_F32) {
		E3_WITH_TYPE(r->out_type, TO, code = launch<float, TO>(c, r, &a));
	} else {
		E3_WITH_TYPE(r->out_type, TO, code = launch<f16, TO>(c, r, &a));
	}
	E3_TRY(code, "norm");
	return 0;
}

int e3_cuda_norm(e3_dev *dev, e3_rows x, const e3_norm *norm, e3_rows out, e3_err *err)
{
	e3_convert r = {x.p, E3_F32, x.ld, x.n, norm->dim, norm, out.p, E3_F32, out.ld, norm->dim};
	return e3_check_rows("norm", x, out, err) ? -1 : e3_cuda_convert(e3_cuda_of(dev), &r, err);
}

static __global__ void __launch_bounds__(1024) modulate(const float *p, const float *mod, int dim, float *out)
{
	__shared__ float room[32];
	float sum = 0, var = 0;
	for (int k = threadIdx.x; k < dim; k += blockDim.x)
		sum += p[k];
	float mean = block_sum(sum, room) / dim;
	for (int k = threadIdx.x; k < dim; k += blockDim.x)
		var += (p[k] - mean) * (p[k] - mean);
	float inv = 1.0f / sqrtf(block_sum(var, room) / dim + 1e-6f);
	for (int k = threadIdx.x; k < dim; k += blockDim.x)
		out[k] = p[k] + mod[2 * dim + k] * ((p[k] - mean) * inv * (1.0f + mod[dim + k]) + mod[k]);
}

int e3_cuda_modulate(e3_dev *dev, const float *p, const float *mod, int dim, float *out, e3_err *err)
{
	modulate<<<1, 1024, 0, e3_cuda_stream(e3_cuda_of(dev))>>>(p, mod, dim, out);
	E3_LAUNCHED("modulate");
	return 0;
}
