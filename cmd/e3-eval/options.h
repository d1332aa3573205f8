/* e3-eval: what the command line asks for. */
#ifndef E3_EVAL_OPTIONS_H
#define E3_EVAL_OPTIONS_H

#include "e3/evaluation.h"

enum { EVAL_TRUTHS_MAX = 4096 };

typedef struct eval_cli {
	e3_eval_options o;
	const char *truth[EVAL_TRUTHS_MAX]; /* o.truth */
	const char *against;
	const char *output; /* NULL: standard output */
	bool json;
	int dataset;
	char **input;
	int inputs;
} eval_cli;

/* Exits with a usage error where options contradict each other. */
eval_cli *eval_cli_parse(int argc, char **argv);

#endif
