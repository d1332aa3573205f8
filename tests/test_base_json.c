/* base: the JSON writer: what it writes, byte for byte. */
#include "check.h"
#include "e3/json.h"

static e3_buf buf;
static e3_err err;

static e3_json start(void)
{
	e3_buf_release(&buf);
	return (e3_json){.to = &buf, .err = &err};
}

static int release(void **state) { return e3_buf_release(&buf), 0; }

static void test_values_of_an_object_have_names_and_commas(void **state)
{
	e3_json j = start();
	e3_json_object(&j, NULL);
	e3_json_text(&j, "name", "x");
	e3_json_text(&j, "unknown", NULL);
	e3_json_int(&j, "large", INT64_MIN);
	e3_json_bool(&j, "yes", true);
	e3_json_bool(&j, "no", false);
	e3_json_null(&j, "nothing");
	e3_json_end(&j);
	assert_int_equal(j.rc, 0);
	assert_string_equal(buf.data,
		"{\"name\":\"x\",\"unknown\":null,\"large\":-9223372036854775808,\"yes\":true,\"no\":false,\"nothing\":null}");
}

static void test_objects_and_arrays_nest(void **state)
{
	e3_json j = start();
	e3_json_object(&j, NULL);
	e3_json_array(&j, "empty");
	e3_json_end(&j);
	e3_json_ints(&j, "grid", (int[]){14, 18}, 2);
	e3_json_array(&j, "rows");
	for (int k = 0; k < 2; k++) {
		e3_json_object(&j, NULL);
		e3_json_int(&j, "k", k);
		e3_json_end(&j);
	}
	e3_json_end(&j);
	e3_json_object(&j, "last");
	e3_json_end(&j);
	e3_json_end(&j);
	assert_int_equal(j.rc, 0);
	assert_string_equal(buf.data, "{\"empty\":[],\"grid\":[14,18],\"rows\":[{\"k\":0},{\"k\":1}],\"last\":{}}");
}

static void test_numbers_that_json_lacks_become_null(void **state)
{
	e3_json j = start();
	e3_json_reals(&j, NULL, (double[]){0.1, 1e300, -0.0, NAN, INFINITY, -INFINITY, 1.0 / 3}, 7, 9);
	assert_string_equal(buf.data, "[0.1,1e+300,-0,null,null,null,0.333333333]");
}

static void test_strings_are_quoted_and_always_utf8(void **state)
{
	e3_json j = start();
	e3_json_array(&j, NULL);
	e3_json_text(&j, NULL, "a\"b\\c\n\x01");
	e3_json_text(&j, NULL, "\xc3\xa9\xff\xed\xa0\x80\xf0\x9f\x98\x80");
	e3_json_end(&j);
	assert_string_equal(buf.data,
		"[\"a\\\"b\\\\c\\u000a\\u0001\",\"\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xf0\x9f\x98\x80\"]");
}

static void test_layout_goes_between_comma_and_value(void **state)
{
	e3_json j = start();
	e3_json_object(&j, NULL);
	e3_json_blank(&j, "\n ");
	e3_json_int(&j, "a", 1);
	e3_json_blank(&j, "\n ");
	e3_json_key(&j, "b");
	e3_json_raw(&j, NULL, "[1, 2]", 6);
	e3_json_blank(&j, "\n");
	e3_json_end(&j);
	assert_string_equal(buf.data, "{\n \"a\":1,\n \"b\":[1, 2]\n}");
	j = start();
	j.spaced = true;
	e3_json_object(&j, NULL);
	e3_json_int(&j, "a", 1);
	e3_json_int(&j, "b", 2);
	e3_json_end(&j);
	assert_string_equal(buf.data, "{\"a\": 1, \"b\": 2}");
}

static void test_the_buffer_may_be_emptied_between_values(void **state)
{
	e3_json j = start();
	e3_json_array(&j, NULL);
	e3_json_int(&j, NULL, 1);
	buf.len = 0;
	e3_json_int(&j, NULL, 2);
	e3_json_end(&j);
	assert_string_equal(buf.data, ",2]");
}

static void test_the_first_failure_stays(void **state)
{
	e3_json j = start();
	for (int k = 0; k <= E3_JSON_DEPTH; k++)
		e3_json_array(&j, NULL);
	assert_int_equal(j.rc, -1);
	assert_string_equal(err.text, "writing JSON: nested deeper than 64 levels");
	size_t before = buf.len;
	e3_json_text(&j, "key", "text");
	e3_json_end(&j);
	assert_int_equal(buf.len, before);
	assert_int_equal(j.rc, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_of_an_object_have_names_and_commas),
		cmocka_unit_test(test_objects_and_arrays_nest),
		cmocka_unit_test(test_numbers_that_json_lacks_become_null),
		cmocka_unit_test(test_strings_are_quoted_and_always_utf8),
		cmocka_unit_test(test_layout_goes_between_comma_and_value),
		cmocka_unit_test(test_the_buffer_may_be_emptied_between_values),
		cmocka_unit_test(test_the_first_failure_stays),
	};
	return cmocka_run_group_tests(tests, NULL, release);
}
