/* e3-infer: what was asked for, where the model is, how frames come and results leave. */
#ifndef E3_CMD_INFER_H
#define E3_CMD_INFER_H

#include "e3/image.h"
#include "e3/infer.h"
#include "e3/saved.h"
#include "e3/stage.h"

/* What was said on the command line, rather than left to its default. */
typedef struct infer_given {
	bool policy, budget, temperature, camera_frames, compat, fit_mode;
} infer_given;

typedef struct infer_request {
	e3_stage stage; /* its input and output */
	const char *model;
	e3_infer_options o;
	bool attn[E3_MAX_LAYERS];
	int n_attn, last_attn; /* layers asked for, the highest */
	int device;            /* index into "auto|cpu|cuda" */
	bool strict;           /* --precision f32 */
	int64_t threads;
	int fit_mode; /* e3_fit_mode */
	bool half;
	int64_t log_every; /* frames between lines on standard error, 0 = none */
	double vram;       /* bytes of device memory in all, 0 = not said */
	bool plan;
	int plan_size[2];        /* --size: columns, rows of the source picture */
	const char *save, *load; /* --save-cache, --load-cache */
	int64_t save_every;
	bool go_on, freeze; /* --continue, --freeze */
	bool each;          /* --each: every frame in a session of its own */
	infer_given given;
} infer_request;

enum { DEVICE_AUTO, DEVICE_CPU, DEVICE_CUDA };

/* Parses the command line; usage errors exit 2. */
void infer_parse(int argc, char **argv, infer_request *r);

/* --model, else $E3_MODEL, else a file in ~/.cache/e3, else the bundled demo model, saying on standard error which was
 * found. *path is to be freed. */
int infer_find_model(const char *asked, char **path, e3_err *err);

/* One message of the input; a frame as the network will see it. */
typedef struct infer_item {
	int kind;         /* e3_kind */
	bool seen;        /* a frame that the saved cache saw: only to be compared with that */
	int64_t skipped;  /* frames of the stream so far that it saw, this one included */
	e3_source source; /* of a frame; fit: source pixel to network pixel */
	e3_image picture;
	e3_msg msg; /* of anything else */
} infer_item;

typedef struct infer_reader infer_reader;

/* Frames of a stream that a saved cache saw, by its own indices; {-1, -1}: none. Those between the first and the last
 * are not even decoded, nor is ground truth before the last. */
typedef struct infer_span {
	int64_t first, last;
} infer_span;

infer_reader *infer_reader_open(e3_in *in, const e3_config *c, e3_fit_mode mode, infer_span seen, e3_err *err);
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

/* A scan and its file. */
typedef struct infer_scan {
	e3_saved_file *file;         /* --load-cache; closed with the scan */
	const e3_saved *from;        /* what it says; NULL without one */
	e3_stream_position position; /* of the last frame that was computed */
	int64_t skipped;             /* frames of this stream that the cache saw before */
	int64_t pending;             /* messages of ground truth that were passed on before */
	int64_t saved;               /* frames in the file as it is now */
	bool moved, took;            /* the shift is known; a frame of this stream was computed */
} infer_scan;

/* Reads what the file says, checks that it goes with network, device and request, and completes the request from it. */
int infer_scan_open(infer_scan *s, infer_request *r, const e3_net *net, const e3_dev *dev, e3_err *err);
void infer_scan_close(infer_scan *s);
/* What of a stream need not be computed again. */
infer_span infer_scan_seen(const infer_scan *s, const infer_request *r);
/* A frame that the cache saw, from the stream at hand: is it the same picture? */
int infer_scan_check(const infer_scan *s, const infer_item *item, e3_err *err);
/* Before the first frame that is computed: --continue numbers it on from the last of the scan, and so the frames after
 * it. */
void infer_scan_move(infer_scan *s, const infer_request *r, const e3_head *head, const e3_source *first);
void infer_scan_place(infer_scan *s, const infer_request *r, e3_source *source);
/* `frames`: how many the stream says it has, -1 unknown. */
e3_session *infer_scan_resume(infer_scan *s, const infer_request *r, const e3_net *net, e3_dev *dev, int64_t frames,
	e3_err *err);
void infer_scan_took(infer_scan *s, const infer_request *r, const infer_parcel *parcel);
/* Ground truth of frame i is at hand: true when it was passed on before the cache was saved. */
bool infer_scan_passed(infer_scan *s, const infer_request *r, int64_t i);
/* `last`: the last frame that was computed. */
int infer_scan_save(infer_scan *s, const infer_request *r, e3_session *session, const infer_parcel *last, e3_err *err);

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
/* The one sent last, as long as it is not filled again. */
const infer_parcel *infer_writer_last(const infer_writer *w);
/* Sends it, after the one before has left. -1 when that one failed. */
int infer_writer_send(infer_writer *w, e3_err *err);
/* Until everything sent has left; then the caller may write to `out` itself. */
int infer_writer_wait(infer_writer *w, e3_err *err);
void infer_writer_close(infer_writer *w);

#endif
