/* kernels: what the 3×3 convolutions on tensor cores share: arguments, what follows the sums, and the parts of a cut
 * depth. */
#ifndef E3_KERNELS_CONV_CUH
#define E3_KERNELS_CONV_CUH

#include "values.cuh"

typedef struct conv_args {
	const f16 *x, *weight, *resid, *plus;
	f16 *out;
	const float *b;
	float *part; /* [splits][pixels][cout], or NULL */
	int h, w, cin, out_w, pixels, cout, stride;
	int steps, splits; /* tiles of depth, and how many blocks share them */
	bool relu_in, relu_resid;
	e3_act act;
} conv_args;

/* The kernels on tensor cores know no other activations. */
static inline bool e3_conv_act_can(const e3_conv *op) { return op->act == E3_ACT_NONE || op->act == E3_ACT_RELU; }

/* N neighbouring channels from `at`, the first of which is channel o: bias, activation, what is added. */
template <int N> static __device__ __forceinline__ void conv_finish(const conv_args &a, float *v, size_t at, int o)
{
	float t[N];
#pragma unroll
	for (int e = 0; e < N; e++) {
		v[e] += a.b ? a.b[o + e] : 0.0f;
		v[e] = a.act == E3_ACT_RELU && !(v[e] > 0) ? 0 : v[e];
	}
	if (a.resid) {
		load_pack<f16, N>(a.resid + at, t);
#pragma unroll
		for (int e = 0; e < N; e++)
			v[e] += a.relu_resid && t[e] < 0 ? 0 : t[e];
	}
	if (a.plus) {
		load_pack<f16, N>(a.plus + at, t);
#pragma unroll
		for (int e = 0; e < N; e++)
			v[e] += t[e];
	}
	store_pack<f16, N>(a.out + at, v);
}

/* Room for the parts; adds them in order (conv_mma.cu). */
int e3_cuda_conv_part(e3_cuda *c, conv_args *a, e3_err *err);
int e3_cuda_conv_add(e3_cuda *c, const conv_args *a, e3_err *err);

/* conv_wgmma.cu: Hopper; stride 1, channels in multiples of 64. */
bool e3_cuda_conv_wgmma_can(const e3_cuda *c, const e3_conv *op);
int e3_cuda_conv_wgmma(e3_cuda *c, const e3_conv *op, e3_err *err);

#endif
