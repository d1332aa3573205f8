/* e3: what is run for one source: the request, the source, the pipeline, and how it is watched. */
#ifndef E3_CMD_ONE_H
#define E3_CMD_ONE_H

#include "e3/err.h"
#include "e3/mem.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* In the order of the pipeline. */
enum { ONE_DECODE, ONE_MASK, ONE_INFER, ONE_ALIGN, ONE_TEE, ONE_STATS, ONE_VIEW, ONE_EXPORT, ONE_STAGES };

/* A command line; `at` ends with NULL. Owns its words. */
typedef struct one_words {
	char **at;
	int n;
} one_words;

int one_words_add(one_words *w, const char *word, e3_err *err);
int one_words_printf(one_words *w, e3_err *err, const char *fmt, ...) E3_PRINTF(3, 4);
void one_words_release(one_words *w);

/* ---- tools.c: the stages as programs ---- */

/* "e3-decode" */
const char *one_tool_name(int stage);
/* Where a program of e3 is: beside this one, else in PATH. Its plain name where PATH leads to that file, so that a
 * printed command line is short. NULL with the error; to be freed. */
char *one_tool_path(const char *name, e3_err *err);

/* An option of a stage. */
typedef struct one_option {
	char name[32];
	char letter; /* 0: none */
	bool takes;  /* an argument */
} one_option;

/* The options of a stage, which the program itself lists; n < 0 with the error. They are asked for once. */
const one_option *one_tool_options(int stage, int *n, e3_err *err);
/* Runs a program and reads what it prints on standard output, the first `size` - 1 bytes of it; standard error too if
 * `both`. Returns its exit status, -1 with the error. */
int one_tool_ask(char *const argv[], bool both, char *to, size_t size, e3_err *err);

/* ---- options.c ---- */

typedef struct one_request {
	const char *output; /* the folder, or NULL */
	bool dry, colmap, view;
	char **operand;
	int operands;
	one_words more[ONE_STAGES]; /* options that were given for stages */
} one_request;

/* The files in the folder, as e3_claim.holds has them. */
extern const char one_outputs[];

/* Parses; usage errors exit 2. */
void one_parse(int argc, char **argv, one_request *r);
/* Was one of the options, whose names commas separate, given for the stage? */
bool one_given(const one_request *r, int stage, const char *names);

/* ---- source.c ---- */

typedef enum one_kind { ONE_PICTURES, ONE_FRAMES, ONE_PREDICTIONS } one_kind;

typedef struct one_source {
	one_kind kind; /* pictures of any sort for e3-decode, recorded frames, recorded predictions */
	bool folder, video, live;
	bool whole;     /* predictions: from the first frame on, as e3-evict-stats wants it */
	int64_t frames; /* all of them; -1 unknown */
} one_source;

/* Looks at it; -1 when it is not there or cannot be read. *status: the exit status then. */
int one_source_look(const one_request *r, one_source *s, int *status, e3_err *err);

/* ---- plan.c ---- */

typedef struct one_plan {
	char *dir;
	char *pictures;              /* a folder in it that two stages share, or NULL: it is there before they start */
	one_words stage[ONE_STAGES]; /* empty: does not run */
} one_plan;

/* What the pipeline needs and does not have yet, a model for masks, is fetched; the person at the terminal is asked for
 * its licence. 0, or the exit status. */
int one_plan_fetch(const one_plan *p);
int one_plan_make(const one_request *r, const one_source *s, one_plan *p, e3_err *err);
/* For a shell: the folder is made, then the pipeline runs. */
int one_plan_print(const one_plan *p, e3_err *err);
void one_plan_release(one_plan *p);

/* ---- run.c ---- */

/* Runs it to its end. Returns the exit status of e3. */
int one_run(const one_plan *p, const one_source *s);

/* What a stage said: its name is in front. */
void one_say(const char *text);

/* ---- help.c, doctor.c: return the exit status ---- */

int one_help(int argc, char **argv);
int one_doctor(int argc, char **argv);

#endif
