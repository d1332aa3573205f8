/* base: the option table: parsing through getopt_long, range checks, the text of --help. */
#include "e3/opt.h"
#include "ask.h"
#include "e3/num.h"
#include "e3/tool.h"
#include "e3/what.h"
#include "e3/word.h"
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 128, MAX_NAME = 32 };

static bool help, version, list_options;
static const bool *dry; /* of the table that was parsed: nothing will be written */
static const e3_opt common[] = {
	E3_OPT_TITLE("Everywhere"),
	E3_OPT_FLAG("yes,y", &e3_yes, "replace outputs that exist, without asking at a terminal"),
	E3_OPT_FLAG("quiet,q", &e3_quiet, "errors only"),
	E3_OPT_FLAG("verbose,v", &e3_verbose, "say more on standard error"),
	E3_OPT_FLAG("help,h", &help, "print this and exit"),
	E3_OPT_FLAG("version", &version, "print the version and exit"),
	E3_OPT_FLAG("list-options", &list_options, NULL), /* for programs: not in --help */
	E3_OPT_END,
};

/* The rows of all tables in one list, names and letters apart. */
typedef struct row {
	e3_opt opt;
	char name[MAX_NAME], letter;
	const char *path;  /* the last one that was given */
	const char *needs; /* as of E3_OPT_NEEDS */
	bool given;
} row;

typedef struct row_list {
	row row[MAX_ROWS];
	int n;
} row_list;

static row_list parsed; /* of the table that was parsed */

static void add_rows(row_list *list, const e3_opt *table, char *base)
{
	const char *needs = NULL;
	for (const e3_opt *o = table; o->type != E3_ROW_END; o++) {
		if (o->type == E3_ROW_ROWS) {
			add_rows(list, o->rows, o->to);
			continue;
		}
		if (o->type == E3_ROW_NEEDS || o->type == E3_ROW_TITLE)
			needs = o->needs;
		if (o->type == E3_ROW_NEEDS)
			continue;
		if (list->n == MAX_ROWS)
			return;
		row *r = &list->row[list->n++];
		*r = (row){.opt = *o, .needs = needs};
		if (base && o->type != E3_ROW_TITLE)
			r->opt.to = base + (uintptr_t)o->to;
		const char *comma = o->name ? strchr(o->name, ',') : NULL;
		if (o->name)
			snprintf(r->name, sizeof r->name, "%.*s", comma ? (int)(comma - o->name) : (int)strlen(o->name), o->name);
		r->letter = comma ? comma[1] : 0;
	}
}

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

enum { HELP_COLUMN = 32, HELP_WIDTH = 92 };

/* "a, b or c", broken into lines. */
static int print_names(const char *(*names)(int k), int column)
{
	const char *name;
	for (int k = 0; (name = names(k)); k++) {
		const char *before = k == 0 ? "" : names(k + 1) ? ", " : " or ";
		int n = (int)(strlen(before) + strlen(name));
		if (k && column + n > HELP_WIDTH) {
			printf("%s\n%*s%s", strcmp(before, ", ") == 0 ? "," : "", HELP_COLUMN, "",
				strcmp(before, ", ") == 0 ? "" : "or ");
			before = "", column = HELP_COLUMN;
		}
		column += printf("%s%s", before, name);
	}
	return column;
}

static void print_option(const row *r)
{
	const e3_opt *o = &r->opt;
	if (o->type == E3_ROW_TITLE) {
		printf("\n%s\n", o->help);
		return;
	}
	char left[128], letter[8] = "    ";
	if (r->letter)
		snprintf(letter, sizeof letter, "-%c, ", r->letter);
	snprintf(left, sizeof left, "  %s--%s%s%s", letter, r->name, o->arg ? " " : "", o->arg ? o->arg : "");
	printf("%-*s", HELP_COLUMN, left);
	if (strlen(left) >= (size_t)HELP_COLUMN)
		printf("\n%*s", HELP_COLUMN, "");
	int column = HELP_COLUMN;
	for (const char *p = o->help; *p; p++) {
		if (o->names && p[0] == '%' && p[1] == 's') {
			column = print_names(o->names, column);
			p++;
			continue;
		}
		putchar(*p);
		column++;
		if (*p == '\n')
			column = printf("%*s", HELP_COLUMN, "");
	}
	putchar('\n');
}

/* For programs: name, letter, argument, what it is, its words, the first line of its help; tabs between, - for none. */
static void print_row(const row *r)
{
	const e3_opt *o = &r->opt;
	const char *kind = !o->arg ? "flag" : o->use & E3_WRITES ? "writes" : o->use & E3_READS ? "reads" : "value";
	const char *name;
	if (o->type == E3_ROW_TITLE || !o->help)
		return;
	printf("%s\t%c\t%s\t%s\t", r->name, r->letter ? r->letter : '-', o->arg ? o->arg : "-", kind);
	for (int k = 0; o->names && (name = o->names(k)); k++)
		printf("%s%s", k ? "|" : "", name);
	printf("%s", o->choices ? o->choices : o->names ? "" : "-");
	const char *text = o->names && strncmp(o->help, "%s", 2) == 0 ? "one of these" : o->help;
	printf("\t%.*s\n", (int)strcspn(text, "\n"), text);
}

static void print_help(const e3_opts *opts, const row_list *list)
{
	printf("Usage: %s %s\n%s\n", opts->tool, opts->usage, opts->summary);
	for (int k = 0; k < list->n; k++)
		if (list->row[k].opt.help)
			print_option(&list->row[k]);
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

static int pick_name(const char *(*names)(int k), const char *arg, int *out, e3_err *err)
{
	char all[512] = "";
	size_t used = 0;
	const char *name;
	for (int k = 0; (name = names(k)); k++) {
		if (strcmp(name, arg) == 0) {
			*out = k;
			return 0;
		}
		int n = snprintf(all + used, sizeof all - used, "%s%s", k ? "|" : "", name);
		used = used + (size_t)n < sizeof all ? used + (size_t)n : sizeof all - 1;
	}
	return e3_fail(err, "expected one of %s, got '%s'", all, arg);
}

static int apply(const e3_opt *o, const char *arg, e3_err *err)
{
	switch (o->type) {
	case E3_ROW_FLAG:
		*(bool *)o->to = true;
		return 0;
	case E3_ROW_CLEAR:
		*(bool *)o->to = false;
		return 0;
	case E3_ROW_TEXT:
		*(const char **)o->to = arg;
		return 0;
	case E3_ROW_INT:
		return e3_parse_i64(arg, (int64_t)o->min, (int64_t)o->max, o->to, err);
	case E3_ROW_REAL:
		return e3_parse_f64(arg, o->min, o->max, o->to, err);
	case E3_ROW_BYTES:
		return e3_parse_bytes(arg, o->to, err);
	case E3_ROW_SIZE:
		return e3_parse_size(arg, (int)o->max, o->to, err);
	case E3_ROW_RANGE:
		return e3_parse_range(arg, o->min, o->max, o->to, err);
	case E3_ROW_CHOICE:
		return pick_choice(o->choices, arg, o->to, err);
	case E3_ROW_NAMED:
		return pick_name(o->names, arg, o->to, err);
	case E3_ROW_CALL:
		return o->call(o->to, arg, err);
	default:
		return 0;
	}
}

/* What getopt_long takes: the index into the list is the value of a long option. */
typedef struct getopt_tables {
	struct option longs[MAX_ROWS + 1];
	char letters[2 * MAX_ROWS + 2];
} getopt_tables;

enum { LONG = 256 }; /* above every letter */

static void fill_tables(getopt_tables *t, const row_list *list)
{
	size_t used = 0;
	int n = 0;
	t->letters[used++] = ':';
	for (int k = 0; k < list->n; k++) {
		const row *r = &list->row[k];
		if (!r->opt.name)
			continue;
		t->longs[n++] = (struct option){r->name, r->opt.arg ? required_argument : no_argument, NULL, LONG + k};
		if (r->letter) {
			t->letters[used++] = r->letter;
			if (r->opt.arg)
				t->letters[used++] = ':';
		}
	}
	t->letters[used] = 0;
	t->longs[n] = (struct option){0};
}

/* What getopt_long refused: the word it stopped at, or a letter in it. */
_Noreturn static void refuse(const row_list *list, const char *word)
{
	if (optopt && optopt < LONG)
		e3_usage_error("unknown option -%c", optopt);
	if (optopt >= LONG)
		e3_usage_error("option --%s takes no argument", list->row[optopt - LONG].name);
	int matches = 0, nearest = -1, best = 0;
	char name[MAX_NAME], all[512] = "";
	size_t n = strcspn(word, "="), used = 0;
	for (int k = 0; k < list->n; k++)
		if (n > 2 && list->row[k].name[0] && strncmp(list->row[k].name, word + 2, n - 2) == 0) {
			used += (size_t)snprintf(all + used, sizeof all - used, "%s--%s", matches++ ? ", " : "", list->row[k].name);
			used = used < sizeof all ? used : sizeof all - 1;
		}
	if (matches > 1)
		e3_usage_error("ambiguous option %.*s: it may be %s", (int)n, word, all);
	snprintf(name, sizeof name, "%.*s", n > 2 ? (int)n - 2 : 0, word + 2);
	for (int k = 0; k < list->n; k++) {
		int far = list->row[k].opt.help ? e3_word_distance(name, list->row[k].name) : -1;
		if (far >= 0 && (nearest < 0 || far < best))
			nearest = k, best = far;
	}
	if (nearest >= 0)
		e3_usage_error("unknown option %s: is --%s meant?", word, list->row[nearest].name);
	e3_usage_error("unknown option %s", word);
}

/* A stream that exists is hardly ever the output that was meant: it was given in the input's place. */
static void refuse_stream(const e3_claim *c)
{
	if (!(c->use & E3_WRITES) || c->use & (E3_STREAM | E3_MAYBE) || strcmp(c->path, "-") == 0 ||
		e3_what_file(c->path).kind != E3_WHAT_STREAM)
		return;
	if (c->by)
		e3_usage_error("%s: %s holds a stream, which would be lost: give the output before it: %s %s OUTPUT %s", c->by,
			c->path, e3_tool_name(), c->by, c->path);
	e3_usage_error("%s holds a stream, which would be lost: give the output another name", c->path);
}

/* A person at a terminal is asked before an output takes the place of what is there. */
static void ask(const e3_claim *c)
{
	char what[1024], in[512];
	bool writes = c->use & E3_WRITES && !(c->use & (E3_MAYBE | E3_ASKED)), never = e3_yes || (dry && *dry);
	int n = writes && !never ? e3_claim_replaces(c, in, sizeof in) : 0;
	if (n == 0)
		return;
	if (n == 1)
		snprintf(what, sizeof what, "%s exists: replace it", in);
	else
		snprintf(what, sizeof what, "%s and %d more files in %s exist: replace them", in, n - 1, c->path);
	if (e3_ask_replace(what))
		return;
	e3_err err = {""};
	e3_fail(&err, "%s stays as it was", n == 1 ? in : c->path);
	exit(e3_stop_signal() ? e3_tool_exit(0, &err) : e3_tool_exit(-1, &err));
}

static void claim(const e3_claim *c)
{
	e3_err err;
	if (e3_claim_add(c, &err) == 0)
		return;
	if (strstr(err.text, "out of memory")) /* not the command line's fault */
		exit(e3_tool_exit(-1, &err));
	e3_usage_error("%s", err.text);
}

void e3_opts_claim(const e3_claim *c)
{
	claim(c);
	refuse_stream(c);
	ask(c);
}

static e3_claim claim_of(const row *r, char by[MAX_NAME + 2])
{
	snprintf(by, MAX_NAME + 2, "--%s", r->name);
	return (e3_claim){.use = r->opt.use, .path = r->path, .by = by, .holds = r->opt.holds, .back = r->opt.back};
}

static const row *find(const row_list *list, const char *name, size_t n)
{
	for (int k = 0; k < list->n; k++)
		if (strlen(list->row[k].name) == n && n && strncmp(list->row[k].name, name, n) == 0)
			return &list->row[k];
	return NULL;
}

/* Refuses an option that would do nothing beside those that were given. */
static void check_needs(const row_list *list, const row *r)
{
	char all[256] = "";
	bool without = r->needs && *r->needs == '!', met = !r->given || !r->needs;
	for (const char *p = met ? "" : r->needs + without, *end; *p; p = end + (*end == '|')) {
		end = p + strcspn(p, "|");
		const row *other = find(list, p, (size_t)(end - p));
		if (other && other->given && without)
			e3_usage_error("--%s: not with --%s", r->name, other->name);
		met = met || without || (other && other->given);
		size_t used = strlen(all);
		snprintf(all + used, sizeof all - used, "%s--%.*s", !used ? "" : *end ? ", " : " or ", (int)(end - p), p);
	}
	if (!met)
		e3_usage_error("--%s: needs %s", r->name, all);
}

/* The options' paths, the operands where they are streams, and standard output; and what options need. Of an option
 * that was given twice the last one counts, except where all do. */
static void claim_all(const e3_opts *opts, const row_list *list, int operands, char **operand)
{
	static const char what[] = "the stream that is read";
	char by[MAX_NAME + 2];
	for (int k = 0; k < list->n; k++)
		if (list->row[k].path && list->row[k].opt.type != E3_ROW_CALL)
			claim((e3_claim[]){claim_of(&list->row[k], by)});
	for (int k = 0; opts->streams && k < operands; k++)
		claim(&(e3_claim){.use = E3_READS | E3_STREAM, .path = operand[k], .what = what});
	if (opts->streams && operands < 1)
		e3_opts_claim(&(e3_claim){.use = E3_READS, .path = "-", .what = what});
	e3_opts_claim(&(e3_claim){.use = E3_WRITES | E3_MAYBE, .path = "-"});
	for (int k = 0; k < list->n; k++)
		check_needs(list, &list->row[k]);
	for (int k = 0; k < list->n; k++)
		if (list->row[k].path)
			refuse_stream((e3_claim[]){claim_of(&list->row[k], by)});
	for (int k = 0; k < list->n; k++)
		if (list->row[k].path)
			ask((e3_claim[]){claim_of(&list->row[k], by)});
}

static void parse(row_list *list, int argc, char **argv)
{
	getopt_tables t;
	char by[MAX_NAME + 2];
	fill_tables(&t, list);
	opterr = 0;
	for (int c; (c = getopt_long(argc, argv, t.letters, t.longs, NULL)) != -1;) {
		if (c == ':')
			e3_usage_error("option %s needs an argument", argv[optind - 1]);
		if (c == '?')
			refuse(list, argv[optind - 1]);
		int at = c - LONG;
		for (int k = 0; c < LONG && k < list->n; k++)
			if (list->row[k].letter == c)
				at = k;
		e3_err err;
		if (apply(&list->row[at].opt, optarg, &err))
			e3_usage_error("option --%s: %s", list->row[at].name, err.text);
		list->row[at].given = true;
		if (list->row[at].opt.use)
			list->row[at].path = optarg;
		if (list->row[at].opt.use && list->row[at].opt.type == E3_ROW_CALL)
			claim((e3_claim[]){claim_of(&list->row[at], by)});
	}
}

bool e3_opts_has(const e3_opts *opts, const char *word, bool *takes)
{
	row_list list = {.n = 0};
	bool is_long = strncmp(word, "--", 2) == 0;
	size_t n = is_long ? strcspn(word + 2, "=") : 0;
	add_rows(&list, opts->table, NULL);
	add_rows(&list, common, NULL);
	for (int k = 0; k < list.n; k++) {
		const row *r = &list.row[k];
		if (is_long ? strlen(r->name) == n && n && strncmp(r->name, word + 2, n) == 0 : r->letter == word[1]) {
			*takes = r->opt.arg && (is_long ? word[2 + n] != '=' : !word[2]);
			return true;
		}
	}
	return false;
}

bool e3_opts_given(const char *name)
{
	const row *r = find(&parsed, name, strlen(name));
	return r && r->given;
}

int e3_opts_parse(const e3_opts *opts, int argc, char **argv)
{
	parsed.n = 0;
	add_rows(&parsed, opts->table, NULL);
	add_rows(&parsed, common, NULL);
	parse(&parsed, argc, argv);
	dry = opts->dry;
	if (help || version || list_options) {
		if (help)
			print_help(opts, &parsed);
		else if (list_options)
			for (int k = 0; k < parsed.n; k++)
				print_row(&parsed.row[k]);
		else
			printf("%s %s\n", opts->tool, E3_VERSION);
		int rc = fflush(stdout) || ferror(stdout) ? -1 : 0;
		e3_err err = {""};
		exit(e3_tool_exit(rc ? e3_fail_sys(&err, "writing: standard output") : 0, &err));
	}
	claim_all(opts, &parsed, argc - optind, argv + optind);
	return optind;
}
