/* Sessions whose cache is packed: a saved one goes on bit for bit, in no other packing; memory is what the plan says,
 * and a budget in bytes holds as much more; results are near those of a cache that is not packed. */
#include "model_saved.h"
#include <math.h>

static const char *const names[E3_PACKS] = {"f32", "bf16", "fp8", "int8", "k8v4"};

static e3_infer_options packed(int how, e3_kv_pack pack)
{
	e3_infer_options o = options_of(&hows[how]);
	o.pack = pack;
	return o;
}

static void a_packed_session_goes_on_bit_for_bit(void **state)
{
	static const int which[] = {0, 2, 17, 19, 20}; /* scores of every kind */
	for (size_t k = 0; k < sizeof which / sizeof *which; k++) {
		e3_kv_pack pack = (e3_kv_pack)(E3_PACK_BF16 + k % 4);
		e3_infer_options o = packed(which[k], pack);
		e3_err err = {""};
		stream through, stopped;
		size_t n, removed = 0;
		stream_open(dev, &through, &custom_tall, &o);
		stream_open(dev, &stopped, &custom_tall, &o);
		for (int i = 0; i < STEPS; i++) {
			stream_step(&through, i), stream_step(&stopped, i);
			stream_same_maps(&through.pred, &stopped.pred);
			same_records(&through.evict, &stopped.evict);
			removed += through.evict.layer[2].n_removed;
			save(&stopped, path_of("a"));
			resume(&stopped, path_of("a"), NULL);
		}
		assert_true(removed > 0);
		uint8_t *bytes = contents(path_of("a"), &n);
		assert_int_equal(e3_le32(bytes + 8) == 4, pack != E3_PACK_BF16); /* bf16 is what CUDA saved first */
		e3_saved_file *file = e3_saved_memory(bytes, n, &err);
		assert_non_null(file);
		assert_int_equal(e3_saved_head(file)->o.pack, pack);
		e3_saved_close(file);
		bytes[n - 9] ^= 1;
		assert_false(loads(&stopped, bytes, n, &err));
		assert_non_null(strstr(err.text, "damaged: the checksum is"));
		free(bytes);
		stream_close(&through), stream_close(&stopped);
		print_message("# %s, %s\n", hows[which[k]].name, names[pack]);
	}
	unlink(path_of("a"));
}

static void another_packing_is_refused(void **state)
{
	e3_infer_options o = packed(0, E3_PACK_I8), other = packed(0, E3_PACK_FP8), none = packed(0, E3_PACK_NONE);
	e3_err err = {""};
	stream t;
	stream_open(dev, &t, &custom_tall, &o);
	stream_step(&t, 0);
	save(&t, path_of("a"));
	assert_null(resume_with(&t, path_of("a"), &other, &err));
	assert_non_null(strstr(err.text, "has keys and values in int8, this run in fp8 (see 'kv')"));
	assert_null(resume_with(&t, path_of("a"), &none, &err));
	assert_non_null(strstr(err.text, "has keys and values in int8, this run in f32 (see 'kv')"));
	stream_close(&t);
	unlink(path_of("a"));
}

/* custom_tall: 3 heads of 48 values in 6 layers; a key takes 192, 96, 48 + 2, 48 + 2 bytes, a value in 4 bits 24 + 8.
 */
static void memory_is_what_the_plan_says(void **state)
{
	static const uint64_t token[E3_PACKS] = {3 * 384, 3 * 192, 3 * 100, 3 * 100, 3 * 82};
	double kept[E3_PACKS];
	for (e3_kv_pack pack = E3_PACK_NONE; pack < E3_PACKS; pack++) {
		e3_infer_options o = packed(0, pack);
		stream t;
		o.budget_kind = E3_BUDGET_BYTES, o.budget = 1.5e6;
		stream_open(dev, &t, &custom_tall, &o);
		const e3_plan *p = e3_session_plan(t.s);
		const e3_cache *c = &t.s->pasts[0].cache;
		assert_int_equal(t.net->c.heads * 100 + t.net->c.head_dim, 348);
		assert_int_equal(p->token_bytes, token[pack]);
		assert_true(p->page_bytes >= (token[pack] + 16) * (uint64_t)p->page_keys &&
			p->page_bytes < (token[pack] + 16) * (uint64_t)p->page_keys + 64);
		assert_true(p->cache_bytes == (uint64_t)c->n_pages * c->page_bytes && c->page_bytes == p->page_bytes);
		assert_true((double)p->cache_bytes <= 1.5e6 && (double)p->cache_bytes > 1.5e6 - 2.0 * (double)p->page_bytes);
		kept[pack] = p->budget;
		for (int i = 0; i < 3; i++)
			stream_step(&t, i);
		assert_int_equal(e3_session_cache(t.s).now, 3 * 25 * 6 * token[pack]);
		stream_close(&t);
	}
	assert_true(
		kept[E3_PACK_BF16] > 1.8 * kept[0] && kept[E3_PACK_I8] > 2.8 * kept[0] && kept[E3_PACK_K8V4] > 3 * kept[0]);
}

static double distance(const float *a, const float *b, size_t n)
{
	double num = 0, den = 0;
	for (size_t k = 0; k < n; k++)
		num += (a[k] - b[k]) * (double)(a[k] - b[k]), den += b[k] * (double)b[k];
	return sqrt(num / den);
}

static void results_are_near_those_of_a_cache_that_is_not_packed(void **state)
{
	static const double most[E3_PACKS] = {0, 1e-3, 2e-2, 5e-3, 3e-2};
	for (e3_kv_pack pack = E3_PACK_BF16; pack < E3_PACKS; pack++) {
		e3_infer_options o = packed(10, pack), plain = packed(10, E3_PACK_NONE);
		stream t, u;
		double worst = 0, pose = 0;
		stream_open(dev, &t, &custom_tall, &o);
		stream_open(dev, &u, &custom_tall, &plain);
		for (int i = 0; i < 5; i++) {
			stream_step(&t, i), stream_step(&u, i);
			worst = fmax(worst, distance(t.pred.depth, u.pred.depth, (size_t)u.pred.h * (size_t)u.pred.w));
			pose = fmax(pose, distance(t.pred.pose, u.pred.pose, 9));
		}
		print_message("# %s: depth off by %.1e, pose by %.1e; at most %.0e\n", names[pack], worst, pose, most[pack]);
		assert_true(worst > 0 && worst <= most[pack] && pose <= 10 * most[pack]);
		stream_close(&t), stream_close(&u);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_packed_session_goes_on_bit_for_bit),
		cmocka_unit_test(another_packing_is_refused),
		cmocka_unit_test(memory_is_what_the_plan_says),
		cmocka_unit_test(results_are_near_those_of_a_cache_that_is_not_packed),
	};
	return cmocka_run_group_tests_name("model: packed caches", tests, set_up, tear_down);
}
