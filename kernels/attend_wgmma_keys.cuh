/* kernels: the mass on Hopper, packed keys (see attend_wgmma_mass.cu, pack.cuh): a warpgroup asks for 64 keys of a head
 * and takes them as f16, in the same tile: codes lie in its first half, scales behind them, until they are unpacked.
 */
#ifndef E3_KERNELS_ATTEND_WGMMA_KEYS_CUH
#define E3_KERNELS_ATTEND_WGMMA_KEYS_CUH

#include "attend_wgmma.cuh"
#include "pack.cuh"

enum { E3_KEY_CODES = 64 * 64 }; /* bytes */

#ifdef E3_WGMMA
/* The row of a page that piece i of this thread comes from; past the last key there is the last one again. */
static __device__ __forceinline__ int e3_key_row(int i, int keys)
{
	return min(i * 32 + ((int)threadIdx.x & 127) / 4, keys - 1);
}

/* Of `keys` keys of a head that lie in a page from `row` on. */
static __device__ __forceinline__ void e3_ask_packed_keys(const e3_attend_kv &kv, const void *page, int head, int row,
	int keys, uint32_t tile)
{
	int t = threadIdx.x & 127, slot = head * kv.page_keys + row;
	const char *code = (const char *)page + kv.at[0] + t % 4 * 16, *scale = (const char *)page + kv.at[2];
#pragma unroll
	for (int i = 0; i < 2; i++) {
		int from = slot + e3_key_row(i, keys);
		e3_cp16_all(tile + (i * 128 + t) * 16, code + (size_t)from * 64);
		e3_ask_scale(tile + E3_KEY_CODES + (i * 128 + t) * 4, scale + (size_t)(from & ~1) * 2, true);
	}
	e3_cp_commit();
}

/* Waits for them. The barrier of the warpgroup must follow, after e3_fence_async, before products read the tile. */
template <int KIND> static __device__ __forceinline__ void e3_take_packed_keys(int keys, uint32_t tile, int bar)
{
	int t = threadIdx.x & 127;
	uint4 code[2];
	uint32_t scale[2];
	e3_cp_wait<0>();
#pragma unroll
	for (int i = 0; i < 2; i++) {
		code[i] = e3_get_16(tile + (i * 128 + t) * 16);
		asm volatile("ld.shared.b32 %0, [%1];" : "=r"(scale[i]) : "r"(tile + E3_KEY_CODES + (i * 128 + t) * 4));
	}
	e3_bar(bar, 128); /* everybody has read */
#pragma unroll
	for (int i = 0; i < 2; i++) {
		uint32_t s = scale[i], twice = e3_half_scale(e3_key_row(i, keys) & 1 ? s >> 16 : s);
		uint4 v;
		e3_unpack_4<KIND>(code[i].x, twice, v.x, v.y);
		e3_unpack_4<KIND>(code[i].y, twice, v.z, v.w);
		e3_put_16(tile + e3_swizzle(i * 32 + t / 4, t % 4 * 2), v);
		e3_unpack_4<KIND>(code[i].z, twice, v.x, v.y);
		e3_unpack_4<KIND>(code[i].w, twice, v.z, v.w);
		e3_put_16(tile + e3_swizzle(i * 32 + t / 4, t % 4 * 2 + 1), v);
	}
}
#endif

#endif
