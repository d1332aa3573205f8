/* kernels: products with the tokens of a frame on Hopper, and what follows while the result is still in registers.
 *
 * tile_wgmma.cuh is the pipeline, tile_ends.cuh what follows. Each block computes one tile; its shape is chosen so that
 * the tiles fill the multiprocessors in as few rounds as possible (cost).
 *
 * What it reaches on one H200, in a chain of 72 different weights, 1041 rows: 1024 to 3072 stored in 14.0 us, 1024 to
 * 4096 with GELU in 16.1. Of these the steps take 9.0 to 10.0 and 11.0 to 11.6, where the tensor cores need 8.3 and 9.3
 * at 1.98 GHz, and as long with a third less read from L2, so it is probably the clock under load that is missing;
 * a tenth of each tile's rows is empty. From one kernel's end to the next one's first tile 2.4 us pass: a kernel of a
 * single step takes as long. The rest is the end. What did not help: clusters of blocks that share rows or columns (the
 * same steps, 1 us more for each launch), warpgroups that run one step after each other so that one's end hides behind
 * the other's steps (the same time), two smaller blocks of a multiprocessor (1.5 to 10 us more), warpgroups that leave
 * out the rows past the last token (the same time), queries, keys and values with the tokens as columns of a tile of
 * 192 by 136, which fills more multiprocessors, but has a head in four warps (2.4 us more). 1024 to 4096 and to 1024
 * are in gemm_turned.cu. For 4096 to 1024, of which there are too few tiles, cuBLASLt (15.5 us) is faster than these
 * tiles in the shapes that were tried (at best 19.1), so it has that.
 */
#include "tile_ends.cuh"
#include <math.h>

template <typename S, int AFTER, typename T>
static __global__ void __launch_bounds__(S::THREADS, 1)
	tile(const __grid_constant__ CUtensorMap map_x, const __grid_constant__ CUtensorMap map_w,
		const __grid_constant__ CUtensorMap map_d, const __grid_constant__ tile_args a)
{
#ifdef E3_WGMMA
	extern __shared__ char raw[];
	__shared__ float near[S::BN + (AFTER == AFTER_PLACE ? 256 : 0)];
	tile_ring<S> ring(raw);
	int group = threadIdx.x / 128, p = blockIdx.x * S::BM + threadIdx.x / 32 * 16, o0 = blockIdx.y * S::BN;
	e3_early_start();
	tile_open(ring);
	fill_near<S::BN, AFTER>(a, o0, near);
	cluster_sync();           /* the barriers of all blocks of the cluster are there before any block arrives at one */
	if (group == S::GROUPS) { /* the warpgroup that fetches needs few registers; the others get them */
		if constexpr (S::MOVES)
			e3_regs_less<S::FEW>();
		const tile_job job = {(int)blockIdx.x * S::BM, o0, 0, a.steps, STEP_BYTES / 2};
		if (threadIdx.x == S::GROUPS * 128)
			tile_fetch(ring, &map_x, &map_w, job);
	} else {
		if constexpr (S::MOVES)
			e3_regs_more<S::MANY>();
		float d[S::BN / 2];
		if constexpr (AFTER == AFTER_STORE) {
			tile_sum<S, T>(ring, d, group, a.steps);
			after_store<S, T>(a, &map_d, d, ring, p, o0, near);
		} else {
			e3_early_wait();
			row_place rows = rows_of(a.place, p); /* arrives while the sums are made */
			tile_sum<S, T>(ring, d, group, a.steps);
			after_place<S>(a, d, ring, rows, p, o0, near);
		}
	}
	cluster_sync(); /* no block ends while another may still write to its shared memory or arrive at its barriers */
#endif
}

template <typename S, int AFTER, typename T>
static int launch(const e3_cuda *c, const e3_tiles *g, const tile_args *a, e3_err *err)
{
	CUtensorMap x, w, d = {};
	const CUtensorMapDataType type = CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
	const tile_matrix mx = {g->x, g->rows, g->in, g->ldx}, mw = {g->w, g->out, g->in, g->ldw},
					  md = {g->d, g->rows, g->out, g->ldo};
	if (tile_describe(c, &x, type, &mx, S::BM / S::CN, err) || tile_describe(c, &w, type, &mw, S::BN / S::CM, err) ||
		(AFTER == AFTER_STORE && tile_describe(c, &d, type, &md, 16, err)))
		return -1;
	auto kernel = tile<S, AFTER, T>;
	E3_TRY(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, S::SHARED), "product");
	cudaLaunchAttribute how[2];
	cudaLaunchConfig_t config = tile_config<S>(c, g->rows, g->out, how);
	E3_TRY(cudaLaunchKernelEx(&config, kernel, x, w, d, *a), "product");
	return 0;
}

/* Rounds over the multiprocessors, weighed by the area of a tile and what each round costs anyway. */
template <typename S> static double cost(const e3_cuda *c, const e3_tiles *g)
{
	int tiles = tile_count(g->rows, S::BM, S::CM) * tile_count(g->out, S::BN, S::CN);
	return e3_ceil_div(tiles, c->attend.sms) * (S::BM * S::BN * (double)g->in + 2e7);
}

typedef tile_shape<2, 256, 1, 1> wide;
typedef tile_shape<3, 192, 1, 1> square;
typedef tile_shape<2, 128, 1, 1> plain;

template <int AFTER, typename T> static int choose(e3_cuda *c, const e3_tiles *g, const tile_args *a, e3_err *err)
{
	double by_wide = cost<wide>(c, g), by_square = cost<square>(c, g), by_plain = cost<plain>(c, g);
	if (AFTER == AFTER_STORE && g->out % 64 == 0 &&
		e3_cuda_turned_cost(c, g) < fmin(by_wide, fmin(by_square, by_plain)))
		return e3_cuda_turned(c, g, err);
	if (by_square <= by_wide && by_square <= by_plain)
		return launch<square, AFTER, T>(c, g, a, err);
	return by_wide <= by_plain ? launch<wide, AFTER, T>(c, g, a, err) : launch<plain, AFTER, T>(c, g, a, err);
}

bool e3_cuda_tiles_can(const e3_cuda *c, const e3_mat *m, int rows)
{
	return c->attend.wgmma && c->encode_tiled && m->w.dtype != E3_F32 && rows >= 64 && m->out % 16 == 0;
}

int e3_cuda_tiles(e3_cuda *c, const e3_tiles *g, e3_err *err)
{
	tile_args a = {g->rows, g->out, e3_ceil_div(g->in, STEP_BYTES / 2), g->bias, g->act};
	if (g->place) {
		a.place = *g->place;
		return choose<AFTER_PLACE, f16>(c, g, &a, err);
	}
	return choose<AFTER_STORE, f16>(c, g, &a, err);
}
