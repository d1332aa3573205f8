/* base: command-line options as one table per tool.
 *
 * The table drives getopt_long, the range checks and the text of --help, so help cannot disagree with what is parsed.
 * --help, --version, -q/--quiet and -v/--verbose are added here for every tool.
 */
#ifndef E3_OPT_H
#define E3_OPT_H

#include "e3/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum e3_opt_type {
	E3_OPT_END = 0, /* closes the table */
	E3_OPT_TITLE,   /* a heading in --help: only `help` is used */
	E3_OPT_FLAG,    /* bool *to = true */
	E3_OPT_CLEAR,   /* bool *to = false (for --no-x) */
	E3_OPT_TEXT,    /* const char **to = argument */
	E3_OPT_INT,     /* int64_t *to, in [min, max] */
	E3_OPT_REAL,    /* double *to, in [min, max] */
	E3_OPT_CHOICE,  /* int *to = index of the argument in `choices`, words separated by '|' */
	E3_OPT_CALL     /* int (*call)(void *to, const char *arg, e3_err *): anything else, repeatable options too */
} e3_opt_type;

typedef struct e3_opt {
	e3_opt_type type;
	const char *name; /* long name without the dashes */
	char letter;      /* short name, or 0 */
	void *to;
	const char *arg;  /* how --help calls the argument; NULL for none */
	const char *help; /* one or more lines, '\n' between them */
	double min, max;
	const char *choices;
	int (*call)(void *to, const char *arg, e3_err *err);
} e3_opt;

typedef struct e3_opts {
	const char *tool;    /* "e3-decode" */
	const char *usage;   /* what follows the name in the synopsis: "[options] INPUT..." */
	const char *summary; /* one line */
	const e3_opt *table;
	const char *tail; /* shown after the options: examples; may be NULL */
} e3_opts;

/* Parses argv. On --help and --version prints to standard output and exits 0; on a usage error prints the message and
 * "try 'tool --help'" to standard error and exits 2: this is the one place below cmd/ that may exit, because only main
 * calls it. Returns the index of the first operand; operands keep their order, "--" ends options. */
int e3_opts_parse(const e3_opts *opts, int argc, char **argv);

/* Prints "tool: text" and the hint, exits 2: for rules a table cannot say ("--P needs a number of frames"). */
_Noreturn void e3_usage_error(const char *fmt, ...) E3_PRINTF(1, 2);

#endif
