/* e3-model: its commands, and what they share. */
#ifndef E3_MODEL_TOOL_H
#define E3_MODEL_TOOL_H

#include "e3/checkpoint.h"
#include "e3/mem.h"
#include <stdbool.h>

enum { EM_MAX_META = 64 };

struct em_options;

typedef struct em_command {
	const char *name;
	int operands;
	bool reports, writes; /* prints about a checkpoint; writes one */
	int (*run)(const e3_ckpt *ckpt, const struct em_options *o, e3_err *err); /* NULL: fetch, which reads none */
} em_command;

typedef struct em_options {
	const em_command *command;
	const char *input, *output; /* file names (of fetch: what); of the commands that report, only the input */
	char seed_name[192];        /* the input of the command seed: "seed:NAME:N" */
	bool json, drop_track;
	int dtype; /* -1: as the checkpoint has it */
	struct {
		char key[128];
		const char *value;
	} meta[EM_MAX_META];
	int n_meta;
	/* fetch */
	bool force;
	const char *from, *ca; /* the hub's address; a file of certificates */
	double timeout;
	int64_t retries;
} em_options;

/* Parses the command line; usage errors exit 2. -1: --config names no network. */
int em_parse(int argc, char **argv, em_options *o, e3_err *err);

/* show.c: print to standard output; `em_check` is -1 with the number of problems if there are any. */
int em_list(const e3_ckpt *ckpt, const em_options *o, e3_err *err);
int em_check(const e3_ckpt *ckpt, const em_options *o, e3_err *err);
/* fetch.c: o->input names what is fetched; prints the path of the file. */
int em_fetch(const em_options *o, e3_err *err);
/* save.c: writes safetensors to o->output. */
int em_save(const e3_ckpt *ckpt, const em_options *o, e3_err *err);

#endif
