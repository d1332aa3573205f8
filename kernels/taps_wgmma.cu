/* kernels: the products of the nine taps of a convolution with every pixel of a small map, on Hopper (taps.cuh). f16,
 * f32 sums.
 *
 * A block has 128 pixels with all their channels in shared memory and goes through all taps and output channels, BN of
 * them at a time, whose weights come through a ring. Two warpgroups have 64 pixels each and wait for each other only
 * through the ring, so that one's end hides behind the other's products. Where weights would be read from L2 more than
 * everything else, two blocks with neighbouring pixels fetch half of them each for both.
 */
#include "taps.cuh"
#include "tile_wgmma.cuh"

enum { PIXELS = 128, GROUPS = 2, COMPUTING = 128 * GROUPS, THREADS = COMPUTING + 32, CHUNK = PIXELS * STEP_BYTES };
enum { MOST_CHUNKS = 4 }; /* channels in, in 64 */

typedef struct taps_args {
	int rows, chunks, tiles, pitch; /* tiles of BN columns; values from pixel to pixel */
	int width;                      /* columns of a tap */
	f16 *out;
} taps_args;

/* BN columns at a time: one tap, a part of one, or several narrow ones. */
template <int BN_, int PAIR_> struct taps_shape {
	static constexpr int BN = BN_, PAIR = PAIR_, STAGES = BN > 96 ? 6 : 4, STAGE = BN * STEP_BYTES;
	/* Where a warp puts its 16 rows before they are written: eight rows do not conflict in a bank. */
	static constexpr int PITCH = BN * 2 + 16, ROOM = 16 * PITCH;
	static int shared(int chunks) { return chunks * CHUNK + STAGES * STAGE + COMPUTING / 32 * ROOM + 1024; }
};

#ifdef E3_WGMMA

template <int PAIR>
static __device__ __forceinline__ void fetch_taps(const CUtensorMap *map, uint32_t to, uint32_t bar, int channel, int o,
	int tap)
{
	if constexpr (PAIR > 1)
		asm volatile(
			"cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%3, %4, %5}], [%2], %6;" ::
				"r"(to),
			"l"(map), "r"(bar), "r"(channel), "r"(o), "r"(tap), "h"((uint16_t)3)
			: "memory");
	else
		asm volatile(
			"cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];" ::
				"r"(to),
			"l"(map), "r"(bar), "r"(channel), "r"(o), "r"(tap)
			: "memory");
}

/* BN columns of a warp's 16 rows, through `room` to their pixels. */
template <typename S>
static __device__ __forceinline__ void put_rows(const taps_args &a, const float (&d)[S::BN / 2], uint32_t room, int p,
	int column)
{
	int lane = threadIdx.x % 32;
	constexpr int PIECES = S::BN / 8;
	__syncwarp(); /* the rows before are read */
#pragma unroll
	for (int j = 0; j < PIECES; j += 2) {
		uint32_t v[4];
#pragma unroll
		for (int k = 0; k < 4; k++) {
			const float *u = d + 4 * (j + k / 2) + 2 * (k % 2);
			asm("cvt.rn.satfinite.f16x2.f32 %0, %1, %2;" : "=r"(v[k]) : "f"(u[1]), "f"(u[0]));
		}
		asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(
						 room + lane % 16 * S::PITCH + (j + lane / 16) * 16),
					 "r"(v[0]), "r"(v[1]), "r"(v[2]), "r"(v[3])
					 : "memory");
	}
	__syncwarp();
#pragma unroll
	for (int k = 0; k < PIECES / 2; k++) {
		int at = k * 32 + lane, row = at / PIECES, piece = at % PIECES;
		uint4 v;
		asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
					 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
					 : "r"(room + row * S::PITCH + piece * 16)
					 : "memory");
		if (p + row < a.rows)
			*(uint4 *)(a.out + (size_t)(p + row) * a.pitch + column + piece * 8) = v;
	}
}

#endif

template <typename S>
static __global__ void __launch_bounds__(THREADS, S::BN > 96 ? 1 : 2) taps(const __grid_constant__ CUtensorMap map_x,
	const __grid_constant__ CUtensorMap map_w, const __grid_constant__ taps_args a)
{
#ifdef E3_WGMMA
	extern __shared__ char raw[];
	__shared__ uint64_t bars[2 * S::STAGES + MOST_CHUNKS];
	uint32_t x = ((uint32_t)__cvta_generic_to_shared(raw) + 1023) & ~1023u, w = x + a.chunks * CHUNK,
			 rooms = w + S::STAGES * S::STAGE, bar = (uint32_t)__cvta_generic_to_shared(bars);
	auto full = [&](int s) { return bar + 8 * s; };
	auto empty = [&](int s) { return bar + 8 * (S::STAGES + s); };
	auto there = [&](int c) { return bar + 8 * (2 * S::STAGES + c); };
	int warp = threadIdx.x / 32, lane = threadIdx.x % 32, p0 = blockIdx.x * PIXELS;
	int first = a.tiles * (int)blockIdx.y / (int)gridDim.y,
		tiles = a.tiles * ((int)blockIdx.y + 1) / (int)gridDim.y - first, steps = tiles * a.chunks;
	e3_early_start();
	if (threadIdx.x == 0) {
		for (int s = 0; s < S::STAGES; s++)
			e3_mbar_init(full(s), 1), e3_mbar_init(empty(s), S::PAIR * COMPUTING / 32);
		for (int c = 0; c < a.chunks; c++)
			e3_mbar_init(there(c), 1);
		asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
	}
	cluster_sync();
	if (warp == COMPUTING / 32) {
		int share = S::BN / S::PAIR, mine = S::PAIR > 1 ? (int)rank_in_cluster().x * share : 0;
		auto fetch = [&](int s) {
			int column = (first + s / a.chunks) * S::BN, stage = s % S::STAGES;
			expect(full(stage), S::STAGE);
			fetch_taps<S::PAIR>(&map_w, w + stage * S::STAGE + mine * STEP_BYTES, full(stage), s % a.chunks * 64,
				column % a.width + mine, column / a.width);
		};
		int early = steps < S::STAGES ? steps : S::STAGES;
		if (lane == 0) {
			for (int s = 0; s < early; s++) /* weights wait for nothing */
				fetch(s);
			e3_early_wait();
			for (int c = 0; c < a.chunks; c++) {
				expect(there(c), CHUNK);
				fetch_box<false>(&map_x, x + c * CHUNK, there(c), c * 64, p0, 0);
			}
			for (int s = early; s < steps; s++) {
				e3_mbar_wait(empty(s % S::STAGES), (s / S::STAGES & 1) ^ 1);
				fetch(s);
			}
		}
		__syncwarp();
	} else {
		uint32_t mine = x + warp / 4 * 64 * STEP_BYTES, room = rooms + warp * S::ROOM;
		auto done = [&](int s) {
			if (lane < S::PAIR)
				arrive_at(empty(s % S::STAGES), lane);
		};
		for (int tile = 0, s = 0; tile < tiles; tile++) {
			float d[S::BN / 2];
#pragma unroll
			for (int k = 0; k < S::BN / 2; k++)
				d[k] = 0;
			for (int c = 0; c < a.chunks; c++, s++) {
				if (tile == 0)
					e3_mbar_wait(there(c), 0);
				e3_mbar_wait(full(s % S::STAGES), s / S::STAGES & 1);
				uint64_t of_x = e3_desc(mine + c * CHUNK), of_w = e3_desc(w + s % S::STAGES * S::STAGE);
				e3_wgmma_fence();
#pragma unroll
				for (int k = 0; k < STEP_BYTES / 32; k++)
					wgmma<S::BN, f16>::ss(d, of_x + 2 * k, of_w + 2 * k, true);
				e3_wgmma_commit();
				e3_wgmma_wait<1>();
				if (c > 0)
					done(s - 1);
			}
			e3_wgmma_wait<0>();
			done(s - 1);
			e3_hold(d);
			put_rows<S>(a, d, room, p0 + warp * 16, (first + tile) * S::BN);
		}
	}
	cluster_sync(); /* neither block ends while the other may still write to its shared memory or arrive at its barriers
					 */
#endif
}

/* The matrix as groups (taps) of rows: values from row to row, from group to group. */
typedef struct taps_matrix {
	const void *p;
	int in, rows, groups, row_ld, group_ld;
} taps_matrix;

static int describe_taps(const e3_cuda *c, CUtensorMap *map, const taps_matrix *m, int rows, int groups, e3_err *err)
{
	cuuint64_t dims[3] = {(cuuint64_t)m->in, (cuuint64_t)m->rows, (cuuint64_t)m->groups},
			   strides[2] = {(cuuint64_t)m->row_ld * 2, (cuuint64_t)m->group_ld * 2};
	cuuint32_t box[3] = {STEP_BYTES / 2, (cuuint32_t)rows, (cuuint32_t)groups}, each[3] = {1, 1, 1};
	CUresult rc = ((encode_tiled *)c->encode_tiled)(map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 3, const_cast<void *>(m->p),
		dims, strides, box, each, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
		CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
	return rc == CUDA_SUCCESS
		? 0
		: e3_fail(err, "taps: a tensor map of %d x %d x %d was refused (%d)", m->groups, m->rows, m->in, (int)rc);
}

/* Few pixels: the tiles of columns are shared out to as many blocks as there are multiprocessors. */
template <typename S>
static int launch(e3_cuda *c, e3_features from, const taps_matrix *m, const taps_args *a, e3_err *err)
{
	CUtensorMap x, w;
	const tile_matrix mx = {from.t.p, a->rows, from.c, from.c};
	int rows = a->width < S::BN ? a->width : S::BN / S::PAIR;
	if (tile_describe(c, &x, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, &mx, PIXELS, err) ||
		describe_taps(c, &w, m, rows, a->width < S::BN ? S::BN / a->width : 1, err))
		return -1;
	int shared = S::shared(a->chunks), blocks = tile_count(a->rows, PIXELS, S::PAIR), parts = c->attend.sms / blocks;
	parts = parts < 1 ? 1 : parts < a->tiles ? parts : a->tiles;
	E3_TRY(cudaFuncSetAttribute(taps<S>, cudaFuncAttributeMaxDynamicSharedMemorySize, shared), "taps");
	cudaLaunchAttribute how[2] = {};
	how[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
	how[0].val.programmaticStreamSerializationAllowed = 1;
	how[1].id = cudaLaunchAttributeClusterDimension;
	how[1].val.clusterDim.x = S::PAIR, how[1].val.clusterDim.y = how[1].val.clusterDim.z = 1;
	cudaLaunchConfig_t config = {};
	config.gridDim = dim3((unsigned)blocks, (unsigned)parts), config.blockDim = dim3(THREADS);
	config.dynamicSmemBytes = (size_t)shared, config.stream = e3_cuda_stream(c);
	config.attrs = how, config.numAttrs = 2;
	E3_TRY(cudaLaunchKernelEx(&config, taps<S>, x, w, *a), "taps");
	return 0;
}

static bool fits(const e3_cuda *c, e3_features x, const e3_mat *m)
{
	return c->attend.wgmma && c->encode_tiled && m->w.dtype == E3_F16 && x.c % 64 == 0 && x.c <= 64 * MOST_CHUNKS &&
		e3_aligned(x.t.p, 16);
}

static int width_of(const e3_mat *m) { return m->out <= TAPS_NARROW ? TAPS_NARROW : TAPS_WIDE; }

bool e3_cuda_taps_can(const e3_cuda *c, e3_features x, const e3_mat *m, const int to[2])
{
	return fits(c, x, m) && (m->out <= TAPS_NARROW || m->out == TAPS_WIDE) && to[0] >= x.h &&
		e3_cuda_taps_size(x, m) < 1u << 31;
}

size_t e3_cuda_taps_size(e3_features x, const e3_mat *m) { return (size_t)x.h * x.w * 9 * width_of(m); }

int e3_cuda_taps(e3_cuda *c, e3_features x, const e3_mat *m, f16 *p, taps_maps *out, e3_err *err)
{
	int width = width_of(m);
	taps_args a = {x.h * x.w, x.c / 64, 0, 9 * width, width, p};
	const taps_matrix w = {m->w.p, x.c, m->out, 9, e3_cuda_weight_ld(m), x.c};
	*out = (taps_maps){p, x.h, x.w, width};
	if (width == TAPS_NARROW) {
		a.tiles = 3;
		return launch<taps_shape<3 * TAPS_NARROW, 1>>(c, x, &w, &a, err);
	}
	a.tiles = 9;
	return launch<taps_shape<TAPS_WIDE, 2>>(c, x, &w, &a, err);
}

bool e3_cuda_taps_many_can(const e3_cuda *c, e3_features x, const e3_mat *m)
{
	return fits(c, x, m) && m->out % TAPS_WIDE == 0 && x.h > 0 && x.w > 0;
}

int e3_cuda_taps_many(e3_cuda *c, e3_features x, const e3_mat *m, f16 *y, e3_err *err)
{
	int ld = e3_cuda_weight_ld(m), groups = m->out / TAPS_WIDE;
	const taps_args a = {x.h * x.w, x.c / 64, groups, m->out, TAPS_WIDE, y};
	const taps_matrix w = {m->w.p, x.c, TAPS_WIDE, groups, ld, TAPS_WIDE * ld};
	return launch<taps_shape<TAPS_WIDE, 2>>(c, x, &w, &a, err);
}
