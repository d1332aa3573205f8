/* kernels: Hopper attention, the warpgroups that fetch packed keys and values (see attend_wgmma.cu, pack.cuh): as
 * f16, they lie in the rings as they would if they had not been packed.
 *
 * One warpgroup fetches keys, another values. Codes come into a ring of their own; each thread unpacks just what it has
 * copied, so that nobody waits for another. A half-tile of codes is on its way while the one before it is unpacked.
 *
 * With 11 frames of keys 12 % faster than one warpgroup for both (e4m3). What lost: keys as e4m3 operands of products,
 * for scores have to be multiplied with the scales of their keys before their maximum is taken: 8 % slower with a query
 * as the sum of two e4m3; with a query as one 3 % faster than a single warpgroup, depth being off 1.7 times as much.
 */
#ifndef E3_KERNELS_ATTEND_WGMMA_PACKED_CUH
#define E3_KERNELS_ATTEND_WGMMA_PACKED_CUH

#include "attend_wgmma_fetch.cuh"
#include "pack.cuh"

enum { RAW_SLOTS = 4, RAW_CODES = KEYS * D, RAW_SLOT = RAW_CODES + 128 * 16 };
enum { RAW_AT = (BAR_AT + 32 * STAGES + 16 + 15) / 16 * 16, SHARED_PACKED = RAW_AT + RAW_SLOTS * RAW_SLOT + 1024 };

#ifdef E3_WGMMA

/* What the codes of keys are. */
template <int PACK> constexpr int kind_of_keys = PACK == E3_PACK_FP8 ? PACK : (int)E3_PACK_I8;

/* How a half-tile is dealt out: a thread has PIECES times 16 bytes of codes, of rows ROWS_APART apart; and what a row
 * has of codes and of scales. */
template <int KIND> struct deal {
	static constexpr bool v4 = KIND == E3_PACK_K8V4;
	static constexpr int CHUNKS = v4 ? 2 : 4, PIECES = CHUNKS, ROWS_APART = 128 / CHUNKS, ROW = v4 ? D / 2 : D,
						 SCALES = v4 ? 8 : 2;
};

/* This thread's pieces of 128 keys or values from `key` on, two times 64 that lie together; at: where they would be in
 * a page if `key` were its first: codes, scales. Zeros past the last one. */
template <int KIND>
static __device__ __forceinline__ void ask(const plan &p, int key, const unsigned (&at)[2], uint32_t raw)
{
	typedef deal<KIND> L;
	int t = threadIdx.x & 127, first[2];
	const char *from[2]; /* of both, before the copies of one */
	raw += t * 16;
#pragma unroll
	for (int g = 0; g < 2; g++) {
		first[g] = min(key + 64 * g, (p.kv.n_keys - 1) & ~63);
		int page = first[g] >> p.page_shift;
		from[g] = (const char *)p.kv.page[page];
		first[g] -= page << p.page_shift;
	}
#pragma unroll
	for (int g = 0; g < 2; g++, key += 64) {
		const char *code = from[g] + (at[0] + first[g] * L::ROW), *scale = from[g] + (at[1] + first[g] * L::SCALES);
#pragma unroll
		for (int i = 0; i < L::PIECES / 2; i++) {
			bool take = key + i * L::ROWS_APART + t / L::CHUNKS < p.kv.n_keys;
			uint32_t to = raw + (g * L::PIECES / 2 + i) * 128 * 16;
			e3_cp16(to, code + i * L::ROWS_APART * L::ROW, take);
			e3_ask_scale(to + (RAW_CODES - t * 12) - (g * L::PIECES / 2 + i) * 128 * 12,
				scale + i * L::ROWS_APART * L::SCALES, take);
		}
	}
}

/* The pieces as f16, into a tile: of two at a time, everything is read before anything is written. */
template <int KIND> static __device__ __forceinline__ void unpack(uint32_t raw, uint32_t tile)
{
	typedef deal<KIND> L;
	int t = threadIdx.x & 127, row = t / L::CHUNKS, chunk = t % L::CHUNKS;
#pragma unroll
	for (int first = 0; first < L::PIECES; first += 2) {
		uint4 code[2];
		uint32_t scale[2];
#pragma unroll
		for (int i = 0; i < 2; i++) {
			code[i] = e3_get_16(raw + ((first + i) * 128 + t) * 16);
			asm volatile("ld.shared.b32 %0, [%1];"
						 : "=r"(scale[i])
						 : "r"(raw + RAW_CODES + ((first + i) * 128 + t) * 4));
		}
#pragma unroll
		for (int i = 0; i < 2; i++) {
			uint32_t to = tile + (first + i) * L::ROWS_APART * 128;
			if (L::v4) {
				uint32_t step, low, word[4] = {code[i].x, code[i].y, code[i].z, code[i].w};
				e3_half_steps(scale[i], step, low);
#pragma unroll
				for (int k = 0; k < 4; k++) {
					uint32_t v[4];
					e3_unpack_v4(word[k], step, low, v);
					e3_put_16(to + e3_swizzle(row, 4 * chunk + k), make_uint4(v[0], v[1], v[2], v[3]));
				}
			} else {
				uint4 v, w;
				uint32_t by = e3_half_scale(row & 1 ? scale[i] >> 16 : scale[i]);
				e3_unpack_4<KIND>(code[i].x, by, v.x, v.y);
				e3_unpack_4<KIND>(code[i].y, by, v.z, v.w);
				e3_unpack_4<KIND>(code[i].z, by, w.x, w.y);
				e3_unpack_4<KIND>(code[i].w, by, w.z, w.w);
				e3_put_16(to + e3_swizzle(row, 2 * chunk), v);
				e3_put_16(to + e3_swizzle(row, 2 * chunk + 1), w);
			}
		}
	}
}

/* Half-tile n: waits for its codes and for room, and hands it over. LEFT: groups of copies that may still be under way.
 */
template <int KIND, int LEFT> static __device__ __forceinline__ void hand_over(ring bars, uint32_t smem, int n)
{
	int half = n & 1, stage = (n >> 1) % STAGES;
	e3_cp_wait<LEFT>();
	e3_mbar_wait(bar_of(bars.empty, half, stage), ((n >> 1) / STAGES & 1) ^ 1);
	unpack<KIND>(smem + RAW_AT + n % RAW_SLOTS * RAW_SLOT, smem + (half ? V_AT : K_AT) + stage * TILE);
	announce(bars.full, n);
}

/* Where this thread's pieces of a head begin in a page: codes, scales. Two scales of keys are four bytes. */
template <int KIND> static __device__ __forceinline__ void places(const plan &p, int half, int head, unsigned (&at)[2])
{
	typedef deal<KIND> L;
	int t = threadIdx.x & 127, row = head * p.kv.page_keys + t / L::CHUNKS, chunk = t % L::CHUNKS;
	at[0] = p.kv.at[half] + row * L::ROW + chunk * 16;
	at[1] = p.kv.at[2 + half] + (L::v4 ? row * L::SCALES + chunk * 4 : (row & ~1) * L::SCALES);
}

/* Of all steps the keys (HALF 0) or the values; KIND: what their codes are. */
template <int KIND, int HALF>
static __device__ __forceinline__ void produce_half(const plan &p, ring bars, uint32_t smem)
{
	int n = HALF; /* half-tile */
	for (int tile = p.begin[blockIdx.x] / p.steps; tile * p.steps < p.begin[blockIdx.x + 1]; tile++) {
		int2 part = part_of(p, tile, blockIdx.x);
		unsigned at[2];
		places<KIND>(p, HALF, tile / p.tiles, at);
#pragma unroll 1
		for (int left = part.y - part.x, step = part.y - 1; left; left--, step = after(part, step), n += 2) {
			ask<KIND>(p, step * KEYS, at, smem + RAW_AT + n % RAW_SLOTS * RAW_SLOT);
			e3_cp_commit();
			if (n >= 2)
				hand_over<KIND, 1>(bars, smem, n - 2);
		}
	}
	if (n >= 2)
		hand_over<KIND, 0>(bars, smem, n - 2);
}
#endif

#endif
