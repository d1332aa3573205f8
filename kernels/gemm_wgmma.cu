/* kernels: products with the tokens of a frame on Hopper, and what follows while the result is still in registers: bias
 * and activation, stored in the type of the input; or norm and rotation of heads, stored as queries and into the cache.
 *
 * Each block computes one tile of the result: two or three warpgroups compute 64 rows each, one thread of a further
 * warpgroup fetches tiles of 64 channels of x and w into a ring in shared memory through tensor maps. Two neighbouring
 * blocks (a cluster) have the same rows of x and different columns of w: each fetches half of the tile of x for both.
 *
 * A stage of the ring has two barriers. `full` completes when the bytes that were announced for it have arrived.
 * `empty` completes when the computing warps of both blocks have finished with the stage, since each block writes into
 * the ring of the other. Both flip their phase each time round the ring: stage k % STAGES is in round k / STAGES.
 *
 * The shape of the tile is chosen so that the tiles fill the multiprocessors in as few rounds as possible (cost).
 */
#include "attend_wgmma.cuh"
#include "place.cuh"
#include "values.cuh"
#include <cuda.h>
#include <type_traits>

enum { DEPTH = 64, PAIR = 2, BARRIERS = 256, MOST_SHARED = 225 << 10 };
enum { AFTER_STORE, AFTER_PLACE }; /* what follows the product */

typedef struct tile_args {
	int rows, out, steps, ldo;
	const float *bias;
	e3_act act;
	void *d;
	place_args place;
} tile_args;

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
/* The box at (channel, row) of a map into `to`; with `both` into the same place of both blocks of the pair. */
static __device__ __forceinline__ void fetch_box(const CUtensorMap *map, uint32_t to, uint32_t bar, int channel,
	int row, bool both)
{
	if (both)
		asm volatile(
			"cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%3, %4}], [%2], %5;" ::
				"r"(to),
			"l"(map), "r"(bar), "r"(channel), "r"(row), "h"((uint16_t)3)
			: "memory");
	else
		asm volatile(
			"cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::
				"r"(to),
			"l"(map), "r"(bar), "r"(channel), "r"(row)
			: "memory");
}

static __device__ __forceinline__ float2 pair_at(const float *p, int at) { return *(const float2 *)(p + at); }

template <typename T> static __device__ __forceinline__ uint32_t pack_as(float lo, float hi)
{
	if constexpr (sizeof(T) == 2 && std::is_same<T, bf16>::value)
		return e3_bf16x2(lo, hi);
	__half2 h = __halves2half2(as<f16>(lo), as<f16>(hi));
	return *(uint32_t *)&h;
}

/* Two blocks of eight columns of a row, two columns of each in every thread of a quad: stored as four neighbours by
 * each thread. */
static __device__ __forceinline__ void store_blocks(void *to, bool valid, uint32_t first, uint32_t second)
{
	bool odd = threadIdx.x & 1;
	uint32_t other = __shfl_xor_sync(~0u, odd ? first : second, 1);
	uint2 v = odd ? make_uint2(other, second) : make_uint2(first, other);
	if (valid)
		*(uint2 *)((uint16_t *)to + (odd ? 8 : 0) + (threadIdx.x & 2) * 2) = v;
}

/* x Phi(x) to 1e-6 of |x|, far below what bf16 keeps: erfc after Abramowitz and Stegun 7.1.26. */
static __device__ __forceinline__ float quick_gelu(float x)
{
	float t = __fdividef(1.0f, fmaf(0.231641888f, fabsf(x), 1.0f));
	float p = fmaf(t, 0.530702715f, -0.726576014f);
	p = fmaf(p, t, 0.710706871f);
	p = fmaf(p, t, -0.142248368f);
	p = fmaf(p, t, 0.127414796f);
	float tail = p * t * e3_exp2(-0.721347520f * x * x); /* half of erfc(|x| / sqrt 2) */
	return x * (x >= 0 ? 1.0f - tail : tail);
}

/* Row r, columns from o0 on, of which this thread has d[4 * block + half * 2 + {0, 1}]. */
template <int BN, typename T>
static __device__ __forceinline__ void after_store(const tile_args &a, const float (&d)[BN / 2], int r, int half,
	int o0, const float *bias)
{
	int col = 2 * (threadIdx.x & 3);
	T *row = (T *)a.d + (size_t)r * a.ldo + o0;
#pragma unroll
	for (int j = 0; j < BN / 8; j += 2) {
		uint32_t v[2];
#pragma unroll
		for (int k = 0; k < 2; k++) {
			float2 b = pair_at(bias, 8 * (j + k) + col);
			const float *u = d + 4 * (j + k) + 2 * half;
			v[k] = a.act == E3_ACT_GELU ? pack_as<T>(quick_gelu(u[0] + b.x), quick_gelu(u[1] + b.y))
										: pack_as<T>(activate(u[0] + b.x, a.act), activate(u[1] + b.y, a.act));
		}
		store_blocks(row + 8 * j, r < a.rows && o0 + 8 * j < a.out, v[0], v[1]);
	}
}

static __device__ __forceinline__ float quad_sum(float v)
{
	v += __shfl_xor_sync(~0u, v, 1);
	return v + __shfl_xor_sync(~0u, v, 2);
}

/* What one row brings to all of its heads: its place in the cache, its angles. */
typedef struct row_place {
	bool valid;
	bf16 *query, *key; /* of head 0 */
	size_t query_step, key_step;
	float2 cosine[4], sine[4];
} row_place;

static __device__ __forceinline__ row_place row_of(const place_args &a, int r)
{
	row_place p;
	p.valid = r < a.rows;
	r = p.valid ? r : 0;
	p.query = (bf16 *)a.q + (size_t)r * 64, p.query_step = (size_t)a.rows * 64;
	p.key = place_of<bf16>(a, 1, 0, r), p.key_step = (size_t)a.page_keys * 64;
	const float *rope = a.rope + (size_t)r * 64 + 2 * (threadIdx.x & 3);
#pragma unroll
	for (int k = 0; a.rope && k < 4; k++)
		p.cosine[k] = pair_at(rope, 8 * k), p.sine[k] = pair_at(rope, 32 + 8 * k);
	return p;
}

/* One head of one row: 64 columns, 16 of them in this thread (5.2, 5.3). norm: weights and biases of queries, then of
 * keys. */
static __device__ __forceinline__ void place_head(const place_args &a, float (&v)[16], int group, const row_place &p,
	const float *norm)
{
	int col = 2 * (threadIdx.x & 3), kind = group / a.heads, head = group % a.heads;
	const place_norm &n = a.norm[kind == 1];
	if (kind < 2 && n.on) {
		float sum = 0, var = 0;
#pragma unroll
		for (int k = 0; k < 16; k++)
			sum += v[k];
		float mean = quad_sum(sum) * (1.0f / 64);
#pragma unroll
		for (int k = 0; k < 16; k++)
			var += (v[k] - mean) * (v[k] - mean);
		float inv = 1.0f / sqrtf(quad_sum(var) * (1.0f / 64) + n.eps);
#pragma unroll
		for (int j = 0; j < 8; j++) {
			float2 w = pair_at(norm, kind * 128 + 8 * j + col), b = pair_at(norm, kind * 128 + 64 + 8 * j + col);
			v[2 * j] = (v[2 * j] - mean) * inv * w.x + b.x;
			v[2 * j + 1] = (v[2 * j + 1] - mean) * inv * w.y + b.y;
		}
	}
	if (kind < 2 && a.rope) {
#pragma unroll
		for (int part = 0; part < 2; part++)
#pragma unroll
			for (int j = 0; j < 2; j++) {
				float2 c = p.cosine[2 * part + j], s = p.sine[2 * part + j];
				float *u = v + 2 * (4 * part + j), *w = u + 4, u0 = u[0], u1 = u[1];
				u[0] = u0 * c.x - w[0] * s.x, w[0] = w[0] * c.x + u0 * s.x;
				u[1] = u1 * c.y - w[1] * s.y, w[1] = w[1] * c.y + u1 * s.y;
			}
	}
	bf16 *to = kind == 0 ? p.query + head * p.query_step : p.key + ((kind - 1) * a.heads + head) * p.key_step;
#pragma unroll
	for (int j = 0; j < 8; j += 2)
		store_blocks(to + 8 * j, p.valid, e3_bf16x2(v[2 * j], v[2 * j + 1]), e3_bf16x2(v[2 * j + 2], v[2 * j + 3]));
}

template <int BN>
static __device__ __forceinline__ void after_place(const tile_args &a, const float (&d)[BN / 2], int r, int half,
	int o0, const float *bias)
{
	row_place p = row_of(a.place, r);
#pragma unroll
	for (int t = 0; t < BN / 64; t++) {
		int o = o0 + 64 * t;
		if (o >= a.out)
			return;
		float v[16];
#pragma unroll
		for (int j = 0; j < 8; j++) {
			float2 b = pair_at(bias, 64 * t + 8 * j + 2 * (threadIdx.x & 3));
			v[2 * j] = d[4 * (8 * t + j) + 2 * half] + b.x;
			v[2 * j + 1] = d[4 * (8 * t + j) + 2 * half + 1] + b.y;
		}
		place_head(a.place, v, o / 64, p, bias + BN);
	}
}

/* Copies the biases of the tile's columns, and the norms of queries and keys, into shared memory for the end. */
template <int BN, int AFTER> static __device__ void fill_near(const tile_args &a, int o0, float *near)
{
	for (int k = threadIdx.x; k < BN; k += blockDim.x)
		near[k] = a.bias && o0 + k < a.out ? a.bias[o0 + k] : 0;
	for (int k = threadIdx.x; AFTER == AFTER_PLACE && k < 256; k += blockDim.x) {
		const place_norm &n = a.place.norm[k / 128];
		near[BN + k] = n.on ? (k % 128 < 64 ? n.w : n.b)[k % 64] : 0;
	}
}

#endif

template <int GROUPS, int BN> struct tile_shape {
	static constexpr int BM = 64 * GROUPS, STAGE = (BM + BN) * DEPTH * 2, FIT = (MOST_SHARED - BARRIERS - 1024) / STAGE;
	static constexpr int STAGES = FIT > 8 ? 8 : FIT, SHARED = STAGES * STAGE + BARRIERS + 1024,
						 THREADS = 128 * (GROUPS + 1);
};

/* For other architectures the kernel body is empty, and there are no clusters. */
#ifdef E3_WGMMA
#define IN_PAIRS __cluster_dims__(1, PAIR, 1)
#else
#define IN_PAIRS
#endif

template <int GROUPS, int BN, int AFTER, typename T>
static __global__ void IN_PAIRS __launch_bounds__(128 * (GROUPS + 1), 1) tile(const __grid_constant__ CUtensorMap map_x,
	const __grid_constant__ CUtensorMap map_w, const __grid_constant__ tile_args a)
{
#ifdef E3_WGMMA
	typedef tile_shape<GROUPS, BN> S;
	extern __shared__ char raw[];
	__shared__ float near[BN + (AFTER == AFTER_PLACE ? 256 : 0)];
	uint32_t smem = ((uint32_t)__cvta_generic_to_shared(raw) + 1023) & ~1023u, bars = smem + S::STAGES * S::STAGE;
	auto full = [&](int s) { return bars + 8 * s; };
	auto empty = [&](int s) { return bars + 8 * (S::STAGES + s); };
	int group = threadIdx.x / 128, p0 = blockIdx.x * S::BM, o0 = blockIdx.y * BN;
	uint32_t rank = rank_in_pair();
	if (threadIdx.x == 0) {
		for (int s = 0; s < S::STAGES; s++)
			e3_mbar_init(full(s), 1), e3_mbar_init(empty(s), PAIR * GROUPS * 4);
		asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
	}
	fill_near<BN, AFTER>(a, o0, near);
	pair_sync();           /* both blocks have initialised their barriers before either arrives at one of the other */
	if (group == GROUPS) { /* the warpgroup that fetches needs few registers; the others get them */
		e3_regs_less<40>();
		if (threadIdx.x == GROUPS * 128) {
			asm volatile("griddepcontrol.wait;" ::: "memory"); /* what makes x may still be running */
			for (int k = 0; k < a.steps; k++) {
				/* 1. Wait until both blocks have finished with what this stage held a round ago (in the first round a
				 *    wait for the opposite phase returns at once).
				 * 2. Announce how many bytes will arrive in this block's stage: x in two halves, w whole.
				 * 3. Fetch this block's half of x into both blocks, and its own w. */
				int s = k % S::STAGES;
				uint32_t to = smem + s * S::STAGE, mine = rank * (S::BM / PAIR);
				e3_mbar_wait(empty(s), (k / S::STAGES & 1) ^ 1);
				expect(full(s), S::STAGE);
				fetch_box(&map_x, to + mine * DEPTH * 2, full(s), k * DEPTH, p0 + (int)mine, true);
				fetch_box(&map_w, to + S::BM * DEPTH * 2, full(s), k * DEPTH, o0, false);
			}
		}
	} else {
		e3_regs_more<GROUPS == 3 ? 152 : 232>();
		float d[BN / 2];
#pragma unroll
		for (int k = 0; k < BN / 2; k++)
			d[k] = 0;
		int lane = threadIdx.x % 32;
		for (int k = 0; k < a.steps; k++) {
			/* 1. Wait for the tiles of this step.
			 * 2. Start the products of its four times 16 channels; they run on their own.
			 * 3. Wait until at most this step's products are under way, so those of the step before are complete.
			 * 4. Only then return the stage of the step before, to both blocks: lane 0 tells one, lane 1 the other. */
			int s = k % S::STAGES;
			e3_mbar_wait(full(s), k / S::STAGES & 1);
			uint64_t x = e3_desc(smem + s * S::STAGE + group * 64 * DEPTH * 2),
					 w = e3_desc(smem + s * S::STAGE + S::BM * DEPTH * 2);
			e3_wgmma_fence();
#pragma unroll
			for (int c = 0; c < DEPTH / 16; c++)
				wgmma<BN, T>::ss(d, x + 2 * c, w + 2 * c, true);
			e3_wgmma_commit();
			e3_wgmma_wait<1>();
			if (k > 0 && lane < PAIR)
				arrive_at(empty((k - 1) % S::STAGES), lane);
		}
		/* The sums are complete: a thread has rows r and r + 8, two columns of every eight. */
		e3_wgmma_wait<0>();
		e3_hold(d);
		int r = p0 + group * 64 + threadIdx.x / 32 % 4 * 16 + lane / 4;
#pragma unroll
		for (int half = 0; half < 2; half++) {
			if constexpr (AFTER == AFTER_STORE)
				after_store<BN, T>(a, d, r + 8 * half, half, o0, near);
			else
				after_place<BN>(a, d, r + 8 * half, half, o0, near);
		}
	}
	pair_sync(); /* neither block ends while the other may still write to its shared memory or arrive at its barriers */
#endif
}

typedef CUresult encode_tiled(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *, const cuuint64_t *,
	const cuuint64_t *, const cuuint32_t *, const cuuint32_t *, CUtensorMapInterleave, CUtensorMapSwizzle,
	CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

/* The tensor map of a matrix: boxes of 64 channels × `box` rows. size: rows, columns, values from row to row, box. */
static int describe(const e3_cuda *c, CUtensorMap *map, CUtensorMapDataType type, const void *p, const int size[4],
	e3_err *err)
{
	cuuint64_t dims[2] = {(cuuint64_t)size[1], (cuuint64_t)size[0]}, strides[1] = {(cuuint64_t)size[2] * 2};
	cuuint32_t boxes[2] = {DEPTH, (cuuint32_t)size[3]}, steps[2] = {1, 1};
	CUresult rc = ((encode_tiled *)c->encode_tiled)(map, type, 2, const_cast<void *>(p), dims, strides, boxes, steps,
		CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
		CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
	return rc == CUDA_SUCCESS
		? 0
		: e3_fail(err, "product: a tensor map of %d x %d was refused (%d)", size[0], size[1], (int)rc);
}

template <int GROUPS, int BN, int AFTER, typename T>
static int launch(const e3_cuda *c, const e3_tiles *g, const tile_args *a, e3_err *err)
{
	typedef tile_shape<GROUPS, BN> S;
	CUtensorMap x, w;
	const int size_x[4] = {g->rows, g->in, g->ldx, S::BM / PAIR}, size_w[4] = {g->out, g->in, g->ldw, BN};
	CUtensorMapDataType type =
		std::is_same<T, bf16>::value ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
	if (describe(c, &x, type, g->x, size_x, err) || describe(c, &w, type, g->w, size_w, err))
		return -1;
	E3_TRY(cudaFuncSetAttribute(tile<GROUPS, BN, AFTER, T>, cudaFuncAttributeMaxDynamicSharedMemorySize, S::SHARED),
		"product");
	int cols = e3_ceil_div(g->out, BN);
	dim3 grid((unsigned)e3_ceil_div(g->rows, S::BM), (unsigned)(e3_ceil_div(cols, PAIR) * PAIR));
	cudaLaunchAttribute early = {
		.id = cudaLaunchAttributeProgrammaticStreamSerialization}; /* set up while x is being made */
	early.val.programmaticStreamSerializationAllowed = 1;
	cudaLaunchConfig_t how = {.gridDim = grid,
		.blockDim = dim3(S::THREADS),
		.dynamicSmemBytes = S::SHARED,
		.stream = e3_cuda_stream(c),
		.attrs = &early,
		.numAttrs = 1};
	E3_TRY(cudaLaunchKernelEx(&how, tile<GROUPS, BN, AFTER, T>, x, w, *a), "product");
	return 0;
}

/* Rounds over the multiprocessors, weighed by the area of a tile and what each round costs anyway. */
static double cost(const e3_cuda *c, const e3_tiles *g, int bm, int bn)
{
	int tiles = e3_ceil_div(g->rows, bm) * e3_ceil_div(e3_ceil_div(g->out, bn), PAIR) * PAIR;
	return e3_ceil_div(tiles, c->attend.sms) * (bm * bn * (double)g->in + 2e7);
}

template <int AFTER, typename T> static int choose(const e3_cuda *c, const e3_tiles *g, const tile_args *a, e3_err *err)
{
	double wide = cost(c, g, 128, 256), square = cost(c, g, 192, 192), plain = cost(c, g, 128, 128);
	if (square <= wide && square <= plain)
		return launch<3, 192, AFTER, T>(c, g, a, err);
	return wide <= plain ? launch<2, 256, AFTER, T>(c, g, a, err) : launch<2, 128, AFTER, T>(c, g, a, err);
}

bool e3_cuda_tiles_can(const e3_cuda *c, const e3_mat *m, int rows)
{
	return c->attend.wgmma && c->encode_tiled && m->w.dtype != E3_F32 && rows >= 64 && m->out % 16 == 0;
}

int e3_cuda_tiles(e3_cuda *c, const e3_tiles *g, e3_err *err)
{
	tile_args a = {g->rows, g->out, e3_ceil_div(g->in, DEPTH), g->ldo, g->bias, g->act, g->d};
	bool half = g->type == E3_F16;
	if (g->place) {
		a.place = *g->place;
		return half ? choose<AFTER_PLACE, f16>(c, g, &a, err) : choose<AFTER_PLACE, bf16>(c, g, &a, err);
	}
	return half ? choose<AFTER_STORE, f16>(c, g, &a, err) : choose<AFTER_STORE, bf16>(c, g, &a, err);
}
