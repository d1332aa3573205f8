/* mask: what an ONNX file says of its inputs and outputs (the files: tests/onnx_models.py); cut off anywhere, and with
 * every byte changed, under a sanitizer too. */
#include "check.h"
#include "e3/io.h"
#include "e3/mask.h"

static e3_onnx_head head;

static e3_map map_of(const char *name)
{
	e3_err err;
	e3_map map;
	char path[100];
	snprintf(path, sizeof path, "tests/fuzz/corpus/onnx/%s", name);
	if (e3_map_open(&map, path, &err))
		fail_msg("%s (run from the top of the tree)", err.text);
	return map;
}

static const char *text_of(const e3_onnx_value *v)
{
	static char text[300];
	e3_onnx_value_text(v, text, sizeof text);
	return text;
}

static void test_inputs_and_outputs(void **state)
{
	static const struct {
		const char *file, *input, *output;
		int inputs, outputs;
	} rows[] = {
		{"sky", "input.1 f32[1,3,320,320]", "1959 f32[1,1,320,320]", 1, 7},
		{"rgb", "image f32[1,3,?,?]", "scores f32[1,3,?,?]", 1, 1},
		{"last", "image f32[1,24,32,3]", "scores f32[1,24,32,3]", 1, 1},
		{"labels", "image f32[1,3,24,32]", "labels i64[1,24,32]", 1, 1},
		{"two", "a f32[1,3,8,8]", "sum f32[1,3,8,8]", 2, 1},
	};
	for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
		e3_err err = {""};
		e3_map map = map_of(rows[k].file);
		if (e3_onnx_head_read(map.data, map.size, &head, &err))
			fail_msg("%s: %s", rows[k].file, err.text);
		assert_int_equal(head.n_inputs, rows[k].inputs);
		assert_int_equal(head.n_outputs, rows[k].outputs);
		assert_string_equal(text_of(&head.input[0]), rows[k].input);
		assert_string_equal(text_of(&head.output[0]), rows[k].output);
		e3_map_close(&map);
	}
}

/* In a block of exactly the size, so that a sanitizer sees a read beyond it. */
static int read_copy(const uint8_t *bytes, size_t n, e3_err *err)
{
	uint8_t *copy = malloc(n ? n : 1);
	memcpy(copy, bytes, n);
	int rc = e3_onnx_head_read(copy, n, &head, err);
	free(copy);
	return rc;
}

static void test_damage(void **state)
{
	e3_err err = {""};
	e3_map map = map_of("sky");
	uint8_t *bytes = malloc(map.size);
	memcpy(bytes, map.data, map.size);
	int whole = 0;
	for (size_t n = 0; n < map.size; n++)
		whole += read_copy(bytes, n, &err) == 0;
	assert_true(whole <= 1); /* what comes after the graph may be missing */
	assert_int_equal(read_copy((const uint8_t *)"GIF89a", 6, &err), -1);
	assert_non_null(strstr(err.text, "not an ONNX model"));
	for (size_t k = 0; k < map.size; k++) {
		static const uint8_t values[] = {0, 0x7f, 0x80, 0xff};
		for (size_t v = 0; v < sizeof values; v++) {
			bytes[k] = values[v];
			read_copy(bytes, map.size, &err);
		}
		bytes[k] = map.data[k];
	}
	free(bytes);
	e3_map_close(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inputs_and_outputs),
		cmocka_unit_test(test_damage),
	};
	return cmocka_run_group_tests_name("mask_head", tests, NULL, NULL);
}
