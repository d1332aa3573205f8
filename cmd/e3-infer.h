/* e3-infer's own parts: what was asked for, and where the model is. */
#ifndef E3_CMD_INFER_H
#define E3_CMD_INFER_H

#include "e3/image.h"
#include "e3/infer.h"

typedef struct infer_request {
	const char *input, *output, *model;
	e3_infer_options o;
	bool attn[E3_MAX_LAYERS];
	int n_attn, last_attn; /* layers asked for, the highest */
	int device;            /* index into "auto|cpu|cuda" */
	bool strict;  /* --precision f32 */
	int64_t threads;
	int fit_mode; /* e3_fit_mode */
	bool half;
	int64_t log_every; /* frames between lines on standard error, 0 = none */
} infer_request;

enum { DEVICE_AUTO, DEVICE_CPU, DEVICE_CUDA };

/* Parses the command line; usage errors exit 2. */
void infer_parse(int argc, char **argv, infer_request *r);

/* --model, else $E3_MODEL, else a file in ~/.cache/e3, else the bundled demo model, saying on standard error which was found.
 * *path is to be freed. */
int infer_find_model(const char *asked, char **path, e3_err *err);

#endif
