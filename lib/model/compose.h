/* model: two convolutions as one. Private to this layer. */
#ifndef E3_MODEL_COMPOSE_H
#define E3_MODEL_COMPOSE_H

#include "e3/err.h"
#include "e3/thread.h"

/* A transposed convolution (kernel = stride = k, `in` channels to `middle`), and the 3×3 convolution after it, `middle`
 * channels to `out`: as the operation deconv takes them (e3/dev.h). */
typedef struct e3_composing {
	int k, in, middle, out;
	const float *first;  /* [k][k][middle][in] */
	const float *second; /* [out][9][middle] */
	const float *bias;   /* [middle], of the first */
	float *made;         /* [k + 2][k + 2][out][in] */
	float *made_bias;    /* [4][4][out] */
} e3_composing;

/* Fills made and made_bias. The same bits for any number of threads. */
int e3_compose(const e3_composing *c, e3_pool *pool, e3_err *err);

#endif
