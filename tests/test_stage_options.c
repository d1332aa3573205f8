/* tests: how error texts name the settings of a stream, and the option --queue. */
#include "check.h"
#include "e3/stage.h"
#include <stdio.h>
#include <string.h>

static void settings_become_options(void **state)
{
	e3_err err;
	e3_fail(&err, "use 'curve_key' (keys: 'keygen') or 'insecure', within 5 s ('timeout')");
	e3_stage_explain(&err);
	assert_string_equal(err.text, "use --curve-key (keys: e3-cat --keygen) or --insecure, within 5 s (--timeout)");
	e3_fail(&err, "'curve_allow' 'curve_allow' 'curve_other' timeout");
	e3_stage_explain(&err);
	assert_string_equal(err.text, "--curve-allow --curve-allow 'curve_other' timeout");
	e3_stage_explain(NULL);
}

/* An option may be longer than the setting it replaces: a full text is cut at its end. */
static void long_texts_are_cut(void **state)
{
	e3_err err;
	memset(err.text, 'x', sizeof err.text - 1);
	err.text[sizeof err.text - 1] = 0;
	memcpy(err.text, "'keygen'", 8);
	memcpy(err.text + sizeof err.text - 9, "'keygen'", 8);
	e3_stage_explain(&err);
	assert_int_equal(strncmp(err.text, "e3-cat --keygenx", 16), 0);
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

static void queue_takes_messages_and_bytes(void **state)
{
	static const struct {
		const char *text;
		int64_t messages, bytes; /* 0 messages: refused */
	} rows[] = {{"4", 4, 0}, {"4,16M", 4, 16 << 20}, {"0", 0, 0}, {"4,", 0, 0}, {"x", 0, 0}, {"", 0, 0}};
	const e3_opt *row = e3_stage_queue_rows;
	while (strcmp(row->name, "queue") != 0)
		row++;
	for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
		e3_queue_limit q = {0};
		e3_err err;
		int rc = row->call(&q, rows[k].text, &err);
		assert_int_equal(rc, rows[k].messages ? 0 : -1);
		if (!rc)
			assert_true(q.messages == rows[k].messages && q.bytes == rows[k].bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_become_options),
		cmocka_unit_test(long_texts_are_cut),
		cmocka_unit_test(queue_takes_messages_and_bytes),
	};
	return cmocka_run_group_tests_name("stage_options", tests, NULL, NULL);
}
