/* kernels: from a projection to queries and to the cache: what both ways of doing it share (qkv.cu, gemm_wgmma.cu). */
#ifndef E3_KERNELS_PLACE_CUH
#define E3_KERNELS_PLACE_CUH

#include "cuda.h"

typedef struct place_norm {
	bool on;
	float eps;
	const float *w, *b;
} place_norm;

struct place_args {
	const float *bias; /* [3 heads d], or NULL */
	int rows, heads, d, page_keys;
	place_norm norm[2]; /* of queries, of keys */
	const float *rope;
	void *const *page;
	const uint32_t *slot;
	void *q;
};

/* Where one head of one row goes. kind: 0 query, 1 key, 2 value. */
template <typename T> static __device__ __forceinline__ T *place_of(const place_args &a, int kind, int head, int row)
{
	if (kind == 0)
		return (T *)a.q + ((size_t)head * a.rows + row) * a.d;
	uint32_t slot = a.slot[row], page = slot / (uint32_t)a.page_keys, at = slot % (uint32_t)a.page_keys;
	return (T *)a.page[page] + ((size_t)((kind - 1) * a.heads + head) * a.page_keys + at) * a.d;
}

#endif
