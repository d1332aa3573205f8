/* The field's policies in a session: each evicts what its published formula says, computed here in double precision
 * from the queries and keys that the device was given. */
#include "check.h"
#include "model/session.h"
#include "model_stream.h"
#include "whole_frames.h"

enum { LAYERS = 6, MOST = 4096 };

/* The CPU, with what it is asked for put by. */
static struct {
	e3_dev_ops ops;
	const e3_dev_ops *real;
	int layer, masses;
	double score[LAYERS][MOST]; /* by slot */
	float mean[LAYERS][WF_DIM];
	/* OVGGT: what each layer's second half was given, how far it moved each token; scores by id. */
	float before[25 * WF_DIM];
	double moved[LAYERS][25], novelty[LAYERS][MOST], mean_novelty[LAYERS];
	bool one_before;
} spy;

static double key_at(const e3_kv *kv, int slot, int head, int c)
{
	const float *page = (const float *)(const void *)kv->page[slot / kv->page_keys];
	return page[(head * kv->page_keys + slot % kv->page_keys) * kv->head_dim + c];
}

static double query_at(const e3_match *m, int row, int c)
{
	double sum = 0;
	for (int h = 0; h < m->kv->heads; h++)
		sum += e3_tensor_floats(m->q)[(h * m->rows + row) * m->kv->head_dim + c];
	return sum / m->kv->heads;
}

/* XStreamVGGT: the mean, over pooled queries, of their inner products with the key; heads are averaged first. */
static int spy_match(e3_dev *d, const e3_match *m, e3_err *err)
{
	int dim = m->kv->head_dim, pooled = 0;
	static double query[64][128];
	for (int r = 0, n; r < m->rows; r += n, pooled++) {
		n = r < 3 + 1 ? 1 : m->rows - r < 16 ? m->rows - r : 16; /* custom_tall has a camera token and 3 registers */
		for (int c = 0; c < dim; c++) {
			query[pooled][c] = 0;
			for (int k = 0; k < n; k++)
				query[pooled][c] += query_at(m, r + k, c) / n;
		}
	}
	for (int s = 0; s < m->kv->n_keys; s++) {
		double sum = 0;
		for (int p = 0; p < pooled; p++)
			for (int c = 0; c < dim; c++) {
				double key = 0;
				for (int h = 0; h < m->kv->heads; h++)
					key += key_at(m->kv, s, h, c) / m->kv->heads;
				sum += query[p][c] * key / pooled;
			}
		spy.score[spy.layer % LAYERS][s] = sum;
	}
	spy.layer++;
	return spy.real->match(d, m, err);
}

static int spy_mean_keys(e3_dev *d, const e3_mean_keys *layer, int layers, e3_err *err)
{
	for (int l = 0; l < layers; l++)
		for (int c = 0; c < layer[l].kv->heads * layer[l].kv->head_dim; c++) {
			double sum = 0;
			for (int k = layer[l].n - 1; k >= 0; k--)
				sum += key_at(layer[l].kv, (int)layer[l].slot[k], c / layer[l].kv->head_dim, c % layer[l].kv->head_dim);
			spy.mean[l][c] = (float)(sum / layer[l].n);
		}
	return spy.real->mean_keys(d, layer, layers, err);
}

static int spy_mass(e3_dev *d, const e3_mass *m, e3_err *err)
{
	spy.masses++;
	return spy.real->mass(d, m, err);
}

/* The second half of a block begins with the layer that has GELU. */
static int spy_linear(e3_dev *d, const e3_linear *op, e3_err *err)
{
	if (op->act == E3_ACT_GELU && op->rows == 25)
		memcpy(spy.before, op->x.p, sizeof(float) * 25 * (size_t)custom_tall.c.embed);
	return spy.real->linear(d, op, err);
}

static int spy_shift(e3_dev *d, e3_rows before, e3_rows after, int dim, float *out, e3_err *err)
{
	assert_true(before.n == 25 && after.n == 25 && dim == custom_tall.c.embed);
	for (int r = 0; r < 25; r++) {
		double sum = 0;
		for (int c = 0; c < dim; c++)
			sum += pow((double)after.p[r * after.ld + c] - spy.before[r * dim + c], 2);
		spy.moved[spy.layer % LAYERS][r] = sqrt(sum);
	}
	spy.layer++;
	return spy.real->shift(d, before, after, dim, out, err);
}

/* custom_tall has 4 special tokens and patches in 7 rows of 3. */
static double smoothed_importance(const double *g, int index)
{
	double sum = 0;
	if (index < 4)
		return g[index];
	for (int dy = -1; dy <= 1; dy++)
		for (int dx = -1; dx <= 1; dx++) {
			int y = (index - 4) / 3 + dy, x = (index - 4) % 3 + dx;
			if (y >= 0 && y < 7 && x >= 0 && x < 3)
				sum += (2 - abs(dy)) * (2 - abs(dx)) / 16.0 * g[4 + 3 * y + x];
		}
	return g[index] / 2 + sum / 2;
}

/* Every layer's scores, from its keys and from how far this layer (or the one before) moved the new tokens. */
static int spy_novelty(e3_dev *d, const e3_rule *r, const e3_novelty *layer, int layers, e3_err *err)
{
	for (int l = 0; l < layers; l++) {
		const e3_kv *kv = layer[l].kv;
		const double *g = spy.one_before ? l ? spy.moved[l - 1] : NULL : spy.moved[l];
		double mean[8][128] = {{0}}, low[2] = {1e9, 1e9}, high[2] = {-1e9, -1e9}, likes = 0;
		int may = 0, old = 0;
		for (int pass = 0; pass < 3; pass++)
			for (int s = 0; s < kv->n_keys; s++) {
				const double *sums = (const double *)(const void *)(kv->page[s / kv->page_keys] + e3_kv_bytes(kv));
				uint32_t id = ((const uint32_t *)(const void *)(sums + kv->page_keys))[s % kv->page_keys];
				bool fresh = (int)id / 25 == r->t;
				double like = 0;
				if (id < 25)
					continue;
				if (pass == 0)
					may++, old += !fresh;
				for (int h = 0; h < kv->heads; h++) {
					double length = 0;
					for (int c = 0; c < kv->head_dim; c++)
						length += pow(key_at(kv, s, h, c), 2);
					for (int c = 0; c < kv->head_dim; c++) {
						double v = key_at(kv, s, h, c) / sqrt(length);
						if (pass == 0)
							mean[h][c] += v;
						like += v * mean[h][c] / may / kv->heads;
					}
				}
				if (pass == 1) {
					double v = fresh && g && old ? smoothed_importance(g, (int)id % 25) : 1 - like;
					spy.novelty[l][id] = v, likes += like / may;
					low[fresh] = fmin(low[fresh], v), high[fresh] = fmax(high[fresh], v);
				} else if (pass == 2 && g && old) {
					spy.novelty[l][id] = (spy.novelty[l][id] - low[fresh]) / (high[fresh] - low[fresh]) / 2;
				}
			}
		spy.mean_novelty[l] = 0;
		for (int id = 25; id < MOST; id++)
			spy.mean_novelty[l] += spy.novelty[l][id];
		spy.mean_novelty[l] = g && old ? spy.mean_novelty[l] / may : likes;
	}
	return spy.real->novelty(d, r, layer, layers, err);
}

static e3_dev *open_spy(void)
{
	e3_err err = {""};
	e3_dev *dev = e3_dev_cpu(2, &err);
	assert_non_null(dev);
	spy.real = dev->ops, spy.ops = *dev->ops, spy.layer = spy.masses = 0;
	spy.ops.match = spy_match, spy.ops.mean_keys = spy_mean_keys, spy.ops.mass = spy_mass;
	spy.ops.linear = spy_linear, spy.ops.shift = spy_shift, spy.ops.novelty = spy_novelty;
	dev->ops = &spy.ops;
	return dev;
}

static void close_spy(e3_dev *dev)
{
	dev->ops = spy.real;
	e3_dev_close(dev);
}

/* ---- XStreamVGGT ---- */

typedef struct scored_token {
	uint32_t id;
	double score;
} scored_token;

/* Each removed token scores no more than each kept one that could have gone, up to what f32 leaves. */
static void lowest_go(const e3_evict_layer *r, const scored_token *may, int n, int want)
{
	double most_gone = -INFINITY, least_kept = INFINITY, size = 0;
	int gone = 0;
	for (int k = 0; k < n; k++) {
		bool went = false;
		for (size_t j = 0; j < r->n_removed; j++)
			went |= r->removed[j] == may[k].id;
		gone += went, size = fmax(size, fabs(may[k].score));
		if (went)
			most_gone = fmax(most_gone, may[k].score);
		else
			least_kept = fmin(least_kept, may[k].score);
	}
	assert_int_equal(gone, want);
	assert_int_equal(r->n_removed, want);
	if (!(most_gone <= least_kept + 2e-6 * size))
		fail_msg("layer %d: %.9g went, %.9g stayed", r->layer, most_gone, least_kept);
}

static void xstream_keeps_the_tokens_that_fit_the_queries(void **state)
{
	for (int free_first = 0; free_first < 2; free_first++) {
		enum { TOKENS = 25, KEPT = 80 }; /* 3.2 frames in each layer */
		e3_dev *dev = open_spy();
		e3_infer_options o = e3_infer_defaults();
		stream t;
		int negative = 0;
		bool first_went = false;
		o.policy = e3_policy_find("xstream"), o.budget_kind = E3_BUDGET_TOKENS, o.budget = LAYERS * KEPT;
		o.free_first = free_first;
		stream_open(dev, &t, &custom_tall, &o);
		for (int i = 0; i < 30; i++) {
			uint32_t id[LAYERS][MOST];
			int n[LAYERS];
			/* The slots that the frame will have are those that it has when it attends. */
			spy.layer = 0;
			stream_step(&t, i);
			assert_int_equal(spy.layer, i ? LAYERS : 0);
			for (int l = 0; i && l < LAYERS; l++) {
				const e3_evict_layer *r = &t.evict.layer[l];
				const e3_layer_cache *c = &t.s->past->cache.layer[l];
				scored_token may[MOST];
				int many = 0;
				n[l] = 0;
				/* Slots of the step: those that are left, and those that were freed. */
				e3_kv kv = e3_cache_view(&t.s->past->cache, l);
				const uint8_t *page0 = kv.page[0];
				assert_non_null(page0);
				for (uint32_t s = 0; s < r->k_before; s++) {
					const uint8_t *page = kv.page[s / (uint32_t)kv.page_keys];
					const uint32_t *ids = (const uint32_t *)(const void *)(page + e3_kv_bytes(&kv) +
						sizeof(double) * (size_t)kv.page_keys);
					id[l][n[l]++] = ids[s % (uint32_t)kv.page_keys]; /* a freed slot still has the token's number */
				}
				for (int s = 0; s < n[l]; s++) {
					int frame = (int)(id[l][s] / TOKENS);
					negative += spy.score[l][s] < 0;
					if (frame != i && (frame || free_first))
						may[many++] = (scored_token){id[l][s], spy.score[l][s]};
				}
				lowest_go(r, may, many, r->k_before > KEPT ? (int)r->k_before - KEPT : 0);
				assert_int_equal(c->n - c->holes, r->k_after);
				assert_int_equal(r->k_after, r->k_before < KEPT ? r->k_before : KEPT);
				first_went |= r->n_removed && r->removed[0] < TOKENS;
				assert_true(!r->n_removed || r->removed[r->n_removed - 1] / TOKENS < (uint32_t)i);
			}
		}
		assert_true(negative > 100 && first_went == free_first && !spy.masses);
		stream_close(&t);
		close_spy(dev);
	}
}

/* ---- OVGGT ---- */

static void ovggt_keeps_what_is_novel(void **state)
{
	for (int compat = 0; compat <= E3_COMPAT_OVGGT; compat += E3_COMPAT_OVGGT) {
		e3_dev *dev = open_spy();
		e3_infer_options o = e3_infer_defaults();
		stream t;
		static bool alive[LAYERS][MOST];
		size_t gone = 0;
		memset(alive, 0, sizeof alive);
		o.policy = e3_policy_find("ovggt"), o.budget_kind = E3_BUDGET_TOKENS, o.budget = LAYERS * 80, o.compat = compat;
		spy.one_before = compat;
		stream_open(dev, &t, &custom_tall, &o);
		for (int i = 0; i < 30; i++) {
			double sum = 0;
			spy.layer = 0, memset(spy.novelty, 0, sizeof spy.novelty);
			stream_step(&t, i);
			assert_int_equal(spy.layer, i ? LAYERS : 0);
			for (int l = 0; l < LAYERS; l++)
				sum += exp(-spy.mean_novelty[l] / 0.5);
			for (int l = 0; l < LAYERS; l++) {
				const e3_evict_layer *r = &t.evict.layer[l];
				scored_token may[MOST];
				int n = 0;
				for (int k = 0; k < 25; k++)
					alive[l][25 * i + k] = true;
				for (uint32_t id = 25; id < 25 * 30; id++)
					if (alive[l][id])
						may[n++] = (scored_token){id, spy.novelty[l][id]};
				if (i) {
					assert_true(fabs(r->alpha - exp(-spy.mean_novelty[l] / 0.5) / sum) < 1e-5);
					assert_true(fabs(r->variance - spy.mean_novelty[l]) < 1e-5);
					assert_int_equal(r->prot, 25);
					lowest_go(r, may, n, (int)fmax(0, r->k_before - ceil(r->budget - 1e-6)));
				}
				for (size_t k = 0; k < r->n_removed; k++)
					alive[l][r->removed[k]] = false;
				gone += r->n_removed;
			}
		}
		assert_true(gone > 3000 && !spy.masses);
		stream_close(&t);
		close_spy(dev);
	}
}

/* ---- FrameVGGT's bank ---- */

static void frames_keeps_in_each_layer_those_most_unlike_each_other(void **state)
{
	for (int free_first = 0; free_first < 2; free_first++) {
		enum { TOKENS = 25, FRAMES = 5 };
		e3_dev *dev = open_spy();
		e3_infer_options o = e3_infer_defaults();
		stream t;
		static wf_cache c[LAYERS];
		bool differ = false;
		o.policy = e3_policy_find("frames"), o.budget_kind = E3_BUDGET_FRAMES, o.budget = FRAMES;
		o.free_first = free_first;
		stream_open(dev, &t, &custom_tall, &o);
		for (int i = 0; i < 40; i++) {
			int gone[LAYERS];
			stream_step(&t, i);
			for (int l = 0; l < LAYERS; l++) {
				const e3_evict_layer *r = &t.evict.layer[l];
				if (!i)
					c[l] = (wf_cache){.dim = custom_tall.c.embed};
				wf_add(&c[l], i, spy.mean[l]);
				gone[l] = c[l].n > FRAMES ? wf_leaves_farthest(&c[l], FRAMES, !free_first) : -1;
				assert_int_equal(r->n_removed, gone[l] < 0 ? 0 : TOKENS);
				if (gone[l] < 0)
					continue;
				assert_int_equal(r->removed[0], c[l].frame[gone[l]].id * TOKENS);
				assert_int_equal(r->removed[TOKENS - 1], c[l].frame[gone[l]].id * TOKENS + TOKENS - 1);
				differ |=
					l && c[l].frame[gone[l]].id != c[0].frame[0].id && r->removed[0] != t.evict.layer[0].removed[0];
				wf_drop(&c[l], gone[l]);
			}
		}
		assert_true(differ && !spy.masses);
		assert_true(e3_session_cache(t.s).peak <= e3_session_plan(t.s)->cache_bytes);
		stream_close(&t);
		close_spy(dev);
	}
}

static void what_does_not_fit_is_refused(void **state)
{
	e3_err err = {""};
	e3_infer_options o = e3_infer_defaults();
	e3_plan p;
	o.budget_kind = E3_BUDGET_FRAMES, o.policy = e3_policy_find("frames"), o.budget = 1.9;
	assert_int_equal(e3_plan_make(&custom_tall.c, &o, 56, 24, &p, &err), -1);
	assert_non_null(
		strstr(err.text, "frame 0 and the newest frame must fit; the smallest that works is 'budget' 2.0000f"));
	o.budget = 257;
	assert_int_equal(e3_plan_make(&custom_tall.c, &o, 56, 24, &p, &err), -1);
	assert_non_null(strstr(err.text, "the policy frames keeps at most 256 frames in each layer, got 257"));
	o.budget = 12.7;
	assert_int_equal(e3_plan_make(&custom_tall.c, &o, 56, 24, &p, &err), 0);
	assert_true(p.frames == 12 && p.budget == 12 * 6 * 25.0);
	o.policy = e3_policy_find("xstream"), o.budget = 1.9;
	assert_int_equal(e3_plan_make(&custom_tall.c, &o, 56, 24, &p, &err), -1);
	assert_non_null(strstr(err.text, "frame 0 and the newest frame must fit"));
	o.budget = 2;
	assert_int_equal(e3_plan_make(&custom_tall.c, &o, 56, 24, &p, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(xstream_keeps_the_tokens_that_fit_the_queries),
		cmocka_unit_test(ovggt_keeps_what_is_novel),
		cmocka_unit_test(frames_keeps_in_each_layer_those_most_unlike_each_other),
		cmocka_unit_test(what_does_not_fit_is_refused),
	};
	return cmocka_run_group_tests_name("model: the field's policies", tests, NULL, NULL);
}
