/* kernels: 3×3 convolutions of any channels and type by FMA: strict mode, and small networks. Which kernel a
 * convolution takes. */
#include "conv.cuh"
#include "maps.cuh"
#include "taps.cuh"

enum { TILE = 64, DEPTH = 16 };

typedef struct plain_args {
	int h, w, cin, out_h, out_w, cout, stride;
	bool relu_in, relu_resid;
	e3_act act;
	const float *b;
	const void *x, *weight, *resid, *plus; /* resid and plus may be NULL */
	void *out;
	int ldw;
} plain_args;

/* 64 pixels by 64 channels a block, four by four a thread; DEPTH values of the gathered row at a time. */
template <typename T, typename TW> static __global__ void __launch_bounds__(256) conv_plain(plain_args a)
{
	const T *x = (const T *)a.x, *resid = (const T *)a.resid, *plus = (const T *)a.plus;
	const TW *weight = (const TW *)a.weight;
	T *out = (T *)a.out;
	int ldw = a.ldw;
	__shared__ float px[DEPTH][TILE + 1], wt[DEPTH][TILE + 1];
	int pixels = a.out_h * a.out_w, depth = 9 * a.cin, p0 = blockIdx.x * TILE, o0 = blockIdx.y * TILE;
	int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
	float sum[4][4] = {};
	for (int k0 = 0; k0 < depth; k0 += DEPTH) {
		for (int n = threadIdx.x; n < TILE * DEPTH; n += 256) {
			int k = k0 + n % DEPTH, p = p0 + n / DEPTH, o = o0 + n / DEPTH;
			float v = 0;
			if (k < depth && p < pixels) {
				int tap = k / a.cin, y = p / a.out_w * a.stride + tap / 3 - 1,
					at = p % a.out_w * a.stride + tap % 3 - 1;
				if (y >= 0 && y < a.h && at >= 0 && at < a.w)
					v = as_f32(x[((size_t)y * a.w + at) * a.cin + k % a.cin]);
			}
			px[n % DEPTH][n / DEPTH] = a.relu_in && v < 0 ? 0 : v;
			wt[n % DEPTH][n / DEPTH] = k < depth && o < a.cout ? as_f32(weight[(size_t)o * ldw + k]) : 0;
		}
		__syncthreads();
#pragma unroll
		for (int k = 0; k < DEPTH; k++) {
			float p[4], o[4];
#pragma unroll
			for (int e = 0; e < 4; e++)
				p[e] = px[k][ty + 16 * e], o[e] = wt[k][tx + 16 * e];
#pragma unroll
			for (int i = 0; i < 4; i++)
#pragma unroll
				for (int j = 0; j < 4; j++)
					sum[i][j] += p[i] * o[j];
		}
		__syncthreads();
	}
	for (int i = 0; i < 4; i++)
		for (int j = 0; j < 4; j++) {
			int p = p0 + ty + 16 * i, o = o0 + tx + 16 * j;
			if (p >= pixels || o >= a.cout)
				continue;
			size_t at = (size_t)p * a.cout + o;
			float v = activate(sum[i][j] + (a.b ? a.b[o] : 0.0f), a.act), r = resid ? as_f32(resid[at]) : 0;
			v += a.relu_resid && r < 0 ? 0 : r;
			out[at] = as<T>(v + (plus ? as_f32(plus[at]) : 0));
		}
}

template <typename T, typename TW> static cudaError_t launch(const e3_cuda *c, const plain_args *a)
{
	dim3 grid((unsigned)e3_ceil_div(a->out_h * a->out_w, TILE), (unsigned)e3_ceil_div(a->cout, TILE));
	conv_plain<T, TW><<<grid, 256, 0, e3_cuda_stream(c)>>>(*a);
	return cudaGetLastError();
}

int e3_cuda_conv_plain(e3_cuda *c, const e3_conv *op, e3_err *err)
{
	plain_args a = {op->x.h, op->x.w, op->mat->in / 9, op->out.h, op->out.w, op->mat->out, op->stride, op->relu_in,
		op->relu_resid, op->act, op->mat->b, op->x.t.p, op->mat->w.p, op->resid.p, op->plus.p, op->out.t.p,
		e3_cuda_weight_ld(op->mat)};
	e3_dtype weights = op->mat->w.dtype;
	if (c->strict)
		E3_TRY((launch<float, float>(c, &a)), "conv");
	else if (weights == E3_F32)
		E3_TRY((launch<f16, float>(c, &a)), "conv");
	else if (weights == E3_F16)
		E3_TRY((launch<f16, f16>(c, &a)), "conv");
	else
		return e3_fail(err, "conv: the matrix is %s, expected F16", e3_dtype_name(weights));
	return 0;
}

/* Of an enlarged map: at the size of the small one where that is possible; or made first. */
static int resized(e3_cuda *c, const e3_conv *op, e3_err *err)
{
	e3_conv then = *op;
	taps_maps maps;
	bool plain = op->stride == 1 && !op->relu_in && !op->resid.p && !op->plus.p && e3_conv_act_can(op);
	bool taps = plain && op->mat->out == TAPS_WIDE && e3_cuda_taps_can(c, op->x, op->mat, op->resize);
	then.x.h = op->resize[0], then.x.w = op->resize[1], then.resize[0] = then.resize[1] = 0;
	size_t n = taps ? e3_cuda_taps_size(op->x, op->mat) : (size_t)then.x.h * then.x.w * op->x.c;
	void *room;
	if (e3_cuda_scratch_get(c, SCRATCH_FEATURES, n * e3_dtype_size(op->x.t.dtype), &room, err))
		return e3_fail_in(err, "conv");
	if (taps)
		return e3_cuda_taps(c, op->x, op->mat, (f16 *)room, &maps, err) || e3_cuda_taps_store(c, &maps, op, err) ? -1
																												 : 0;
	resize_args a = resize_of(op->x, then.x.h, then.x.w);
	then.x.t.p = (uint8_t *)room;
	return e3_cuda_resize(c, &a, op->x.t.p, room, err) || e3_cuda_conv(&c->dev, &then, err) ? -1 : 0;
}

int e3_cuda_conv(e3_dev *dev, const e3_conv *op, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	if (e3_check_conv(dev, op, err))
		return -1;
	if (op->x.h <= 0 || op->x.w <= 0 || op->mat->out <= 0)
		return 0;
	if (op->resize[0] && (op->resize[0] != op->x.h || op->resize[1] != op->x.w))
		return resized(c, op, err);
	if (e3_cuda_conv_wgmma_can(c, op))
		return e3_cuda_conv_wgmma(c, op, err);
	return e3_cuda_conv_mma_can(op) ? e3_cuda_conv_mma(c, op, err) : e3_cuda_conv_plain(c, op, err);
}
