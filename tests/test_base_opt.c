/* base: the option table: what each kind of row accepts, what --help shows, and how a usage error reads. */
#include "check.h"
#include "e3/opt.h"
#include "e3/tool.h"
#include <getopt.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct shared {
	const char *key;
	double timeout;
	bool insecure;
} shared;

static const e3_opt shared_rows[] = {
	E3_OPT_READS("key", E3_OPT_AT(shared, key), "FILE", "a key"),
	E3_OPT_REAL("timeout", E3_OPT_AT(shared, timeout), "SEC", 0, 60, "how long"),
	E3_OPT_FLAG("insecure", E3_OPT_AT(shared, insecure), "allow it"),
	E3_OPT_END,
};

static const char *colour(int k)
{
	static const char *const names[] = {"red", "green", "blue"};
	return k < 3 ? names[k] : NULL;
}

static int add(void *to, const char *arg, e3_err *err)
{
	int *n = to;
	if (strcmp(arg, "no") == 0)
		return e3_fail(err, "expected anything else, got '%s'", arg);
	++*n;
	return 0;
}

static struct {
	bool flag, clear, quick, slow;
	const char *text, *to, *send, *back;
	int64_t count, bytes;
	double real, range[2];
	int size[2], choice, named, calls;
	shared shared;
} o;

static const e3_opt table[] = {
	E3_OPT_TITLE("Things"),
	E3_OPT_FLAG("flag,f", &o.flag, "sets"),
	E3_OPT_CLEAR("no-clear", &o.clear, "clears"),
	E3_OPT_TEXT("text,t", &o.text, "FILE", "a text"),
	E3_OPT_INT("count", &o.count, "N", 1, 9, "a number\nof things"),
	E3_OPT_REAL("real", &o.real, "X", 0, 1, "a fraction"),
	E3_OPT_BYTES("bytes", &o.bytes, "memory"),
	E3_OPT_SIZE("size", &o.size, 100, "a picture"),
	E3_OPT_RANGE("range", &o.range, "NEAR:FAR", 0, 10, "depths"),
	E3_OPT_CHOICE("choice", &o.choice, "WHICH", "one|two|three", "one of them"),
	E3_OPT_NAMED("named", &o.named, "COLOUR", colour, "%s (default red)"),
	E3_OPT_CALL("call", &o.calls, "ANY", add, "again and again"),
	E3_OPT_WRITES("to", &o.to, "FILE", "an output"),
	E3_OPT_SENDS("send", &o.send, "ENDPOINT", "a stream"),
	E3_OPT_CALL_SENDS("copy", &o.calls, "ENDPOINT", add, "a copy"),
	E3_OPT_WRITES_BACK("back", &o.back, "FILE", "--key", "the key again"),
	E3_OPT_NEEDS("to|send|back"),
	E3_OPT_FLAG("quick", &o.quick, "of an output"),
	E3_OPT_NEEDS("!flag"),
	E3_OPT_FLAG("slow", &o.slow, "without the flag"),
	E3_OPT_NEEDS(NULL),
	E3_OPT_ROWS(shared_rows, &o.shared),
	E3_OPT_END,
};

static const e3_opts opts = {.tool = "e3-test",
	.usage = "[options]",
	.summary = "Tests.",
	.table = table,
	.tail = "The end.\n"};

enum { MOST = 16 };

static int parse(const char *const *words)
{
	char *argv[MOST + 1] = {(char *)(uintptr_t) "e3-test"};
	int argc = 1;
	for (; words[argc - 1]; argc++)
		argv[argc] = (char *)(uintptr_t)words[argc - 1];
	memset(&o, 0, sizeof o);
	o.clear = true;
	optind = 0; /* getopt begins anew */
	return e3_opts_parse(&opts, argc, argv);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_each_kind_of_row_sets_its_variable(void **state)
{
	int at = parse(WORDS("-f", "--no-clear", "-t", "a", "--count=9", "--real", "0.5", "--bytes", "2k", "--size", "4x3",
		"--range", "1:2.5", "--choice", "three", "rest"));
	assert_int_equal(at, 16);
	assert_true(o.flag && !o.clear && o.count == 9 && o.real == 0.5 && o.bytes == 2048);
	assert_string_equal(o.text, "a");
	assert_true(o.size[0] == 4 && o.size[1] == 3 && o.range[0] == 1 && o.range[1] == 2.5 && o.choice == 2);
	parse(WORDS("--named", "blue", "--call", "x", "--call", "y"));
	assert_true(o.named == 2 && o.calls == 2);
	assert_true(e3_opts_given("named") && !e3_opts_given("name") && !e3_opts_given("flag") && !e3_opts_given(""));
	parse(WORDS("--quick", "--back=/absent/b", "--slow", "--insecure"));
	assert_true(o.quick && o.slow && o.shared.insecure);
}

static void test_rows_of_a_shared_table_fill_its_struct(void **state)
{
	parse(WORDS("--key", "file", "--timeout", "7", "--insecure"));
	assert_string_equal(o.shared.key, "file");
	assert_true(o.shared.timeout == 7 && o.shared.insecure);
}

/* What a child prints on the descriptor, and its exit status. */
static int outcome(int fd, const char *const *words, char *text, size_t size)
{
	int pair[2], status;
	assert_int_equal(pipe(pair), 0);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(pair[1], fd);
		close(pair[0]);
		e3_tool_init("e3-test");
		parse(words);
		_exit(99);
	}
	close(pair[1]);
	size_t used = 0;
	for (ssize_t n; (n = read(pair[0], text + used, size - 1 - used)) > 0;)
		used += (size_t)n;
	text[used] = 0;
	close(pair[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void test_an_error_names_the_option_and_what_is_allowed(void **state)
{
	static const struct {
		const char *words[3], *text;
	} bad[] = {
		{{"--quick", "-f"}, "--quick: needs --to, --send or --back"},
		{{"-f", "--slow"}, "--slow: not with --flag"},
		{{"--count", "0"}, "option --count: expected a whole number from 1 to 9, got '0'"},
		{{"--real", "x"}, "option --real: expected a number from 0 to 1, got 'x'"},
		{{"--bytes", "3Q"}, "option --bytes: expected a whole number from 1 to"},
		{{"--size", "4"}, "option --size: expected WIDTHxHEIGHT such as 640x480, got '4'"},
		{{"--range", "2:1"}, "option --range: expected LO:HI with LO below HI, got '2:1'"},
		{{"--choice", "tw"}, "option --choice: expected one of one|two|three, got 'tw'"},
		{{"--named", "pink"}, "option --named: expected one of red|green|blue, got 'pink'"},
		{{"--call", "no"}, "option --call: expected anything else, got 'no'"},
		{{"-t"}, "option -t needs an argument"},
		{{"--text"}, "option --text needs an argument"},
		{{"--flag=1"}, "option --flag takes no argument"},
		{{"--unknown"}, "unknown option --unknown\n"},
		{{"--choise", "one"}, "unknown option --choise: is --choice meant?\n"},
		{{"--clear"}, "unknown option --clear: is --no-clear meant?\n"},
		{{"--list-option=1"}, "option --list-options takes no argument"},
		{{"--c", "1"}, "ambiguous option --c: it may be --count, --choice, --call, --copy"},
		{{"-x"}, "unknown option -x"},
	};
	for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
		char text[1024], want[256];
		assert_int_equal(outcome(STDERR_FILENO, bad[k].words, text, sizeof text), 2);
		snprintf(want, sizeof want, "e3-test: %s", bad[k].text);
		if (strncmp(text, want, strlen(want)) != 0)
			fail_msg("expected '%s', got '%s'", want, text);
		assert_non_null(strstr(text, "\nTry 'e3-test --help'.\n"));
	}
}

/* The last file of an option counts, and every one of an option that may be repeated. */
static void test_paths_are_compared(void **state)
{
	static const char key[] = "/etc/passwd", same[] = "/etc//../etc/passwd", other[] = "/etc/group";
	static const struct {
		const char *words[8];
		const char *text; /* NULL: no clash */
	} runs[] = {
		{{"--key", key, "--to", same}, "--to: /etc//../etc/passwd is the file of --key (/etc/passwd): give the output"},
		{{"--send", key, "--key", key}, "--send: /etc/passwd is the file of --key: give the output another name"},
		{{"--copy", "/etc/x", "--copy", "/etc/./x"}, "--copy /etc/x and --copy /etc/./x are the same file: give them"},
		{{"--send", "/etc/x", "--copy", "/etc/y", "--copy", "/etc/x"}, "--copy and --send have the same name, /etc/x"},
		{{"--key", key, "--back", key}, NULL},
		{{"--to", key, "--back", key}, "--to and --back have the same name, /etc/passwd: give them different names"},
		{{"--to", key, "--to", other, "--key", key}, NULL},
		{{"--to", other, "--to", key, "--key", key}, "--to: /etc/passwd is the file of --key"},
		{{"--send", "zmq:push:ipc://x", "--copy", "zmq:push:ipc://x"}, NULL},
		{{"--send", "-", "--copy", "-"}, "--copy and --send: only one output can be standard output"},
		{{"--text", key, "--to", key}, NULL},
	};
	for (size_t k = 0; k < sizeof runs / sizeof *runs; k++) {
		char text[1024] = "";
		int status = outcome(STDERR_FILENO, runs[k].words, text, sizeof text);
		if (status != (runs[k].text ? 2 : 99) || !strstr(text, runs[k].text ? runs[k].text : ""))
			fail_msg("run %zu: %d '%s', expected '%s'", k, status, text, runs[k].text ? runs[k].text : "nothing");
	}
}

static void test_help_lists_every_row(void **state)
{
	static const char *const lines[] = {"Usage: e3-test [options]\nTests.\n", "\nThings\n",
		"\n  -f, --flag                    sets\n", "\n      --count N                 a number\n",
		"\n                                of things\n", "\n      --size WxH                a picture\n",
		"\n      --named COLOUR            red, green or blue (default red)\n",
		"\n      --key FILE                a key\n", "\n  -h, --help                    print this and exit\n",
		"\nThe end.\n\nManual: man e3-test\n"};
	char text[4096];
	assert_int_equal(outcome(STDOUT_FILENO, WORDS("--help"), text, sizeof text), 0);
	for (size_t k = 0; k < sizeof lines / sizeof *lines; k++)
		if (!strstr(text, lines[k]))
			fail_msg("not in the help: '%s'\n%s", lines[k], text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_kind_of_row_sets_its_variable),
		cmocka_unit_test(test_rows_of_a_shared_table_fill_its_struct),
		cmocka_unit_test(test_an_error_names_the_option_and_what_is_allowed),
		cmocka_unit_test(test_paths_are_compared),
		cmocka_unit_test(test_help_lists_every_row),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
