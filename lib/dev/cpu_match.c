/* dev: what the CPU measures of keys without attention: how well they fit the frame's queries, and their means. */
#include "cpu.h"

/* How much row r counts in the mean query: groups count alike, and the rows of a group. */
static double row_weight(const e3_match *m, int r)
{
	int groups = m->special + e3_ceil_div(m->rows - m->special, m->pool);
	int first = m->special + (r - m->special) / m->pool * m->pool;
	return 1.0 / groups / (r < m->special ? 1 : e3_min(m->pool, m->rows - first));
}

static void mean_query(const e3_match *m, float *to)
{
	int d = m->kv->head_dim, heads = m->kv->heads;
	size_t step = (size_t)e3_q_step(m->q_step, m->rows);
	for (int c = 0; c < d; c++) {
		double sum = 0;
		for (int r = 0; r < m->rows; r++) {
			double over_heads = 0;
			for (int h = 0; h < heads; h++)
				over_heads += e3_tensor_floats(m->q)[((size_t)h * step + (size_t)r) * (size_t)d + (size_t)c];
			sum += row_weight(m, r) * over_heads;
		}
		to[c] = (float)(sum / heads);
	}
}

E3_CLONES static float dot(const float *a, const float *b, int n)
{
	float sum = 0;
#pragma omp simd reduction(+ : sum)
	for (int k = 0; k < n; k++)
		sum += a[k] * b[k];
	return sum;
}

typedef struct match_job {
	e3_cpu *cpu;
	const e3_match *op;
	const float *query;
} match_job;

static void match_task(void *ctx, int page, int thread)
{
	const match_job *j = ctx;
	const e3_kv *kv = j->op->kv;
	int first = page * kv->page_keys, n = e3_min(kv->page_keys, kv->n_keys - first);
	double *score = (double *)(void *)(kv->page[page] + e3_kv_bytes(kv));
	for (int k = 0; k < n; k++) {
		double sum = 0;
		for (int h = 0; h < kv->heads; h++)
			sum += dot(j->query, e3_cpu_rows(kv, 0, h, first + k, 1, j->cpu->scratch[thread].p), kv->head_dim);
		score[k] = sum / kv->heads;
	}
}

int e3_cpu_match(e3_dev *dev, const e3_match *m, e3_err *err)
{
	e3_cpu *cpu = e3_cpu_of(dev);
	match_job job = {cpu, m, NULL};
	float *query;
	if (e3_check_match(dev, m, err) || e3_cpu_scratch_all(cpu, (size_t)m->kv->head_dim, "match", err) ||
		e3_cpu_scratch(cpu, e3_pool_threads(cpu->pool), (size_t)m->kv->head_dim, &query, err))
		return -1;
	mean_query(m, query);
	job.query = query;
	e3_parallel_for(cpu->pool, e3_ceil_div(m->kv->n_keys, m->kv->page_keys), match_task, &job);
	return 0;
}

typedef struct mean_job {
	e3_cpu *cpu;
	const e3_mean_keys *layer;
	double *sum; /* [layers][head_dim] */
} mean_job;

static void mean_task(void *ctx, int l, int thread)
{
	const mean_job *j = ctx;
	const e3_mean_keys *layer = &j->layer[l];
	const e3_kv *kv = layer->kv;
	size_t d = (size_t)kv->head_dim;
	double *sum = j->sum + (size_t)l * d;
	for (size_t h = 0; h < (size_t)kv->heads; h++) {
		for (size_t c = 0; c < d; c++)
			sum[c] = 0;
		for (int k = 0; k < layer->n; k++) {
			const float *key = e3_cpu_rows(kv, 0, (int)h, (int)layer->slot[k], 1, j->cpu->scratch[thread].p);
			for (size_t c = 0; c < d; c++)
				sum[c] += key[c];
		}
		for (size_t c = 0; c < d; c++)
			layer->out[h * d + c] = (float)(sum[c] / layer->n);
	}
}

int e3_cpu_mean_keys(e3_dev *dev, const e3_mean_keys *layer, int layers, e3_err *err)
{
	e3_cpu *cpu = e3_cpu_of(dev);
	float *room;
	size_t d = layers ? (size_t)layer->kv->head_dim : 0;
	if (e3_cpu_scratch_all(cpu, d, "mean_keys", err))
		return -1;
	if (e3_cpu_scratch(cpu, e3_pool_threads(cpu->pool), 2 * (size_t)layers * d, &room, err))
		return e3_fail_in(err, "mean_keys");
	e3_parallel_for(cpu->pool, layers, mean_task, &(mean_job){cpu, layer, (double *)(void *)room});
	return 0;
}
