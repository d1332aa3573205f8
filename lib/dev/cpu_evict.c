/* dev: the CPU's scores of cached tokens: tokens enter, a frame's shares are added, the tokens to evict are chosen. The
 * arithmetic of the order is in rank.c. */
#include "cpu.h"
#include "dev/rank.h"
#include "e3/mem.h"
#include "e3/num.h"
#include <math.h>
#include <stdlib.h>

/* Where the scores of a slot lie. */
typedef struct cell {
	double *sum;
	uint32_t *id, *seen;
} cell;

static cell cell_of(const e3_kv *kv, uint32_t slot)
{
	size_t keys = (size_t)kv->page_keys, at = slot % keys;
	double *sum = (double *)(void *)(kv->page[slot / keys] + e3_kv_bytes(kv));
	uint32_t *id = (uint32_t *)(void *)(sum + keys);
	return (cell){sum + at, id + at, id + keys + at};
}

/* All heads of a slot, in one part of the pages. */
static void move_part(const e3_kv *kv, int part, uint32_t from, uint32_t to)
{
	size_t keys = (size_t)kv->page_keys, row = e3_kv_row(kv, part), first = e3_kv_at(kv, part);
	const uint8_t *source = kv->page[from / keys] + first + from % keys * row;
	uint8_t *target = kv->page[to / keys] + first + to % keys * row;
	for (int head = 0; head < kv->heads; head++, source += keys * row, target += keys * row)
		memcpy(target, source, row);
}

int e3_cpu_move(e3_dev *dev, const e3_kv *kv, const uint32_t *from, const uint32_t *to, int n, e3_err *err)
{
	for (int k = 0; k < n; k++) {
		for (int part = 0; part < E3_KV_PARTS; part++)
			move_part(kv, part, from[k], to[k]);
		if (kv->scored) {
			cell a = cell_of(kv, from[k]), b = cell_of(kv, to[k]);
			*b.sum = *a.sum, *b.id = *a.id, *b.seen = *a.seen;
		}
	}
	return 0;
}

int e3_cpu_enter(e3_dev *dev, const e3_entered *layer, int layers, e3_err *err)
{
	for (int l = 0; l < layers; l++)
		for (int k = 0; k < layer[l].n; k++) {
			cell c = cell_of(layer[l].kv, layer[l].slot[k]);
			*c.id = layer[l].first_id + (uint32_t)k;
			bool infinite = !layer[l].first_id && !layer[l].free_first;
			*c.sum = infinite ? INFINITY : 0;
			*c.seen = infinite;
		}
	return 0;
}

static bool is_special(const e3_rule *r, uint32_t id) { return id % r->tokens < r->special; }

static bool is_protected(const e3_rule *r, uint32_t id)
{
	int64_t frame = id / r->tokens;
	return (frame == 0 && !r->free_first) || (r->newest_whole && frame == r->t) ||
		(is_special(r, id) && r->t - frame < r->protected_frames);
}

static double half(float v) { return e3_f16_to_f32(e3_f32_to_f16(v)); }

/* 9.2 step 2: this frame's relative share of one token into its sum. */
static void add_share(const e3_rule *r, cell c, float mass, int n)
{
	bool fresh = *c.id / r->tokens == r->t;
	*c.seen = fresh ? 1 : *c.seen + 1;
	if (r->scoring.sums == E3_SUMS_F16) {
		double share = half(mass * (float)n);
		*c.sum = fresh && is_special(r, *c.id) ? INFINITY : fresh ? share : half((float)share + (float)*c.sum);
	} else {
		*c.sum = (fresh ? 0 : *c.sum) + (double)mass * n;
	}
}

static float score_of(const e3_rule *r, cell c)
{
	bool given = e3_scoring_is_given(&r->scoring);
	return e3_rank_score(r, *c.id, given ? (float)*c.sum : (float)*c.sum / ((float)*c.seen + 1e-6f));
}

int e3_cpu_score(e3_dev *dev, const e3_rule *r, const e3_scored *layer, int layers, e3_err *err)
{
	for (int l = 0; l < layers; l++) {
		const e3_scored *s = &layer[l];
		*s->stat = (e3_layer_stat){0};
		if (s->mass)
			s->stat->variance = e3_rank_variance(s->mass, (size_t)s->kv->n_keys);
		for (int k = 0; k < s->kv->n_keys; k++) {
			cell c = cell_of(s->kv, (uint32_t)k);
			if (s->mass)
				add_share(r, c, s->mass[k], s->kv->n_keys);
			bool prot = is_protected(r, *c.id);
			s->stat->prot += prot;
			s->stat->saturated += !prot && isinf(score_of(r, c));
		}
	}
	return 0;
}

/* ---- novelty (9.10) ---- */

E3_CLONES static double length_of(const float *v, int d)
{
	double sum = 0;
#pragma omp simd reduction(+ : sum)
	for (int k = 0; k < d; k++)
		sum += (double)v[k] * v[k];
	return fmax(sqrt(sum), 1e-12);
}

/* Patches take half of the mean of their neighbours, by the weights 1 2 1; beyond the edge there is nothing. */
static double smoothed(const e3_rule *r, const float *importance, uint32_t index)
{
	if (index < r->special)
		return importance[index];
	int columns = (int)r->columns, rows = (int)((r->tokens - r->special) / r->columns), at = (int)(index - r->special);
	double sum = 0;
	for (int y = at / columns - 1; y <= at / columns + 1; y++)
		for (int x = at % columns - 1; x <= at % columns + 1; x++)
			if (y >= 0 && y < rows && x >= 0 && x < columns)
				sum += (y == at / columns ? 2 : 1) * (x == at % columns ? 2 : 1) / 16.0 *
					importance[(int)r->special + y * columns + x];
	return 0.5 * importance[index] + 0.5 * sum;
}

typedef struct unlike_job {
	e3_cpu *cpu;
	const e3_rule *r;
	const e3_novelty *layer;
	int *may;     /* [layers] how many tokens may go */
	double *mean; /* [layers][head_dim] */
} unlike_job;

E3_CLONES static double dot(const double *a, const float *b, int d)
{
	double sum = 0;
#pragma omp simd reduction(+ : sum)
	for (int k = 0; k < d; k++)
		sum += a[k] * b[k];
	return sum;
}

E3_CLONES static void add_direction(double *to, const float *v, int d, double length)
{
#pragma omp simd
	for (int k = 0; k < d; k++)
		to[k] += v[k] / length;
}

/* The sum of each cell of a layer becomes 1 minus its likeness to the mean direction of those that may go. */
static void unlike_task(void *ctx, int l, int thread)
{
	const unlike_job *j = ctx;
	const e3_kv *kv = j->layer[l].kv;
	int d = kv->head_dim;
	double *mean = j->mean + (size_t)l * (size_t)d;
	float *room = j->cpu->scratch[thread].p;
	for (int h = 0; h < kv->heads; h++) {
		for (int c = 0; c < d; c++)
			mean[c] = 0;
		j->may[l] = 0;
		for (int k = 0; k < kv->n_keys; k++)
			if (!is_protected(j->r, *cell_of(kv, (uint32_t)k).id)) {
				const float *key = e3_cpu_rows(kv, 0, h, k, 1, room);
				add_direction(mean, key, d, length_of(key, d));
				j->may[l]++;
			}
		for (int k = 0; k < kv->n_keys; k++) {
			const float *key = e3_cpu_rows(kv, 0, h, k, 1, room);
			double like = j->may[l] ? dot(mean, key, d) / length_of(key, d) / j->may[l] : 0,
				   *sum = cell_of(kv, (uint32_t)k).sum;
			*sum = (h ? *sum : 1) - like / kv->heads;
		}
	}
}

static void judge(const e3_rule *r, const e3_novelty *l, int may)
{
	double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY}, sum = 0;
	for (int pass = 0; pass < 2; pass++)
		for (int k = 0; k < l->kv->n_keys; k++) {
			cell c = cell_of(l->kv, (uint32_t)k);
			bool fresh = *c.id / r->tokens == r->t;
			if (is_protected(r, *c.id))
				continue;
			double v = fresh && l->importance ? smoothed(r, l->importance, *c.id % r->tokens) : *c.sum;
			if (pass == 0)
				low[fresh] = fmin(low[fresh], v), high[fresh] = fmax(high[fresh], v);
			else if (l->importance && low[0] <= high[0])
				sum += *c.sum = 0.5 * (v - low[fresh]) / (high[fresh] - low[fresh] + 1e-8);
			else
				sum += 1 - *c.sum;
		}
	*l->mean = may ? sum / may : 0;
}

int e3_cpu_novelty(e3_dev *dev, const e3_rule *r, const e3_novelty *layer, int layers, e3_err *err)
{
	e3_cpu *cpu = e3_cpu_of(dev);
	size_t d = layers ? (size_t)layer->kv->head_dim : 0, n = (size_t)layers;
	float *room;
	if (e3_cpu_scratch_all(cpu, d, "novelty", err))
		return -1;
	if (e3_cpu_scratch(cpu, e3_pool_threads(cpu->pool), 2 * n * d + n, &room, err))
		return e3_fail_in(err, "novelty");
	unlike_job job = {cpu, r, layer, (int *)(void *)(room + 2 * n * d), (double *)(void *)room};
	e3_parallel_for(cpu->pool, layers, unlike_task, &job);
	for (int l = 0; l < layers; l++)
		judge(r, &layer[l], job.may[l]);
	return 0;
}

/* Where the candidates of a layer lie, which may have all keys there are. */
static int room_for(e3_cpu *cpu, size_t keys, float **out, e3_err *err)
{
	return e3_cpu_scratch(cpu, e3_pool_threads(cpu->pool), keys * sizeof(e3_candidate) / sizeof(float), out, err);
}

int e3_cpu_reserve(e3_dev *dev, size_t keys, e3_err *err)
{
	return room_for(e3_cpu_of(dev), keys, NULL, err) ? e3_fail_in(err, "reserve") : 0;
}

static void choose_from(const e3_chosen *c, const e3_candidate *sorted, size_t n)
{
	size_t finite = 0, out = (size_t)c->remove < n ? (size_t)c->remove : n;
	while (finite < n && isfinite(sorted[finite].score))
		finite++;
	*c->choice = (e3_evict_choice){.removed = (uint32_t)out, .max_evicted = NAN, .min_kept = NAN};
	e3_rank_quantiles(sorted, finite, c->choice->score_q);
	if (out && finite)
		c->choice->max_evicted = sorted[out < finite ? out - 1 : finite - 1].score;
	if (out < finite)
		c->choice->min_kept = sorted[out].score;
	for (size_t k = 0; k < out; k++)
		c->slot[k] = sorted[k].slot, c->id[k] = sorted[k].id;
}

int e3_cpu_choose(e3_dev *dev, const e3_rule *r, const e3_chosen *layer, int layers, e3_err *err)
{
	int most = 0;
	for (int l = 0; l < layers; l++)
		most = e3_max(most, layer[l].kv->n_keys);
	float *scratch;
	if (room_for(e3_cpu_of(dev), (size_t)most, &scratch, err))
		return e3_fail_in(err, "choose");
	e3_candidate *candidate = (e3_candidate *)(void *)scratch;
	for (int l = 0; l < layers; l++) {
		size_t n = 0;
		for (int k = 0; k < layer[l].kv->n_keys; k++) {
			cell c = cell_of(layer[l].kv, (uint32_t)k);
			bool prot = is_protected(r, *c.id);
			if (!prot || r->protected_last)
				candidate[n++] = (e3_candidate){prot ? INFINITY : score_of(r, c), *c.id, (uint32_t)k};
		}
		e3_rank_sort(candidate, n);
		choose_from(&layer[l], candidate, n);
	}
	return 0;
}
