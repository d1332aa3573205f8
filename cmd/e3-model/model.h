/* e3-model: what its commands share. */
#ifndef E3_MODEL_TOOL_H
#define E3_MODEL_TOOL_H

#include "e3/checkpoint.h"
#include "e3/mem.h"
#include <stdbool.h>

enum { EM_MAX_META = 64 };

typedef struct em_options {
	bool json, drop_track;
	int dtype; /* -1: as the checkpoint has it */
	const char *config, *output;
	int64_t seed; /* -1: not given */
	struct {
		char key[128];
		const char *value;
	} meta[EM_MAX_META];
	int n_meta;
} em_options;

/* Print to standard output; `em_check` is -1 with the number of problems when there are any. */
int em_list(const e3_ckpt *ckpt, const em_options *o, e3_err *err);
int em_check(const e3_ckpt *ckpt, const em_options *o, e3_err *err);
/* Write safetensors to `path`. */
int em_save(const e3_ckpt *ckpt, const char *path, const em_options *o, e3_err *err);

#endif
