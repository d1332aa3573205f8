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
	const e3_match *op;
	const float *query;
} match_job;

static void match_task(void *ctx, int page, int thread)
{
	const match_job *j = ctx;
	const e3_kv *kv = j->op->kv;
	int n = e3_min(kv->page_keys, kv->n_keys - page * kv->page_keys), d = kv->head_dim;
	double *score = (double *)(void *)(kv->page[page] + e3_kv_bytes(kv));
	for (int k = 0; k < n; k++) {
		double sum = 0;
		for (int h = 0; h < kv->heads; h++)
			sum += dot(j->query,
				e3_cpu_page(kv, (uint32_t)page) + ((size_t)h * (size_t)kv->page_keys + (size_t)k) * (size_t)d, d);
		score[k] = sum / kv->heads;
	}
}

int e3_cpu_match(e3_dev *dev, const e3_match *m, e3_err *err)
{
	e3_cpu *cpu = e3_cpu_of(dev);
	match_job job = {m, NULL};
	float *query;
	if (e3_check_match(dev, m, err) ||
		e3_cpu_scratch(cpu, e3_pool_threads(cpu->pool), (size_t)m->kv->head_dim, &query, err))
		return -1;
	mean_query(m, query);
	job.query = query;
	e3_parallel_for(cpu->pool, e3_ceil_div(m->kv->n_keys, m->kv->page_keys), match_task, &job);
	return 0;
}

typedef struct mean_job {
	const e3_mean_keys *layer;
	double *sum; /* [layers][head_dim] */
} mean_job;

static void mean_task(void *ctx, int l, int thread)
{
	const e3_mean_keys *layer = &((mean_job *)ctx)->layer[l];
	const e3_kv *kv = layer->kv;
	size_t d = (size_t)kv->head_dim, keys = (size_t)kv->page_keys;
	double *sum = ((mean_job *)ctx)->sum + (size_t)l * d;
	for (size_t h = 0; h < (size_t)kv->heads; h++) {
		for (size_t c = 0; c < d; c++)
			sum[c] = 0;
		for (int k = 0; k < layer->n; k++) {
			size_t slot = layer->slot[k];
			const float *key = e3_cpu_page(kv, (uint32_t)(slot / keys)) + (h * keys + slot % keys) * d;
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
	size_t doubles = layers ? (size_t)layers * (size_t)layer->kv->head_dim : 0;
	if (e3_cpu_scratch(cpu, e3_pool_threads(cpu->pool), 2 * doubles, &room, err))
		return e3_fail_in(err, "mean_keys");
	e3_parallel_for(cpu->pool, layers, mean_task, &(mean_job){layer, (double *)(void *)room});
	return 0;
}
