/* The slot cache against a simple model of it: thousands of random steps, every key's bytes those that were written for
 * its id, pages never more than planned. */
#include "check.h"
#include "e3/num.h"
#include "model/cache.h"
#include "e3/infer.h"

enum { HEADS = 2, DIM = 4, MAX_IDS = 4096, MAX_LAYERS = 8 };

static e3_dev *dev;
static uint32_t seed = 3;

static uint32_t pick(uint32_t below) { return e3_fmix32(seed++) % below; }

static int set_up(void **state)
{
	dev = e3_dev_cpu(1, NULL);
	return dev ? 0 : -1;
}

static int tear_down(void **state)
{
	e3_dev_close(dev);
	return 0;
}

/* What stands in slot `slot`, row (key or value of a head), channel c, for a token. */
static float mark_of(int layer, uint32_t id, int row, int c)
{
	return (float)((id * 8 + (uint32_t)row) * 8 + (uint32_t)c) + 0.25f * (float)layer;
}

static float *at(const e3_kv *v, uint32_t slot, int row)
{
	return (float *)(void *)v->page[slot / (uint32_t)v->page_keys] +
		((size_t)row * (size_t)v->page_keys + slot % (uint32_t)v->page_keys) * DIM;
}

static void write_keys(const e3_cache *c, int layer, const uint32_t *slot, uint32_t first, int n)
{
	e3_kv v = e3_cache_view(c, layer);
	for (int k = 0; k < n; k++)
		for (int row = 0; row < 2 * HEADS; row++)
			for (int ch = 0; ch < DIM; ch++)
				at(&v, slot[k], row)[ch] = mark_of(layer, first + (uint32_t)k, row, ch);
}

/* The ids a layer should hold, in no order. */
typedef struct ids {
	uint32_t id[MAX_IDS];
	uint32_t n;
} ids;

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static void layer_is(const e3_cache *c, int layer, ids *want)
{
	const e3_layer_cache *l = &c->layer[layer];
	e3_kv v = e3_cache_view(c, layer);
	uint32_t got[MAX_IDS], n = 0, holes = 0;
	assert_int_equal(v.n_keys, l->n);
	assert_int_equal(v.heads, HEADS);
	assert_int_equal(v.head_dim, DIM);
	for (uint32_t s = 0; s < l->n; s++) {
		if (l->id[s] == E3_HOLE) {
			holes++;
			continue;
		}
		assert_true(n < MAX_IDS);
		got[n++] = l->id[s];
		for (int row = 0; row < 2 * HEADS; row++)
			for (int ch = 0; ch < DIM; ch++)
				if (at(&v, s, row)[ch] != mark_of(layer, l->id[s], row, ch))
					fail_msg("layer %d, slot %u, token %u: key of another", layer, s, l->id[s]);
	}
	assert_int_equal(holes, l->holes);
	assert_int_equal(n, e3_cache_count(c, layer));
	assert_int_equal(n, want->n);
	qsort(got, n, sizeof *got, ascending);
	qsort(want->id, n, sizeof *got, ascending);
	assert_memory_equal(got, want->id, n * sizeof *got);
	assert_true(l->n == 0 || l->id[l->n - 1] != E3_HOLE);
	assert_int_equal(l->n_pages, (l->n + (uint32_t)c->page_keys - 1) / (uint32_t)c->page_keys);
}

/* Every page is either some layer's or spare, each once. */
static void pages_add_up(const e3_cache *c)
{
	int64_t used = 0;
	for (int l = 0; l < c->layers; l++)
		for (int p = 0; p < c->layer[l].n_pages; p++, used++)
			for (int64_t k = 0; k < c->n_spare; k++)
				assert_ptr_not_equal(c->layer[l].page[p], c->spare[k]);
	assert_int_equal(used + c->n_spare, c->n_pages);
}

typedef struct beside {
	double *sum;
	uint32_t *id, *seen;
} beside;

/* What eviction knows of a slot: it lies in the page, after the keys and values. */
static beside scores_of(const e3_cache *c, int layer, uint32_t slot)
{
	e3_kv v = e3_cache_view(c, layer);
	uint32_t keys = (uint32_t)v.page_keys, at = slot % keys;
	double *sum = (double *)(void *)(v.page[slot / keys] + e3_kv_bytes(&v));
	uint32_t *id = (uint32_t *)(void *)(sum + keys);
	return (beside){sum + at, id + at, id + keys + at};
}

static void append(e3_cache *c, int layer, uint32_t first, int n, ids *model)
{
	e3_err err = {""};
	uint32_t slot[MAX_IDS], holes[MAX_IDS], n_holes = 0, end = c->layer[layer].n;
	for (uint32_t s = 0; s < end; s++)
		if (c->layer[layer].id[s] == E3_HOLE)
			holes[n_holes++] = s;
	if (e3_cache_append(c, layer, first, n, slot, &err))
		fail_msg("%s", err.text);
	e3_kv view = e3_cache_view(c, layer);
	assert_int_equal(dev->ops->enter(dev, &(e3_entered){&view, slot, n, first, false}, 1, &err), 0);
	for (uint32_t k = 0; k < (uint32_t)n; k++) { /* lowest holes first, then the end */
		assert_int_equal(slot[k], k < n_holes ? holes[k] : end + k - n_holes);
		beside b = scores_of(c, layer, slot[k]);
		assert_true(first ? *b.sum == 0 && *b.seen == 0 : isinf(*b.sum) && *b.seen == 1);
		*b.sum = (double)(first + k) * 0.5;
		*b.seen = first + k;
		model->id[model->n++] = first + k;
	}
	write_keys(c, layer, slot, first, n);
}

/* Random tokens until `stay` are left. */
static void cut_down(e3_cache *c, int layer, uint32_t stay, int reserve, ids *model)
{
	e3_err err = {""};
	uint32_t slot[MAX_IDS], n = 0;
	const e3_layer_cache *l = &c->layer[layer];
	while (model->n > stay) {
		uint32_t k = pick(model->n), id = model->id[k];
		model->id[k] = model->id[--model->n];
		for (uint32_t s = 0; s < l->n; s++)
			if (l->id[s] == id)
				slot[n++] = s;
	}
	assert_int_equal(e3_cache_remove(c, layer, slot, (int)n, reserve, &err), 0);
	assert_true(l->holes <= (uint32_t)reserve);
	for (uint32_t s = 0; s < l->n; s++) /* what is kept beside a key moves with it */
		if (l->id[s] != E3_HOLE) {
			beside b = scores_of(c, layer, s);
			assert_true(*b.id == l->id[s] && *b.sum == l->id[s] * 0.5 && *b.seen == l->id[s]);
		}
}

static void random_steps(int page_keys, int64_t pages, int layers, int steps)
{
	static ids model[MAX_LAYERS];
	e3_err err = {""};
	e3_cache c;
	int frame = 30;
	memset(model, 0, sizeof model);
	assert_int_equal(e3_cache_open(&c, dev, (const int[]){layers, HEADS, DIM, page_keys, E3_PACK_NONE}, pages, &err),
		0);
	for (int t = 0; t < steps; t++) {
		for (int l = 0; l < layers; l++) {
			append(&c, l, (uint32_t)(t * frame), frame, &model[l]);
			layer_is(&c, l, &model[l]);
			assert_int_equal(c.layer[l].holes, 0);
		}
		for (int l = 0; l < layers; l++) { /* now a few, now nearly all, now none at all */
			uint32_t most = pick(8) ? 200 : 20;
			cut_down(&c, l, pick(20) ? pick(most) : pick(2) ? 0 : 240, frame, &model[l]);
			layer_is(&c, l, &model[l]);
		}
		pages_add_up(&c);
	}
	if (pages)
		assert_true(c.n_pages == pages && c.n_slabs == 1);
	e3_cache_release(&c);
	e3_cache_release(&c); /* a released one may be released */
}

static void random_steps_leave_every_key_with_its_token(void **state)
{
	random_steps(64, 3 * 5, 3, 1500);
	random_steps(16, 0, 2, 500);
	random_steps(1, 3 * 270, 3, 200);
	random_steps(256, 0, 1, 300);
}

static void gaps_up_to_a_frame_stay_and_more_are_closed(void **state)
{
	static ids model;
	e3_err err = {""};
	e3_cache c;
	uint32_t slot[100];
	memset(&model, 0, sizeof model);
	assert_int_equal(e3_cache_open(&c, dev, (const int[]){1, HEADS, DIM, 16, E3_PACK_NONE}, 10, &err), 0);
	append(&c, 0, 0, 100, &model);
	/* Ten holes in the middle, twenty may stay: nothing moves. */
	for (uint32_t k = 0; k < 10; k++)
		slot[k] = 40 + k;
	assert_int_equal(e3_cache_remove(&c, 0, slot, 10, 20, &err), 0);
	assert_true(c.layer[0].n == 100 && c.layer[0].holes == 10 && c.layer[0].id[99] == 99);
	/* Twenty more: ten are closed by the last ten tokens, in the lowest slots. */
	for (uint32_t k = 0; k < 20; k++)
		slot[k] = k;
	assert_int_equal(e3_cache_remove(&c, 0, slot, 20, 20, &err), 0);
	assert_true(c.layer[0].n == 90 && c.layer[0].holes == 20 && c.layer[0].n_pages == 6);
	for (uint32_t k = 0; k < 10; k++)
		assert_int_equal(c.layer[0].id[k], 99 - k);
	assert_int_equal(c.layer[0].id[10], E3_HOLE);
	/* Holes at the end are cut off without a move. */
	for (uint32_t k = 0; k < 30; k++)
		slot[k] = 60 + k;
	assert_int_equal(e3_cache_remove(&c, 0, slot, 30, 20, &err), 0);
	assert_true(c.layer[0].n == 60 && c.layer[0].holes == 20 && c.layer[0].n_pages == 4 && c.n_spare == 6);
	/* All of it. */
	uint32_t n = 0;
	for (uint32_t k = 0; k < 60; k++)
		if (c.layer[0].id[k] != E3_HOLE)
			slot[n++] = k;
	assert_int_equal(e3_cache_remove(&c, 0, slot, (int)n, 20, &err), 0);
	assert_true(c.layer[0].n == 0 && c.layer[0].holes == 0 && c.layer[0].n_pages == 0 && c.n_spare == 10);
	assert_int_equal(e3_cache_count(&c, 0), 0);
	e3_cache_release(&c);
}

static void pages_beyond_the_plan_are_refused_and_nothing_is_lost(void **state)
{
	static ids model;
	e3_err err = {""};
	e3_cache c;
	uint32_t slot[200];
	memset(&model, 0, sizeof model);
	assert_int_equal(e3_cache_open(&c, dev, (const int[]){1, HEADS, DIM, 16, E3_PACK_NONE}, 4, &err), 0);
	append(&c, 0, 0, 50, &model);
	assert_int_equal(e3_cache_append(&c, 0, 50, 30, slot, &err), -1);
	assert_string_equal(err.text, "cache: 4 pages: all in use");
	assert_int_equal(c.layer[0].n, 50);
	cut_down(&c, 0, 20, 30, &model);
	append(&c, 0, 80, 30, &model);
	layer_is(&c, 0, &model);
	e3_cache_release(&c);
}

/* Whatever the shares do, a stream inside its budget never asks for a page more than e3_plan_make counted. */
static void the_planned_pages_are_enough_for_any_shares(void **state)
{
	static ids model[MAX_LAYERS];
	for (int k = 0; k < 6; k++) {
		e3_infer_options o = e3_infer_defaults();
		e3_config config = {.embed = HEADS * DIM, .patch = 2, .registers = 3, .layers = 3 + k % 3};
		e3_plan p;
		e3_err err = {""};
		e3_cache c;
		o.budget_kind = E3_BUDGET_FRAMES, o.budget = 1.2 + k;
		memset(model, 0, sizeof model);
		assert_int_equal(e3_plan_make(&config, &o, 10, 8 + 2 * k, &p, &err), 0);
		assert_int_equal(e3_cache_open(&c, dev, (const int[]){p.layers, HEADS, DIM, p.page_keys, E3_PACK_NONE}, p.pages,
							 &err),
			0);
		int64_t least = p.pages;
		for (int t = 0; t < 300; t++) {
			uint32_t left = (uint32_t)ceil(p.budget) + (uint32_t)p.layers; /* each layer's share is rounded up */
			for (int l = 0; l < p.layers; l++)
				append(&c, l, (uint32_t)(t * p.tokens_per_frame), p.tokens_per_frame, &model[l]);
			least = c.n_spare < least ? c.n_spare : least;
			for (int l = 0; l < p.layers; l++) {
				uint32_t stay = l == p.layers - 1 || t % 7 == l ? left : pick(left + 1);
				cut_down(&c, l, stay, p.tokens_per_frame, &model[l]);
				left -= model[l].n < left ? model[l].n : left;
			}
		}
		printf("# %d layers, %.1f frames: %lld pages planned, at least %lld left over\n", p.layers, o.budget,
			(long long)p.pages, (long long)least);
		assert_in_range(least, 0, 2 * p.layers); /* and the plan is not generous either */
		e3_cache_release(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_steps_leave_every_key_with_its_token),
		cmocka_unit_test(gaps_up_to_a_frame_stay_and_more_are_closed),
		cmocka_unit_test(pages_beyond_the_plan_are_refused_and_nothing_is_lost),
		cmocka_unit_test(the_planned_pages_are_enough_for_any_shares),
	};
	return cmocka_run_group_tests_name("model: cache", tests, set_up, tear_down);
}
