/* Seeded weights against an independent implementation (Python: exact integers, IEEE doubles, zlib's crc32 of the f32
 * bytes). */
#include "check.h"
#include "model_samples.h"
#include <pthread.h>

static const struct expected {
	const char *model, *name;
	size_t count;
	float at[3]; /* elements 0, count/2 + 1, count - 1 */
	uint32_t crc;
} expected[] = {
	{"seed:tiny:7", "aggregator.camera_token", 256, {0x1.2dfb88p-2f, -0x1.f2ae4p-3f, 0x1.afe268p-3f}, 0x28e2c66f},
	{"seed:tiny:7", "aggregator.patch_embed.patch_embed.proj.weight", 75264,
		{0x1.36f84ap-7f, -0x1.137962p-4f, -0x1.fb592p-5f}, 0x19dad2c4},
	{"seed:tiny:7", "aggregator.frame_blocks.0.norm1.weight", 128, {0x1.be72bep-1f, 0x1.07fd4ap+0f, 0x1.27cd56p+0f},
		0x408b36b6},
	{"seed:tiny:7", "aggregator.global_blocks.3.attn.k_norm.weight", 64,
		{0x1.91c2c8p+0f, 0x1.c67e6cp+0f, 0x1.e47b26p+0f}, 0x577def2e},
	{"seed:tiny:7", "aggregator.global_blocks.3.attn.k_norm.bias", 64, {-0x1.dc47p-8f, 0x1.600006p-6f, 0x1.d49086p-6f},
		0xb2c4d4f9},
	{"seed:tiny:7", "camera_head.trunk.1.ls2.gamma", 256, {0x1.0b360cp-2f, 0x1.fefddp-3f, 0x1.03420ap-2f}, 0x27eb7173},
	{"seed:tiny:7", "point_head.resize_layers.0.weight", 16384, {-0x1.d73622p-3f, -0x1.210a5p-2f, 0x1.230804p-2f},
		0x8a272a80},
	{"seed:tiny:7", "point_head.resize_layers.3.weight", 147456, {0x1.955e6cp-7f, 0x1.12977cp-5f, -0x1.a0f5c6p-6f},
		0xfa862531},
	{"seed:tiny:7", "depth_head.resize_layers.1.weight", 16384, {0x1.28b45ap-4f, -0x1.73ec22p-8f, 0x1.65ab18p-3f},
		0x8b83d401},
	{"seed:tiny:7", "camera_head.empty_pose_tokens", 9, {0x1.5905p-8f, -0x1.149254p-2f, 0x1.debdap-5f}, 0xdfe74ff1},
	{"seed:full:1", "aggregator.global_blocks.23.mlp.fc1.weight", 4194304,
		{-0x1.75a9dep-7f, 0x1.d9c8a4p-7f, -0x1.9d50eep-8f}, 0xe4809ae1},
	{"seed:full:1", "depth_head.scratch.output_conv2.2.weight", 64, {0x1.35e7d6p-3f, 0x1.0b7bd2p-2f, -0x1.7e4334p-3f},
		0x8b8c3f64},
	{"seed:full:1", "aggregator.patch_embed.pos_embed", 1402880, {-0x1.c5acbp-4f, -0x1.0bef6p-3f, -0x1.0081f8p-3f},
		0x10c13f66},
};

static float *read_all(const e3_ckpt *c, const e3_tensor_info *t)
{
	e3_err err;
	float *v = malloc(t->count * sizeof *v);
	assert_int_equal(e3_ckpt_read_f32(c, t, 0, t->count, v, &err), 0);
	return v;
}

static void values_equal_an_independent_implementation(void **state)
{
	e3_err err;
	for (size_t k = 0; k < sizeof expected / sizeof *expected; k++) {
		const struct expected *e = &expected[k];
		e3_ckpt *c = e3_ckpt_open(e->model, &err);
		assert_non_null(c);
		assert_string_equal(e3_ckpt_format(c), "seeded");
		const e3_tensor_info *t = e3_ckpt_find(c, e->name);
		assert_non_null(t);
		assert_int_equal(t->count, e->count);
		float *v = read_all(c, t);
		assert_true(v[0] == e->at[0] && v[t->count / 2 + 1] == e->at[1] && v[t->count - 1] == e->at[2]);
		assert_int_equal(sample_crc(v, 4 * t->count), e->crc);
		free(v);
		e3_ckpt_close(c);
	}
}

static void any_range_gives_the_same_values(void **state)
{
	e3_err err;
	float part[1000];
	e3_ckpt *c = e3_ckpt_open("seed:tiny:7", &err);
	const e3_tensor_info *t = e3_ckpt_find(c, "aggregator.frame_blocks.2.mlp.fc1.weight");
	float *all = read_all(c, t);
	for (size_t first = 0; first < t->count; first += 997) {
		size_t n = t->count - first < 1000 ? t->count - first : 1000;
		assert_int_equal(e3_ckpt_read_f32(c, t, first, n, part, &err), 0);
		assert_memory_equal(part, all + first, 4 * n);
	}
	assert_int_equal(e3_ckpt_read_f32(c, t, t->count, 0, part, &err), 0);
	assert_int_equal(e3_ckpt_read_f32(c, t, t->count - 1, 2, part, &err), -1);
	assert_non_null(strstr(err.text, "has 65536 elements, asked for 2 from 65535"));
	assert_int_equal(e3_ckpt_read_f32(c, t, SIZE_MAX, 2, part, &err), -1);
	assert_null(e3_ckpt_direct(c, t));
	free(all);
	e3_ckpt_close(c);
}

typedef struct job {
	const e3_ckpt *c;
	uint32_t crc;
} job;

static void *sum_all(void *arg)
{
	job *j = arg;
	float v[4096];
	for (size_t k = 0; k < e3_ckpt_count(j->c); k += 20) {
		const e3_tensor_info *t = e3_ckpt_at(j->c, k);
		size_t n = t->count < 4096 ? t->count : 4096;
		if (e3_ckpt_read_f32(j->c, t, 0, n, v, NULL))
			return NULL;
		j->crc = j->crc * 31 + sample_crc(v, 4 * n);
	}
	return arg;
}

static void threads_may_read_at_once(void **state)
{
	e3_err err;
	e3_ckpt *c = e3_ckpt_open("seed:tiny:3", &err);
	job jobs[4] = {{c, 0}, {c, 0}, {c, 0}, {c, 0}};
	pthread_t thread[4];
	void *done;
	for (int k = 0; k < 4; k++)
		assert_int_equal(pthread_create(&thread[k], NULL, sum_all, &jobs[k]), 0);
	for (int k = 0; k < 4; k++) {
		assert_int_equal(pthread_join(thread[k], &done), 0);
		assert_non_null(done);
		assert_int_equal(jobs[k].crc, jobs[0].crc);
	}
	assert_int_not_equal(jobs[0].crc, 0);
	e3_ckpt_close(c);
}

static void the_configuration_comes_back(void **state)
{
	static const char *const names[] = {"tiny", "full"};
	for (int k = 0; k < 2; k++) {
		e3_err err;
		e3_config want, got;
		char model[32];
		snprintf(model, sizeof model, "seed:%s:5", names[k]);
		e3_ckpt *c = e3_ckpt_open(model, &err);
		assert_int_equal(e3_config_builtin(names[k], &want, &err), 0);
		assert_int_equal(e3_config_read(c, &got, NULL, &err), 0);
		assert_string_equal(got.name, model);
		memcpy(got.name, want.name, sizeof got.name);
		assert_memory_equal(&got, &want, sizeof want);
		assert_int_equal(got.rope_bf16, k == 1);
		e3_ckpt_close(c);
	}
}

static void wrong_names_are_refused(void **state)
{
	static const char *const wrong[] = {"seed:", "seed:tiny", "seed:tiny:", "seed:tiny:x", "seed:tiny:-1",
		"seed:small:1", "seed::1", "seed:tiny:1:2"};
	for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
		e3_err err = {""};
		assert_null(e3_ckpt_open(wrong[k], &err));
		assert_non_null(strstr(err.text, "expected seed:CONFIG:N"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_equal_an_independent_implementation),
		cmocka_unit_test(any_range_gives_the_same_values),
		cmocka_unit_test(threads_may_read_at_once),
		cmocka_unit_test(the_configuration_comes_back),
		cmocka_unit_test(wrong_names_are_refused),
	};
	return cmocka_run_group_tests_name("model: seeded weights", tests, NULL, NULL);
}
