/* kernels: projection to queries, keys and values, which go into the cache; attention and mass through attend.h; moves
 * (doc/network.md 5.2-5.4). */
#include "place.cuh"
#include "values.cuh"
#include <stdlib.h>

/* The largest value of a product's type. */
template <typename Y> constexpr float e3_most = 3.4028235e38f;
template <> constexpr float e3_most<f16> = 65504.0f;

/* Of a product in half precision; one beyond its range is taken as its end. */
static __device__ __forceinline__ float value_of(float v) { return v; }
static __device__ __forceinline__ float value_of(f16 v) { return fminf(fmaxf(as_f32(v), -65504.0f), 65504.0f); }

/* A warp for each head of each row; heads of q, then of k, then of v (doc/network.md 5.2). Lane t has channels t + 32
 * k, so d is at most 128. */
template <typename T, typename Y> static __global__ void __launch_bounds__(256) place(place_args a, const Y *product)
{
	int groups = 3 * a.heads, job = blockIdx.x * 8 + threadIdx.x / 32, lane = threadIdx.x % 32;
	if (job >= a.rows * groups)
		return;
	int row = job / groups, group = job % groups, kind = group / a.heads, head = group % a.heads;
	/* 1. The projected head, with its bias. */
	const Y *y = product + (size_t)job * a.d;
	const float *bias = a.bias ? a.bias + group * a.d : NULL;
	float v[4], sum = 0, var = 0;
#pragma unroll
	for (int k = 0; k < 4; k++) {
		int e = lane + 32 * k;
		v[k] = e < a.d ? value_of(y[e]) + (bias ? bias[e] : 0.0f) : 0;
		sum += v[k];
	}
	/* 2. Queries and keys: LayerNorm over the head. (An index into a.norm would copy the array to the stack.) */
	const place_norm norm = kind == 1 ? a.norm[1] : a.norm[0];
	if (kind < 2 && norm.on) {
		const float *w = norm.w, *b = norm.b;
		float mean = warp_sum(sum) / a.d;
#pragma unroll
		for (int k = 0; k < 4; k++)
			var += lane + 32 * k < a.d ? (v[k] - mean) * (v[k] - mean) : 0;
		float inv = 1.0f / sqrtf(warp_sum(var) / a.d + norm.eps);
#pragma unroll
		for (int k = 0; k < 4; k++) {
			int e = lane + 32 * k;
			if (e < a.d)
				v[k] = (v[k] - mean) * inv * (w ? w[e] : 1.0f) + (w ? b[e] : 0.0f);
		}
	}
	/* 3. Values, and everything where there is no rotation, are stored as they are. */
	T *to = place_of<T>(a, kind, head, row);
	if (kind == 2 || !a.rope) {
#pragma unroll
		for (int k = 0; k < 4; k++)
			if (lane + 32 * k < a.d)
				to[lane + 32 * k] = as<T>(v[k]);
		return;
	}
	/* 4. Rotation: the first half of the channels by the row's angle, the second by the column's. Channel e of a half
	 * pairs with e ± quarter, which another lane may have: shared memory. The sines follow the cosines of both halves
	 * (5.3). */
	__shared__ float room[8][128];
	float *u = room[threadIdx.x / 32];
	int quarter = a.d / 4, half = a.d / 2;
	const float *rope = a.rope + (size_t)row * a.d;
#pragma unroll
	for (int k = 0; k < 4; k++)
		if (lane + 32 * k < a.d)
			u[lane + 32 * k] = v[k];
	__syncwarp();
#pragma unroll
	for (int k = 0; k < 4; k++) {
		int e = lane + 32 * k;
		if (e >= a.d)
			continue;
		int part = e / half, in = e % half, at = part * quarter + in % quarter;
		bool first = in < quarter;
		float other = u[first ? e + quarter : e - quarter];
		to[e] = as<T>(v[k] * rope[at] + (first ? -other : other) * rope[half + at]);
	}
}

/* The same for f16 and heads of 64, eight lanes for a head with eight channels each: all of its values at once. What
 * is read must be aligned to 16 bytes; norms have weights. */
template <typename Y> static __global__ void __launch_bounds__(256) place_64(place_args a, const Y *product)
{
	enum { D = 64 };
	int groups = 3 * a.heads, job = blockIdx.x * 32 + threadIdx.x / 8, lane = threadIdx.x % 8, jobs = a.rows * groups;
	bool valid = job < jobs; /* all lanes take part in the exchanges */
	job = valid ? job : jobs - 1;
	int row = job / groups, group = job % groups, kind = group / a.heads, head = group % a.heads;
	float v[8], u[8], w[8];
	load_pack<Y, 8>(product + (size_t)job * D + lane * 8, v);
#pragma unroll
	for (int k = 0; k < 8; k++)
		v[k] = fminf(fmaxf(v[k], -e3_most<Y>), e3_most<Y>);
	if (a.bias) {
		load_pack<float, 8>(a.bias + group * D + lane * 8, u);
#pragma unroll
		for (int k = 0; k < 8; k++)
			v[k] += u[k];
	}
	const place_norm norm = kind == 1 ? a.norm[1] : a.norm[0];
	float sum = 0, var = 0;
#pragma unroll
	for (int k = 0; k < 8; k++)
		sum += v[k];
#pragma unroll
	for (int by = 1; by < 8; by *= 2)
		sum += __shfl_xor_sync(~0u, sum, by);
#pragma unroll
	for (int k = 0; k < 8; k++)
		var += (v[k] - sum / D) * (v[k] - sum / D);
#pragma unroll
	for (int by = 1; by < 8; by *= 2)
		var += __shfl_xor_sync(~0u, var, by);
	if (kind < 2 && norm.on) {
		float inv = 1.0f / sqrtf(var / D + norm.eps);
		load_pack<float, 8>(norm.w + lane * 8, w);
		load_pack<float, 8>(norm.b + lane * 8, u);
#pragma unroll
		for (int k = 0; k < 8; k++)
			v[k] = (v[k] - sum / D) * inv * w[k] + u[k];
	}
	/* Channels 8 lane ..: the first or second quarter of a half, paired with those of lane ^ 2. */
#pragma unroll
	for (int k = 0; k < 8; k++)
		u[k] = __shfl_xor_sync(~0u, v[k], 2);
	if (kind < 2 && a.rope) {
		const float *rope = a.rope + (size_t)row * D + lane / 4 * (D / 4) + lane % 2 * 8;
		float sine[8];
		load_pack<float, 8>(rope, w);
		load_pack<float, 8>(rope + D / 2, sine);
#pragma unroll
		for (int k = 0; k < 8; k++)
			v[k] = v[k] * w[k] + (lane & 2 ? u[k] : -u[k]) * sine[k];
	}
	if (valid)
		store_pack<f16, 8>(place_of<f16>(a, kind, head, row) + lane * 8, v);
}

static bool can_place_64(const place_args *a, const void *product)
{
	bool sound = a->d == 64 && e3_aligned(product, 32) && e3_aligned(a->bias, 32) && e3_aligned(a->rope, 32) &&
		e3_aligned(a->q, 16);
	for (int k = 0; k < 2; k++)
		sound =
			sound && (!a->norm[k].on || (a->norm[k].w && e3_aligned(a->norm[k].w, 32) && e3_aligned(a->norm[k].b, 32)));
	return sound;
}

template <typename Y> static cudaError_t launch_place_64(e3_cuda *c, const place_args *a, const void *product)
{
	place_64<Y><<<e3_ceil_div(a->rows * 3 * a->heads, 32), 256, 0, e3_cuda_stream(c)>>>(*a, (const Y *)product);
	return cudaGetLastError();
}

template <typename T, typename Y = float>
static cudaError_t launch_place(e3_cuda *c, const place_args *a, const void *product)
{
	place<T, Y><<<e3_ceil_div(a->rows * 3 * a->heads, 8), 256, 0, e3_cuda_stream(c)>>>(*a, (const Y *)product);
	return cudaGetLastError();
}

static cudaError_t launch_place_of(e3_cuda *c, const place_args *a, const void *product, e3_dtype type, bool half)
{
	if (type == E3_F16 && can_place_64(a, product))
		return half ? launch_place_64<f16>(c, a, product) : launch_place_64<float>(c, a, product);
	if (half)
		return launch_place<f16, f16>(c, a, product);
	return type == E3_F32 ? launch_place<float>(c, a, product) : launch_place<f16>(c, a, product);
}

/* The camera head: one row, and nothing happens between product and cache. */
static int qkv_row(e3_cuda *c, const e3_qkv *op, e3_err *err)
{
	const e3_kv *kv = op->kv;
	int page = (int)(op->slot[0] / (uint32_t)kv->page_keys), at = (int)(op->slot[0] % (uint32_t)kv->page_keys),
		stride = kv->page_keys * kv->head_dim;
	float *k = (float *)kv->page[page] + (size_t)at * kv->head_dim;
	e3_gemv g = {op->x, op->norm, op->mat, E3_ACT_NONE, false, NULL, (float *)op->q.p, k,
		k + (size_t)kv->heads * stride, kv->heads * kv->head_dim, kv->head_dim, stride};
	return e3_cuda_gemv(c, &g, err) ? e3_fail_in(err, "qkv") : 0;
}

static place_norm place_norm_of(const e3_norm *n) { return n ? place_norm{true, n->eps, n->w, n->b} : place_norm{}; }

/* Into packed pages: first into one page in the type of the queries, from there into the slots. */
static int qkv_packed(e3_cuda *c, const e3_qkv *op, e3_err *err)
{
	e3_kv between = *op->kv;
	e3_qkv first = *op;
	e3_attend_kv pages;
	const void *slot;
	void *page;
	uint32_t *order = (uint32_t *)malloc((size_t)op->rows * sizeof *order);
	if (!order)
		return e3_fail(err, "qkv: out of memory");
	for (int k = 0; k < op->rows; k++)
		order[k] = (uint32_t)k;
	between.pack = E3_PACK_NONE, between.scored = false, between.page_keys = between.n_keys = op->rows;
	int rc = e3_cuda_scratch_get(c, SCRATCH_PACK, e3_kv_bytes(&between), &page, err);
	uint8_t *const list[1] = {(uint8_t *)page};
	between.page = list, first.kv = &between, first.slot = order;
	/* What packing needs goes to the device with what projection needs: nothing comes between the two. */
	rc = rc || e3_cuda_put_kv(c, op->kv, &pages, err) ||
		e3_cuda_put(c, op->slot, (size_t)op->rows * sizeof *op->slot, &slot, err) ||
		e3_cuda_qkv(&c->dev, &first, err) ||
		e3_cuda_pack(c, &pages, op->kv->dtype, page, (const uint32_t *)slot, op->rows, err);
	free(order);
	return rc ? e3_fail_in(err, "qkv") : 0;
}

int e3_cuda_qkv(e3_dev *dev, const e3_qkv *op, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	const e3_kv *kv = op->kv;
	const e3_mat *m = op->mat;
	if (e3_check_qkv(dev, op, err))
		return -1;
	if (op->rows <= 0)
		return 0;
	if (kv->head_dim > 128)
		return e3_fail(err, "qkv: heads of %d values, at most 128 are possible", kv->head_dim);
	e3_dtype type = kv->dtype;
	if (kv->pack)
		return qkv_packed(c, op, err);
	bool packed = e3_dtype_is_8(m->w.dtype) && !e3_is_row8(m);
	if (!packed && op->rows == 1 && type == E3_F32 && !op->q_norm && !op->k_norm && !op->rope)
		return qkv_row(c, op, err);
	if (e3_cuda_cut(c, err))
		return e3_fail_in(err, "qkv");
	e3_convert from = {op->x, E3_F32, m->in, op->rows, m->in, op->norm};
	e3_attend_kv pages;
	const void *slot, *x = NULL;
	int ldx = 0;
	/* The conversion of x comes last, so that the product can be set up while it runs. */
	if (e3_cuda_put_kv(c, kv, &pages, err) ||
		e3_cuda_stage(c, op->slot, (size_t)op->rows * sizeof *op->slot, &slot, err) ||
		(!packed && e3_cuda_product_input(c, &from, m, &x, &ldx, err)))
		return e3_fail_in(err, "qkv");
	place_args a = {m->b, op->rows, kv->heads, kv->head_dim, kv->page_keys,
		{place_norm_of(op->q_norm), place_norm_of(op->k_norm)}, op->rope, pages.page, (const uint32_t *)slot, op->q.p};
	bool affine = (!op->q_norm || op->q_norm->w) && (!op->k_norm || op->k_norm->w);
	bool placed = type == E3_F16 && kv->head_dim == 64 && affine;
	if (packed) {
		float *sums;
		if (e3_cuda_product8(c, &from, m, placed ? &a : NULL, &sums, err))
			return e3_fail_in(err, "qkv");
		if (sums)
			E3_TRY(launch_place_of(c, &a, sums, type, false), "qkv");
		return 0;
	}
	if (placed && e3_cuda_tiles_can(c, m, op->rows)) {
		e3_tiles t = {x, m->w.p, op->rows, m->in, m->out, ldx, e3_cuda_weight_ld(m), m->b, E3_ACT_NONE, NULL, 0, &a};
		return e3_cuda_tiles(c, &t, err) ? e3_fail_in(err, "qkv") : 0;
	}
	/* Half precision between product and cache where the cache has it too: half the bytes. */
	bool half = type == E3_F16 && m->w.dtype == E3_F16 && op->rows >= 64 && m->out % 8 == 0;
	e3_gemm g = {x, m->w.p, m->w.dtype, op->rows, m->in, m->out, ldx, e3_cuda_weight_ld(m), NULL, false, NULL,
		half ? E3_F16 : E3_F32, m->out};
	if (e3_cuda_scratch_get(c, SCRATCH_PRODUCT, (size_t)op->rows * m->out * sizeof(float), &g.d, err) ||
		e3_cuda_gemm(c, &g, err))
		return e3_fail_in(err, "qkv");
	E3_TRY(launch_place_of(c, &a, g.d, type, half), "qkv");
	return 0;
}

/* Workspace of the network's attention: the same from the first frame on. */
enum { ATTEND_WORK = 16 << 20 };

/* What both passes of attention take; mass_keys: of how many keys the mass is taken at a time. */
static int attend_job(e3_cuda *c, const e3_attend *op, int mass_keys, e3_attend_job *job, e3_err *err)
{
	const e3_kv *kv = op->kv;
	*job = (e3_attend_job){.q = op->q.p, .rows = op->rows, .lse = op->lse};
	job->q_step = op->q_step;
	job->size = e3_attend_workspace(&c->attend, op->rows, mass_keys, kv->heads, kv->head_dim);
	if (op->rows > 1 && job->size < ATTEND_WORK)
		job->size = ATTEND_WORK;
	return e3_cuda_stage_kv(c, kv, &job->kv, err) || e3_cuda_scratch_get(c, SCRATCH_ATTEND, job->size, &job->work, err)
		? -1
		: 0;
}

/* One set of rows after the other. */
static int attend_groups(e3_dev *dev, const e3_attend *op, e3_err *err)
{
	for (int g = 0; g < op->groups; g++) {
		e3_kv kv = *op->kv;
		e3_attend one = *op;
		size_t first = (size_t)g * (size_t)op->rows;
		kv.page += g;
		one.kv = &kv, one.groups = 0, one.q_step = e3_q_step(op->q_step, op->groups * op->rows);
		one.q = e3_tensor_at(op->q, first * (size_t)kv.head_dim);
		one.out = e3_tensor_at(op->out, first * (size_t)(kv.heads * kv.head_dim));
		if (e3_cuda_attend(dev, &one, err))
			return -1;
	}
	return 0;
}

int e3_cuda_attend(e3_dev *dev, const e3_attend *op, e3_err *err)
{
	if (op->groups > 1)
		return e3_check_attend(dev, op, err) || attend_groups(dev, op, err) ? -1 : 0;
	e3_cuda *c = e3_cuda_of(dev);
	e3_attend_job job;
	if (e3_check_attend(dev, op, err))
		return -1;
	if (op->rows <= 0)
		return 0;
	if (attend_job(c, op, 0, &job, err))
		return e3_fail_in(err, "attend");
	bool exact = op->kv->dtype == E3_F32;
	E3_TRY((exact ? e3_attend_f32 : e3_attend_f16)(&c->attend, &job, op->out.p, e3_cuda_stream(c)), "attend");
	return 0;
}

/* Keys whose mass is taken at a time: whole pages, as many as the workspace has room for; an attention map is made in
 * one piece. */
static int mass_at_once(const e3_cuda *c, const e3_mass *op)
{
	const e3_kv *kv = op->kv;
	int keys = kv->n_keys;
	size_t most = e3_attend_workspace(&c->attend, op->rows, 0, kv->heads, kv->head_dim); /* attention has that much */
	if (most < ATTEND_WORK)
		most = ATTEND_WORK;
	while (!op->attn_map && keys > kv->page_keys &&
		e3_attend_workspace(&c->attend, op->rows, keys, kv->heads, kv->head_dim) > most)
		keys = e3_ceil_div(keys / 2, kv->page_keys) * kv->page_keys;
	return keys;
}

int e3_cuda_mass(e3_dev *dev, const e3_mass *op, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	const e3_attend as = {.q = op->q,
		.rows = op->rows,
		.kv = op->kv,
		.lse = const_cast<float *>(op->lse),
		.q_step = op->q_step};
	int keys = mass_at_once(c, op), all = op->kv->n_keys;
	bool exact = op->kv->dtype == E3_F32;
	e3_attend_job job;
	if (e3_check_mass(dev, op, err))
		return -1;
	if (attend_job(c, &as, keys, &job, err))
		return e3_fail_in(err, "mass");
	for (int at = 0; at < all; at += keys, job.kv.page += keys / job.kv.page_keys) {
		job.kv.n_keys = all - at < keys ? all - at : keys;
		E3_TRY((exact ? e3_mass_f32 : e3_mass_f16)(&c->attend, &job, op->mass + at, op->attn_map, e3_cuda_stream(c)),
			"mass");
	}
	return 0;
}

template <typename T>
static __global__ void move_keys(void *const *page, int page_keys, int heads, int d, const uint32_t *from,
	const uint32_t *to)
{
	uint32_t f = from[blockIdx.x], t = to[blockIdx.x], keys = (uint32_t)page_keys;
	const T *source = (const T *)page[f / keys] + (size_t)(f % keys) * d;
	T *target = (T *)page[t / keys] + (size_t)(t % keys) * d;
	for (int k = threadIdx.x; k < 2 * heads * d; k += blockDim.x) {
		size_t at = (size_t)(k / d) * page_keys * d + k % d;
		target[at] = source[at];
	}
}

int e3_cuda_move(e3_dev *dev, const e3_kv *kv, const uint32_t *from, const uint32_t *to, int n, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	e3_attend_kv pages;
	const void *f, *t;
	if (n <= 0)
		return 0;
	if (e3_cuda_put_kv(c, kv, &pages, err) || e3_cuda_put(c, from, (size_t)n * sizeof *from, &f, err) ||
		e3_cuda_stage(c, to, (size_t)n * sizeof *to, &t, err))
		return e3_fail_in(err, "move");
	if (kv->pack) {
		if (e3_cuda_move_packed(c, &pages, (const uint32_t *)f, (const uint32_t *)t, n, err))
			return -1;
	} else if (kv->dtype == E3_F32)
		move_keys<float><<<n, 256, 0, e3_cuda_stream(c)>>>(pages.page, kv->page_keys, kv->heads, kv->head_dim,
			(const uint32_t *)f, (const uint32_t *)t);
	else
		move_keys<f16><<<n, 256, 0, e3_cuda_stream(c)>>>(pages.page, kv->page_keys, kv->heads, kv->head_dim,
			(const uint32_t *)f, (const uint32_t *)t);
	E3_LAUNCHED("move");
	return kv->scored ? e3_cuda_move_scores(c, kv, (const uint32_t *)f, (const uint32_t *)t, n, err) : 0;
}

cudaError_t e3_cuda_move_open(void)
{
	cudaFuncAttributes got;
	cudaError_t code = cudaFuncGetAttributes(&got, move_keys<float>);
	return code ? code : cudaFuncGetAttributes(&got, move_keys<f16>);
}
