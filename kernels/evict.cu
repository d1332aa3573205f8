/* kernels: scores of cached tokens: entering, adding a frame's share, choosing tokens to evict (doc/network.md
 * 9.2; lib/dev/cpu_evict.c is the reference: the same decisions on the same numbers).
 *
 * One block works on one layer, the layers side by side. Sums are made in a fixed order and multiplications are kept
 * apart from additions where the CPU keeps them apart, so the order of the tokens is the CPU's to the last bit. Results
 * go straight to host memory: a few numbers for each layer, and the slots and ids of the evicted tokens.
 */
#include "values.cuh"
#include <math_constants.h>

enum { BLOCK = 1024, DIGIT = 4, DIGITS = 1 << DIGIT };

typedef struct layer_view {
	void *const *page;
	int page_keys, n;
	size_t scores; /* bytes from the start of a page to its scores */
} layer_view;

typedef struct score_args {
	layer_view v;
	const float *mass;
	e3_layer_stat *stat;
} score_args;

/* What is sorted, on its way between two such lists. */
typedef struct slot_list {
	uint64_t *key; /* [n] the score, then the id */
	uint32_t *at;  /* [n] slots */
} slot_list;

typedef struct choose_args {
	layer_view v;
	int remove;
	uint32_t *slot, *id; /* host memory */
	e3_evict_choice *choice;
	slot_list one, two;
} choose_args;

struct cell {
	double *sum;
	uint32_t *id, *seen;
};

static __device__ __forceinline__ cell cell_of(const layer_view &v, uint32_t slot)
{
	uint32_t keys = (uint32_t)v.page_keys, at = slot % keys;
	double *sum = (double *)((char *)v.page[slot / keys] + v.scores);
	uint32_t *id = (uint32_t *)(sum + keys);
	return {sum + at, id + at, id + keys + at};
}

static __device__ bool is_special(const e3_rule &r, uint32_t id) { return id % r.tokens < r.special; }

static __device__ bool is_protected(const e3_rule &r, uint32_t id)
{
	int64_t frame = id / r.tokens;
	return (frame == 0 && !r.free_first) || (r.newest_whole && frame == r.t) ||
		(is_special(r, id) && r.t - frame < r.protected_frames);
}

/* ---- entering and moving ---- */

typedef struct enter_args {
	layer_view v;
	const uint32_t *slot;
	int n;
	uint32_t first_id;
	bool infinite;
} enter_args;

/* Grid: stretches of tokens, layers. */
static __global__ void enter(const enter_args *layers)
{
	enter_args a = layers[blockIdx.y];
	int k = blockIdx.x * blockDim.x + threadIdx.x;
	if (k >= a.n)
		return;
	cell c = cell_of(a.v, a.slot[k]);
	*c.id = a.first_id + (uint32_t)k;
	*c.sum = a.infinite ? CUDART_INF : 0;
	*c.seen = a.infinite;
}

static __global__ void move_scores(layer_view v, const uint32_t *from, const uint32_t *to, int n)
{
	int k = blockIdx.x * blockDim.x + threadIdx.x;
	if (k >= n)
		return;
	cell a = cell_of(v, from[k]), b = cell_of(v, to[k]);
	*b.sum = *a.sum, *b.id = *a.id, *b.seen = *a.seen;
}

/* Put, not sent. */
static int view_of(e3_cuda *c, const e3_kv *kv, layer_view *v, e3_err *err)
{
	e3_attend_kv pages;
	if (e3_cuda_put_kv(c, kv, &pages, err))
		return -1;
	*v = (layer_view){pages.page, kv->page_keys, kv->n_keys, e3_kv_bytes(kv)};
	return 0;
}

int e3_cuda_enter(e3_dev *dev, const e3_entered *layer, int layers, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	enter_args args[E3_LAYERS_MOST];
	const void *staged, *slot;
	int most = 0;
	for (int l = 0; l < layers; l++) {
		if (view_of(c, layer[l].kv, &args[l].v, err) ||
			e3_cuda_put(c, layer[l].slot, (size_t)layer[l].n * sizeof *layer[l].slot, &slot, err))
			return e3_fail_in(err, "enter");
		args[l].slot = (const uint32_t *)slot, args[l].n = layer[l].n, args[l].first_id = layer[l].first_id,
		args[l].infinite = !layer[l].first_id && !layer[l].free_first;
		most = most > layer[l].n ? most : layer[l].n;
	}
	if (!most)
		return 0;
	if (e3_cuda_stage(c, args, (size_t)layers * sizeof *args, &staged, err))
		return e3_fail_in(err, "enter");
	enter<<<dim3((unsigned)e3_ceil_div(most, 256), (unsigned)layers), 256, 0, e3_cuda_stream(c)>>>(
		(const enter_args *)staged);
	E3_LAUNCHED("enter");
	return 0;
}

int e3_cuda_move_scores(e3_cuda *c, const e3_kv *kv, const uint32_t *from, const uint32_t *to, int n, e3_err *err)
{
	layer_view v;
	if (view_of(c, kv, &v, err) || e3_cuda_send(c, err))
		return -1;
	move_scores<<<e3_ceil_div(n, 256), 256, 0, e3_cuda_stream(c)>>>(v, from, to, n);
	E3_LAUNCHED("move");
	return 0;
}

/* ---- a frame's share ---- */

/* The sum over the block, in an order that depends on nothing; every thread gets it. */
static __device__ double block_sum(double v, double *shared)
{
	shared[threadIdx.x] = v;
	__syncthreads();
	for (int half = BLOCK / 2; half; half /= 2) {
		if (threadIdx.x < half)
			shared[threadIdx.x] += shared[threadIdx.x + half];
		__syncthreads();
	}
	double sum = shared[0];
	__syncthreads();
	return sum;
}

static __device__ float half_of(float v) { return __half2float(__float2half_rn(v)); }

static __device__ void add_share(const e3_rule &r, const cell &c, float mass, int n)
{
	bool fresh = *c.id / r.tokens == r.t;
	*c.seen = fresh ? 1 : *c.seen + 1;
	if (r.scoring.sums == E3_SUMS_F16) {
		float share = half_of(__fmul_rn(mass, (float)n));
		*c.sum = fresh && is_special(r, *c.id) ? CUDART_INF : fresh ? share : half_of(__fadd_rn(share, (float)*c.sum));
	} else {
		*c.sum = __dadd_rn(fresh ? 0 : *c.sum, __dmul_rn((double)mass, (double)n));
	}
}

static __device__ uint32_t mix32(uint32_t h)
{
	h ^= h >> 16;
	h *= 0x85ebca6bu;
	h ^= h >> 13;
	h *= 0xc2b2ae35u;
	return h ^ h >> 16;
}

/* The upper 23 bits as a number in (0, 1). */
static __device__ float fraction(uint32_t bits) { return (float)(2 * (bits >> 9) + 1) * 0x1p-24f; }

static __device__ float dither(const e3_rule &r, uint32_t id)
{
	uint32_t frame = id / r.tokens, index = id % r.tokens, patch = index - r.special;
	uint32_t column = index < r.special ? index : patch % r.columns,
			 row = index < r.special ? 0 : patch / r.columns + 1;
	return fraction(0x80000000u - (column * 3242174889u + (row - 1) * 2447445414u + frame * 2654435769u));
}

static __device__ float score_of(const e3_rule &r, const cell &c)
{
	const e3_scoring &s = r.scoring;
	uint32_t id = *c.id, hash = mix32((id * 2654435761u + 1u) ^ mix32(r.seed));
	if (s.measure == E3_MEASURE_NOTHING)
		return s.dither == E3_DITHER_EVEN ? dither(r, id) : (float)hash;
	float score = s.measure == E3_MEASURE_FRAME ? (float)(id / r.tokens)
		: s.measure == E3_MEASURE_MATCH || s.measure == E3_MEASURE_NOVELTY
		? (float)*c.sum
		: __fdiv_rn((float)*c.sum, __fadd_rn((float)*c.seen, 1e-6f));
	score = s.root ? __fsqrt_rn(score) : score;
	if (s.dither == E3_DITHER_NONE)
		return score;
	return __fdiv_rn(score, s.dither == E3_DITHER_EVEN ? dither(r, id) : fraction(hash));
}

static __global__ void __launch_bounds__(BLOCK) score(const score_args *layers, e3_rule r)
{
	__shared__ double shared[BLOCK];
	score_args a = layers[blockIdx.x];
	double sum = 0, var = 0, prot = 0, saturated = 0;
	for (int k = threadIdx.x; a.mass && k < a.v.n; k += BLOCK)
		sum += a.mass[k];
	double mean = block_sum(sum, shared) / a.v.n;
	for (int k = threadIdx.x; a.mass && k < a.v.n; k += BLOCK)
		var += (a.mass[k] - mean) * (a.mass[k] - mean);
	var = block_sum(var, shared);
	for (int k = threadIdx.x; k < a.v.n; k += BLOCK) {
		cell c = cell_of(a.v, (uint32_t)k);
		if (a.mass)
			add_share(r, c, a.mass[k], a.v.n);
		bool p = is_protected(r, *c.id);
		prot += p;
		saturated += !p && isinf(score_of(r, c));
	}
	prot = block_sum(prot, shared), saturated = block_sum(saturated, shared);
	if (threadIdx.x == 0)
		*a.stat = {a.mass ? var / a.v.n : 0, (uint32_t)prot, (uint32_t)saturated};
}

int e3_cuda_score(e3_dev *dev, const e3_rule *rule, const e3_scored *layer, int layers, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	score_args args[E3_LAYERS_MOST];
	const void *staged;
	for (int l = 0; l < layers; l++) {
		args[l] = (score_args){{}, layer[l].mass, layer[l].stat};
		if (view_of(c, layer[l].kv, &args[l].v, err))
			return e3_fail_in(err, "score");
	}
	if (e3_cuda_stage(c, args, (size_t)layers * sizeof *args, &staged, err))
		return e3_fail_in(err, "score");
	score<<<layers, BLOCK, 0, e3_cuda_stream(c)>>>((const score_args *)staged, *rule);
	E3_LAUNCHED("score");
	return 0;
}

/* ---- choosing ---- */

/* Exclusive sum over the block's counts [DIGITS][BLOCK] in that order: what a stable scatter needs. */
static __device__ void scan_counts(uint32_t *count, uint32_t *part)
{
	uint32_t first = threadIdx.x * DIGITS, sum = 0;
	for (int k = 0; k < DIGITS; k++)
		sum += count[first + k];
	part[threadIdx.x] = sum;
	__syncthreads();
	for (int step = 1; step < BLOCK; step *= 2) {
		uint32_t before = threadIdx.x >= step ? part[threadIdx.x - step] : 0;
		__syncthreads();
		part[threadIdx.x] += before;
		__syncthreads();
	}
	uint32_t at = part[threadIdx.x] - sum;
	for (int k = 0; k < DIGITS; k++) {
		uint32_t n = count[first + k];
		count[first + k] = at;
		at += n;
	}
	__syncthreads();
}

/* One pass of a stable radix sort: every thread owns a run of neighbours. */
static __device__ void sort_pass(int n, slot_list from, slot_list to, int shift, uint32_t *count, uint32_t *part)
{
	int each = (n + BLOCK - 1) / BLOCK, first = min((int)threadIdx.x * each, n), last = min(first + each, n);
	for (int d = 0; d < DIGITS; d++)
		count[d * BLOCK + threadIdx.x] = 0;
	for (int k = first; k < last; k++)
		count[(from.key[k] >> shift & (DIGITS - 1)) * BLOCK + threadIdx.x]++;
	__syncthreads();
	scan_counts(count, part);
	for (int k = first; k < last; k++) {
		uint64_t key = from.key[k];
		uint32_t at = count[(key >> shift & (DIGITS - 1)) * BLOCK + threadIdx.x]++;
		to.key[at] = key;
		to.at[at] = from.at[k];
	}
	__syncthreads();
}

/* Scores as integers of the same order, also negative ones; and back. */
static __device__ uint32_t ordered(float score)
{
	uint32_t bits = __float_as_uint(score + 0.0f); /* -0 is 0 */
	return bits >> 31 ? ~bits : bits | 0x80000000u;
}

static __device__ float key_score(uint64_t key)
{
	uint32_t bits = (uint32_t)(key >> 32);
	return __uint_as_float(bits >> 31 ? bits & 0x7fffffffu : ~bits);
}

static __device__ float quantile(const uint64_t *sorted, uint32_t n, double q)
{
	if (!n)
		return CUDART_NAN_F;
	double h = __dmul_rn(q, (double)(n - 1));
	uint32_t i = (uint32_t)h, j = i + 1 < n ? i + 1 : i;
	float low = key_score(sorted[i]);
	return (float)__dadd_rn(low,
		__dmul_rn(__dadd_rn(h, -(double)i), __dadd_rn((double)key_score(sorted[j]), -(double)low)));
}

static __constant__ double asked[9] = {0, .01, .05, .25, .5, .75, .95, .99, 1};

/* Candidates first by (score, id); those that may not be evicted have all bits set and come last. */
static __global__ void __launch_bounds__(BLOCK) choose(const choose_args *layers, e3_rule r, int id_bits)
{
	extern __shared__ uint32_t count[]; /* [DIGITS * BLOCK] */
	__shared__ uint32_t part[BLOCK];
	__shared__ uint32_t candidates, finite;
	choose_args a = layers[blockIdx.x];
	if (threadIdx.x == 0)
		candidates = finite = 0;
	__syncthreads();
	uint32_t may = 0, ends = 0;
	for (int k = threadIdx.x; k < a.v.n; k += BLOCK) {
		cell c = cell_of(a.v, (uint32_t)k);
		bool prot = is_protected(r, *c.id), leaves = !prot || r.protected_last;
		float s = prot ? CUDART_INF_F : score_of(r, c);
		a.one.key[k] = leaves ? (uint64_t)ordered(s) << 32 | *c.id : ~(uint64_t)0;
		a.one.at[k] = (uint32_t)k;
		may += leaves, ends += leaves && isfinite(s);
	}
	atomicAdd(&candidates, may), atomicAdd(&finite, ends);
	__syncthreads();
	slot_list sorted = a.one, other = a.two;
	for (int shift = 0; shift < 64; shift = shift + DIGIT < id_bits || shift >= 32 ? shift + DIGIT : 32) {
		sort_pass(a.v.n, sorted, other, shift, count, part);
		slot_list t = sorted;
		sorted = other, other = t;
	}
	const uint64_t *key = sorted.key;
	uint32_t out = min((uint32_t)a.remove, candidates);
	for (uint32_t k = threadIdx.x; k < out; k += BLOCK)
		a.slot[k] = sorted.at[k], a.id[k] = (uint32_t)key[k];
	if (threadIdx.x < 9)
		a.choice->score_q[threadIdx.x] = quantile(key, finite, asked[threadIdx.x]);
	if (threadIdx.x == 0) {
		a.choice->removed = out;
		a.choice->max_evicted = out && finite ? key_score(key[min(out, finite) - 1]) : CUDART_NAN_F;
		a.choice->min_kept = out < finite ? key_score(key[out]) : CUDART_NAN_F;
	}
}

/* Bits of the largest id there is, rounded up to whole digits. */
static int id_bits_of(const e3_rule *r)
{
	uint64_t most = ((uint64_t)r->t + 1) * r->tokens;
	int bits = DIGIT;
	while (bits < 32 && most >> bits)
		bits += DIGIT;
	return bits;
}

/* Two lists of all keys. */
static int room_for(e3_cuda *c, size_t keys, void **out, e3_err *err)
{
	return e3_cuda_scratch_get(c, SCRATCH_CHOOSE, keys * 2 * (sizeof(uint64_t) + sizeof(uint32_t)), out, err);
}

int e3_cuda_reserve(e3_dev *dev, size_t keys, e3_err *err)
{
	void *room;
	return room_for(e3_cuda_of(dev), keys, &room, err) ? e3_fail_in(err, "reserve") : 0;
}

int e3_cuda_choose(e3_dev *dev, const e3_rule *rule, const e3_chosen *layer, int layers, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	choose_args args[E3_LAYERS_MOST];
	const void *staged;
	void *work;
	size_t keys = 0, shared = DIGITS * BLOCK * sizeof(uint32_t);
	for (int l = 0; l < layers; l++)
		keys += (size_t)layer[l].kv->n_keys;
	if (room_for(c, keys, &work, err))
		return e3_fail_in(err, "choose");
	uint64_t *key = (uint64_t *)work;
	uint32_t *at = (uint32_t *)(key + 2 * keys);
	for (int l = 0; l < layers; l++) {
		size_t n = (size_t)layer[l].kv->n_keys;
		args[l] = (choose_args){{}, layer[l].remove, layer[l].slot, layer[l].id, layer[l].choice, {key, at},
			{key + n, at + n}};
		key += 2 * n, at += 2 * n;
		if (view_of(c, layer[l].kv, &args[l].v, err))
			return e3_fail_in(err, "choose");
	}
	if (e3_cuda_stage(c, args, (size_t)layers * sizeof *args, &staged, err))
		return e3_fail_in(err, "choose");
	E3_TRY(cudaFuncSetAttribute(choose, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared), "choose");
	choose<<<layers, BLOCK, shared, e3_cuda_stream(c)>>>((const choose_args *)staged, *rule, id_bits_of(rule));
	E3_LAUNCHED("choose");
	return 0;
}

cudaError_t e3_cuda_evict_open(void)
{
	cudaFuncAttributes got;
	cudaError_t code = cudaFuncGetAttributes(&got, move_scores);
	code = code ? code : e3_cuda_move_open();
	code = code ? code : e3_cuda_pack_open();
	code = code ? code : e3_cuda_match_open();
	code = code ? code : e3_cuda_novelty_open();
	code = code ? code : cudaFuncGetAttributes(&got, score);
	return code ? code : cudaFuncGetAttributes(&got, choose);
}
