/* kernels: from a frame's keys and values to packed pages (e3/kv.h), and from slot to slot of them. lib/dev/cpu_kv.c is
 * the reference: the same codes of the same numbers. */
#include "pack.cuh"
#include "values.cuh"

#define LEAST 1e-30f /* smaller values are 0 */

typedef struct pack_args {
	e3_attend_kv kv;
	const uint32_t *slot;
	const void *from; /* [2][heads][rows][head_dim]: keys, values */
	int rows;
} pack_args;

/* A scale, not negative, as the bits of bf16; rounded up. */
static __device__ __forceinline__ uint32_t round_up(float v)
{
	return v > LEAST ? (__float_as_uint(v) + 0xffffu) >> 16 : 0;
}
static __device__ __forceinline__ float of_bf16(uint32_t bits) { return __uint_as_float(bits << 16); }
static __device__ __forceinline__ float inverse(float scale) { return scale > 0 ? __fdiv_rn(1.0f, scale) : 0; }

static __device__ __forceinline__ float warp_max(float v)
{
#pragma unroll
	for (int k = 16; k; k >>= 1)
		v = fmaxf(v, __shfl_xor_sync(~0u, v, k));
	return v;
}

/* The nearest whole number within limits; of what is not a number 0. */
static __device__ __forceinline__ int nearest(float v, float low, float high)
{
	return __float2int_rn(v >= high ? high : v <= low ? low : v == v ? v : 0);
}

/* e4m3, to the nearest, ties to even; at most 448; of what is not a number 0. */
static __device__ __forceinline__ uint8_t to_e4m3(float v)
{
	float a = fabsf(v);
	uint32_t sign = __float_as_uint(v) >> 24 & 0x80, bits = __float_as_uint(a);
	if (!(a < 448))
		return (uint8_t)(a >= 448 ? sign | 0x7e : 0);
	if (a < 0x1p-6f)
		return (uint8_t)(sign | (uint32_t)__float2int_rn(a * 512));
	return (uint8_t)(sign | (((bits + 0x7ffff + (bits >> 20 & 1)) >> 20) - (120 << 3)));
}

/* A warp for each head of each row; keys, then values. Lane t has channels t + 32 k, so d is at most 128, and a group
 * of four-bit values is all that the warp has for one k. */
template <typename T> static __global__ void __launch_bounds__(256) pack_rows(const __grid_constant__ pack_args a)
{
	int job = blockIdx.x * 8 + threadIdx.x / 32, lane = threadIdx.x % 32, d = a.kv.head_dim;
	if (job >= 2 * a.kv.heads * a.rows)
		return;
	int row = job % a.rows, group = job / a.rows, half = group / a.kv.heads, head = group % a.kv.heads;
	const T *from = (const T *)a.from + (size_t)job * d;
	float v[4], most = 0;
#pragma unroll
	for (int k = 0; k < 4; k++) {
		v[k] = lane + 32 * k < d ? as_f32(from[lane + 32 * k]) : 0;
		most = fmaxf(most, fabsf(v[k]));
	}
	uint32_t slot = a.slot[row], page = slot / (uint32_t)a.kv.page_keys;
	size_t at = (size_t)head * a.kv.page_keys + slot % (uint32_t)a.kv.page_keys;
	uint8_t *to = (uint8_t *)a.kv.page[page], *code = to + a.kv.at[half] + at * a.kv.row[half],
			*scales = to + a.kv.at[2 + half] + at * a.kv.row[2 + half];
	if (a.kv.pack == E3_PACK_BF16) {
#pragma unroll
		for (int k = 0; k < 4; k++)
			if (lane + 32 * k < d)
				((bf16 *)code)[lane + 32 * k] = as<bf16>(v[k]);
		return;
	}
	if (a.kv.pack == E3_PACK_K8V4 && half) {
#pragma unroll
		for (int k = 0; k < 4; k++) {
			if (32 * k >= d)
				return;
			bool has = lane + 32 * k < d;
			float high = warp_max(has ? v[k] : -INFINITY);
			uint32_t low = __bfloat16_as_ushort(as<bf16>(-warp_max(has ? -v[k] : -INFINITY)));
			uint32_t step = round_up(__fmul_rn(high - of_bf16(low), 1.0f / 15));
			uint32_t word = has ? nearest(__fmul_rn(v[k] - of_bf16(low), inverse(of_bf16(step))), 0, 15) : 0;
			word <<= lane % 8 / 2 * 4 + lane % 2 * 16;
#pragma unroll
			for (int by = 1; by < 8; by *= 2)
				word |= __shfl_xor_sync(~0u, word, by);
			if (lane % 8 == 0 && has)
				((uint32_t *)code)[4 * k + lane / 8] = word;
			if (lane == 0)
				((uint32_t *)scales)[k] = low << 16 | step;
		}
		return;
	}
	bool e4m3 = a.kv.pack == E3_PACK_FP8;
	uint32_t scale = round_up(__fmul_rn(warp_max(most), e4m3 ? 1.0f / 448 : 1.0f / 127));
	float inv = inverse(of_bf16(scale));
#pragma unroll
	for (int k = 0; k < 4; k++)
		if (lane + 32 * k < d)
			code[lane + 32 * k] =
				e4m3 ? to_e4m3(__fmul_rn(v[k], inv)) : (uint8_t)nearest(__fmul_rn(v[k], inv), -127, 127);
	if (lane == 0)
		*(uint16_t *)scales = (uint16_t)scale;
}

/* The same for f16 and heads of 64, codes of a byte: eight lanes for a head with eight channels each. Set up while the
 * projection still runs. */
static __global__ void __launch_bounds__(256) pack_64(const __grid_constant__ pack_args a)
{
	enum { D = 64 };
	int job = blockIdx.x * 32 + threadIdx.x / 8, lane = threadIdx.x % 8, jobs = 2 * a.kv.heads * a.rows;
	bool valid = job < jobs, fp8 = a.kv.pack == E3_PACK_FP8; /* all lanes take part in the exchanges */
	float v[8], most = 0;
#if __CUDA_ARCH__ >= 900
	asm volatile("griddepcontrol.launch_dependents;");
	asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
	job = valid ? job : 0;
	load_pack<f16, 8>((const f16 *)a.from + (size_t)job * D + lane * 8, v);
#pragma unroll
	for (int k = 0; k < 8; k++)
		most = fmaxf(most, fabsf(v[k]));
#pragma unroll
	for (int by = 1; by < 8; by *= 2)
		most = fmaxf(most, __shfl_xor_sync(~0u, most, by));
	if (!valid)
		return;
	int row = job % a.rows, group = job / a.rows, half = group / a.kv.heads, head = group % a.kv.heads;
	uint32_t slot = a.slot[row], page = slot / (uint32_t)a.kv.page_keys;
	size_t at = (size_t)head * a.kv.page_keys + slot % (uint32_t)a.kv.page_keys;
	uint8_t *to = (uint8_t *)a.kv.page[page];
	uint32_t scale = round_up(__fmul_rn(most, fp8 ? 1.0f / 448 : 1.0f / 127)), code[2] = {0, 0};
	float inv = inverse(of_bf16(scale));
#pragma unroll
	for (int k = 0; k < 8; k++) {
		float u = __fmul_rn(v[k], inv);
		code[k / 4] |= (uint32_t)(fp8 ? to_e4m3(u) : (uint8_t)nearest(u, -127, 127)) << (8 * (k % 4));
	}
	*(uint2 *)(to + a.kv.at[half] + at * D + lane * 8) = make_uint2(code[0], code[1]);
	if (lane == 0)
		*(uint16_t *)(to + a.kv.at[2 + half] + at * 2) = (uint16_t)scale;
}

static cudaError_t launch_pack_64(e3_cuda *c, const pack_args *a)
{
	cudaLaunchAttribute early = {};
	early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
	early.val.programmaticStreamSerializationAllowed = 1;
	cudaLaunchConfig_t how = {};
	how.gridDim = dim3((unsigned)e3_ceil_div(2 * a->kv.heads * a->rows, 32)), how.blockDim = dim3(256);
	how.stream = e3_cuda_stream(c), how.attrs = &early, how.numAttrs = c->attend.wgmma ? 1 : 0;
	return cudaLaunchKernelEx(&how, pack_64, *a);
}

int e3_cuda_pack(e3_cuda *c, const e3_attend_kv *kv, e3_dtype type, const void *from, const uint32_t *slot, int rows,
	e3_err *err)
{
	pack_args a = {*kv, slot, from, rows};
	int blocks = e3_ceil_div(2 * kv->heads * rows, 8);
	bool bytes = kv->pack == E3_PACK_FP8 || kv->pack == E3_PACK_I8;
	if (type == E3_F16 && kv->head_dim == 64 && bytes && e3_aligned(from, 16)) {
		E3_TRY(launch_pack_64(c, &a), "qkv");
		return 0;
	}
	if (type == E3_F32)
		pack_rows<float><<<blocks, 256, 0, e3_cuda_stream(c)>>>(a);
	else
		pack_rows<f16><<<blocks, 256, 0, e3_cuda_stream(c)>>>(a);
	E3_LAUNCHED("qkv");
	return 0;
}

/* A block for a slot, two bytes at a time: every row of every part is even. */
static __global__ void move_packed(const __grid_constant__ e3_attend_kv kv, const uint32_t *from, const uint32_t *to)
{
	uint32_t keys = (uint32_t)kv.page_keys, f = from[blockIdx.x], t = to[blockIdx.x];
	const char *source = (const char *)kv.page[f / keys];
	char *target = (char *)kv.page[t / keys];
	for (int part = 0; part < E3_KV_PARTS; part++) {
		int row = (int)kv.row[part], pairs = row / 2;
		for (int k = threadIdx.x; k < kv.heads * pairs; k += blockDim.x) {
			size_t first = kv.at[part] + (size_t)(k / pairs) * keys * row + k % pairs * 2;
			*(uint16_t *)(target + first + (size_t)(t % keys) * row) =
				*(const uint16_t *)(source + first + (size_t)(f % keys) * row);
		}
	}
}

int e3_cuda_move_packed(e3_cuda *c, const e3_attend_kv *kv, const uint32_t *from, const uint32_t *to, int n,
	e3_err *err)
{
	move_packed<<<n, 256, 0, e3_cuda_stream(c)>>>(*kv, from, to);
	E3_LAUNCHED("move");
	return 0;
}

cudaError_t e3_cuda_pack_open(void)
{
	cudaFuncAttributes got;
	return cudaFuncGetAttributes(&got, move_packed);
}
