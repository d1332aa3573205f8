/* infer: what was asked for, how frames are read and results written, how a session is resumed.
 *
 * A frame passes through four types, each made by one function only, so that no step can be left out:
 *
 *   infer_frame     as it was read, at the network's size          infer_reader_next
 *   infer_placed    with its index and time in the output          infer_resume_place
 *   infer_parcel    in the memory from which it will be written    infer_writer_fill
 *   infer_computed  with its results                               compute, or send_first (main.c)
 *
 * infer_writer_send takes it from there; infer_writer_wait says what has been written, as an infer_written, and only
 * that can be saved.
 */
#ifndef E3_CMD_INFER_H
#define E3_CMD_INFER_H

#include "e3/image.h"
#include "e3/infer.h"
#include "e3/saved.h"
#include "e3/stage.h"
#include "e3/track.h"
#include "e3/watch.h"

/* What was said on the command line, rather than left to its default. */
typedef struct infer_given {
	bool policy, fraction, budget, temperature, camera_frames, compat, fit_mode, segment, overlap, places,
		protect_first;
	bool seed, points, window, keyframe, start, kv;
} infer_given;

typedef struct infer_request {
	e3_stage stage;                    /* its input and output */
	int64_t streams;                   /* --streams: so many at a time; 0: one, that of the stage */
	const char **inputs, **outputs_to; /* of streams: operands, -o; as many of each */
	int n_inputs, n_outputs;
	const char *list; /* --streams-from, or NULL */
	const char *model;
	e3_infer_options o;
	e3_track_options track; /* --segment, --overlap, --loops */
	bool automatic;         /* segments as long as the budget allows */
	int outputs;            /* E3_OUT_*: what to send; o may compute more */
	bool attn[E3_MAX_LAYERS];
	int n_attn, last_attn; /* layers asked for, the highest */
	int device;            /* index into "auto|cpu|cuda" */
	bool strict;           /* --precision f32 */
	bool bf16;             /* --precision bf16, said */
	e3_dtype packed;       /* --precision int8, fp8: E3_I8, E3_F8; else 0 */
	int64_t threads;
	int fit_mode; /* e3_fit_mode */
	bool half;
	int64_t log_every; /* frames between lines on standard error, 0 = none */
	double vram;       /* bytes of device memory in all, 0 = not said */
	bool plan;
	int plan_size[2];        /* --size: columns, rows of the source picture */
	const char *save, *load; /* --save-cache, --load-cache */
	int64_t save_every;
	bool continues; /* --continue */
	bool freeze;
	bool separate; /* --each: every frame in a session of its own */
	infer_given given;
	const char *dump; /* folder for activations, or NULL */
	bool dump_blocks[E3_WATCH_BLOCKS], counters;
	int n_dump_blocks; /* 0: all */
} infer_request;

enum { E3_STREAMS_MOST = 64 };
enum { DEVICE_AUTO, DEVICE_CPU, DEVICE_CUDA };

/* Parses the command line; usage errors exit 2. */
void infer_parse(int argc, char **argv, infer_request *r);
/* check.c: refuse what does not go together, with a usage error: how many inputs and outputs; all else, once the policy
 * is known; segments, which it completes, once the budget is. */
void infer_check_streams(const infer_request *r);
void infer_check(const infer_request *r);
void infer_check_segments(infer_request *r);
/* Puts the options in place of the settings that an error of the library names in quotes: 'budget' becomes --budget. */
void infer_explain(e3_err *err);
/* The file of --model, of $E3_MODEL, or what is found; free it. */
int infer_find_model(const char *asked, char **path, e3_err *err);

/* ---- demo.c ---- */

/* Says so when the model is the demo model and the source, as the head of the stream has it, is none for it. */
void infer_warn_demo(const char *model, const e3_head *head, const char *input);

/* ---- setup.c: the device and the network ---- */

typedef struct infer_setup {
	e3_dev *dev;
	bool gpu;        /* the device has memory of its own */
	uint64_t before; /* device memory in use before the network is loaded */
	e3_net *net;
	uint64_t reserve; /* of a network in 8 bits, before it was calibrated */
	e3_ckpt *ckpt;    /* until the first frame, where matrices may have to be read again; else NULL */
} infer_setup;

/* Before the network is loaded: is the input there, and can the session be saved where it should? */
int infer_setup_try(const infer_request *r, e3_err *err);
/* A stop signal ends it; work on the CPU is given up then, as long as dev->halt is armed (e3/dev.h). Of what is to be
 * sent, takes out what this network has no head for, unless it was asked for. */
int infer_setup_open(infer_setup *s, infer_request *r, e3_err *err);
void infer_setup_close(infer_setup *s);
/* Before a session is open: of a network in 8 bits, chooses what stays in 16 by the first frame (e3_net_calibrate), or
 * takes what was chosen when `from` was saved, without a picture; and says so. Later, and without 8 bits, nothing. */
int infer_setup_calibrate(infer_setup *s, const infer_request *r, const e3_saved *from, const e3_image *picture,
	e3_err *err);
/* Completes the request for pictures of this size: rows, columns. */
int infer_setup_settle(const infer_setup *s, infer_request *r, const int size[2], e3_err *err);
/* Bytes of device memory that this run uses. */
uint64_t infer_setup_used(const infer_setup *s);

/* ---- plan.c ---- */

/* --plan: opens, and prints what a run takes. */
int infer_setup_plan(infer_setup *s, infer_request *r, e3_err *err);

/* ---- reader.c: reads frames ---- */

typedef struct infer_frame {
	e3_source source; /* fit: source pixel to network pixel */
	e3_image picture;
	char *name;   /* of the picture, or NULL */
	bool covered; /* the resumed session has seen it: to be compared, not computed */
} infer_frame;

/* One message of the input. */
typedef struct infer_item {
	int kind;          /* e3_kind */
	int64_t covered;   /* frames of the stream so far that the resumed session has seen */
	infer_frame frame; /* of E3_FRAME */
	e3_mask mask;      /* of E3_MASK: with a fit, since the picture that the prediction carries is another one */
	e3_msg msg;        /* of any other kind */
} infer_item;

/* Frames of a stream that the resumed session has seen, by the stream's own indices; {-1, -1}: none. Those between the
 * first and the last are not even decoded, nor is ground truth, nor are masks, before the last. */
typedef struct infer_span {
	int64_t first, last;
} infer_span;

typedef struct infer_reader infer_reader;

/* With a batch (or NULL) the stream rests while it waits. */
infer_reader *infer_reader_open(e3_in *in, const e3_config *c, e3_fit_mode mode, infer_span covered, e3_batch *batch,
	e3_err *err);
/* As e3_in_next. The item is the caller's until the next call. */
int infer_reader_next(infer_reader *r, infer_item **item, e3_err *err);
/* The picture of the next frame, if that is there already and what comes before it belongs to this one; else NULL. */
const e3_image *infer_reader_peek(infer_reader *r);
/* false: it still waits for input, which only the end of the process interrupts; then `in` may not be closed. */
bool infer_reader_close(infer_reader *r);

/* ---- start.c: frames that begin a stream together ---- */

typedef struct infer_start {
	int wanted; /* frames; 0: not known yet */
	bool done;
	infer_item *item; /* [n] what waits: frames, and what follows them */
	int n, frames;
	const uint8_t **rgb;
	int64_t *i;
	e3_result *results; /* [frames] */
	e3_evict *evicts;
} infer_start;

/* Takes an item of the reader. */
int infer_start_keep(infer_start *s, infer_item *item, e3_err *err);
/* Computes the frames that are there. */
int infer_start_compute(infer_start *s, e3_track *track, e3_err *err);
void infer_start_release(infer_start *s);

/* ---- writer.c: writes results ---- */

typedef struct infer_placed {
	e3_source source;
	e3_image *picture; /* of the infer_frame */
	char **name;
} infer_placed;

/* All that is written for one frame. */
typedef struct infer_parcel {
	e3_pred pred; /* owns nothing: the picture is `fitted`, the maps are lent by the session */
	e3_image fitted;
	char *name;
	e3_evict evict;
	e3_attn *attn;
	int n_attn, cap_attn;
	/* Written before the prediction: what was computed beside, after the frame before. */
	e3_evict beside;
	e3_edge edge[E3_TRACK_EDGES];
	int n_edges;
} infer_parcel;

typedef struct infer_computed {
	infer_parcel *parcel;
} infer_computed;

/* The last parcel that was written, with everything before it. */
typedef struct infer_written {
	const infer_parcel *last;
} infer_written;

typedef struct infer_writer infer_writer;

infer_writer *infer_writer_open(e3_out *out, e3_batch *batch, e3_err *err);
/* The next parcel, while the one before may still be on its way. Takes the picture and its name; the reader gets the
 * old ones. */
infer_parcel *infer_writer_fill(infer_writer *w, infer_placed placed);
/* Puts the results of the step into the parcel: those that were asked for. `frame`: of those that began together. */
int infer_parcel_pack(infer_parcel *to, const infer_request *r, e3_session *session, const e3_result *result, int frame,
	e3_err *err);
/* Puts into it what the track has computed beside since. */
void infer_parcel_beside(infer_parcel *to, e3_track *track);
/* Writes that at once, once all before it is written: there is no next frame yet. Nothing without a track. */
int infer_write_beside(infer_writer *w, e3_track *track, e3_err *err);
/* Of a parcel that was filled and will not be sent: writes what was computed beside the frame before. */
int infer_write_unsent(infer_writer *w, const infer_parcel *unsent, e3_err *err);
/* Ground truth as it came, but for the index of its frame, once all before it is written. */
int infer_write_truth(infer_writer *w, const e3_msg *msg, int64_t i, e3_err *err);
/* Starts to write it, once the one before has been written. -1 when that one failed. */
int infer_writer_send(infer_writer *w, infer_computed computed, e3_err *err);
/* What follows the parcel that was sent last, written after it: takes the mask, and leaves an empty one. A few wait at
 * most. */
int infer_writer_mask(infer_writer *w, e3_mask *mask, e3_err *err);
/* Until everything sent has been written; then the caller may write to `out` itself. */
int infer_writer_wait(infer_writer *w, infer_written *written, e3_err *err);
void infer_writer_close(infer_writer *w);

/* ---- resume.c: a session in a file ---- */

typedef struct infer_resume {
	e3_saved_file *file;         /* --load-cache; closed with this */
	const e3_saved *from;        /* what it says; NULL without one */
	e3_stream_position position; /* of the last frame that was computed */
	int64_t covered;             /* frames of this stream that the saved session has seen */
	int64_t delivered_truths; /* ground truth and masks of position.last_i that were forwarded before, and come again */
	bool placed, computed;    /* a frame of this stream was placed; was computed */
} infer_resume;

/* Reads what the file says, checks that it goes with network, device and request, and completes the request from it. */
int infer_resume_open(infer_resume *s, infer_request *r, const e3_net *net, const e3_dev *dev, e3_err *err);
void infer_resume_close(infer_resume *s);
infer_span infer_resume_span(const infer_resume *s, const infer_request *r);
/* Sets r->track for the rest of the stream. `frames`: how many the stream says it has, -1 unknown. */
e3_session *infer_resume_session(infer_resume *s, infer_request *r, const e3_net *net, e3_dev *dev, int64_t frames,
	e3_err *err);
/* Is a covered frame the picture that the session has seen? */
int infer_resume_check(const infer_resume *s, const infer_frame *frame, e3_err *err);
/* Where a frame stands in the output: --continue numbers it on from the saved session. */
infer_placed infer_resume_place(infer_resume *s, const infer_request *r, const e3_head *head, infer_frame *frame);
void infer_resume_count(infer_resume *s, const infer_request *r, infer_computed computed);
/* Ground truth or a mask of frame *i of the input: sets *i to its index in the output; true when it was delivered
 * before the session was saved. */
bool infer_resume_record(infer_resume *s, const infer_request *r, int64_t *i);
/* The input failed and the session is saved: says how to go on. */
void infer_resume_tell(const infer_resume *s, const infer_request *r);
int infer_resume_save(infer_resume *s, const infer_request *r, e3_track *track, infer_written written, e3_err *err);

/* ---- streams.c: several at a time ---- */

typedef struct infer_streams infer_streams;

int infer_streams_run(const infer_request *r, e3_err *err);
/* How many sets of so many streams are computed side by side, on a GPU: each is a batch with a device of its own, which
 * has the same weights. And how many streams set k has. */
int infer_streams_sets(const infer_request *r, bool gpu, int streams);
static inline int infer_streams_in_set(int streams, int sets, int k) { return (streams + sets - 1 - k) / sets; }
/* Says that there is one set only, since the device of the second could not be opened. */
void infer_streams_tell_one_set(const e3_err *why);
/* Instead of infer_setup_calibrate: once for all streams. */
int infer_streams_calibrate(infer_streams *s, const infer_request *r, const e3_image *picture, e3_err *err);
/* Instead of infer_setup_settle, with the device: memory is shared out once. */
int infer_streams_settle(infer_streams *s, infer_request *r, const int size[2], e3_err *err);
/* After a frame of one of them. */
void infer_streams_report(infer_streams *s);

/* ---- slots.c: memory for one more session, where there are several streams; nothing where there is one ---- */

typedef struct infer_slots {
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	int64_t tickets, served; /* whose turn it is */
	int open;                /* sessions */
	int64_t ended;           /* streams whose session was closed */
} infer_slots;

/* What a stream knows of them. */
typedef struct infer_slot {
	bool turn, held, told;
	bool single;   /* it is no part of a set, and keeps its turn until it ends */
	bool alone;    /* no other session was open when it was its turn */
	int64_t ended; /* so many had ended then */
} infer_slot;

struct infer;
void infer_slots_init(infer_slots *s);
/* Waits for its turn to open a session. It passes it on when the session has all that it needs, or will not come. */
void infer_slot_take(struct infer *f);
void infer_slot_pass(struct infer *f);
/* The session is open; it is closed. */
void infer_slot_hold(struct infer *f);
void infer_slot_leave(struct infer *f);
/* After an attempt that failed. If memory was missing that other streams hold, waits until one of them has ended; if no
 * other stream holds any, leaves the set, once. 0: it has its turn, and may try again. -1: memory was not the reason,
 * or there is not enough of it: *err says which. */
int infer_slot_wait(struct infer *f, e3_err *err);

/* ---- main.c: a run ---- */

typedef struct infer {
	infer_request r;
	infer_setup setup;
	infer_resume resume;
	infer_reader *reader;
	infer_writer *writer;
	int size[2];                        /* rows, columns of the network's picture; 0 before the first frame */
	e3_session *session;                /* opened by the first frame: its size is not known before */
	e3_track *track;                    /* the chain of segments that it runs */
	infer_start first;                  /* frames that begin together */
	e3_head head;                       /* of the input, completed for the output */
	bool head_sent, input_failed, over; /* over: no frame will come any more */
	const infer_parcel *unsent;         /* of the frame that is being computed */
	char cut[256];                      /* why the input ends before its time; empty: it does not */
	int64_t frames;
	double ms;                      /* of the last frame */
	double born, start, first_done; /* born: when the program started */
	infer_streams *streams;         /* that it is one of; NULL: it is alone, and the setup is its own */
	infer_slots *slots;             /* theirs */
	infer_slot slot;
} infer;

/* From opening to the end of the stream. */
int infer_run(infer *f, e3_err *err);
/* false: its reader still waits for input, and *f must stay. */
bool infer_close(infer *f);

/* After a frame. */
void infer_report(infer *f);

/* ---- open.c ---- */

/* What the head of a stream says of its length (-1: nothing) counts, not --frames; with --each it does not matter. */
void infer_take_length(infer_request *r, int64_t frames);
/* Opens the session and sends the head, unless that was done: with the first frame, or when none will come. Of several
 * streams the head comes after the first frame was computed: until then others wait for their turn, and the head may
 * have to wait for a reader. */
int infer_begin(infer *f, e3_err *err);
/* Of several streams the first frame may find too little memory after the session did: waits until another one has
 * ended, and opens the session again. -1: that was not it, or there is none. */
int infer_begin_again(infer *f, e3_err *err);
/* The head alone. */
int infer_send_head(infer *f, e3_err *err);
void infer_close_session(infer *f);

#endif
