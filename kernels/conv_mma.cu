/* kernels: 3×3 convolutions as implicit matrix products on tensor cores: pixels × output channels, over nine taps of
 * input channels.
 *
 * f16 features and weights, f32 sums. Operands go through a ring of tiles in shared memory, filled by asynchronous
 * copies; nothing is gathered in device memory. Small feature maps do not fill the device with tiles: then the depth is
 * cut too, and a second kernel adds the parts in a fixed order.
 */
#include "conv.cuh"
#include "mma.cuh"

enum { THREADS = 256, STAGES = 3 };

/* Two neighbouring channels of a pixel. */
static __device__ __forceinline__ void put(const conv_args &a, int pixel, int o, const float *v)
{
	if (pixel >= a.pixels || o >= a.cout)
		return;
	size_t at = (size_t)pixel * a.cout + o;
	if (a.part) {
		store_pack<float, 2>(a.part + (size_t)blockIdx.z * a.pixels * a.cout + at, v);
		return;
	}
	float u[2] = {v[0], v[1]};
	conv_finish<2>(a, u, at, o);
}

/* Byte offset of a 16-byte piece of a row of BK values: pieces are permuted so that eight rows do not conflict in a
 * bank. */
template <int BK> static __device__ __forceinline__ uint32_t piece_at(int row, int piece)
{
	return BK == 64 ? (uint32_t)(row * 128 + ((piece ^ (row & 7)) << 4))
					: (uint32_t)(row * 64 + ((piece ^ (row >> 1 & 3)) << 4));
}

/* BM pixels × BN channels in a block of eight warps, WR of them along the pixels. */
template <int BM, int BN, int BK, int WR> static __global__ void __launch_bounds__(THREADS, 2) conv_mma(conv_args a)
{
	constexpr int WC = 8 / WR, TM = BM / WR, TN = BN / WC, MI = TM / 16, NI = TN / 8, PIECES = BK / 8,
				  LINES = THREADS / PIECES;
	constexpr int ROWS_X = BM / LINES, ROWS_W = (BN + LINES - 1) / LINES, SIZE_X = BM * BK * 2,
				  SIZE = SIZE_X + BN * BK * 2;
	extern __shared__ __align__(128) char shared[];
	uint32_t base = shared_address(shared);
	int warp = threadIdx.x / 32, lane = threadIdx.x % 32, piece = threadIdx.x % PIECES, line = threadIdx.x / PIECES;
	int p0 = blockIdx.x * BM, o0 = blockIdx.y * BN, from = (int)((int64_t)a.steps * blockIdx.z / a.splits);
	int count = (int)((int64_t)a.steps * (blockIdx.z + 1) / a.splits) - from, depth = 9 * a.cin;

	/* The pixels this thread copies: where their top left tap is, and which taps are inside the map. */
	int at[ROWS_X];
	uint32_t inside[ROWS_X];
#pragma unroll
	for (int i = 0; i < ROWS_X; i++) {
		int p = p0 + line + i * LINES, y = p / a.out_w * a.stride - 1, x = p % a.out_w * a.stride - 1;
		at[i] = (y * a.w + x) * a.cin + piece * 8;
		inside[i] = 0;
		for (int t = 0; t < 9; t++)
			if (p < a.pixels && y + t / 3 >= 0 && y + t / 3 < a.h && x + t % 3 >= 0 && x + t % 3 < a.w)
				inside[i] |= 1u << t;
	}
	int next = from, tap = from * BK / a.cin, channel = from * BK % a.cin;
	auto fill = [&](int slot) {
		uint32_t to = base + slot * SIZE;
		int shift = (tap / 3 * a.w + tap % 3) * a.cin + channel;
#pragma unroll
		for (int i = 0; i < ROWS_X; i++) {
			bool valid = inside[i] >> tap & 1;
			copy_16(to + piece_at<BK>(line + i * LINES, piece), a.x + (valid ? at[i] + shift : 0), valid);
		}
#pragma unroll
		for (int i = 0; i < ROWS_W; i++) {
			int n = line + i * LINES;
			bool valid = o0 + n < a.cout;
			if (BN % LINES == 0 || n < BN)
				copy_16(to + SIZE_X + piece_at<BK>(n, piece),
					a.weight + (valid ? (size_t)(o0 + n) * depth + next * BK + piece * 8 : 0), valid);
		}
		next++, channel += BK;
		if (channel == a.cin)
			channel = 0, tap++;
	};

	float sum[MI][NI][4] = {};
	int row0 = warp % WR * TM, col0 = warp / WR * TN;
	for (int s = 0; s < STAGES - 1; s++) {
		if (s < count)
			fill(s);
		copies_commit();
	}
	for (int k = 0; k < count; k++) {
		copies_wait<STAGES - 2>();
		__syncthreads();
		if (k + STAGES - 1 < count)
			fill((k + STAGES - 1) % STAGES);
		copies_commit();
		uint32_t tile = base + k % STAGES * SIZE;
#pragma unroll
		for (int kk = 0; kk < BK / 16; kk++) {
			uint32_t x[MI][4], w[(NI + 1) / 2][4];
#pragma unroll
			for (int i = 0; i < MI; i++) {
				load_matrix_4(x[i], tile + piece_at<BK>(row0 + i * 16 + lane % 16, kk * 2 + lane / 16));
				if (a.relu_in)
					for (int e = 0; e < 4; e++)
						x[i][e] = relu_pair(x[i][e]);
			}
#pragma unroll
			for (int j = 0; j < NI / 2; j++)
				load_matrix_4(w[j],
					tile + SIZE_X + piece_at<BK>(col0 + j * 16 + lane % 8 + lane / 16 * 8, kk * 2 + lane / 8 % 2));
#pragma unroll
			for (int i = 0; i < MI; i++)
#pragma unroll
				for (int j = 0; j < NI; j++)
					mma_f16(sum[i][j], x[i], w[j / 2][j % 2 * 2], w[j / 2][j % 2 * 2 + 1]);
		}
	}
#pragma unroll
	for (int i = 0; i < MI; i++)
#pragma unroll
		for (int j = 0; j < NI; j++)
			for (int half = 0; half < 2; half++)
				put(a, p0 + row0 + i * 16 + lane / 4 + half * 8, o0 + col0 + j * 8 + lane % 4 * 2,
					sum[i][j] + 2 * half);
}

/* Adds the parts of a cut depth, in order. */
static __global__ void __launch_bounds__(256) add_parts(conv_args a)
{
	size_t n = (size_t)a.pixels * a.cout, k = 2 * ((size_t)blockIdx.x * blockDim.x + threadIdx.x);
	if (k >= n)
		return;
	float v[2] = {0, 0}, t[2];
	for (int s = 0; s < a.splits; s++) {
		load_pack<float, 2>(a.part + s * n + k, t);
		v[0] += t[0], v[1] += t[1];
	}
	conv_finish<2>(a, v, k, (int)(k % a.cout));
}

int e3_cuda_conv_part(e3_cuda *c, conv_args *a, e3_err *err)
{
	void *part;
	size_t bytes = (size_t)a->splits * a->pixels * a->cout * sizeof(float);
	if (e3_cuda_scratch_get(c, SCRATCH_SPLIT, bytes, &part, err))
		return e3_fail_in(err, "conv");
	a->part = (float *)part;
	return 0;
}

int e3_cuda_conv_add(e3_cuda *c, const conv_args *a, e3_err *err)
{
	add_parts<<<e3_ceil_div(a->pixels * a->cout / 2, 256), 256, 0, e3_cuda_stream(c)>>>(*a);
	E3_LAUNCHED("conv");
	return 0;
}

template <int BM, int BN, int BK, int WR> static cudaError_t launch(e3_cuda *c, const conv_args *a)
{
	const int shared = STAGES * (BM + BN) * BK * 2;
	cudaError_t code =
		cudaFuncSetAttribute(conv_mma<BM, BN, BK, WR>, cudaFuncAttributeMaxDynamicSharedMemorySize, shared);
	if (code != cudaSuccess)
		return code;
	dim3 grid((unsigned)e3_ceil_div(a->pixels, BM), (unsigned)e3_ceil_div(a->cout, BN), (unsigned)a->splits);
	conv_mma<BM, BN, BK, WR><<<grid, THREADS, shared, e3_cuda_stream(c)>>>(*a);
	return cudaGetLastError();
}

bool e3_cuda_conv_mma_can(const e3_conv *op)
{
	return op->mat->w.dtype == E3_F16 && e3_conv_act_can(op) && op->mat->in % (9 * 32) == 0 && op->mat->out % 8 == 0 &&
		e3_aligned(op->x.t.p, 16);
}

int e3_cuda_conv_mma(e3_cuda *c, const e3_conv *op, e3_err *err)
{
	int cin = op->mat->in / 9, cout = op->mat->out, out_h = op->out.h, out_w = op->out.w;
	bool deep = cin % 64 == 0;
	conv_args a = {(const f16 *)op->x.t.p, (const f16 *)op->mat->w.p, (const f16 *)op->resid.p, (const f16 *)op->plus.p,
		(f16 *)op->out.t.p, op->mat->b, NULL, op->x.h, op->x.w, cin, out_w, out_h * out_w, cout, op->stride,
		9 * cin / (deep ? 64 : 32), 1, op->relu_in, op->relu_resid, op->act};
	int sms = c->attend.sms, large = e3_ceil_div(a.pixels, 128) * e3_ceil_div(cout, 128),
		small = e3_ceil_div(a.pixels, 64) * e3_ceil_div(cout, 64);
	bool narrow = cout <= 32, use_large = !narrow && large >= sms;
	if (!narrow && !use_large && small < 2 * sms) {
		a.splits = 3 * sms / small;
		a.splits = a.splits > a.steps / 6 ? a.steps / 6 : a.splits;
		a.splits = a.splits < 1 ? 1 : a.splits;
	}
	if (a.splits > 1 && e3_cuda_conv_part(c, &a, err))
		return -1;
	if (narrow)
		E3_TRY((deep ? launch<128, 32, 64, 8>(c, &a) : launch<128, 32, 32, 8>(c, &a)), "conv");
	else if (use_large)
		E3_TRY((deep ? launch<128, 128, 64, 2>(c, &a) : launch<128, 128, 32, 2>(c, &a)), "conv");
	else
		E3_TRY((deep ? launch<64, 64, 64, 2>(c, &a) : launch<64, 64, 32, 2>(c, &a)), "conv");
	return a.splits > 1 ? e3_cuda_conv_add(c, &a, err) : 0;
}
