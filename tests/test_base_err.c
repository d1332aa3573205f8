/* tests: names put for settings in an error text. */
#include "check.h"
#include "e3/err.h"
#include <string.h>

static const e3_err_name names[] = {{"'p'", "--P"}, {"'key'", "--a-longer-key"}, {"'budget'", "-b"}, {NULL, NULL}};

static void every_setting_of_the_table_is_renamed(void **state)
{
	static const struct {
		const char *before, *after;
	} rows[] = {
		{"'p'", "--P"},
		{"'p''p' or 'key'", "--P--P or --a-longer-key"},
		{"give 'budget' (or 'p'), 'budget'", "give -b (or --P), -b"},
		{"p key 'other' 'bud", "p key 'other' 'bud"},
		{"", ""},
	};
	for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
		e3_err err;
		e3_fail(&err, "%s", rows[k].before);
		e3_err_rename(&err, names);
		assert_string_equal(err.text, rows[k].after);
	}
	e3_err_rename(NULL, names);
}

static void a_full_text_is_cut_at_its_end(void **state)
{
	e3_err err;
	memset(err.text, 'x', sizeof err.text - 1);
	err.text[sizeof err.text - 1] = 0;
	memcpy(err.text, "'key'", 5);
	e3_err_rename(&err, names);
	assert_int_equal(strncmp(err.text, "--a-longer-keyx", 15), 0);
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
	/* A name that has no room leaves the setting as it was. */
	memcpy(err.text + sizeof err.text - 6, "'key'", 5);
	e3_err_rename(&err, names);
	assert_string_equal(err.text + sizeof err.text - 6, "'key'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_setting_of_the_table_is_renamed),
		cmocka_unit_test(a_full_text_is_cut_at_its_end),
	};
	return cmocka_run_group_tests_name("base_err", tests, NULL, NULL);
}
