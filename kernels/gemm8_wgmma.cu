/* kernels: products of 8-bit values on Hopper (doc/network.md 15), with the pipeline of 16 bits (tile_wgmma.cuh) and
 * its ends (tile_ends.cuh): the sums, integers or f32, are scaled to f32 where they are, then bias and activation,
 * stored in 16 bits; norm and rotation of heads, stored as queries and into the cache; or added to f32 rows.
 *
 * On one H200, 1041 rows, int8, with the norm or rounding before and the end (tests/gpu/bench): 1024 to 3072 in 19.1
 * us, 1024 to 4096 in 18.2, 4096 to 1024 in 21.3, 1024 to 1024 in 10.2; in 16 bits 20.6, 20.3, 16.2 and 8 to 10. So
 * products with many columns gain, and those with 1024 lose: for them tiles of 128 x 80 fill the multiprocessors, and
 * by count 32 channels of such a tile take 80 clocks of the tensor cores and 124 of shared memory, as each warpgroup
 * reads all columns anew.
 *
 * What did not help: hidden values of the MLP rounded by the end of the first product, with a scale for each 64 of a
 * row, and sums of 64 products scaled in registers by the second. That saves the pass which rounds rows of 4096, but
 * the end takes 2.7 us more, and the second product alone as long as both did (e4m3: 20.4 us after 17.7, 20.5 after
 * 20.7). Nor did cuBLASLt (13.1): its product of e4m3 without scales, stored in 16 bits, takes 7.9, 9.7, 10.0 and 5.2
 * us for 1041 rows, in the order above. But with scales of rows and columns it has one algorithm for all shapes: 8.9,
 * 14.1, 13.3 and 6.3; added to f32 rows with a bias, which must be bf16, 14.2 and 7.3 for the last two; with GELU 19.0
 * for the second. In the place of these tiles 72 of each, with all before and after, took 1.45 ms, 1.66, 1.41 and 0.80
 * to 1.09; these tiles take 1.36, 1.28, and in another run 1.46 and 0.70. PyTorch's products with such scales take 9.3,
 * 14.4, 13.8 and 6.5, its product of int8 16.5, 20.3, 25.6 and 9.0. */
#include "wgmma8.cuh"
#include "packed.cuh"
#include "tile_ends.cuh"

typedef struct tile8_args {
	tile_args t;
	const float *x_scale, *w_scale;
	float *add;
	int ldo;
} tile8_args;

#ifdef E3_WGMMA

template <typename T> struct sum_of {
	typedef int type;
};
template <> struct sum_of<e4m3> {
	typedef float type;
};

/* x0, x1: of rows lane / 4 and 8 further down; `scale` of the columns of the tile. */
template <typename S, typename A>
static __device__ __forceinline__ void scale_sums(const A (&sum)[S::BN / 2], float x0, float x1, const float *scale,
	float (&d)[S::BN / 2])
{
	int col = 2 * (threadIdx.x & 3);
#pragma unroll
	for (int j = 0; j < S::BN / 8; j++) {
		float2 s = pair_at(scale, 8 * j + col);
		d[4 * j] = (float)sum[4 * j] * (x0 * s.x), d[4 * j + 1] = (float)sum[4 * j + 1] * (x0 * s.y);
		d[4 * j + 2] = (float)sum[4 * j + 2] * (x1 * s.x), d[4 * j + 3] = (float)sum[4 * j + 3] * (x1 * s.y);
	}
}

/* What is added to: f32 rows; a quad reads and writes 32 bytes of each of eight rows at a time. */
template <typename S>
static __device__ __forceinline__ void rows_before(const tile8_args &a, float2 (&old)[S::BN / 4], int p, int o0)
{
	int col = 2 * (threadIdx.x & 3), r = p + threadIdx.x % 32 / 4;
#pragma unroll
	for (int k = 0; k < S::BN / 4; k++)
		old[k] = r + k % 2 * 8 < a.t.rows && o0 + k / 2 * 8 < a.t.out
			? *(const float2 *)(a.add + (size_t)(r + k % 2 * 8) * a.ldo + o0 + k / 2 * 8 + col)
			: make_float2(0, 0);
}

template <typename S>
static __device__ __forceinline__ void rows_after(const tile8_args &a, const float (&d)[S::BN / 2],
	const float2 (&old)[S::BN / 4], int p, int o0, const float *bias)
{
	int col = 2 * (threadIdx.x & 3), r = p + threadIdx.x % 32 / 4;
#pragma unroll
	for (int k = 0; k < S::BN / 4; k++) {
		float2 b = pair_at(bias, k / 2 * 8 + col);
		if (r + k % 2 * 8 < a.t.rows && o0 + k / 2 * 8 < a.t.out)
			*(float2 *)(a.add + (size_t)(r + k % 2 * 8) * a.ldo + o0 + k / 2 * 8 + col) =
				make_float2(old[k].x + (d[2 * k] + b.x), old[k].y + (d[2 * k + 1] + b.y));
	}
}

#endif

/* T: int8_t or e4m3; D: the type of what is stored. */
template <typename S, int AFTER, typename T, typename D>
static __global__ void __launch_bounds__(S::THREADS, 1)
	tile8(const __grid_constant__ CUtensorMap map_x, const __grid_constant__ CUtensorMap map_w,
		const __grid_constant__ CUtensorMap map_d, const __grid_constant__ tile8_args a)
{
#ifdef E3_WGMMA
	extern __shared__ char raw[];
	__shared__ float near[S::BN + 256], scale[S::BN];
	tile_ring<S> ring(raw);
	int group = threadIdx.x / 128, p = blockIdx.x * S::BM + threadIdx.x / 32 * 16, o0 = blockIdx.y * S::BN;
	e3_early_start();
	tile_open(ring);
	fill_near<S::BN, AFTER>(a.t, o0, near);
	for (int k = threadIdx.x; k < S::BN; k += blockDim.x)
		scale[k] = o0 + k < a.t.out ? a.w_scale[o0 + k] : 0;
	cluster_sync();           /* the barriers of all blocks of the cluster are there before any block arrives at one */
	if (group == S::GROUPS) { /* the warpgroup that fetches needs few registers; the others get them */
		if constexpr (S::MOVES)
			e3_regs_less<S::FEW>();
		const tile_job job = {(int)blockIdx.x * S::BM, o0, 0, a.t.steps, STEP_BYTES};
		if (threadIdx.x == S::GROUPS * 128)
			tile_fetch(ring, &map_x, &map_w, job);
	} else {
		if constexpr (S::MOVES)
			e3_regs_more<S::MANY>();
		typename sum_of<T>::type sum[S::BN / 2];
		float d[S::BN / 2];
		e3_early_wait(); /* scales and old values come from the kernels before; they arrive while the sums are made */
		int r = p + threadIdx.x % 32 / 4, last = a.t.rows - 1;
		float x0 = a.x_scale[min(r, last)], x1 = a.x_scale[min(r + 8, last)];
		if constexpr (AFTER == AFTER_PLACE) {
			row_place rows = rows_of(a.t.place, p);
			tile_sum<S, T>(ring, sum, group, a.t.steps);
			scale_sums<S>(sum, x0, x1, scale, d);
			after_place<S>(a.t, d, ring, rows, p, o0, near);
		} else if constexpr (AFTER == AFTER_ADD) {
			float2 old[S::BN / 4];
			rows_before<S>(a, old, p, o0);
			tile_sum<S, T>(ring, sum, group, a.t.steps);
			scale_sums<S>(sum, x0, x1, scale, d);
			rows_after<S>(a, d, old, p, o0, near);
		} else {
			tile_sum<S, T>(ring, sum, group, a.t.steps);
			scale_sums<S>(sum, x0, x1, scale, d);
			after_store<S, D>(a.t, &map_d, d, ring, p, o0, near);
		}
	}
	cluster_sync(); /* no block ends while another may still write to its shared memory or arrive at its barriers */
#endif
}

template <typename S, int AFTER, typename T, typename D>
static int launch(const e3_cuda *c, const e3_tiles8 *g, const tile8_args *a, e3_err *err)
{
	CUtensorMap x, w, d;
	const e3_mat *m = g->mat;
	const tile_matrix mx = {g->x, g->rows, m->in, g->ld}, mw = {m->w.p, m->out, m->in, g->ld},
					  md = {g->out.p, g->rows, m->out, g->ldo};
	const CUtensorMapDataType bytes = CU_TENSOR_MAP_DATA_TYPE_UINT8, type = CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
	if (tile_describe(c, &x, bytes, &mx, S::BM / S::CN, err) || tile_describe(c, &w, bytes, &mw, S::BN / S::CM, err))
		return -1;
	if (AFTER == AFTER_STORE && tile_describe(c, &d, type, &md, 16, err))
		return -1;
	auto kernel = tile8<S, AFTER, T, D>;
	E3_TRY(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, S::SHARED), "product");
	cudaLaunchAttribute how[2];
	cudaLaunchConfig_t config = tile_config<S>(c, g->rows, m->out, how);
	E3_TRY(cudaLaunchKernelEx(&config, kernel, x, w, AFTER == AFTER_STORE ? d : x, *a), "product");
	return 0;
}

/* Clocks: rounds over the multiprocessors, each of products (4096 a clock at best), of results, and what a round costs
 * anyway. */
template <typename S> static double cost(const e3_cuda *c, const e3_tiles8 *g)
{
	int tiles = tile_count(g->rows, S::BM, S::CM) * tile_count(g->mat->out, S::BN, S::CN);
	return e3_ceil_div(tiles, c->attend.sms) * (S::BM * S::BN * (g->mat->in / 3500.0 + 0.15) + 4000);
}

/* No clusters: at 8 bits they cost more than they save (1041 rows, 1024 to 4096 channels: 14.1 us without, 15.9 with).
 */
typedef tile_shape<2, 256, 1, 1> wide;
typedef tile_shape<3, 192, 1, 1> square;
typedef tile_shape<2, 128, 1, 1> plain;
typedef tile_shape<2, 96, 1, 1> narrow;
typedef tile_shape<2, 80, 1, 1> narrowest;

template <int AFTER, typename T, typename D>
static int choose(const e3_cuda *c, const e3_tiles8 *g, const tile8_args *a, e3_err *err)
{
	double by_plain = cost<plain>(c, g);
	if constexpr (AFTER == AFTER_ADD) { /* few columns; the old values take as many registers as the sums */
		double by_narrow = cost<narrow>(c, g), by_narrowest = cost<narrowest>(c, g);
		if (by_narrowest <= by_narrow && by_narrowest <= by_plain)
			return launch<narrowest, AFTER, T, D>(c, g, a, err);
		return by_narrow <= by_plain ? launch<narrow, AFTER, T, D>(c, g, a, err)
									 : launch<plain, AFTER, T, D>(c, g, a, err);
	} else {
		double by_wide = cost<wide>(c, g), by_square = cost<square>(c, g);
		if (by_square <= by_wide && by_square <= by_plain)
			return launch<square, AFTER, T, D>(c, g, a, err);
		return by_wide <= by_plain ? launch<wide, AFTER, T, D>(c, g, a, err) : launch<plain, AFTER, T, D>(c, g, a, err);
	}
}

template <typename T> static int by_end(const e3_cuda *c, const e3_tiles8 *g, const tile8_args *a, e3_err *err)
{
	if (g->place)
		return choose<AFTER_PLACE, T, f16>(c, g, a, err);
	if (g->add)
		return choose<AFTER_ADD, T, f16>(c, g, a, err);
	return choose<AFTER_STORE, T, f16>(c, g, a, err);
}

bool e3_cuda_tiles8_can(const e3_cuda *c, const e3_tiles8 *t)
{
	if (!c->attend.wgmma || !c->encode_tiled || t->rows < 64 || t->mat->out % 16)
		return false;
	if (t->place)
		return true;
	if (t->add)
		return t->act == E3_ACT_NONE && t->out.dtype == E3_F32 && t->ldo % 2 == 0 && e3_aligned(t->out.p, 8);
	return t->act != E3_ACT_SILU && t->out.dtype == E3_F16 && t->ldo % 8 == 0 && e3_aligned(t->out.p, 16);
}

int e3_cuda_tiles8(e3_cuda *c, const e3_tiles8 *g, e3_err *err)
{
	const e3_mat *m = g->mat;
	tile8_args a = {};
	a.t.rows = g->rows, a.t.out = m->out, a.t.steps = e3_ceil_div(m->in, STEP_BYTES);
	a.t.bias = m->b, a.t.act = g->act;
	a.x_scale = g->x_scale, a.w_scale = m->scale, a.add = (float *)(void *)g->out.p, a.ldo = g->ldo;
	if (g->place)
		a.t.place = *g->place;
	return m->w.dtype == E3_I8 ? by_end<int8_t>(c, g, &a, err) : by_end<e4m3>(c, g, &a, err);
}
