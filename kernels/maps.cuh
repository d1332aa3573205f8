/* kernels: bilinear resizing with aligned corners, shared by what resizes (doc/network.md 7). */
#ifndef E3_KERNELS_MAPS_CUH
#define E3_KERNELS_MAPS_CUH

#include "values.cuh"

typedef struct resize_args {
	int h, w, c, to_h, to_w;
	float step_y, step_x;
	e3_uv uv; /* added to the result; or NULL */
} resize_args;

static inline resize_args resize_of(e3_features from, int to_h, int to_w)
{
	resize_args a = {from.h, from.w, from.c, to_h, to_w};
	a.step_y = to_h > 1 ? (float)(from.h - 1) / (float)(to_h - 1) : 0;
	a.step_x = to_w > 1 ? (float)(from.w - 1) / (float)(to_w - 1) : 0;
	return a;
}

/* V channels from `at` of pixel (row, col) of the result. Position and weights are rounded as the reference rounds
 * them. */
template <typename T, int V>
static __device__ __forceinline__ void resize_pixel(const resize_args &a, const T *x, int row, int col, int at,
	float *v)
{
	float fy = __fmul_rn(a.step_y, (float)row), fx = __fmul_rn(a.step_x, (float)col);
	int y0 = min((int)fy, a.h - 1), x0 = min((int)fx, a.w - 1), y1 = min(y0 + 1, a.h - 1), x1 = min(x0 + 1, a.w - 1);
	float wy = fy - y0, wx = fx - x0, p[4][V];
	load_pack<T, V>(x + ((size_t)y0 * a.w + x0) * a.c + at, p[0]);
	load_pack<T, V>(x + ((size_t)y0 * a.w + x1) * a.c + at, p[1]);
	load_pack<T, V>(x + ((size_t)y1 * a.w + x0) * a.c + at, p[2]);
	load_pack<T, V>(x + ((size_t)y1 * a.w + x1) * a.c + at, p[3]);
	float w00 = (1 - wy) * (1 - wx), w01 = (1 - wy) * wx, w10 = wy * (1 - wx), w11 = wy * wx;
	int half = a.c / 2;
#pragma unroll
	for (int e = 0; e < V; e++) {
		v[e] = w00 * p[0][e] + w01 * p[1][e] + (w10 * p[2][e] + w11 * p[3][e]);
		if (a.uv.x)
			v[e] += at + e < half ? a.uv.x[(size_t)col * half + at + e] : a.uv.y[(size_t)row * half + at + e - half];
	}
}

int e3_cuda_resize(e3_cuda *c, const resize_args *a, const void *x, void *out, e3_err *err);

#endif
