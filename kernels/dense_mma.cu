/* kernels: the end of a dense head in one pass (doc/network.md 7, "Tail"): a block resizes what 16 × 16 pixels need
 * into shared memory, positions added, convolves it there on tensor cores and finishes each pixel from the sums.
 * Nothing of full size but the result is ever in device memory. f16 features of 16 to 128 channels (a power of two), at
 * most 32 hidden channels.
 */
#include "dense.cuh"
#include "maps.cuh"
#include "mma.cuh"

enum { SIDE = 16, HALO = SIDE + 2, THREADS = 32 * SIDE, HID = 32 };

typedef struct tail_args {
	resize_args resize;
	const f16 *z, *weight;
	const float *bias;
	int hid;
	pixel_args px;
} tail_args;

/* Rows of shared memory are padded by 16 bytes so that eight rows do not conflict in a bank. */
static __device__ __forceinline__ int pixel_bytes(int c) { return c * 2 + 16; }
static __device__ __forceinline__ int weight_bytes(int c) { return 9 * c * 2 + 16; }

static __device__ void fill_weights(const tail_args &a, char *to, float *last, float *bias)
{
	int depth = 9 * a.resize.c, per = depth / 8;
	for (int k = threadIdx.x; k < HID * per; k += THREADS) {
		int o = k / per, at = k % per * 8;
		uint4 v = o < a.hid ? *(const uint4 *)(a.weight + (size_t)o * depth + at) : make_uint4(0, 0, 0, 0);
		*(uint4 *)(to + o * weight_bytes(a.resize.c) + at * 2) = v;
	}
	for (int k = threadIdx.x; k < MOST * HID; k += THREADS) {
		int o = k / HID, at = k % HID;
		last[k] = o <= a.px.n && at < a.hid ? a.px.w[o * a.hid + at] : 0;
	}
	if (threadIdx.x < HID)
		bias[threadIdx.x] = (int)threadIdx.x < a.hid ? a.bias[threadIdx.x] : 0;
}

static __device__ void fill_pixels(const tail_args &a, char *to, int y0, int x0)
{
	int per = a.resize.c / 8;
	for (int k = threadIdx.x; k < HALO * HALO * per; k += THREADS) {
		int at = k % per * 8, p = k / per, y = y0 - 1 + p / HALO, x = x0 - 1 + p % HALO;
		float v[8] = {};
		if (y >= 0 && x >= 0 && y < a.resize.to_h && x < a.resize.to_w)
			resize_pixel<f16, 8>(a.resize, a.z, y, x, at, v);
		store_pack<f16, 8>((f16 *)(to + p * pixel_bytes(a.resize.c)) + at, v);
	}
}

static __global__ void __launch_bounds__(THREADS) tail(tail_args a)
{
	extern __shared__ __align__(128) char shared[];
	__shared__ float last[MOST * HID], bias[HID];
	int c = a.resize.c, warp = threadIdx.x / 32, lane = threadIdx.x % 32, across = (a.resize.to_w + SIDE - 1) / SIDE;
	int tiles = across * ((a.resize.to_h + SIDE - 1) / SIDE);
	char *pixels = shared + HID * weight_bytes(c);
	uint32_t w0 = shared_address(shared) + (lane % 8 + lane / 16 * 8) * weight_bytes(c) + lane / 8 % 2 * 16;
	uint32_t x0 = shared_address(pixels) + (warp * HALO + lane % 16) * pixel_bytes(c) + lane / 16 * 16;
	fill_weights(a, shared, last, bias);
	for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
		int top = tile / across * SIDE, left = tile % across * SIDE;
		fill_pixels(a, pixels, top, left);
		__syncthreads();
		float sum[HID / 8][4] = {};
		for (int tap = 0; tap < 9; tap++)
#pragma unroll 2
			for (int k = 0; k < c / 16; k++) {
				uint32_t x[4], w[2][4];
				load_matrix_4(x, x0 + (tap / 3 * HALO + tap % 3) * pixel_bytes(c) + k * 32);
#pragma unroll
				for (int j = 0; j < 2; j++)
					load_matrix_4(w[j], w0 + j * 16 * weight_bytes(c) + (tap * c + k * 16) * 2);
#pragma unroll
				for (int j = 0; j < 4; j++)
					mma_f16(sum[j], x, w[j / 2][j % 2 * 2], w[j / 2][j % 2 * 2 + 1]);
			}
#pragma unroll
		for (int half = 0; half < 2; half++) {
			float v[MOST] = {};
#pragma unroll
			for (int j = 0; j < HID / 8; j++)
#pragma unroll
				for (int e = 0; e < 2; e++) {
					int at = j * 8 + lane % 4 * 2 + e;
					float u = fmaxf(sum[j][half * 2 + e] + bias[at], 0.0f);
#pragma unroll
					for (int o = 0; o < MOST; o++)
						v[o] += u * last[o * HID + at];
				}
#pragma unroll
			for (int o = 0; o < MOST; o++) {
				v[o] += __shfl_xor_sync(~0u, v[o], 1);
				v[o] += __shfl_xor_sync(~0u, v[o], 2);
			}
			int o = lane % 4, y = top + warp, x = left + lane / 4 + 8 * half;
			if (y < a.resize.to_h && x < a.resize.to_w && o <= a.px.n)
				put_value(a.px, (size_t)y * a.resize.to_w + x, o,
					(o == 0          ? v[0]
							: o == 1 ? v[1]
							: o == 2 ? v[2]
									 : v[3]) +
						a.px.b[o]);
		}
		__syncthreads();
	}
}

static size_t shared_size(int c) { return (size_t)HID * (9 * c * 2 + 16) + (size_t)HALO * HALO * (c * 2 + 16); }

bool e3_cuda_tail_can(const e3_cuda *c, const e3_dense *op)
{
	int ch = op->z.c;
	return op->conv->w.dtype == E3_F16 && ch >= 16 && ch <= 128 && (ch & (ch - 1)) == 0 && op->conv->out <= HID &&
		e3_aligned(op->z.t.p, 16) && shared_size(ch) + 1024 <= c->shared_most;
}

int e3_cuda_tail(e3_cuda *c, const e3_dense *op, const pixel_args *px, e3_err *err)
{
	int tiles = e3_ceil_div(op->H, SIDE) * e3_ceil_div(op->W, SIDE);
	tail_args a = {resize_of(op->z, op->H, op->W), (const f16 *)op->z.t.p, (const f16 *)op->conv->w.p, op->conv->b,
		op->conv->out, *px};
	a.resize.uv = op->uv;
	size_t shared = shared_size(op->z.c);
	E3_TRY(cudaFuncSetAttribute(tail, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared), "dense");
	int blocks = tiles < c->attend.sms ? tiles : c->attend.sms;
	tail<<<blocks, THREADS, shared, e3_cuda_stream(c)>>>(a);
	E3_LAUNCHED("dense");
	return 0;
}
