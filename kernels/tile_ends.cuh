/* kernels: what follows a tile of a product (tile_wgmma.cuh) while its sums are in registers: bias and activation,
 * stored in the type of the input; or norm and rotation of heads, stored as queries and into the cache.
 *
 * Values leave through the part of the ring that held the warp's own 16 rows of x, so that rows are written 128 bytes
 * at a time.
 */
#ifndef E3_KERNELS_TILE_ENDS_CUH
#define E3_KERNELS_TILE_ENDS_CUH

#include "place.cuh"
#include "tile_wgmma.cuh"
#include "values.cuh"
#include <type_traits>

enum { AFTER_STORE, AFTER_PLACE, AFTER_ADD }; /* what follows the product */

typedef struct tile_args {
	int rows, out, steps;
	const float *bias;
	e3_act act;
	place_args place;
} tile_args;

#ifdef E3_WGMMA

static __device__ __forceinline__ float2 pair_at(const float *p, int at) { return *(const float2 *)(p + at); }

/* Sixteen rows of 64 columns of 16 bits in shared memory, swizzled as the hardware does it. Of two blocks of eight
 * columns, j and j + 1, a thread has its two columns of rows lane / 4 (v[0], v[2]) and lane / 4 + 8 (v[1], v[3]). */
static __device__ __forceinline__ void put_blocks(uint32_t room, int j, const uint32_t v[4])
{
	int lane = threadIdx.x % 32;
	asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(
					 room + e3_swizzle(lane % 16, j + lane / 16)),
				 "r"(v[0]), "r"(v[1]), "r"(v[2]), "r"(v[3])
				 : "memory");
}

/* x Phi(x) = max(x, 0) - |x| Phi(-|x|). The logarithm of Phi(-t) is nearly a parabola: a polynomial of degree 5 gives
 * Phi(-t) to 8e-5 of itself, a sixth of what half precision keeps, and falls for all t > 0, so large ones need no care.
 * (erfc by a quotient and an exponential is exacter and takes twice the time: it needs the slow unit twice.) */
static __device__ __forceinline__ float quick_gelu(float x)
{
	float t = fabsf(x), p = fmaf(t, -0.000329558464f, 0.00591546762f);
	p = fmaf(p, t, -0.0485341014f);
	p = fmaf(p, t, -0.463719635f);
	p = fmaf(p, t, -1.14936201f);
	p = fmaf(p, t, -1.00010718f);
	return fmaf(-t, e3_exp2(p), fmaxf(x, 0.0f));
}

/* The other activations have a kernel of their own (linear.cu): here they would be written out for every value of a
 * thread, and a tile of few steps would wait for its instructions. */
static __device__ __forceinline__ float relu_or_not(float v, e3_act act)
{
	return act == E3_ACT_RELU && !(v > 0) ? 0 : v;
}

/* 64 columns from block `first` of eight on: through `room` to the place (column, row) of the map of d, which ends
 * where d ends. */
template <typename S, typename T, bool GELU>
static __device__ __forceinline__ void store_columns(const tile_args &a, const float (&d)[S::BN / 2], int first,
	uint32_t room, const float *bias)
{
	int col = 2 * (threadIdx.x & 3);
#pragma unroll
	for (int j = 0; j < 8; j += 2) {
		uint32_t v[4];
#pragma unroll
		for (int k = 0; k < 4; k++) {
			const float *u = d + 4 * (first + j + k / 2) + 2 * (k % 2);
			float2 b = pair_at(bias, 8 * (first + j + k / 2) + col);
			float lo = u[0] + b.x, hi = u[1] + b.y;
			v[k] = GELU ? e3_f16x2(quick_gelu(lo), quick_gelu(hi))
						: e3_f16x2(relu_or_not(lo, a.act), relu_or_not(hi, a.act));
		}
		put_blocks(room, j, v);
	}
}

template <typename S, typename T>
static __device__ __forceinline__ void after_store(const tile_args &a, const CUtensorMap *map,
	const float (&d)[S::BN / 2], const tile_ring<S> &ring, int p, int o0, const float *bias)
{
#pragma unroll
	for (int c = 0; c < S::BN / 64; c++) {
		uint32_t room = ring.x(c) + (uint32_t)(p % S::BM) * STEP_BYTES;
		if (a.act == E3_ACT_GELU)
			store_columns<S, T, true>(a, d, 8 * c, room, bias);
		else
			store_columns<S, T, false>(a, d, 8 * c, room, bias);
		e3_fence_async();
		__syncwarp();
		if (threadIdx.x % 32 == 0)
			store_box(map, room, o0 + 64 * c, p);
	}
	if (threadIdx.x % 32 == 0)
		stores_read(); /* shared memory must stay until then */
}

static __device__ __forceinline__ float quad_sum(float v)
{
	v += __shfl_xor_sync(~0u, v, 1);
	return v + __shfl_xor_sync(~0u, v, 2);
}

/* What the rows of a warp bring to all of their heads: the angles of the two that a thread computes, and where the
 * four go that it writes, one 16-byte chunk of each. */
typedef struct row_place {
	float2 cosine[2][4], sine[2][4];
	f16 *key[4]; /* of head 0, or NULL past the last row */
} row_place;

static __device__ __forceinline__ row_place rows_of(const place_args &a, int p)
{
	row_place rows;
	int lane = threadIdx.x % 32;
#pragma unroll
	for (int k = 0; k < 4; k++) {
		int r = p + 4 * k + lane / 8;
		rows.key[k] = r < a.rows ? place_of<f16>(a, 1, 0, r) + 8 * (lane % 8) : NULL;
	}
#pragma unroll
	for (int h = 0; h < 2; h++) {
		int r = min(p + lane / 4 + 8 * h, a.rows - 1);
		const float *rope = a.rope + (size_t)r * 64 + 2 * (lane & 3);
#pragma unroll
		for (int k = 0; a.rope && k < 4; k++)
			rows.cosine[h][k] = pair_at(rope, 8 * k), rows.sine[h][k] = pair_at(rope, 32 + 8 * k);
	}
	return rows;
}

/* LayerNorm of one head of one row: 64 columns, 16 of them in this thread (5.2). norm: weights, then biases. */
static __device__ __forceinline__ void norm_head(float (&v)[16], float eps, const float *norm)
{
	int col = 2 * (threadIdx.x & 3);
	float sum = 0, var = 0;
#pragma unroll
	for (int k = 0; k < 16; k++)
		sum += v[k];
	float mean = quad_sum(sum) * (1.0f / 64);
#pragma unroll
	for (int k = 0; k < 16; k++)
		var += (v[k] - mean) * (v[k] - mean);
	float inv = 1.0f / sqrtf(quad_sum(var) * (1.0f / 64) + eps);
#pragma unroll
	for (int j = 0; j < 8; j++) {
		float2 w = pair_at(norm, 8 * j + col), b = pair_at(norm, 64 + 8 * j + col);
		v[2 * j] = (v[2 * j] - mean) * inv * w.x + b.x;
		v[2 * j + 1] = (v[2 * j + 1] - mean) * inv * w.y + b.y;
	}
}

/* Its rotation (5.3). */
static __device__ __forceinline__ void turn_head(float (&v)[16], const float2 (&cosine)[4], const float2 (&sine)[4])
{
#pragma unroll
	for (int part = 0; part < 2; part++)
#pragma unroll
		for (int j = 0; j < 2; j++) {
			float2 c = cosine[2 * part + j], s = sine[2 * part + j];
			float *u = v + 2 * (4 * part + j), *w = u + 4, u0 = u[0], u1 = u[1];
			u[0] = u0 * c.x - w[0] * s.x, w[0] = w[0] * c.x + u0 * s.x;
			u[1] = u1 * c.y - w[1] * s.y, w[1] = w[1] * c.y + u1 * s.y;
		}
}

/* One head of the warp's rows, from `room` to where they belong: eight threads a row. */
static __device__ __forceinline__ void write_head(const place_args &a, const row_place &rows, int p, int group,
	uint32_t room)
{
	int lane = threadIdx.x % 32, kind = group / a.heads, head = group % a.heads;
	size_t key = ((size_t)(kind - 1) * a.heads + head) * a.page_keys * 64;
	f16 *query = (f16 *)a.q + ((size_t)head * a.rows + p + lane / 8) * 64 + 8 * (lane % 8);
#pragma unroll
	for (int k = 0; k < 4; k++) {
		uint4 v;
		asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
					 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
					 : "r"(room + e3_swizzle(4 * k + lane / 8, lane % 8))
					 : "memory");
		if (rows.key[k])
			*(uint4 *)(kind == 0 ? query + 4 * k * 64 : rows.key[k] + key) = v;
	}
}

/* near: the tile's biases, then weights and biases of the norm of queries, then of keys. */
template <typename S>
static __device__ __forceinline__ void after_place(const tile_args &a, const float (&d)[S::BN / 2],
	const tile_ring<S> &ring, const row_place &rows, int p, int o0, const float *near)
{
	int col = 2 * (threadIdx.x & 3);
#pragma unroll
	for (int t = 0; t < S::BN / 64; t++) {
		int group = o0 / 64 + t, kind = group / a.place.heads;
		if (kind > 2)
			return;
		uint32_t room = ring.x(t) + (uint32_t)(p % S::BM) * STEP_BYTES, word[2][8];
#pragma unroll
		for (int h = 0; h < 2; h++) {
			float v[16];
#pragma unroll
			for (int j = 0; j < 8; j++) {
				float2 b = pair_at(near, 64 * t + 8 * j + col);
				v[2 * j] = d[4 * (8 * t + j) + 2 * h] + b.x, v[2 * j + 1] = d[4 * (8 * t + j) + 2 * h + 1] + b.y;
			}
			if (kind < 2 && a.place.norm[kind == 1].on)
				norm_head(v, a.place.norm[kind == 1].eps, near + S::BN + 128 * kind);
			if (kind < 2 && a.place.rope)
				turn_head(v, rows.cosine[h], rows.sine[h]);
#pragma unroll
			for (int j = 0; j < 8; j++)
				word[h][j] = e3_f16x2(v[2 * j], v[2 * j + 1]);
		}
#pragma unroll
		for (int j = 0; j < 8; j += 2) {
			const uint32_t v[4] = {word[0][j], word[1][j], word[0][j + 1], word[1][j + 1]};
			put_blocks(room, j, v);
		}
		__syncwarp();
		write_head(a.place, rows, p, group, room);
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

#endif
