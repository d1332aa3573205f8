/* kernels: the end of a dense head in one pass on Hopper (doc/network.md 7, "Tail"): as dense_mma.cu, but nine of a
 * block's warps resize what the next 16 × 8 pixels need into shared memory, positions added, while two warpgroups
 * convolve the tile before and finish its pixels. f16 features of 64 or 128 channels, at most 32 hidden ones.
 *
 * A tile with its border is 18 × 10 pixels, in chunks of 64 channels. A warpgroup has 8 × 8 pixels: its rows are eight
 * groups of eight neighbours, 18 pixels apart, moved by the tap.
 *
 * On an H200 a head of 518 × 392 pixels takes 0.10 ms; its products alone would take 0.03. The rest is resizing, whose
 * warps wait for the rows that they read.
 */
#include "attend_wgmma.cuh"
#include "dense.cuh"
#include "maps.cuh"

enum {
	WIDE = 16,
	HIGH = 8,
	PITCH = WIDE + 2,
	BORDERED = PITCH * (HIGH + 2),
	HID = 32,
	FILLING = 288,
	THREADS = 256 + FILLING
};
enum { CHUNK = (BORDERED + 7) / 8 * 1024, TAP = HID * 128 }; /* bytes of 64 channels of a tile, of a tap's weights */

typedef struct tail_args {
	resize_args resize;
	const f16 *z, *weight;
	const float *bias;
	int hid, chunks;
	pixel_args px;
} tail_args;

#ifdef E3_WGMMA

/* In a descriptor: groups of eight pixels are a row of the tile apart, not 1024 bytes. */
static constexpr uint64_t GROUPS_APART = (uint64_t)((PITCH * 128 - 1024) / 16) << 32;

static __device__ __forceinline__ void store_16(uint32_t to, uint4 v)
{
	asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w)
				 : "memory");
}

static __device__ void fill_weights(const tail_args &a, uint32_t to, float *last, float *bias)
{
	int per = 9 * a.chunks * 8;
	for (int k = threadIdx.x; k < HID * per; k += THREADS) {
		int o = k / per, at = k % per;
		store_16(to + at / 8 * TAP + e3_swizzle(o, at % 8),
			o < a.hid ? *(const uint4 *)(a.weight + ((size_t)o * per + at) * 8) : make_uint4(0, 0, 0, 0));
	}
	for (int k = threadIdx.x; k < MOST * HID; k += THREADS) {
		int o = k / HID, at = k % HID;
		last[k] = o <= a.px.n && at < a.hid ? a.px.w[o * a.hid + at] : 0;
	}
	if (threadIdx.x < HID)
		bias[threadIdx.x] = (int)threadIdx.x < a.hid ? a.bias[threadIdx.x] : 0;
}

/* Eight channels of a row of z at the column of this thread, between its neighbours. */
typedef struct between {
	const f16 *left, *right;
	float weight; /* of the right one */
} between;

static __device__ __forceinline__ void row_between(const between &b, uint4 l, uint4 r, float *v)
{
	const f16 *p = (const f16 *)&l, *q = (const f16 *)&r;
#pragma unroll
	for (int e = 0; e < 8; e++)
		v[e] = (1 - b.weight) * as_f32(p[e]) + b.weight * as_f32(q[e]);
}

/* A thread has a column of the bordered tile and eight channels. It keeps the two rows of z between which it is; the
 * next one is on its way. */
static __device__ void fill_pixels(const tail_args &a, uint32_t to, int y0, int x0)
{
	const resize_args &z = a.resize;
	int t = threadIdx.x - (THREADS - FILLING), per = 8 * a.chunks, piece = t % per, col = t / per, x = x0 - 1 + col;
	int half = z.c / 2, ch = piece * 8, have = -2, coming = -2;
	size_t stride = (size_t)z.w * z.c;
	bool inside = x >= 0 && x < z.to_w, across = ch < half;
	float fx = __fmul_rn(z.step_x, (float)(inside ? x : 0)), top[8], bottom[8], uv[8];
	int left = min((int)fx, z.w - 1);
	between b = {a.z + (size_t)left * z.c + ch, a.z + (size_t)min(left + 1, z.w - 1) * z.c + ch, fx - (float)left};
	uint4 next_l = make_uint4(0, 0, 0, 0), next_r = next_l;
	if (col >= PITCH)
		return;
	if (across)
		load_pack<float, 8>(z.uv.x + (size_t)(inside ? x : 0) * half + ch, uv);
	to += piece / 8 * CHUNK;
	for (int i = 0; i < HIGH + 2; i++) {
		int y = y0 - 1 + i;
		pack<f16, 8> rounded = {};
		if (inside && y >= 0 && y < z.to_h) {
			float fy = __fmul_rn(z.step_y, (float)y);
			int upper = min((int)fy, z.h - 1), lower = min(upper + 1, z.h - 1);
			float w = fy - (float)upper;
			if (upper != have) {
				if (upper == have + 1) {
#pragma unroll
					for (int e = 0; e < 8; e++)
						top[e] = bottom[e];
				} else {
					row_between(b, *(const uint4 *)(b.left + upper * stride),
						*(const uint4 *)(b.right + upper * stride), top);
				}
				if (lower != coming)
					next_l = *(const uint4 *)(b.left + lower * stride),
					next_r = *(const uint4 *)(b.right + lower * stride);
				row_between(b, next_l, next_r, bottom);
				have = upper, coming = min(lower + 1, z.h - 1);
				next_l = *(const uint4 *)(b.left + coming * stride),
				next_r = *(const uint4 *)(b.right + coming * stride);
			}
			if (!across)
				load_pack<float, 8>(z.uv.y + (size_t)y * half + ch - half, uv);
#pragma unroll
			for (int e = 0; e < 8; e++)
				rounded.v[e] = as<f16>((1 - w) * top[e] + w * bottom[e] + uv[e]);
		}
		store_16(to + e3_swizzle(i * PITCH + col, piece % 8), *(const uint4 *)&rounded);
	}
}

/* Pixels of which this thread has two columns of every eight hidden channels: 2 × 8 of the warp's 16. */
static __device__ __forceinline__ void finish(const tail_args &a, const float (&sum)[HID / 2], int top, int left,
	const float *last, const float *bias)
{
	int lane = threadIdx.x % 32, x = left + lane / 4, o = lane % 4;
#pragma unroll
	for (int half = 0; half < 2; half++) {
		float v[MOST] = {};
#pragma unroll
		for (int j = 0; j < HID / 8; j++)
#pragma unroll
			for (int e = 0; e < 2; e++) {
				int at = j * 8 + lane % 4 * 2 + e;
				float u = fmaxf(sum[4 * j + 2 * half + e] + bias[at], 0.0f);
#pragma unroll
				for (int k = 0; k < MOST; k++)
					v[k] += u * last[k * HID + at];
			}
#pragma unroll
		for (int k = 0; k < MOST; k++) {
			v[k] += __shfl_xor_sync(~0u, v[k], 1);
			v[k] += __shfl_xor_sync(~0u, v[k], 2);
		}
		int y = top + threadIdx.x / 32 % 4 * 2 + half;
		if (y < a.resize.to_h && x < a.resize.to_w && o <= a.px.n)
			put_value(a.px, (size_t)y * a.resize.to_w + x, o,
				(o == 0          ? v[0]
						: o == 1 ? v[1]
						: o == 2 ? v[2]
								 : v[3]) +
					a.px.b[o]);
	}
}

#endif

static __global__ void __launch_bounds__(THREADS, 1) tail(tail_args a)
{
#ifdef E3_WGMMA
	extern __shared__ char raw[];
	__shared__ float last[MOST * HID], bias[HID];
	__shared__ uint64_t bars[4];
	uint32_t weights = ((uint32_t)__cvta_generic_to_shared(raw) + 1023) & ~1023u,
			 tiles_at = weights + 9 * a.chunks * TAP, full = (uint32_t)__cvta_generic_to_shared(bars),
			 empty = full + 16;
	int group = threadIdx.x / 128, across = (a.resize.to_w + WIDE - 1) / WIDE;
	int tiles = across * ((a.resize.to_h + HIGH - 1) / HIGH);
	if (threadIdx.x < 2)
		e3_mbar_init(full + 8 * threadIdx.x, FILLING), e3_mbar_init(empty + 8 * threadIdx.x, 8);
	fill_weights(a, weights, last, bias);
	e3_fence_async();
	__syncthreads();
	if (group >= 2) {
		for (int tile = blockIdx.x, k = 0; tile < tiles; tile += gridDim.x, k++) {
			e3_mbar_wait(empty + 8 * (k % 2), (k / 2 & 1) ^ 1);
			fill_pixels(a, tiles_at + k % 2 * a.chunks * CHUNK, tile / across * HIGH, tile % across * WIDE);
			e3_fence_async();
			e3_mbar_arrive(full + 8 * (k % 2));
		}
		return;
	}
	for (int tile = blockIdx.x, k = 0; tile < tiles; tile += gridDim.x, k++) {
		uint64_t x = e3_desc(tiles_at + k % 2 * a.chunks * CHUNK + 8 * group * 128) + GROUPS_APART,
				 w = e3_desc(weights);
		float sum[HID / 2];
#pragma unroll
		for (int e = 0; e < HID / 2; e++)
			sum[e] = 0;
		e3_mbar_wait(full + 8 * (k % 2), k / 2 & 1);
		for (int step = 0; step < 9 * a.chunks; step++, w += TAP / 16) {
			int tap = step / a.chunks, from = step % a.chunks * CHUNK + (tap / 3 * PITCH + tap % 3) * 128;
			e3_wgmma_fence();
#pragma unroll
			for (int c = 0; c < 4; c++)
				wgmma<HID, f16>::ss(sum, x + from / 16 + 2 * c, w + 2 * c, true);
			e3_wgmma_commit();
		}
		e3_wgmma_wait<0>();
		e3_hold(sum);
		if (threadIdx.x % 32 == 0)
			e3_mbar_arrive(empty + 8 * (k % 2));
		finish(a, sum, tile / across * HIGH, tile % across * WIDE + 8 * group, last, bias);
	}
#endif
}

static int shared_size(int chunks) { return chunks * (9 * TAP + 2 * CHUNK) + 1024; }

bool e3_cuda_tail_wgmma_can(const e3_cuda *c, const e3_dense *op)
{
	return c->attend.wgmma && op->conv->w.dtype == E3_F16 && (op->z.c == 64 || op->z.c == 128) &&
		op->conv->out <= HID && e3_aligned(op->z.t.p, 16);
}

int e3_cuda_tail_wgmma(e3_cuda *c, const e3_dense *op, const pixel_args *px, e3_err *err)
{
	int tiles = e3_ceil_div(op->H, HIGH) * e3_ceil_div(op->W, WIDE), shared = shared_size(op->z.c / 64);
	tail_args a = {resize_of(op->z, op->H, op->W), (const f16 *)op->z.t.p, (const f16 *)op->conv->w.p, op->conv->b,
		op->conv->out, op->z.c / 64, *px};
	a.resize.uv = op->uv;
	E3_TRY(cudaFuncSetAttribute(tail, cudaFuncAttributeMaxDynamicSharedMemorySize, shared), "dense");
	int blocks = tiles < c->attend.sms ? tiles : c->attend.sms;
	tail<<<blocks, THREADS, shared, e3_cuda_stream(c)>>>(a);
	E3_LAUNCHED("dense");
	return 0;
}
