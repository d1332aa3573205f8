/* dev: the pages that keys and values lie in, packed or not: what is where, and how many bytes it takes. */
#ifndef E3_KV_H
#define E3_KV_H

#include "e3/dtype.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How keys and values lie in a page; the arithmetic is in doc/network.md 5.5. A scale is bf16.
 *
 *   NONE  in the type of the queries
 *   BF16  as bf16, for devices that compute in f32
 *   FP8   e4m3, times a scale for each head of each token, of its key and of its value
 *   I8    -127 to 127, times such a scale
 *   K8V4  keys as in I8; values 0 to 15, times a step, plus the lowest value, for every 32 channels */
typedef enum e3_kv_pack { E3_PACK_NONE, E3_PACK_BF16, E3_PACK_FP8, E3_PACK_I8, E3_PACK_K8V4, E3_PACKS } e3_kv_pack;

/* Keys and values of one attention layer: a list of pages. Keys 0..n_keys-1 lie one after the other through the pages:
 * slot k is row k % page_keys of page k / page_keys. A page consists of E3_KV_PARTS arrays [heads][page_keys][bytes]:
 * K, V, and where they are packed the scales of K and of V. A scored page goes on with what eviction knows of each
 * slot: the sum of its scores (f64 [page_keys]), its token id, and the number of frames that saw it (u32 [page_keys]
 * each). */
typedef struct e3_kv {
	uint8_t *const *page;
	e3_dtype dtype; /* of the queries: attn_dtype, or f32 for the camera head */
	int page_keys, n_keys;
	int heads, head_dim;
	bool scored; /* page_keys is even */
	e3_kv_pack pack;
} e3_kv;

enum { E3_KV_PARTS = 4, E3_V4_GROUP = 32 };

/* Bytes of one slot of one head in part k of a page; 0 where there is no such part. Eight values of 4 bits are a word:
 * values 0, 2, 4, 6, then 1, 3, 5, 7, from the lowest bits up; the last word of a row may be filled up. */
static inline size_t e3_kv_row(const e3_kv *kv, int part)
{
	size_t d = (size_t)kv->head_dim;
	if (kv->pack <= E3_PACK_BF16)
		return part > 1 ? 0 : d * (kv->pack ? 2 : e3_dtype_size(kv->dtype));
	if (kv->pack == E3_PACK_K8V4 && part % 2)
		return part == 1 ? (d + 7) / 8 * 4 : (d + E3_V4_GROUP - 1) / E3_V4_GROUP * 4;
	return part < 2 ? d : 2;
}

/* Where part k begins in a page; where the last one ends for k = E3_KV_PARTS. Packed parts begin at multiples of 16
 * bytes. */
static inline size_t e3_kv_at(const e3_kv *kv, int part)
{
	size_t at = 0;
	for (int k = 0; k < part; k++) {
		at += (size_t)kv->heads * (size_t)kv->page_keys * e3_kv_row(kv, k);
		at = kv->pack ? (at + 15) & ~(size_t)15 : at;
	}
	return at;
}

/* Bytes of K and V in a page, which is where the scores begin; and of the whole page. */
static inline size_t e3_kv_bytes(const e3_kv *kv) { return e3_kv_at(kv, E3_KV_PARTS); }
static inline size_t e3_page_bytes(const e3_kv *kv)
{
	return e3_kv_bytes(kv) + (kv->scored ? (sizeof(double) + 2 * sizeof(uint32_t)) * (size_t)kv->page_keys : 0);
}
/* Bytes of K and V of one token. */
static inline size_t e3_kv_token(const e3_kv *kv)
{
	size_t bytes = 0;
	for (int k = 0; k < E3_KV_PARTS; k++)
		bytes += (size_t)kv->heads * e3_kv_row(kv, k);
	return bytes;
}

#endif
