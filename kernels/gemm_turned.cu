/* kernels: products with the tokens of a frame on Hopper, turned: rows of a tile are columns of the matrix, its columns
 * are tokens, in multiples of 8, so that less of a tile is empty than where they are rows in multiples of 64.
 *
 * 1024 to 4096 with its norm and GELU takes 19.9 us so for 1041 tokens, where gemm_wgmma.cu takes 21.0; 12.6 and 14.4
 * for 412. 1024 to 1024, added to f32: 6.6 and 9.4 us (cuBLASLt); 5.3 and 9.0. What lost: 4096 to 1024 (19.8 and
 * 18.3 us; 13.7 and 11.5), where each block reads more than its multiprocessor can take in that time. All these were
 * launched by the host one after the other; in a graph, as in a frame, a launch costs less.
 */
#include "tile_ends.cuh"

enum { TURNED_STORE, TURNED_ADD };

typedef struct turned_args {
	int rows, out, steps;
	const float *bias;
	e3_act act;
	float *to; /* TURNED_ADD: [rows][out] */
} turned_args;

#ifdef E3_WGMMA

/* Of 64 rows of a warpgroup to d: through the stages' parts that held its rows of the matrix, 64 tokens each. */
template <typename S, bool GELU>
static __device__ __forceinline__ void put_columns(const turned_args &a, const float (&d)[S::BN / 2],
	const tile_ring<S> &ring, int group, int o)
{
	int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4;
	float bias[2];
#pragma unroll
	for (int h = 0; h < 2; h++)
		bias[h] = a.bias ? __ldg(a.bias + o + warp * 16 + lane / 4 + 8 * h) : 0;
#pragma unroll
	for (int j = 0; j < S::BN / 8; j += 2) {
		uint32_t v[4];
#pragma unroll
		for (int k = 0; k < 4; k++) {
			const float *sum = d + 4 * (j + k / 2) + 2 * (k % 2);
			float lo = sum[0] + bias[k % 2], hi = sum[1] + bias[k % 2];
			v[k] = GELU ? e3_f16x2(quick_gelu(lo), quick_gelu(hi))
						: e3_f16x2(relu_or_not(lo, a.act), relu_or_not(hi, a.act));
		}
		uint32_t room = ring.x(j / 8) + (uint32_t)group * 64 * STEP_BYTES;
		asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(
						 room + e3_swizzle(8 * (j % 8) + lane % 8 + lane / 16 * 8, 2 * warp + lane / 8 % 2)),
					 "r"(v[0]), "r"(v[1]), "r"(v[2]), "r"(v[3])
					 : "memory");
	}
}

template <typename S>
static __device__ __forceinline__ void turned_store(const turned_args &a, const CUtensorMap *map,
	const float (&d)[S::BN / 2], const tile_ring<S> &ring, int group, int o, int p)
{
	static_assert(S::BN % 16 == 0 && S::STAGES * 64 >= S::BN, "tokens leave through the stages, 64 each");
	if (a.act == E3_ACT_GELU)
		put_columns<S, true>(a, d, ring, group, o);
	else
		put_columns<S, false>(a, d, ring, group, o);
	e3_fence_async();
	e3_bar(group + 1, 128);
	if (threadIdx.x % 32 == 0) {
		for (int k = threadIdx.x / 32 % 4; k < S::BN / 16; k += 4)
			store_box(map, ring.x(k / 4) + (uint32_t)(group * 64 + k % 4 * 16) * STEP_BYTES, o, p + 16 * k);
		stores_read();
	}
}

/* The values that a thread adds to: of every sixteenth token two times four columns. */
template <typename S> struct old_values {
	static constexpr int EACH = (S::BN + 15) / 16;
	float4 v[EACH][2];
};
template <typename S> static __device__ __forceinline__ old_values<S> turned_old(const turned_args &a, int o, int p)
{
	old_values<S> old;
	int in = threadIdx.x / 8 % 16, col = o + 4 * (threadIdx.x % 8);
#pragma unroll
	for (int i = 0; i < old_values<S>::EACH; i++, in += 16)
#pragma unroll
		for (int k = 0; k < 2; k++)
			old.v[i][k] = in < S::BN && p + in < a.rows
				? *(const float4 *)(a.to + (size_t)(p + in) * a.out + col + 32 * k)
				: make_float4(0, 0, 0, 0);
	return old;
}

/* Through shared memory in f32, so that eight threads have the 64 columns of a token. */
template <typename S>
static __device__ __forceinline__ void turned_add(const turned_args &a, const float (&d)[S::BN / 2],
	const tile_ring<S> &ring, int group, int o, int p, const old_values<S> &old)
{
	enum { PITCH = 272 }; /* bytes of a token: no two threads that write at a time meet in a bank */
	static_assert(S::GROUPS * S::BN * PITCH <= S::STAGES * S::STAGE, "they lie in the ring");
	int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4, first = threadIdx.x / 8 % 16, col = 4 * (lane % 8);
	uint32_t room = ring.smem + (uint32_t)group * S::BN * PITCH;
	float bias[2];
#pragma unroll
	for (int h = 0; h < 2; h++)
		bias[h] = a.bias ? __ldg(a.bias + o + warp * 16 + lane / 4 + 8 * h) : 0;
	e3_bar(8, S::GROUPS * 128); /* all products are done with the ring */
#pragma unroll
	for (int j = 0; j < S::BN / 8; j++)
#pragma unroll
		for (int k = 0; k < 4; k++)
			asm volatile("st.shared.f32 [%0], %1;" ::"r"(room + (uint32_t)(8 * j + 2 * (lane & 3) + k % 2) * PITCH +
							 (uint32_t)(warp * 16 + lane / 4 + 8 * (k / 2)) * 4),
						 "f"(d[4 * j + k] + bias[k / 2])
						 : "memory");
	e3_bar(group + 1, 128);
#pragma unroll
	for (int i = 0; i < old_values<S>::EACH; i++) {
		int in = first + 16 * i, row = p + in;
		bool there = in < S::BN && row < a.rows;
		uint32_t from = room + (uint32_t)min(in, S::BN - 1) * PITCH + (uint32_t)col * 4;
#pragma unroll
		for (int k = 0; k < 2; k++) {
			float4 v, was = old.v[i][k];
			asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
						 : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w)
						 : "r"(from + 128 * k)
						 : "memory");
			if (there)
				*(float4 *)(a.to + (size_t)row * a.out + o + col + 32 * k) =
					make_float4(v.x + was.x, v.y + was.y, v.z + was.z, v.w + was.w);
		}
	}
}
#endif

template <typename S, int AFTER>
static __global__ void __launch_bounds__(S::THREADS, 1)
	turned(const __grid_constant__ CUtensorMap map_w, const __grid_constant__ CUtensorMap map_x,
		const __grid_constant__ CUtensorMap map_d, const __grid_constant__ turned_args a)
{
#ifdef E3_WGMMA
	extern __shared__ char raw[];
	tile_ring<S> ring(raw);
	int group = threadIdx.x / 128, o = blockIdx.x * S::BM + group * 64, p = blockIdx.y * S::BN;
	e3_early_start();
	tile_open(ring);
	__syncthreads();
	if (group == S::GROUPS) {
		if constexpr (S::MOVES)
			e3_regs_less<S::FEW>();
		const tile_job job = {(int)blockIdx.x * S::BM, p, 0, a.steps, STEP_BYTES / 2};
		if (threadIdx.x == S::GROUPS * 128)
			tile_fetch<S, true>(ring, &map_w, &map_x, job);
		return;
	}
	if constexpr (S::MOVES)
		e3_regs_more<S::MANY>();
	if (o >= a.out) {
		tile_skip<S>(ring, a.steps);
		return;
	}
	float d[S::BN / 2];
	if constexpr (AFTER == TURNED_STORE) {
		tile_sum<S, f16>(ring, d, group, a.steps);
		turned_store<S>(a, &map_d, d, ring, group, o, p);
	} else {
		e3_early_wait();
		old_values<S> old = turned_old<S>(a, o, p);
		tile_sum<S, f16>(ring, d, group, a.steps);
		turned_add<S>(a, d, ring, group, o, p, old);
	}
#endif
}

template <typename S, int AFTER>
static int launch(const e3_cuda *c, const e3_tiles *g, const turned_args *a, e3_err *err)
{
	CUtensorMap x, w, d = {};
	const CUtensorMapDataType type = CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
	const tile_matrix mx = {g->x, g->rows, g->in, g->ldx}, mw = {g->w, g->out, g->in, g->ldw},
					  md = {g->d, g->rows, g->out, g->ldo};
	if (tile_describe(c, &w, type, &mw, S::BM, err) || tile_describe(c, &x, type, &mx, S::BN, err) ||
		(AFTER == TURNED_STORE && tile_describe(c, &d, type, &md, 16, err)))
		return -1;
	auto kernel = turned<S, AFTER>;
	E3_TRY(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, S::SHARED), "product");
	cudaLaunchAttribute how[2];
	cudaLaunchConfig_t config = tile_config<S>(c, g->out, g->rows, how);
	config.numAttrs = 1; /* no clusters */
	E3_TRY(cudaLaunchKernelEx(&config, kernel, w, x, d, *a), "product");
	return 0;
}

template <typename S> static double cost(const e3_cuda *c, const e3_tiles *g)
{
	int tiles = e3_ceil_div(g->out, S::BM) * e3_ceil_div(g->rows, S::BN);
	return e3_ceil_div(tiles, c->attend.sms) * (S::BM * S::BN * (double)g->in + 2e7);
}

typedef tile_shape<3, 176, 1, 1> large;
typedef tile_shape<2, 112, 1, 1> small;
typedef tile_shape<1, 136, 1, 1> tall;
typedef tile_shape<1, 56, 1, 1> least;

static turned_args args_of(const e3_tiles *g)
{
	turned_args a = {g->rows, g->out, e3_ceil_div(g->in, STEP_BYTES / 2), g->bias, g->act, NULL};
	return a;
}

int e3_cuda_turned(e3_cuda *c, const e3_tiles *g, e3_err *err)
{
	turned_args a = args_of(g);
	double by_large = cost<large>(c, g), by_small = cost<small>(c, g);
	if (g->out % 64)
		return e3_fail(err, "product: %d columns, turned", g->out);
	return by_large <= by_small ? launch<large, TURNED_STORE>(c, g, &a, err)
								: launch<small, TURNED_STORE>(c, g, &a, err);
}

double e3_cuda_turned_cost(const e3_cuda *c, const e3_tiles *g)
{
	double by_large = cost<large>(c, g), by_small = cost<small>(c, g);
	return by_large <= by_small ? by_large : by_small;
}

bool e3_cuda_turned_add_can(const e3_cuda *c, const e3_linear *op)
{
	const e3_mat *m = op->mat;
	return e3_cuda_tiles_can(c, m, op->rows) && m->in <= 1024 && m->out % 64 == 0 && op->ldo == m->out &&
		e3_aligned(op->out.p, 16);
}

int e3_cuda_turned_add(e3_cuda *c, const e3_tiles *g, e3_err *err)
{
	turned_args a = args_of(g);
	a.to = (float *)g->d;
	return cost<tall>(c, g) <= cost<least>(c, g) ? launch<tall, TURNED_ADD>(c, g, &a, err)
												 : launch<least, TURNED_ADD>(c, g, &a, err);
}
