/* wire: the e3 stream: messages, and the endpoints they travel over. Format: e3-stream(5), doc/design.md 3.
 *
 * Reading:  e3_in_open, then e3_in_next until it returns 0, then e3_in_close. Every message handed out has passed the
 * limits of its kind, the structure scan and the grammar (head first, end or abort last, indices in order); arrays are
 * checked when a message is decoded. Writing: e3_out_open, e3_out_head, e3_out_frame, ..., then e3_out_close after
 * `end` or e3_out_abort.
 *
 * Endpoints: "-" (standard input or output), a path, and ZeroMQ: "zmq:pull:ADDR" or "zmq:sub:ADDR" to read,
 * "zmq:push:ADDR" or "zmq:pub:ADDR" to write, with ADDR "tcp://host:port" or "ipc://path". pull and pub bind, push and
 * sub connect; '@' before ADDR binds, '>' connects, a host "*" binds. One message is one ZeroMQ message. push and pull
 * carry one stream from one writer to one reader and lose nothing; pub sends to any number of readers, drops what they
 * cannot take, and a reader may come late. TCP is encrypted and authenticated when there are keys for it (CURVE);
 * beyond this machine it is refused without, unless insecure is set.
 *
 * A path is written under a temporary name and renamed when the stream ended properly. When it did not, its frames stay
 * as PATH.partial, with an end that says why there are no more. A file that is there is replaced only by a stream with
 * a frame; where the options' stop() asked for the end before the first frame, no file appears.
 */
#ifndef E3_STREAM_H
#define E3_STREAM_H

#include "e3/data.h"
#include "e3/err.h"

#define E3_STREAM_VERSION 1

/* One message as bytes: the 6-byte envelope (0xc9, length, kind) and the body. Who owns the bytes is said below. */
typedef struct e3_msg {
	int kind; /* e3_kind */
	uint8_t *bytes;
	size_t len; /* envelope included */
} e3_msg;

/* "head", "frame", ...; NULL for a number that is not a kind. */
const char *e3_kind_name(int kind);
/* The frame index `i` of a message, without decoding it; -1 for kinds that have none. */
int64_t e3_msg_index(const e3_msg *msg);

typedef struct e3_in e3_in;
typedef struct e3_out e3_out;

/* What a writer does with frames that its reader cannot take: nothing is dropped, its reader sets the pace; the oldest
 * that waits makes room for the newest; or what does not fit is dropped. A frame is dropped with all that belongs to it
 * (frame, pred, truth, mask, evict, attn); head, edge, correct, end and abort never. */
typedef enum e3_drop { E3_DROP_NONE, E3_DROP_OLDEST, E3_DROP_NEWEST } e3_drop;

/* What may wait for a reader: at most so many messages, and so many bytes or one message. */
typedef struct e3_queue_limit {
	int64_t messages, bytes;
} e3_queue_limit;

/* How an endpoint behaves, given when it is opened. The struct is copied; texts are borrowed until the endpoint is
 * closed. Error texts name a setting by its field in quotes ('curve_key'): a tool shows how it is set there. */
typedef struct e3_stream_options {
	bool insecure;            /* TCP beyond this machine without keys */
	const char *curve_key;    /* file with the own secret key; NULL: none */
	const char *curve_server; /* file with the public key of the side that listens, where we connect */
	const char
		*curve_allow;     /* public keys of clients that may connect, where we listen: a file, or a folder of *.pub */
	double timeout;       /* seconds; 0: for ever; negative: 60 s without a peer, for ever without a message */
	int drop;             /* e3_drop; outputs */
	e3_queue_limit queue; /* 0: the defaults, 64 messages and 16 MiB; 64 MiB where frames are dropped, and for copies */

	bool all; /* inputs: also messages that belong to a frame that did not come */

	/* Callbacks, called while the endpoint waits, from any thread; each may be NULL. */
	int (*stop)(void); /* not 0: give up waiting; a signal asked to stop */
	/* Inputs: is reading pointless because the reader of the output is gone? 0, or -1 with the reason, with
	 * which e3_in_next then fails. */
	int (*output_lost)(void *context, e3_err *err);
	void *context; /* of output_lost */
} e3_stream_options;

/* What an endpoint gets that is opened with NULL for its options. */
#define E3_STREAM_DEFAULTS \
	{ \
		.timeout = -1 \
	}

/* Makes a key pair for CURVE: the secret in `path`, for the owner only, the public key in `path`.pub. Refuses to
 * overwrite. */
int e3_curve_keygen(const char *path, e3_err *err);

/* options NULL: E3_STREAM_DEFAULTS. */
e3_in *e3_in_open(const char *endpoint, const e3_stream_options *options, e3_err *err);
/* A stream in memory (tests, fuzzing); the bytes are borrowed. */
e3_in *e3_in_memory(const void *bytes, size_t len, e3_err *err);
/* What belongs to a frame that does not come (a truth, an evict, an attn: joined after its frame, or that was dropped
 * on the way) is left out. An end that says that its stream was cut short is reported (e3_tell), and so is the missing
 * end of a file *.partial, which gets one.
 *
 * The next message: 1; 0 after `end`; -1 on damage, on end of file before `end` ("truncated"), on an `abort` from
 * upstream (the text names the stage that failed and why), or when the options' stop() says so ("interrupted"). *msg is
 * owned by the reader and valid until the next call. `end` itself is handed out (1) before the 0. */
int e3_in_next(e3_in *in, e3_msg *msg, e3_err *err);
void e3_in_close(e3_in *in);

/* Refuses a terminal. The stream must be closed with e3_out_close after `end`, or with e3_out_abort. */
e3_out *e3_out_open(const char *endpoint, const e3_stream_options *options, e3_err *err);
/* The same for a copy of the stream whose reader must not hold up this process: with the options' `drop` not
 * E3_DROP_NONE it never does. The copy is written by a thread of its own. */
e3_out *e3_out_open_copy(const char *endpoint, const e3_stream_options *options, e3_err *err);
/* Frames dropped so far because the reader was slower. */
int64_t e3_out_dropped(e3_out *out);
/* A pipe whose reader has not yet taken all of it, without a queue of its own: what comes now would wait behind that
 * and age. */
bool e3_out_unread(const e3_out *out);
/* Has the reader of an open output gone away? 0, or -1 with the error that writing to it would give. Asked while an
 * input waits (e3_stream_options.output_lost), so that the end of a pipeline reaches its beginning also when nothing
 * flows. From any thread, until the output is closed. */
int e3_out_lost(e3_out *out, e3_err *err);
/* Forwards a message unread. */
int e3_out_msg(e3_out *out, const e3_msg *msg, e3_err *err);
/* Forwards a head or an end with its `frames` replaced (negative: unknown), everything else as it is. */
int e3_out_msg_frames(e3_out *out, const e3_msg *msg, int64_t frames, e3_err *err);
int e3_out_head(e3_out *out, const e3_head *x, e3_err *err);
int e3_out_frame(e3_out *out, const e3_frame *x, e3_err *err);
int e3_out_pred(e3_out *out, const e3_pred *x, e3_err *err);
int e3_out_evict(e3_out *out, const e3_evict *x, e3_err *err);
int e3_out_attn(e3_out *out, const e3_attn *x, e3_err *err);
int e3_out_truth(e3_out *out, const e3_truth *x, e3_err *err);
int e3_out_mask(e3_out *out, const e3_mask *x, e3_err *err);
int e3_out_edge(e3_out *out, const e3_edge *x, e3_err *err);
/* Refused where the head did not announce corrections. */
int e3_out_correct(e3_out *out, const e3_correct *x, e3_err *err);
int e3_out_end(e3_out *out, const e3_end *x, e3_err *err);
/* Says why a stream ends before its time; a long text is cut off. */
void e3_end_cut(e3_end *x, const char *why);
/* Frames written so far; -1: no head yet. */
int64_t e3_out_frames(const e3_out *out);
/* Has `end` been written? */
bool e3_out_ended(const e3_out *out);
/* Flushes and closes, checked; a file appears under its name now. Frees `out` in every case. -1 also for a stream
 * without a frame where there is a file already: that stays. */
int e3_out_close(e3_out *out, e3_err *err);
/* Tells the stages downstream that `tool` failed, and closes; the frames of a file stay as PATH.partial, which is
 * reported (e3_tell). Failures are ignored: the caller
 * is failing already. NULL is fine. When `text` came from an upstream abort, its tool is kept: the first failure is
 * what is reported. */
void e3_out_abort(e3_out *out, const char *tool, int code, const char *text);
/* After a failed e3_out_* or e3_out_lost: true when it failed because a pipe's reader went away. (A direct write to
 * such a pipe raises SIGPIPE first, unless that is ignored.) */
bool e3_out_reader_gone(const e3_out *out);

/* The upstream abort that made e3_in_next fail, or NULL; owned by `in`. */
const e3_abort *e3_in_abort(const e3_in *in);

/* Decoding: fill *x (released first, so one struct serves a whole stream). -1 names message, field, expected and found.
 * Sizes, types and finite scalars (pts, fit, pose, fps) are checked; dense arrays may hold anything. Unknown keys are
 * skipped. */
int e3_head_decode(const e3_msg *msg, e3_head *x, e3_err *err);
int e3_frame_decode(const e3_msg *msg, e3_frame *x, e3_err *err);
int e3_pred_decode(const e3_msg *msg, e3_pred *x, e3_err *err);
int e3_evict_decode(const e3_msg *msg, e3_evict *x, e3_err *err);
int e3_attn_decode(const e3_msg *msg, e3_attn *x, e3_err *err);
int e3_truth_decode(const e3_msg *msg, e3_truth *x, e3_err *err);
int e3_mask_decode(const e3_msg *msg, e3_mask *x, e3_err *err);
int e3_edge_decode(const e3_msg *msg, e3_edge *x, e3_err *err);
int e3_correct_decode(const e3_msg *msg, e3_correct *x, e3_err *err);
int e3_end_decode(const e3_msg *msg, e3_end *x, e3_err *err);
int e3_abort_decode(const e3_msg *msg, e3_abort *x, e3_err *err);

#endif
