/* base: the option table: parsing through getopt_long, range checks, the text of --help. */
#include "e3/opt.h"
#include "e3/num.h"
#include "e3/tool.h"
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTIONS = 96 };

static bool help, version;
static const e3_opt common[] = {
	{E3_OPT_TITLE, NULL, 0, NULL, NULL, "Everywhere", 0, 0, NULL, NULL},
	{E3_OPT_FLAG, "quiet", 'q', &e3_quiet, NULL, "errors only", 0, 0, NULL, NULL},
	{E3_OPT_FLAG, "verbose", 'v', &e3_verbose, NULL, "say more on standard error", 0, 0, NULL, NULL},
	{E3_OPT_FLAG, "help", 'h', &help, NULL, "print this and exit", 0, 0, NULL, NULL},
	{E3_OPT_FLAG, "version", 0, &version, NULL, "print the version and exit", 0, 0, NULL, NULL},
	{E3_OPT_END, NULL, 0, NULL, NULL, NULL, 0, 0, NULL, NULL},
};

void e3_usage_error(const char *fmt, ...)
{
	char text[1024];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	e3_warn("%s", text);
	fprintf(stderr, "Try '%s --help'.\n", e3_tool_name());
	exit(2);
}

static void print_option(const e3_opt *o)
{
	if (o->type == E3_OPT_TITLE) {
		printf("\n%s\n", o->help);
		return;
	}
	char left[128], letter[8] = "    ";
	if (o->letter)
		snprintf(letter, sizeof letter, "-%c, ", o->letter);
	snprintf(left, sizeof left, "  %s--%s%s%s", letter, o->name, o->arg ? " " : "", o->arg ? o->arg : "");
	int column = 32;
	printf("%-*s", column, left);
	if (strlen(left) >= (size_t)column)
		printf("\n%*s", column, "");
	for (const char *p = o->help; *p; p++) {
		putchar(*p);
		if (*p == '\n')
			printf("%*s", column, "");
	}
	putchar('\n');
}

static void print_help(const e3_opts *opts)
{
	printf("Usage: %s %s\n%s\n", opts->tool, opts->usage, opts->summary);
	for (const e3_opt *o = opts->table; o->type != E3_OPT_END; o++)
		print_option(o);
	for (const e3_opt *o = common; o->type != E3_OPT_END; o++)
		print_option(o);
	if (opts->tail)
		printf("\n%s", opts->tail);
	printf("\nManual: man %s\n", opts->tool);
}

static int pick_choice(const char *choices, const char *arg, int *out, e3_err *err)
{
	size_t want = strlen(arg);
	int k = 0;
	for (const char *p = choices; *p; k++) {
		size_t n = strcspn(p, "|");
		if (n == want && strncmp(p, arg, n) == 0) {
			*out = k;
			return 0;
		}
		p += n;
		p += *p == '|';
	}
	return e3_fail(err, "expected one of %s, got '%s'", choices, arg);
}

static int apply(const e3_opt *o, const char *arg, e3_err *err)
{
	switch (o->type) {
	case E3_OPT_FLAG:
		*(bool *)o->to = true;
		return 0;
	case E3_OPT_CLEAR:
		*(bool *)o->to = false;
		return 0;
	case E3_OPT_TEXT:
		*(const char **)o->to = arg;
		return 0;
	case E3_OPT_INT:
		return e3_parse_i64(arg, (int64_t)o->min, (int64_t)o->max, o->to, err);
	case E3_OPT_REAL:
		return e3_parse_f64(arg, o->min, o->max, o->to, err);
	case E3_OPT_CHOICE:
		return pick_choice(o->choices, arg, o->to, err);
	case E3_OPT_CALL:
		return o->call(o->to, arg, err);
	default:
		return 0;
	}
}

int e3_opts_parse(const e3_opts *opts, int argc, char **argv)
{
	struct option longs[MAX_OPTIONS + 1] = {0};
	const e3_opt *from[MAX_OPTIONS];
	char letters[2 * MAX_OPTIONS + 2] = ":";
	int n = 0;
	size_t used = 1;
	const e3_opt *tables[2] = {opts->table, common};
	for (int t = 0; t < 2; t++)
		for (const e3_opt *o = tables[t]; o->type != E3_OPT_END; o++) {
			if (o->type == E3_OPT_TITLE || n == MAX_OPTIONS)
				continue;
			from[n] = o;
			longs[n] = (struct option){o->name, o->arg ? required_argument : no_argument, NULL, 256 + n};
			n++;
			if (o->letter) {
				letters[used++] = o->letter;
				if (o->arg)
					letters[used++] = ':';
			}
		}
	letters[used] = 0;
	opterr = 0;
	for (int c; (c = getopt_long(argc, argv, letters, longs, NULL)) != -1;) {
		int at = c - 256;
		for (int k = 0; c < 256 && c != '?' && c != ':' && k < n; k++)
			if (from[k]->letter == c)
				at = k;
		if (c == ':')
			e3_usage_error("option %s needs an argument", argv[optind - 1]);
		if (c == '?' || at < 0 || at >= n) {
			if (optopt && optopt < 256)
				e3_usage_error("unknown option -%c", optopt);
			e3_usage_error("unknown, ambiguous or misused option %s", argv[optind - 1]);
		}
		e3_err err;
		if (apply(from[at], optarg, &err))
			e3_usage_error("option --%s: %s", from[at]->name, err.text);
	}
	if (help || version) {
		if (help)
			print_help(opts);
		else
			printf("%s %s\n", opts->tool, E3_VERSION);
		int rc = fflush(stdout) || ferror(stdout) ? -1 : 0;
		e3_err err = {""};
		exit(e3_tool_exit(rc ? e3_fail_sys(&err, "writing: standard output") : 0, &err));
	}
	return optind;
}
