/* base: command-line options as one table per tool.
 *
 * The table drives getopt_long, the range checks and the text of --help, so help cannot disagree with what is parsed.
 * --help, --version, -q/--quiet, -v/--verbose and -y/--yes are added here for every tool. A row whose argument is a
 * file or a folder says whether it is read or written, and so do the operands: e3_opts_parse refuses an output that is
 * an input or another output of the run (e3/claim.h), and asks a person at a terminal before one replaces a file.
 *
 *     static const e3_opt table[] = {
 *         E3_OPT_TITLE("Output"),
 *         E3_OPT_WRITES("output,o", &o.output, "FILE", "where to write (default -)"),
 *         E3_OPT_INT("frames", &o.frames, "N", 1, 1e12, "stop after N frames"),
 *         E3_OPT_END,
 *     };
 */
#ifndef E3_OPT_H
#define E3_OPT_H

#include "e3/claim.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum e3_opt_type {
	E3_ROW_END,
	E3_ROW_TITLE,
	E3_ROW_NEEDS,
	E3_ROW_FLAG,
	E3_ROW_CLEAR,
	E3_ROW_TEXT,
	E3_ROW_INT,
	E3_ROW_REAL,
	E3_ROW_BYTES,
	E3_ROW_SIZE,
	E3_ROW_RANGE,
	E3_ROW_CHOICE,
	E3_ROW_NAMED,
	E3_ROW_CALL,
	E3_ROW_ROWS
} e3_opt_type;

/* A row; the macros below fill it. */
typedef struct e3_opt {
	e3_opt_type type;
	const char *name; /* "output": --output; "output,o": -o too */
	void *to;         /* where the value goes */
	const char *arg;  /* how --help calls the argument; NULL for none */
	const char *help; /* one or more lines, '\n' between them; of a title its text */
	double min, max;
	const char *choices; /* words separated by '|' */
	int (*call)(void *to, const char *arg, e3_err *err);
	const char *(*names)(int k);
	const struct e3_opt *rows;
	const char *needs;
	unsigned use;      /* of a path: E3_READS, E3_WRITES, E3_STREAM */
	const char *holds; /* as in e3_claim */
	const char *back;
} e3_opt;

/* Closes the table. */
#define E3_OPT_END \
	{ \
		.type = E3_ROW_END \
	}
/* A heading in --help. */
#define E3_OPT_TITLE(text) \
	{ \
		.type = E3_ROW_TITLE, .help = (text) \
	}
/* The rows that follow, up to the next of these and to the next title, do nothing without one of these options:
 * "glb|ply"; or nothing with them: "!html". NULL: nothing is asked of the rows. Who gives one in vain is told:
 * "--stride: needs --glb or --ply", "--stay: not with --html". */
#define E3_OPT_NEEDS(options) \
	{ \
		.type = E3_ROW_NEEDS, .needs = (options) \
	}
/* bool *to = true; false. */
#define E3_OPT_FLAG(key, var, text) \
	{ \
		.type = E3_ROW_FLAG, .name = (key), .to = (var), .help = (text) \
	}
#define E3_OPT_CLEAR(key, var, text) \
	{ \
		.type = E3_ROW_CLEAR, .name = (key), .to = (var), .help = (text) \
	}
/* const char **to = the argument, which is no path. */
#define E3_OPT_TEXT(key, var, argument, text) \
	{ \
		.type = E3_ROW_TEXT, .name = (key), .to = (var), .arg = (argument), .help = (text) \
	}
/* const char **to = a path: a file that is read or written; or a file, or a folder of files that `patterns` match
 * (e3_claim.holds); or an endpoint that is written. */
#define E3_OPT_READS(key, var, argument, text) E3_OPT_READS_IN(key, var, argument, NULL, text)
#define E3_OPT_READS_IN(key, var, argument, patterns, text) \
	{ \
		.type = E3_ROW_TEXT, .name = (key), .to = (var), .arg = (argument), .help = (text), .use = E3_READS, \
		.holds = (patterns) \
	}
#define E3_OPT_WRITES(key, var, argument, text) E3_OPT_WRITES_IN(key, var, argument, NULL, text)
#define E3_OPT_WRITES_IN(key, var, argument, patterns, text) \
	{ \
		.type = E3_ROW_TEXT, .name = (key), .to = (var), .arg = (argument), .help = (text), .use = E3_WRITES, \
		.holds = (patterns) \
	}
#define E3_OPT_SENDS(key, var, argument, text) \
	{ \
		.type = E3_ROW_TEXT, .name = (key), .to = (var), .arg = (argument), .help = (text), \
		.use = E3_WRITES | E3_STREAM \
	}
/* The file that is written may be the one that the option `other` ("--load-cache") names, since that is read whole
 * before. */
#define E3_OPT_WRITES_BACK(key, var, argument, other, text) \
	{ \
		.type = E3_ROW_TEXT, .name = (key), .to = (var), .arg = (argument), .help = (text), .use = E3_WRITES, \
		.back = (other) \
	}
/* int64_t *to, double *to, in [lo, hi]. */
#define E3_OPT_INT(key, var, argument, lo, hi, text) \
	{ \
		.type = E3_ROW_INT, .name = (key), .to = (var), .arg = (argument), .min = (lo), .max = (hi), .help = (text) \
	}
#define E3_OPT_REAL(key, var, argument, lo, hi, text) \
	{ \
		.type = E3_ROW_REAL, .name = (key), .to = (var), .arg = (argument), .min = (lo), .max = (hi), .help = (text) \
	}
/* int64_t *to: bytes, as in 512M (e3_parse_bytes). */
#define E3_OPT_BYTES(key, var, text) \
	{ \
		.type = E3_ROW_BYTES, .name = (key), .to = (var), .arg = "SIZE", .help = (text) \
	}
/* int to[2]: width and height, each from 1 to `side`, as in 640x480 (e3_parse_size). */
#define E3_OPT_SIZE(key, var, side, text) \
	{ \
		.type = E3_ROW_SIZE, .name = (key), .to = (var), .arg = "WxH", .max = (side), .help = (text) \
	}
/* double to[2]: two numbers in [lo, hi], as in 0.5:20 (e3_parse_range). */
#define E3_OPT_RANGE(key, var, argument, lo, hi, text) \
	{ \
		.type = E3_ROW_RANGE, .name = (key), .to = (var), .arg = (argument), .min = (lo), .max = (hi), .help = (text) \
	}
/* int *to = which of `words`, which '|' separates. */
#define E3_OPT_CHOICE(key, var, argument, words, text) \
	{ \
		.type = E3_ROW_CHOICE, .name = (key), .to = (var), .arg = (argument), .choices = (words), .help = (text) \
	}
/* int *to = the index k for which list(k) equals the argument; list(k) is NULL past the last. For names that a registry
 * holds: "%s" in the help stands for all of them. */
#define E3_OPT_NAMED(key, var, argument, list, text) \
	{ \
		.type = E3_ROW_NAMED, .name = (key), .to = (var), .arg = (argument), .names = (list), .help = (text) \
	}
/* parse(to, argument): anything else, repeatable options too. */
#define E3_OPT_CALL(key, var, argument, parse, text) \
	{ \
		.type = E3_ROW_CALL, .name = (key), .to = (var), .arg = (argument), .call = (parse), .help = (text) \
	}
/* The same with a path: an endpoint that is read or written. */
#define E3_OPT_CALL_READS(key, var, argument, parse, text) \
	{ \
		.type = E3_ROW_CALL, .name = (key), .to = (var), .arg = (argument), .call = (parse), .help = (text), \
		.use = E3_READS | E3_STREAM \
	}
#define E3_OPT_CALL_SENDS(key, var, argument, parse, text) \
	{ \
		.type = E3_ROW_CALL, .name = (key), .to = (var), .arg = (argument), .call = (parse), .help = (text), \
		.use = E3_WRITES | E3_STREAM \
	}
/* The rows of another table, which fill the struct at `base`: their `var` is E3_OPT_AT(type of the struct, member). */
#define E3_OPT_ROWS(table, base) \
	{ \
		.type = E3_ROW_ROWS, .to = (base), .rows = (table) \
	}
#define E3_OPT_AT(type, member) ((void *)offsetof(type, member))

typedef struct e3_opts {
	const char *tool;    /* "e3-decode" */
	const char *usage;   /* what follows the name in the synopsis: "[options] INPUT..." */
	const char *summary; /* one line */
	const e3_opt *table;
	const char *tail; /* shown after the options: examples; may be NULL */
	bool streams;     /* the operands are streams that are read; without one, standard input is */
	const bool *dry;  /* of a tool that may be told to write nothing; NULL: it always writes */
} e3_opts;

/* Parses argv and returns the index of the first operand; operands keep their order, "--" ends options. Prints and
 * exits 0 on --help and --version, prints and exits 2 on a usage error, so only a tool's main may call it. An error
 * names the option, what is allowed and what was given: "option --frames: expected a whole number from 1 to 9, got
 * 'x'". */
int e3_opts_parse(const e3_opts *opts, int argc, char **argv);

/* Is the word, "--name", "--name=VALUE" or "-l", an option of the table or one that all tools have? *takes: its
 * argument is the next word. For a tool that hands other options on. */
bool e3_opts_has(const e3_opts *opts, const char *word, bool *takes);

/* Was the option, by its long name, on the command line? After e3_opts_parse. */
bool e3_opts_given(const char *name);

/* For paths that are not in the table: operands, files found by default, "-" where standard output is an output by
 * default. Ends the tool like a usage error when one clashes with another (e3_claim_add). Before anything is opened. */
void e3_opts_claim(const e3_claim *c);

/* Prints "tool: text" and a hint at --help, exits 2: for rules that a table cannot say ("--P needs a number of
 * frames"). */
_Noreturn void e3_usage_error(const char *fmt, ...) E3_PRINTF(1, 2);

#endif
