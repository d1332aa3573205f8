/* kernels: 3×3 convolutions on Hopper: pixels × output channels, over nine taps of input channels, as
 * products of warpgroups. f16 features and weights, f32 sums.
 *
 * Pixels are numbered along rows that are one pixel longer than the map, and that pixel is zero: it is the right
 * neighbour of the row's last pixel and the left neighbour of the next row's first. So the nine taps of a run of BM
 * pixels are three runs of BM + 2 (slabs), one for each row of taps, read at three offsets: each slab is fetched once
 * and used three times. Slabs hold 64 channels. Three warps fetch them (zeros around the map, ReLU); one thread fetches
 * the weights through a tensor map, half of each tile for both blocks of a cluster, which have neighbouring pixels and
 * the same channels. Two warpgroups compute.
 *
 * With a stride of 2 every tap has a slab of its own, and pixels are those of the output, without gaps.
 *
 * Blocks leave registers and shared memory for a block of the camera head, which runs beside the dense heads.
 *
 * On an H200 maps of 112 × 148 and larger reach 520 to 550 TFLOP/s, 66 to 70 % of a large product: a multiprocessor has
 * room for one tile, so that nothing hides its beginning and its end. 56 × 74 alone reaches 235, since one head fills
 * half of the multiprocessors (two run side by side); 28 × 37 and smaller wait for their weights.
 */
#include "attend_wgmma.cuh"
#include "conv.cuh"
#include "mma.cuh"
#include <cuda.h>

enum { DEPTH = 64, PAIR = 2, GATHERING = 96, THREADS = 384, LINES = GATHERING / 8 };

/* MW blocks of 64 pixels and BN channels for each of two warpgroups. SW and SX: stages of weights and of slabs. USES:
 * taps that read a slab. */
template <int BN, int MW, int STRIDE_ = 1> struct shape {
	static constexpr int STRIDE = STRIDE_, USES = STRIDE == 1 ? 3 : 1, SLABS = 9 / USES;
	static constexpr int BM = 128 * MW, PER = (BM + 2 + LINES - 1) / LINES, STAGE = BN * 128,
						 SLAB = (PER * LINES + 7) / 8 * 1024;
	static constexpr int SX = STRIDE == 2 ? 8
		: BN == 64                        ? 6
		: MW == 1                         ? 4
										  : 3,
						 SW = BN == 64 || SX != 4 ? 5 : 6, LAG = SX == 3 ? 1 : SX - 2;
	static constexpr int BARS = SW * STAGE + SX * SLAB, SHARED = BARS + 16 * (SW + SX) + 1024;
};

#ifdef E3_WGMMA

static __device__ __forceinline__ uint32_t rank_in_pair()
{
	uint32_t r;
	asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(r));
	return r;
}
static __device__ __forceinline__ void pair_sync()
{
	asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;\n" ::: "memory");
}
static __device__ __forceinline__ void arrive_at(uint32_t bar, uint32_t rank)
{
	asm volatile(
		"{\n.reg .b32 there;\nmapa.shared::cluster.u32 there, %0, %1;\nmbarrier.arrive.shared::cluster.b64 _, [there];\n}\n" ::
			"r"(bar),
		"r"(rank)
		: "memory");
}
static __device__ __forceinline__ void expect(uint32_t bar, uint32_t bytes)
{
	asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(bar), "r"(bytes) : "memory");
}
/* The box at (column, row) of the weights into the same place of both blocks. */
static __device__ __forceinline__ void fetch_both(const CUtensorMap *map, uint32_t to, uint32_t bar, int column,
	int row)
{
	asm volatile(
		"cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%3, %4}], [%2], %5;" ::
			"r"(to),
		"l"(map), "r"(bar), "r"(column), "r"(row), "h"((uint16_t)3)
		: "memory");
}
static __device__ __forceinline__ void relu_16(uint32_t at)
{
	uint32_t v[4];
	asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
				 : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3])
				 : "r"(at)
				 : "memory");
	asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(at), "r"(relu_pair(v[0])), "r"(relu_pair(v[1])),
				 "r"(relu_pair(v[2])), "r"(relu_pair(v[3]))
				 : "memory");
}

/* Rows of a tile are pixels of lines of so many. */
template <typename S> static __device__ __forceinline__ int pitch_of(const conv_args &a)
{
	return S::STRIDE == 1 ? a.w + 1 : a.out_w;
}

/* Fetches slabs: 8 neighbouring threads a pixel, 16 bytes each. Pieces line, line + LINES, ... of a thread lie at at[]
 * of the middle row of taps, with a stride of the middle tap; inside: which of them are in the map, for each row of
 * taps, and column. A slab is announced when the next LAG are on their way. ReLU: each thread mends what it has fetched
 * itself. */
template <typename S>
static __device__ void gather(const conv_args &a, uint32_t slabs, uint32_t bars, int f0, int from, int count)
{
	int t = threadIdx.x - (THREADS - GATHERING), piece = t % 8, line = t / 8, pitch = pitch_of<S>(a), at[S::PER];
	uint32_t inside[3] = {}, across[3] = {};
#pragma unroll
	for (int i = 0; i < S::PER; i++) {
		int r = line + i * LINES, g = f0 + r - (S::STRIDE == 1), y = g < 0 ? -1 : g / pitch, x = g - y * pitch;
		y *= S::STRIDE, x *= S::STRIDE;
		at[i] = (y * a.w + x) * a.cin + piece * 8;
		for (int row = 0; row < 3; row++) {
			if (r < S::BM + S::USES - 1 && x < a.w && y + row - 1 >= 0 && y + row - 1 < a.h)
				inside[row] |= 1u << i;
			if (S::STRIDE > 1 && x + row - 1 >= 0 && x + row - 1 < a.w)
				across[row] |= 1u << i;
		}
	}
	auto announce = [&](int k) {
		int stage = k % S::SX;
		for (int i = 0; a.relu_in && i < S::PER; i++)
			relu_16(slabs + stage * S::SLAB + e3_swizzle(line + i * LINES, piece));
		e3_fence_async();
		e3_mbar_arrive(bars + 8 * stage);
	};
	for (int k = 0; k < count; k++) {
		int slab = from + k, row = slab % S::SLABS / (3 / S::USES), column = S::STRIDE > 1 ? slab % 3 : 1,
			shift = ((row - 1) * a.w + column - 1) * a.cin + slab / S::SLABS * DEPTH, stage = k % S::SX;
		uint32_t to = slabs + stage * S::SLAB, in = row == 0 ? inside[0] : row == 1 ? inside[1] : inside[2];
		if (S::STRIDE > 1)
			in &= column == 0 ? across[0] : column == 1 ? across[1] : across[2];
		e3_mbar_wait(bars + 8 * (S::SX + stage), (k / S::SX & 1) ^ 1);
#pragma unroll
		for (int i = 0; i < S::PER; i++) {
			bool valid = in >> i & 1;
			copy_16(to + e3_swizzle(line + i * LINES, piece), a.x + (valid ? at[i] + shift : 0), valid);
		}
		copies_commit();
		if (k >= S::LAG) {
			copies_wait<S::LAG>();
			announce(k - S::LAG);
		}
	}
	copies_wait<0>();
	for (int k = count < S::LAG ? 0 : count - S::LAG; k < count; k++)
		announce(k);
}

/* Of two neighbouring blocks of eight columns a thread has two columns each: four neighbours of one of them instead. */
static __device__ __forceinline__ void four_of(const float *first, const float *second, float *v)
{
	bool odd = threadIdx.x & 1;
	float a = __shfl_xor_sync(~0u, odd ? first[0] : second[0], 1),
		  b = __shfl_xor_sync(~0u, odd ? first[1] : second[1], 1);
	v[0] = odd ? a : first[0], v[1] = odd ? b : first[1], v[2] = odd ? second[0] : a, v[3] = odd ? second[1] : b;
}

static __device__ __forceinline__ void add_four(float *v, uint2 from, bool relu)
{
	const f16 *t = (const f16 *)&from;
#pragma unroll
	for (int e = 0; e < 4; e++) {
		float u = as_f32(t[e]);
		v[e] += relu && u < 0 ? 0 : u;
	}
}

/* Row f of the tile, of which this thread has d[4 * block + half * 2 + {0, 1}]. All that is added to the row is on its
 * way before the first of it is needed. bias: of the tile's channels. */
template <int BN, typename S>
static __device__ __forceinline__ void put_row(const conv_args &a, const float (&d)[BN / 2], int f, int half, int o0,
	const float *bias)
{
	int pitch = pitch_of<S>(a), y = f / pitch, x = f - y * pitch;
	bool valid = x < a.out_w && y * a.out_w < a.pixels;
	int near = (threadIdx.x & 1 ? 8 : 0) + (threadIdx.x & 2) * 2;
	size_t at = ((size_t)y * a.out_w + x) * a.cout + o0 + near;
	uint2 resid[BN / 16], plus[BN / 16];
#pragma unroll
	for (int j = 0; j < BN / 16; j++)
		resid[j] = valid && a.resid ? __ldcg((const uint2 *)(a.resid + at + 16 * j)) : make_uint2(0, 0);
#pragma unroll
	for (int j = 0; j < BN / 16; j++)
		plus[j] = valid && a.plus ? __ldcg((const uint2 *)(a.plus + at + 16 * j)) : make_uint2(0, 0);
#pragma unroll
	for (int j = 0; j < BN / 16; j++) {
		float v[4];
		four_of(d + 8 * j + 2 * half, d + 8 * j + 4 + 2 * half, v);
		if (a.part) {
			if (valid)
				store_pack<float, 4>(a.part + (size_t)blockIdx.z * a.pixels * a.cout + at + 16 * j, v);
			continue;
		}
		float4 b = *(const float4 *)(bias + 16 * j + near);
		v[0] += b.x, v[1] += b.y, v[2] += b.z, v[3] += b.w;
#pragma unroll
		for (int e = 0; e < 4; e++)
			v[e] = a.act == E3_ACT_RELU && !(v[e] > 0) ? 0 : v[e];
		add_four(v, resid[j], a.relu_resid);
		add_four(v, plus[j], false);
		if (valid)
			store_pack<f16, 4>(a.out + at + 16 * j, v);
	}
}

#define IN_PAIRS __cluster_dims__(PAIR, 1, 1)
#else
#define IN_PAIRS
#endif

/* 152 registers for each thread leave some for a block of another kernel. */
template <int BN, int MW, int STRIDE>
static __global__ void IN_PAIRS __maxnreg__(152)
	conv_wgmma(const __grid_constant__ CUtensorMap map_w, const __grid_constant__ conv_args a)
{
#ifdef E3_WGMMA
	typedef shape<BN, MW, STRIDE> S;
	extern __shared__ char raw[];
	__shared__ alignas(16) float bias[BN];
	uint32_t smem = ((uint32_t)__cvta_generic_to_shared(raw) + 1023) & ~1023u, slabs = smem + S::SW * S::STAGE,
			 bars = smem + S::BARS, bars_x = bars + 16 * S::SW;
	auto full = [&](int s) { return bars + 8 * s; };
	auto empty = [&](int s) { return bars + 8 * (S::SW + s); };
	int group = threadIdx.x / 128, f0 = blockIdx.x * S::BM, o0 = blockIdx.y * BN;
	int from = (int)((int64_t)a.steps * blockIdx.z / a.splits),
		count = (int)((int64_t)a.steps * (blockIdx.z + 1) / a.splits) - from; /* slabs */
	if (threadIdx.x == 0) {
		for (int s = 0; s < S::SW; s++)
			e3_mbar_init(full(s), 1), e3_mbar_init(empty(s), PAIR * 8);
		for (int s = 0; s < S::SX; s++)
			e3_mbar_init(bars_x + 8 * s, GATHERING), e3_mbar_init(bars_x + 8 * (S::SX + s), 8);
		asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
	}
	if ((int)threadIdx.x < BN)
		bias[threadIdx.x] = a.b ? a.b[o0 + threadIdx.x] : 0.0f;
	pair_sync();
	e3_early_start();
	if (group == 2) {
		if constexpr (MW == 2)
			e3_regs_less<88>();
		if (threadIdx.x == 256) { /* weights wait for nothing */
			uint32_t mine = rank_in_pair() * (BN / PAIR);
			for (int s = 0; s < S::USES * count; s++) {
				int stage = s % S::SW, slab = from + s / S::USES, tap = slab % S::SLABS * S::USES + s % S::USES;
				e3_mbar_wait(empty(stage), (s / S::SW & 1) ^ 1);
				expect(full(stage), S::STAGE);
				fetch_both(&map_w, smem + stage * S::STAGE + mine * 128, full(stage),
					tap * a.cin + slab / S::SLABS * DEPTH, o0 + (int)mine);
			}
		} else if (threadIdx.x >= THREADS - GATHERING) {
			e3_early_wait(); /* what makes x may still be running */
			gather<S>(a, slabs, bars_x, f0, from, count);
		}
	} else {
		if constexpr (MW == 2)
			e3_regs_more<184>();
		float d[MW][BN / 2];
#pragma unroll
		for (int m = 0; m < MW; m++)
#pragma unroll
			for (int k = 0; k < BN / 2; k++)
				d[m][k] = 0;
		int lane = threadIdx.x % 32;
		for (int k = 0, s = 0; k < count; k++) {
			int sx = k % S::SX;
			e3_mbar_wait(bars_x + 8 * sx, k / S::SX & 1);
			for (int tap = 0; tap < S::USES; tap++, s++) {
				/* Products run on their own; the stage of the step before is returned when its products are complete.
				 */
				int stage = s % S::SW;
				uint64_t w = e3_desc(smem + stage * S::STAGE);
				e3_mbar_wait(full(stage), s / S::SW & 1);
				e3_wgmma_fence();
#pragma unroll
				for (int m = 0; m < MW; m++) {
					uint64_t x = e3_desc(slabs + sx * S::SLAB + (group * 64 * MW + m * 64 + tap) * 128);
#pragma unroll
					for (int c = 0; c < DEPTH / 16; c++)
						wgmma<BN, f16>::ss(d[m], x + 2 * c, w + 2 * c, true);
				}
				e3_wgmma_commit();
				e3_wgmma_wait<1>();
				if (s > 0 && lane < PAIR)
					arrive_at(empty((s - 1) % S::SW), lane);
				if (k > 0 && tap == 0 && lane == 0)
					e3_mbar_arrive(bars_x + 8 * (S::SX + (k - 1) % S::SX));
			}
		}
		e3_wgmma_wait<0>();
#pragma unroll
		for (int m = 0; m < MW; m++) {
			e3_hold(d[m]);
			int f = f0 + (group * MW + m) * 64 + threadIdx.x / 32 % 4 * 16 + lane / 4;
			put_row<BN, S>(a, d[m], f, 0, o0, bias);
			put_row<BN, S>(a, d[m], f + 8, 1, o0, bias);
		}
	}
	pair_sync(); /* neither block ends while the other may still write to its shared memory or arrive at its barriers */
#endif
}

typedef CUresult encode_tiled(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *, const cuuint64_t *,
	const cuuint64_t *, const cuuint32_t *, const cuuint32_t *, CUtensorMapInterleave, CUtensorMapSwizzle,
	CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

template <int BN, int MW, int STRIDE = 1> static int launch(e3_cuda *c, const conv_args *a, e3_err *err)
{
	typedef shape<BN, MW, STRIDE> S;
	CUtensorMap map;
	cuuint64_t dims[2] = {(cuuint64_t)(9 * a->cin), (cuuint64_t)a->cout}, strides[1] = {(cuuint64_t)(9 * a->cin) * 2};
	cuuint32_t box[2] = {DEPTH, BN / PAIR}, steps[2] = {1, 1};
	CUresult rc = ((encode_tiled *)c->encode_tiled)(&map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 2,
		const_cast<f16 *>(a->weight), dims, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
		CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
	if (rc != CUDA_SUCCESS)
		return e3_fail(err, "conv: a tensor map of %d x %d was refused (%d)", a->cout, 9 * a->cin, (int)rc);
	auto kernel = conv_wgmma<BN, MW, STRIDE>;
	E3_TRY(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, S::SHARED), "conv");
	int tiles = e3_ceil_div(STRIDE == 1 ? a->h * (a->w + 1) : a->pixels, S::BM);
	cudaLaunchAttribute early = {.id = cudaLaunchAttributeProgrammaticStreamSerialization};
	early.val.programmaticStreamSerializationAllowed = 1;
	cudaLaunchConfig_t how = {.gridDim = dim3((unsigned)(e3_ceil_div(tiles, PAIR) * PAIR), (unsigned)(a->cout / BN),
								  (unsigned)a->splits),
		.blockDim = dim3(THREADS),
		.dynamicSmemBytes = S::SHARED,
		.stream = e3_cuda_stream(c),
		.attrs = &early,
		.numAttrs = 1};
	E3_TRY(cudaLaunchKernelEx(&how, kernel, map, *a), "conv");
	return 0;
}

bool e3_cuda_conv_wgmma_can(const e3_cuda *c, const e3_conv *op)
{
	return c->attend.wgmma && c->encode_tiled && op->mat->w.dtype == E3_F16 && e3_conv_act_can(op) &&
		op->mat->in % (9 * DEPTH) == 0 && op->mat->out % 64 == 0 && e3_aligned(op->x.t.p, 16);
}

/* Small maps cut the depth, too. */
template <int BN, int STRIDE> static int launch_small(e3_cuda *c, conv_args *a, int tiles, e3_err *err)
{
	int blocks = e3_ceil_div(tiles, PAIR) * PAIR * (a->cout / BN), sms = c->attend.sms;
	a->splits = sms / blocks < a->steps / 6 ? sms / blocks : a->steps / 6;
	if (a->splits <= 1) {
		a->splits = 1;
		return launch<BN, 1, STRIDE>(c, a, err);
	}
	return e3_cuda_conv_part(c, a, err) || launch<BN, 1, STRIDE>(c, a, err) || e3_cuda_conv_add(c, a, err) ? -1 : 0;
}

/* Two heads run side by side: a tile is as large as half of the multiprocessors allow. */
int e3_cuda_conv_wgmma(e3_cuda *c, const e3_conv *op, e3_err *err)
{
	int cin = op->mat->in / 9, cout = op->mat->out, h = op->x.h, w = op->x.w, sms = c->attend.sms;
	conv_args a = {(const f16 *)op->x.t.p, (const f16 *)op->mat->w.p, (const f16 *)op->resid.p, (const f16 *)op->plus.p,
		(f16 *)op->out.t.p, op->mat->b, NULL, h, w, cin, op->out.w, op->out.h * op->out.w, cout, op->stride,
		(op->stride == 1 ? 3 : 9) * cin / DEPTH, 1, op->relu_in, op->relu_resid, op->act};
	if (op->stride == 2)
		return cout % 128 == 0 ? launch_small<128, 2>(c, &a, e3_ceil_div(a.pixels, 128), err)
							   : launch_small<64, 2>(c, &a, e3_ceil_div(a.pixels, 128), err);
	int tiles = e3_ceil_div(h * (w + 1), 128);
	if (cout % 128 == 0 && 2 * tiles * (cout / 128) >= 3 * sms)
		return launch<128, 2>(c, &a, err);
	if (cout % 128 == 0 && 3 * tiles * (cout / 128) >= sms)
		return launch<128, 1>(c, &a, err);
	return launch_small<64, 1>(c, &a, tiles, err);
}
