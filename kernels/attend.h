/* kernels: attention over paged keys and values, and the mass of each key (doc/network.md 5.2, 9.1, 9.6; doc/design.md
 * 4, 7).
 *
 * Two passes, as on the CPU (lib/dev/cpu_attend.c): the first is flash attention and leaves the log-sum-exp of each
 * row, the second recomputes the scores and sums the probabilities of each key. No score matrix is stored, unless a map
 * is asked for. Sums are made in an order that depends on the shapes and the device alone: the same input gives the
 * same bits.
 *
 * Which kernel runs: wgmma on Hopper for f16 and head_dim 64; mma.sync for f16 and head_dim a multiple of 16 up to
 * 128 on compute capability 8.0 and later; plain FMA for f32 and every other head_dim up to 128.
 *
 * Everything only enqueues work on the given stream and may be captured in a graph. The result is that of the CUDA
 * runtime; cudaErrorInvalidValue for a shape that is refused: head_dim over 128, no keys, pages that do not hold the
 * keys.
 */
#ifndef E3_KERNELS_ATTEND_H
#define E3_KERNELS_ATTEND_H

#include <cuda_runtime_api.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Pages as in e3/dev.h: K [heads][page_keys][head_dim], then V the same, f16 or f32 by the function called, aligned to
 * 16 bytes. Slot k is row k % page_keys of page k / page_keys; rows from n_keys on are never used, whatever they hold.
 * `page` is an array in device memory that must stay as it is until the work is done. The tensor-core kernels need all
 * keys in one page, or page_keys to be a power of two from 64 (wgmma) or a multiple of 64 (mma.sync); anything else
 * falls to the plain kernel. Packed pages are as e3/kv.h says; the queries' type is that of the function called. */
typedef struct e3_attend_kv {
	void *const *page;
	int page_keys, n_keys;
	int heads, head_dim;
	int pack;               /* e3_kv_pack (e3/kv.h); if it is not E3_PACK_NONE: */
	unsigned at[4], row[4]; /* where each part of a page begins, bytes of a slot of a head in it */
} e3_attend_kv;

/* What both passes share. The workspace must have been zeroed once, after its allocation; each launch leaves it fit for
 * the next one, of any shape. Launches that share one must be ordered: one workspace per stream. */
typedef struct e3_attend_job {
	const void *q; /* [heads][rows][head_dim], type of the pages, aligned to 16 bytes */
	int rows;
	e3_attend_kv kv;
	float *lse;  /* [heads][rows]: natural logarithm of the sum of exp(q.k / sqrt(head_dim)). Written by attend unless
					NULL; read by mass. */
	void *work;  /* workspace, aligned to 256 bytes */
	size_t size; /* its bytes */
	int q_step;  /* rows from one head of q to the next; 0: `rows` */
} e3_attend_job;

/* What the launches need to know of the current device. */
typedef struct e3_attend_dev {
	int sms;
	int capability;   /* 10 * major + minor */
	int wgmma;        /* the Hopper kernels can run; 0 makes everything portable */
	int mma64_blocks; /* of the portable attention of heads of 64 that fit on the device at a time */
} e3_attend_dev;

/* Call once for each device: fills *dev and raises the shared-memory limits of the kernels. */
cudaError_t e3_attend_open(e3_attend_dev *dev);

/* Bytes of workspace that suffice for every function here, up to these rows, and as far as mass goes up to these keys
 * (attention takes the same for any number: 0 when no mass is asked for); f32 or f16 alike. */
size_t e3_attend_workspace(const e3_attend_dev *dev, int rows, int mass_keys, int heads, int head_dim);

/* softmax(q K^T / sqrt(head_dim)) V -> out [rows][heads * head_dim], type of q, aligned to 16 bytes. Probabilities and
 * sums are f32; f16 rounds the probabilities before the product with V. */
cudaError_t e3_attend_f16(const e3_attend_dev *dev, const e3_attend_job *job, void *out, cudaStream_t stream);
cudaError_t e3_attend_f32(const e3_attend_dev *dev, const e3_attend_job *job, void *out, cudaStream_t stream);

/* mass [n_keys] = sum over rows of the mean over heads of exp(q.k / sqrt(head_dim) - lse). map [rows][n_keys], or NULL:
 * the mean over heads itself, by a slower kernel. */
cudaError_t e3_mass_f16(const e3_attend_dev *dev, const e3_attend_job *job, float *mass, float *map,
	cudaStream_t stream);
cudaError_t e3_mass_f32(const e3_attend_dev *dev, const e3_attend_job *job, float *mass, float *map,
	cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
