/* e3-infer's own parts: what was asked for, where the model is, how frames come and results leave. */
#ifndef E3_CMD_INFER_H
#define E3_CMD_INFER_H

#include "e3/image.h"
#include "e3/infer.h"
#include "e3/stream.h"

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
	double vram;       /* bytes of device memory in all, 0 = not said */
	bool plan;
	int plan_size[2];  /* --size: columns, rows of the source picture */
} infer_request;

enum { DEVICE_AUTO, DEVICE_CPU, DEVICE_CUDA };

/* Parses the command line; usage errors exit 2. */
void infer_parse(int argc, char **argv, infer_request *r);

/* --model, else $E3_MODEL, else a file in ~/.cache/e3, else the bundled demo model, saying on standard error which was found.
 * *path is to be freed. */
int infer_find_model(const char *asked, char **path, e3_err *err);

/* One message of the input; a frame as the network will see it. */
typedef struct infer_item {
	int kind;         /* e3_kind */
	e3_source source; /* of a frame; fit: source pixel to network pixel */
	e3_image picture;
	e3_msg msg;       /* of anything else */
} infer_item;

typedef struct infer_reader infer_reader;

infer_reader *infer_reader_open(e3_in *in, const e3_config *c, e3_fit_mode mode, e3_err *err);
/* As e3_in_next. The item is the caller's until the next call. */
int infer_reader_next(infer_reader *r, infer_item **item, e3_err *err);
/* false: it is still waiting for input, which nothing but the end of the process ends; then `in` may not be closed. */
bool infer_reader_close(infer_reader *r);

/* All that leaves for one frame. */
typedef struct infer_parcel {
	e3_pred pred; /* owns nothing: the picture is `fitted`, the maps are lent by the session */
	e3_image fitted;
	e3_evict evict;
	e3_attn *attn;
	int n_attn, cap_attn;
} infer_parcel;

/* Where memory is measured. */
typedef struct infer_memory {
	const e3_net *net;
	e3_dev *dev;
	int size[2];     /* rows, columns of the network's picture */
	uint64_t before; /* in use before the network was loaded */
} infer_memory;

/* Prints what a run with these options takes: weights, scratch, cache, total. */
int infer_plan(const infer_memory *m, const e3_infer_options *o, e3_err *err);
/* Turns `total` bytes of device memory into the budget they leave for the cache. */
int infer_solve(const infer_memory *m, double total, e3_infer_options *o, e3_err *err);

typedef struct infer_writer infer_writer;

infer_writer *infer_writer_open(e3_out *out, e3_err *err);
/* The parcel to fill next; the one sent before it may still be on its way. */
infer_parcel *infer_writer_parcel(infer_writer *w);
/* Sends it, after the one before has left. -1 when that one failed. */
int infer_writer_send(infer_writer *w, e3_err *err);
/* Until everything sent has left; then the caller may write to `out` itself. */
int infer_writer_wait(infer_writer *w, e3_err *err);
void infer_writer_close(infer_writer *w);

#endif
