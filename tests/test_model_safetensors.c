/* safetensors: values of every type at any alignment, a table of damaged headers, writing and reading back. */
#include "check.h"
#include "model_samples.h"
#include <unistd.h>

/* A file of this header and n bytes of data 0, 1, 2, ... in memory of exactly its size. */
static e3_ckpt *open_text(const char *header, size_t n, char **bytes, e3_err *err)
{
	size_t len = strlen(header);
	*bytes = malloc(8 + len + n);
	e3_put_le64((uint8_t *)*bytes, len);
	memcpy(*bytes + 8, header, len);
	for (size_t k = 0; k < n; k++)
		(*bytes)[8 + len + k] = (char)k;
	return e3_ckpt_memory(*bytes, 8 + len + n, "text", err);
}

static void put(sample *s, const char *name, e3_dtype dtype, int64_t n) { sample_entry(s, name, dtype, 1, &n); }

/* With and without a byte in front that makes everything after it unaligned. */
static void every_type_reads_at_any_alignment(void **state)
{
	for (int64_t shift = 0; shift < 8; shift++) {
		e3_err err;
		enum { N = 3000 };
		static float v[N];
		sample s = {0};
		put(&s, "pad", E3_U8, shift);
		put(&s, "f64", E3_F64, N), put(&s, "f32", E3_F32, N), put(&s, "f16", E3_F16, N), put(&s, "bf16", E3_BF16, N);
		while ((8 + s.header.len + 1) % 8)
			e3_buf_add(&s.header, " ", 1, NULL);
		e3_ckpt *c = sample_open(&s, &err);
		assert_non_null(c);
		char *data = s.file + 8 + s.header.len + shift;
		for (int k = 0; k < N; k++) {
			double d = 0.25 * k - 300;
			float f = (float)d;
			uint16_t half = e3_f32_to_f16(f), brain = e3_f32_to_bf16(f);
			memcpy(data + 8 * k, &d, 8), memcpy(data + 8 * N + 4 * k, &f, 4);
			memcpy(data + 12 * N + 2 * k, &half, 2), memcpy(data + 14 * N + 2 * k, &brain, 2);
		}
		static const char *const names[] = {"f64", "f32", "f16", "bf16"};
		for (int t = 0; t < 4; t++) {
			const e3_tensor_info *info = e3_ckpt_find(c, names[t]);
			bool aligned = shift % (int64_t)e3_dtype_size(info->dtype) == 0;
			const char *direct = e3_ckpt_direct(c, info);
			assert_true((direct != NULL) == aligned);
			for (size_t first = 0; first < 3; first++) {
				assert_int_equal(e3_ckpt_read_f32(c, info, first, N - first, v, &err), 0);
				for (int k = 0; k < N - (int)first; k++) {
					float f = 0.25f * (float)(k + (int)first) - 300;
					assert_true(v[k] == (t == 3 ? e3_bf16_to_f32(e3_f32_to_bf16(f)) : f));
				}
			}
		}
		assert_true(e3_ckpt_direct(c, e3_ckpt_find(c, "pad")) == (void *)(s.file + 8 + s.header.len));
		e3_ckpt_close(c);
		sample_release(&s);
	}
}

static void order_and_metadata_are_kept(void **state)
{
	char *bytes;
	e3_err err;
	const char *value;
	e3_ckpt *c = open_text(
		"{\"z\":{\"dtype\":\"U8\",\"shape\":[2,2],\"data_offsets\":[1,5]},"
		"\"__metadata__\":{\"b\":\"1\",\"a\":\"two\"},\"empty\":{\"dtype\":\"F32\",\"shape\":[3,0],\"data_offsets\":[5,5]},"
		"\"a\":{\"dtype\":\"I8\",\"shape\":[],\"data_offsets\":[0,1]}}   ",
		5, &bytes, &err);
	assert_non_null(c);
	assert_string_equal(e3_ckpt_format(c), "safetensors");
	assert_int_equal(e3_ckpt_count(c), 3);
	assert_string_equal(e3_ckpt_at(c, 0)->name, "z");
	assert_string_equal(e3_ckpt_at(c, 2)->name, "a");
	assert_string_equal(e3_ckpt_meta(c, "a"), "two");
	assert_null(e3_ckpt_meta(c, "c"));
	assert_string_equal(e3_ckpt_meta_at(c, 0, &value), "b");
	assert_string_equal(value, "1");
	assert_null(e3_ckpt_meta_at(c, 2, &value));
	assert_memory_equal(e3_ckpt_direct(c, e3_ckpt_find(c, "z")), "\1\2\3\4", 4);
	assert_int_equal(e3_ckpt_find(c, "empty")->count, 0);
	assert_int_equal(e3_ckpt_find(c, "a")->rank, 0);
	assert_int_equal(e3_ckpt_find(c, "z")->stride[0], 2);
	e3_ckpt_close(c);
	free(bytes);
}

#define ONE(dtype, shape, offsets) "{\"w\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void errors_name_the_damage_of_a_header(void **state)
{
	static const char *const table[][2] = {
		{ONE("\"F32\"", "[4]", "[0,16]"), NULL},
		{ONE("\"F32\"", "[2]", "[0,8]"), "8 bytes after the last tensor, which ends at byte 8 of the data"},
		{"{}", "16 bytes after the last tensor, which ends at byte 0 of the data"},
		{ONE("\"F32\"", "[2]", "[8,16]"), "bytes 0 to 7 of the data, before tensor 'w', belong to none"},
		{"{\"a\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[12,16]}}",
			"bytes 8 to 11 of the data, before tensor 'b', belong to none"},
		{"{\"a\":{\"dtype\":\"U8\",\"shape\":[16],\"data_offsets\":[0,16]},\"b\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[4,4]}}",
			"tensor 'b' begins at byte 4, inside 'a' that ends at 16"},
		{"{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"},\"w\":{\"dtype\":\"U8\",\"shape\":[16],\"data_offsets\":[0,16]}}",
			"header: byte"},
		{" {\"w\":{\"dtype\":\"U8\",\"shape\":[16],\"data_offsets\":[0,16]}}",
			"neither safetensors nor a torch archive"},
		{ONE("\"F32\"", "[2]", "[0,9]"), "'w': data_offsets hold 9 bytes, expected 8 from its shape and dtype F32"},
		{ONE("\"F32\"", "[3]", "[8,20]"), "truncated: tensor 'w' ends at byte 20 of the data, the file holds 16"},
		{ONE("\"F32\"", "[0]", "[17,17]"), "truncated: tensor 'w' ends at byte 17"},
		{ONE("\"F32\"", "[2]", "[8,0]"), "data_offsets are not [begin, end]"},
		{ONE("\"F32\"", "[2]", "[-8,0]"), "data_offsets are not [begin, end]"},
		{ONE("\"F32\"", "[2]", "[0,8,9]"), "data_offsets are not [begin, end]"},
		{ONE("\"F32\"", "[2]", "[0.0,8]"), "data_offsets are not [begin, end]"},
		{ONE("\"F32\"", "[2]", "{}"), "data_offsets are not [begin, end]"},
		{ONE("\"F32\"", "[2]", "[0,18446744073709551615]"), "header: byte"},
		{ONE("\"F32\"", "[2]", "[0,9223372036854775807]"), "data_offsets hold 9223372036854775807 bytes"},
		{ONE("\"F32\"", "[-2]", "[0,8]"), "dimension 0 is not a size"},
		{ONE("\"F32\"", "[\"2\"]", "[0,8]"), "dimension 0 is not a size"},
		{ONE("\"F32\"", "[1.5]", "[0,8]"), "dimension 0 is not a size"},
		{ONE("\"F32\"", "[4294967296,4294967296]", "[0,0]"), "the shape overflows"},
		{ONE("\"F32\"", "[9223372036854775807,3]", "[0,0]"), "the shape overflows"},
		{ONE("\"F32\"", "[4611686018427387904,4]", "[0,0]"), "the shape overflows"},
		{ONE("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), "9 dimensions, at most 8 are read"},
		{ONE("\"F32\"", "2", "[0,8]"), "no shape"},
		{ONE("\"F99\"", "[2]", "[0,8]"), "unsupported dtype 'F99'"},
		{ONE("7", "[2]", "[0,8]"), "no dtype"},
		{"{\"w\":[]}", "'w': not an object"},
		{"{\"__metadata__\":{\"e3.name\":7}}", "__metadata__ 'e3.name': not a string"},
		{"{\"__metadata__\":[]}", "__metadata__ is not an object"},
		{"{\"a\\tb\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", "control character in the name"},
		{"{\"\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", "a tensor's name has 0 bytes"},
		{"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[3,7]}}",
			"tensor 'b' begins at byte 3, inside 'a' that ends at 4"},
		{"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}",
			"header: byte"},
		{"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]}}", "header: byte"},
		{"{\"a\":", "header: byte"},
		{"{} x", "header: byte"},
		{"[]   ", "neither safetensors nor a torch archive"},
		{"{\"a\\u0000b\":{}}", "header: byte"},
		{"{\"\xff\":{}}", "header: byte"},
	};
	int wrong = 0;
	for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
		char *bytes;
		e3_err err = {""};
		e3_ckpt *c = open_text(table[k][0], 16, &bytes, &err);
		if (table[k][1] ? c || !strstr(err.text, table[k][1]) || !strstr(err.text, "reading model: text: ") : !c) {
			printf("# row %zu: expected '%s', got '%s'\n", k, table[k][1], c ? "(opened)" : err.text);
			wrong++;
		}
		e3_ckpt_close(c);
		free(bytes);
	}
	assert_int_equal(wrong, 0);
}

/* The length field, and what the header's size may cost. */
static void the_header_is_bounded(void **state)
{
	static const struct {
		uint64_t length;
		const char *message;
	} table[] = {
		{UINT64_MAX, "header: 18446744073709551615 bytes, at most 100000000 are read"},
		{100000001, "header: 100000001 bytes, at most 100000000 are read"},
		{100000000, "truncated: the header has 100000000 bytes, the file 3000001 after its length"},
		{3000002, "truncated: the header has 3000002 bytes, the file 3000001 after its length"},
		{3000001, "header: 3000000 values, at most 2000000 are read"},
		{1, "header: byte"},
		{0, "header: byte"},
	};
	size_t n = 3000001;
	char *bytes = malloc(8 + n);
	memset(bytes + 8, '[', n); /* 3 million arrays, one in the other */
	bytes[8] = '{', bytes[8 + n - 1] = ']';
	for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
		e3_err err = {""};
		e3_put_le64((uint8_t *)bytes, table[k].length);
		assert_null(e3_ckpt_memory(bytes, 8 + n, "deep", &err));
		if (!strstr(err.text, table[k].message))
			fail_msg("expected '%s', got '%s'", table[k].message, err.text);
	}
	e3_err err = {""};
	e3_put_le64((uint8_t *)bytes, 1000000); /* fewer values, as deep: the parser's own limit */
	assert_null(e3_ckpt_memory(bytes, 8 + n, "deep", &err));
	assert_non_null(strstr(err.text, "header: byte"));
	for (size_t size = 0; size < 11; size++) {
		char *part = malloc(size + !size);
		memcpy(part, bytes, size);
		assert_null(e3_ckpt_memory(part, size, "short", &err));
		free(part);
	}
	free(bytes);
}

static void a_prefix_of_all_names_is_removed(void **state)
{
	static const struct {
		const char *names[3], *first;
	} table[] = {
		{{"module.a", "module.b", "module.c.d"}, "a"},
		{{"module.model.a", "module.model.b", "module.model.c"}, "a"},
		{{"model.a", "model.b", "modelb"}, "model.a"},
		{{"module.a", "module.b", "module."}, "module.a"},
		{{"x.a", "x.b", "x.c"}, "x.a"},
		{{"_orig_mod.a", "_orig_mod.b", "_orig_mod.c"}, "a"},
		{{"module._orig_mod.a", "module._orig_mod.b", "module._orig_mod.c"}, "a"},
		{{"_orig_mod.module.model.a", "_orig_mod.module.model.b", "_orig_mod.module.model.c"}, "a"},
		{{"x._orig_mod.a", "x.b", "x._orig_mod"}, "x.a"},
		{{"x._fsdp_wrapped_module._checkpoint_wrapped_module.a", "x_orig_mod.b", "x.c"}, "x.a"},
	};
	for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
		sample s = {0};
		e3_err err;
		for (int i = 0; i < 3; i++)
			put(&s, table[k].names[i], E3_U8, 1);
		e3_ckpt *c = sample_open(&s, &err);
		assert_non_null(c);
		assert_string_equal(e3_ckpt_at(c, 0)->name, table[k].first);
		assert_ptr_equal(e3_ckpt_find(c, table[k].first), e3_ckpt_at(c, 0));
		e3_ckpt_close(c);
		sample_release(&s);
	}
}

static char temp[] = "/tmp/e3-test-XXXXXX";

static e3_ckpt *save_and_open(const e3_ckpt *c, const e3_ckpt_saving *how)
{
	e3_err err = {""};
	if (e3_ckpt_save(c, temp, how, &err))
		fail_msg("%s", err.text);
	e3_ckpt *again = e3_ckpt_open(temp, &err);
	if (!again)
		fail_msg("%s", err.text);
	return again;
}

static void saved_files_read_back(void **state)
{
	static const char *const meta[][2] = {{"e3.name", "a \"b\"\n\\"}, {"x", ""}};
	e3_err err;
	sample s = {0};
	put(&s, "small", E3_U8, 3), put(&s, "track_head.x", E3_F32, 4), put(&s, "half", E3_F16, 5),
		put(&s, "wide", E3_F64, 300000);
	put(&s, "f", E3_F32, 300000), put(&s, "long", E3_I64, 2);
	e3_ckpt *c = sample_open(&s, &err), *again;
	char *data = s.file + 8 + s.header.len;
	for (size_t k = 0; k < s.size; k++)
		data[k] = (char)(k * 7 % 61); /* finite whatever the type */
	static const char *const order[] = {"wide", "long", "track_head.x", "f", "half", "small"};
	again = save_and_open(c, &(e3_ckpt_saving){.dtype = -1, .meta = meta, .n_meta = 2});
	assert_int_equal(e3_ckpt_count(again), 6);
	assert_string_equal(e3_ckpt_meta(again, "e3.name"), meta[0][1]);
	assert_string_equal(e3_ckpt_meta(again, "x"), "");
	for (size_t k = 0; k < 6; k++) {
		const e3_tensor_info *t = e3_ckpt_at(again, k), *was = e3_ckpt_find(c, order[k]);
		assert_string_equal(t->name, order[k]);
		assert_int_equal(t->dtype, was->dtype);
		assert_non_null(e3_ckpt_direct(again, t));
		char *a = malloc(8 * t->count), *b = malloc(8 * t->count);
		assert_int_equal(e3_ckpt_read_raw(c, was, 0, t->count, a, &err), 0);
		assert_int_equal(e3_ckpt_read_raw(again, t, 0, t->count, b, &err), 0);
		assert_memory_equal(a, b, t->count * e3_dtype_size(t->dtype));
		free(a), free(b);
	}
	e3_ckpt_close(again);
	again = save_and_open(c, &(e3_ckpt_saving){.dtype = E3_BF16, .drop_track = true});
	assert_int_equal(e3_ckpt_count(again), 5);
	assert_null(e3_ckpt_find(again, "track_head.x"));
	assert_int_equal(e3_ckpt_find(again, "long")->dtype, E3_I64);
	const e3_tensor_info *f = e3_ckpt_find(again, "f");
	const uint16_t *brain = e3_ckpt_direct(again, f);
	assert_int_equal(f->dtype, E3_BF16);
	for (size_t k = 0; k < f->count; k++) {
		float v;
		assert_int_equal(e3_ckpt_read_f32(c, e3_ckpt_find(c, "f"), k, 1, &v, &err), 0);
		assert_int_equal(brain[k], e3_f32_to_bf16(v));
	}
	e3_ckpt_close(again);
	e3_ckpt_close(c);
	sample_release(&s);
}

static int stop_late(void *ctx, uint64_t done, uint64_t total) { return done == total; }

static void failed_saving_leaves_no_file(void **state)
{
	sample s = {0};
	e3_err err;
	float v[3] = {1, 65519.9f, 7e4f};
	unlink(temp);
	put(&s, "w", E3_F32, 3);
	e3_ckpt *c = sample_open(&s, &err);
	memcpy(s.file + 8 + s.header.len, v, sizeof v);
	assert_int_equal(e3_ckpt_save(c, temp, &(e3_ckpt_saving){.dtype = E3_F16}, &err), -1);
	assert_non_null(strstr(err.text, "tensor 'w': 70000 does not fit F16"));
	assert_int_equal(access(temp, F_OK), -1);
	v[2] = INFINITY; /* was infinite before: nothing is lost */
	memcpy(s.file + 8 + s.header.len, v, sizeof v);
	e3_ckpt *again = save_and_open(c, &(e3_ckpt_saving){.dtype = E3_F16});
	assert_memory_equal(e3_ckpt_direct(again, e3_ckpt_at(again, 0)), ((uint16_t[]){0x3c00, 0x7bff, 0x7c00}), 6);
	e3_ckpt_close(again);
	unlink(temp);
	assert_int_equal(e3_ckpt_save(c, temp, &(e3_ckpt_saving){.dtype = -1, .tick = stop_late}, &err), -1);
	assert_int_equal(access(temp, F_OK), -1);
	assert_int_equal(e3_ckpt_save(c, "/dev/full", &(e3_ckpt_saving){.dtype = -1}, &err), -1);
	assert_non_null(strstr(err.text, "writing: /dev/full"));
	e3_ckpt_close(c);
	sample_release(&s);
}

static int make_temp(void **state)
{
	int fd = mkstemp(temp);
	return fd < 0 ? -1 : close(fd) | unlink(temp);
}

static int remove_temp(void **state)
{
	unlink(temp);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_reads_at_any_alignment),
		cmocka_unit_test(order_and_metadata_are_kept),
		cmocka_unit_test(errors_name_the_damage_of_a_header),
		cmocka_unit_test(the_header_is_bounded),
		cmocka_unit_test(a_prefix_of_all_names_is_removed),
		cmocka_unit_test(saved_files_read_back),
		cmocka_unit_test(failed_saving_leaves_no_file),
	};
	return cmocka_run_group_tests_name("model: safetensors", tests, make_temp, remove_temp);
}
