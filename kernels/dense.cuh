/* kernels: the last step of a dense head, from a pixel's numbers to its value and confidence, and the ways there.
 */
#ifndef E3_KERNELS_DENSE_CUH
#define E3_KERNELS_DENSE_CUH

#include "values.cuh"

enum { MOST = 4 }; /* numbers of a pixel, confidence included */

typedef struct pixel_args {
	const float *w, *b; /* [n + 1][hid], [n + 1] */
	int hid, n;
	size_t pixels;
	float *value, *conf;
} pixel_args;

/* Number o of a pixel, as the 1×1 convolution left it. */
static __device__ __forceinline__ void put_value(const pixel_args &a, size_t pixel, int o, float v)
{
	if (o == a.n)
		a.conf[pixel] = 1.0f + expf(v);
	else
		a.value[pixel * a.n + o] = a.n == 1 ? expf(v) : copysignf(expm1f(fabsf(v)), v);
}

/* dense_mma.cu: everything in one kernel, where the channels suit it. */
bool e3_cuda_tail_can(const e3_cuda *c, const e3_dense *op);
int e3_cuda_tail(e3_cuda *c, const e3_dense *op, const pixel_args *px, e3_err *err);

#endif
