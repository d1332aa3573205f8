/* Every file of tests/data/pth (its README says what each holds), and what happens when they are damaged. */
#include "check.h"
#include "model_samples.h"

static char *load(const char *name, size_t *size)
{
	char path[256];
	snprintf(path, sizeof path, "tests/data/pth/%s.pth", name);
	FILE *f = fopen(path, "rb");
	if (!f)
		fail_msg("%s is missing: run from the top folder", path);
	char *bytes = malloc(1 << 16);
	*size = fread(bytes, 1, 1 << 16, f);
	fclose(f);
	char *exact = malloc(*size); /* so that a sanitizer sees a read past the end */
	memcpy(exact, bytes, *size);
	free(bytes);
	return exact;
}

static e3_ckpt *open_file(const char *name)
{
	char path[256];
	e3_err err = {""};
	snprintf(path, sizeof path, "tests/data/pth/%s.pth", name);
	e3_ckpt *c = e3_ckpt_open(path, &err);
	if (!c)
		fail_msg("%s", err.text);
	assert_string_equal(e3_ckpt_format(c), "torch zip");
	assert_string_equal(e3_ckpt_path(c), path);
	return c;
}

/* The tensor has this type and shape (ending in -1) and holds 0.25·(1, 2, ...) + offset. */
static void check_tensor(const e3_ckpt *c, const char *name, e3_dtype dtype, const int64_t *shape, float offset)
{
	float v[64];
	e3_err err;
	const e3_tensor_info *t = e3_ckpt_find(c, name);
	int rank = 0;
	assert_non_null(t);
	assert_int_equal(t->dtype, dtype);
	for (; shape[rank] >= 0; rank++)
		assert_int_equal(t->shape[rank], shape[rank]);
	assert_int_equal(t->rank, rank);
	assert_in_range(t->count, 0, 64);
	assert_int_equal(e3_ckpt_read_f32(c, t, 0, t->count, v, &err), 0);
	for (size_t k = 0; k < t->count; k++)
		assert_true(v[k] == 0.25f * (float)(k + 1) + offset);
}

#define SHAPE(...) ((const int64_t[]){__VA_ARGS__})

static void check_plain(const char *file, e3_dtype dtype)
{
	float v;
	e3_err err;
	e3_ckpt *c = open_file(file);
	assert_int_equal(e3_ckpt_count(c), 4);
	assert_string_equal(e3_ckpt_at(c, 0)->name, "a_weight");
	assert_string_equal(e3_ckpt_at(c, 3)->name, "empty");
	check_tensor(c, "a_weight", dtype, SHAPE(3, 4, -1), 0);
	check_tensor(c, "a_bias", dtype, SHAPE(4, -1), 0);
	check_tensor(c, "empty", dtype, SHAPE(0, 5, -1), 0);
	const e3_tensor_info *t = e3_ckpt_find(c, "scalar");
	assert_int_equal(t->rank, 0);
	assert_int_equal(e3_ckpt_read_f32(c, t, 0, 1, &v, &err), 0);
	assert_true(v == 2.5f);
	assert_null(e3_ckpt_find(c, "a_weigh"));
	assert_null(e3_ckpt_meta(c, "e3.arch"));
	assert_non_null(e3_ckpt_direct(c, e3_ckpt_find(c, "a_weight")));
	e3_ckpt_close(c);
}

static void plain_files_are_read(void **state)
{
	check_plain("plain", E3_F32);
	check_plain("repacked", E3_F32);
	check_plain("nested_model", E3_F32);
	check_plain("f16", E3_F16);
	check_plain("bf16", E3_BF16);
}

static void state_dicts_of_modules_are_read(void **state)
{
	e3_ckpt *c = open_file("state_dict_with_metadata");
	assert_int_equal(e3_ckpt_count(c), 4);
	check_tensor(c, "0.weight", E3_F32, SHAPE(2, 3, -1), 0);
	check_tensor(c, "0.bias", E3_F32, SHAPE(2, -1), 1);
	check_tensor(c, "1.weight", E3_F32, SHAPE(2, -1), 2);
	check_tensor(c, "1.bias", E3_F32, SHAPE(2, -1), 3);
	e3_ckpt_close(c);
	c = open_file("training");
	assert_int_equal(e3_ckpt_count(c), 2);
	check_tensor(c, "w", E3_F32, SHAPE(2, 2, -1), 0);
	check_tensor(c, "b", E3_F32, SHAPE(2, -1), 0);
	e3_ckpt_close(c);
	c = open_file("protocol4");
	assert_int_equal(e3_ckpt_count(c), 2);
	check_tensor(c, "w", E3_F32, SHAPE(2, 2, -1), 0);
	check_tensor(c, "b", E3_F32, SHAPE(2, -1), 0);
	e3_ckpt_close(c);
}

static void every_type_is_known(void **state)
{
	static const e3_dtype types[] = {E3_F32, E3_F16, E3_BF16, E3_F64, E3_I64, E3_I32, E3_I16, E3_I8, E3_U8, E3_BOOL};
	e3_err err;
	float v[6];
	e3_ckpt *c = open_file("dtypes");
	assert_int_equal(e3_ckpt_count(c), 10);
	for (size_t k = 0; k < 10; k++) {
		const e3_tensor_info *t = e3_ckpt_at(c, k);
		assert_int_equal(t->dtype, types[k]);
		if (types[k] <= E3_F64) {
			check_tensor(c, t->name, types[k], SHAPE(2, 3, -1), 0);
			continue;
		}
		int64_t raw[8] = {0}; /* wide enough for all; little-endian integers of one size */
		size_t size = e3_dtype_size(types[k]);
		assert_int_equal(e3_ckpt_read_f32(c, t, 0, 1, v, &err), -1);
		assert_non_null(strstr(err.text, "expected F32, F16, BF16 or F64"));
		assert_int_equal(e3_ckpt_read_raw(c, t, 0, t->count, raw, &err), 0);
		for (size_t i = 0; i < t->count; i++) {
			uint64_t x = 0;
			memcpy(&x, (char *)raw + i * size, size);
			assert_int_equal(x, types[k] == E3_BOOL ? i != 1 : i + 1);
		}
		assert_memory_equal(e3_ckpt_direct(c, t), raw, t->count * size);
	}
	e3_ckpt_close(c);
}

static void views_honour_offset_and_strides(void **state)
{
	e3_err err;
	float base[48], v[48];
	e3_ckpt *c = open_file("views_shared_storage");
	assert_int_equal(e3_ckpt_count(c), 4);
	for (int k = 0; k < 48; k++)
		base[k] = 0.25f * (float)(k + 1);
	const e3_tensor_info *view = e3_ckpt_find(c, "view"), *turned = e3_ckpt_find(c, "transposed"),
						 *strided = e3_ckpt_find(c, "strided"), *same = e3_ckpt_find(c, "same");
	assert_int_equal(e3_ckpt_read_f32(c, view, 0, view->count, v, &err), 0);
	assert_memory_equal(v, base + 8, 4 * 24);
	assert_int_equal(e3_ckpt_read_f32(c, same, 0, 48, v, &err), 0);
	assert_memory_equal(v, base, sizeof base);
	assert_int_equal(e3_ckpt_read_f32(c, turned, 0, 48, v, &err), 0);
	for (int k = 0; k < 48; k++)
		assert_true(v[k] == base[k % 6 * 8 + k / 6]);
	assert_int_equal(e3_ckpt_read_f32(c, strided, 0, 24, v, &err), 0);
	for (int k = 0; k < 24; k++)
		assert_true(v[k] == base[k / 4 * 8 + k % 4 * 2]);
	for (size_t first = 0; first < 48; first++) /* from the middle of a row */
		for (size_t n = 0; n <= 48 - first; n++) {
			assert_int_equal(e3_ckpt_read_f32(c, turned, first, n, v, &err), 0);
			for (size_t k = 0; k < n; k++)
				assert_true(v[k] == base[(first + k) % 6 * 8 + (first + k) / 6]);
		}
	assert_null(e3_ckpt_direct(c, turned));
	assert_null(e3_ckpt_direct(c, strided));
	assert_memory_equal(e3_ckpt_direct(c, view), base + 8, 4 * 24);
	e3_ckpt_close(c);
}

static void bad_files_are_refused_with_a_reason(void **state)
{
	static const char *const table[][2] = {
		{"legacy_tar", "unsupported legacy format"},
		{"legacy_tar", "torch.save(torch.load("},
		{"deflated", "member 'plain/data.pkl' is compressed (method 8)"},
		{"evil_os_system", "it names posix.system"},
		{"truncated_half", "truncated: 713 bytes without the archive's end record, expected it in the last 22 bytes"},
		{"truncated_directory", "truncated: the archive's end record has 12 bytes, expected 22"},
		{"short_storage",
			"tensor 'a_weight': short storage: member 'plain/data/0' has 24 bytes, expected 12 × 4 (F32)"},
		{"big_endian", "big-endian storages"},
		{"list", "no named tensors"},
		{"README", "opening: "},
	};
	for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
		char path[256];
		e3_err err = {""};
		snprintf(path, sizeof path, "tests/data/pth/%s.pth", table[k][0]);
		assert_null(e3_ckpt_open(path, &err));
		if (!strstr(err.text, table[k][1]) || !strstr(err.text, path))
			fail_msg("expected '%s', got '%s'", table[k][1], err.text);
	}
	FILE *f = fopen("OWNED", "r"); /* what the evil pickle would have made */
	assert_null(f);
}

/* A byte changed at the n-th place where PATTERN is found, plus an offset; the message that must follow. */
static void errors_name_the_damage(void **state)
{
	static const struct {
		const char *file, *pattern;
		size_t len;
		int skip;
		const char *bytes;
		size_t n;
		const char *message;
	} table[] = {
		{"plain", "PK\6\7", 4, 8, "\377\377\377\377\377\377\377\177", 8,
			"no 64-bit end record at byte 9223372036854775807"},
		{"plain", "PK\6\6", 4, 32, "\377\377\377\377\377\0\0\0", 8, "members need a directory of"},
		{"plain", "PK\6\6", 4, 48, "\0\0\1\0", 4, "the directory of 351 bytes at byte 65536 ends past byte"},
		{"plain", "PK\6\6", 4, 40, "\0\0\1\0", 4, "the directory of 65536 bytes"},
		{"plain", "PK\6\6", 4, 32, "\5", 1, "bytes of the directory after its 5 entries"},
		{"plain", "PK\1\2", 4, 0, "XX", 2, "the directory is damaged"},
		{"plain", "PK\1\2", 4, 42, "\1", 1, "no local header at byte 1"},
		{"plain", "PK\1\2", 4, 42, "\377\377\377\177", 4, "no local header at byte 2147483647"},
		{"plain", "PK\1\2", 4, 8, "\11", 1, "is encrypted"},
		{"plain", "PK\1\2", 4, 20, "\1", 1, "packed and 358 plain"},
		{"plain", "PK\1\2", 4, 20, "\377\377\0\0\377\377\0", 7, "has 65535 bytes at byte 64, past byte 978"},
		{"plain", "PK\1\2", 4, 20, "\377\377\377\377", 4, "its 64-bit sizes are missing"},
		{"plain", "PK\1\2", 4, 28, "\377\377", 2, "a directory entry of"},
		{"plain", "PK\1\2", 4, 28, "\377\0", 2, "archive: "},
		{"repacked", "PK\1\2", 4, 46 + 6, "DATA.PKL", 8, "no data.pkl among its 6 members"},
		{"plain", "collections", 11, 0, "collectionz", 11, "it names collectionz.OrderedDict"},
		{"plain", "_rebuild_tensor_v2", 18, 17, "9", 1, "it names torch._utils._rebuild_tensor_v9"},
		{"plain", "FloatStorage", 12, 0, "XloatStorage", 12, "it names torch.XloatStorage"},
		{"plain", "FloatStorage", 12, -7, "\376", 1, "opcode 0xfe): unsupported opcode"},
		{"plain", "storage", 7, 0, "Storage", 7, "a persistent id other than a storage"},
		{"plain", "a_bias", 6, 0, "a_\tias", 6, "control character in the name"},
		{"plain", "K\f", 2, 1, "\r", 1, "has 48 bytes, expected 13 × 4 (F32)"},
		{"plain", "K\3K\4", 4, 1, "\4", 1, "the view of 16 elements from 0 does not fit its storage of 12"},
		{"plain", "K\3K\4", 4, -1, "\1", 1, "the view of 12 elements from 1 does not fit its storage of 12"},
		{"plain", "K\4K\1\206", 5, 1, "\5", 1, "does not fit its storage"},
		{"plain", "K\3K\4", 4, 0, "NN", 2, "tensor 'a_weight': damaged description"},
		{"plain", "u.PK", 4, 0, "N", 1, "the end, with values left on the stack"},
		{"plain", "u.PK", 4, 1, "0", 1, "truncated: 358 bytes without its end"},
		{"views_shared_storage", "same", 4, 0, "view", 4, "tensor 'view' is there twice"},
	};
	int wrong = 0;
	for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
		size_t size;
		e3_err err = {""};
		char *bytes = load(table[k].file, &size);
		char *at = memmem(bytes, size, table[k].pattern, table[k].len);
		assert_non_null(at);
		memcpy(at + table[k].skip, table[k].bytes, table[k].n);
		e3_ckpt *c = e3_ckpt_memory(bytes, size, "damaged", &err);
		if (c || !strstr(err.text, table[k].message)) {
			printf("# row %zu: expected '%s', got '%s'\n", k, table[k].message, c ? "(opened)" : err.text);
			wrong++;
		}
		e3_ckpt_close(c);
		free(bytes);
	}
	assert_int_equal(wrong, 0);
}

static void every_truncation_is_refused(void **state)
{
	static const char *const files[] = {"plain", "repacked", "training", "protocol4"};
	for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
		size_t size;
		char *bytes = load(files[f], &size);
		for (size_t n = 0; n < size; n++) {
			e3_err err = {""};
			char *part = malloc(n + !n);
			memcpy(part, bytes, n);
			assert_null(e3_ckpt_memory(part, n, "part", &err));
			assert_memory_equal(err.text, "reading model: part: ", 21);
			free(part);
		}
		free(bytes);
	}
}

/* Any byte may be anything: refused, or read within bounds (a sanitizer build checks that). */
static void no_single_byte_breaks_the_reader(void **state)
{
	static const uint8_t masks[] = {0x01, 0x80, 0xff, 0x20};
	size_t size, opened = 0, refused = 0;
	char *bytes = load("views_shared_storage", &size);
	float v[256];
	for (size_t k = 0; k < size; k++)
		for (size_t m = 0; m < sizeof masks; m++) {
			bytes[k] = (char)(bytes[k] ^ masks[m]);
			e3_ckpt *c = e3_ckpt_memory(bytes, size, "changed", NULL);
			for (size_t i = 0; c && i < e3_ckpt_count(c); i++) {
				const e3_tensor_info *t = e3_ckpt_at(c, i);
				e3_ckpt_read_f32(c, t, 0, t->count < 256 ? t->count : 256, v, NULL);
			}
			opened += c != NULL, refused += c == NULL;
			e3_ckpt_close(c);
			bytes[k] = (char)(bytes[k] ^ masks[m]);
		}
	printf("# %zu changed files opened, %zu refused\n", opened, refused);
	assert_true(refused > 1000);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_files_are_read),
		cmocka_unit_test(state_dicts_of_modules_are_read),
		cmocka_unit_test(every_type_is_known),
		cmocka_unit_test(views_honour_offset_and_strides),
		cmocka_unit_test(bad_files_are_refused_with_a_reason),
		cmocka_unit_test(errors_name_the_damage),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(no_single_byte_breaks_the_reader),
	};
	return cmocka_run_group_tests_name("model: .pth", tests, NULL, NULL);
}
