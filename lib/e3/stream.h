/* wire: the e3 stream: messages, and the endpoints they travel over. Format: e3-stream(5), DESIGN 3.
 *
 * Reading:  e3_in_open, then e3_in_next until it returns 0, then e3_in_close. Every message handed out has passed the limits of
 * its kind, the structure scan and the grammar (head first, end or abort last, indices in order); arrays are checked when a
 * message is decoded. Writing: e3_out_open, e3_out_put_*, then e3_out_close after `end` or e3_out_abort.
 *
 * Endpoints: "-" (standard input or output), a path, "zmq:pull:ADDR" to read, "zmq:push:ADDR" to write, with ADDR
 * "tcp://host:port" or "ipc://path". pull binds, push connects; '@' before ADDR binds, '>' connects, a host "*" binds. One message
 * is one ZeroMQ message. TCP beyond this machine is refused unless e3_stream_allow_insecure(true) was called (--insecure).
 * A path is written under a temporary name and renamed when the stream ended properly.
 */
#ifndef E3_STREAM_H
#define E3_STREAM_H

#include "e3/data.h"
#include "e3/err.h"

#define E3_STREAM_VERSION 1

/* One message as bytes: the 6-byte envelope (0xc9, length, kind) and the body. Owned by whoever says so; see below. */
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

/* Lets endpoints reach beyond this machine, unencrypted and unauthenticated: what --insecure means. For the whole process. */
void e3_stream_allow_insecure(bool allow);
/* The same as the function of an option table (E3_OPT_CALL without an argument). */
int e3_stream_insecure_option(void *unused, const char *no_argument, e3_err *err);
/* The rows of every tool's option table (e3/opt.h) that concern endpoints. */
#define E3_STREAM_OPTIONS \
	{.type = E3_OPT_CALL, .name = "insecure", .help = "allow TCP beyond this machine: unencrypted, open to anyone", .call = e3_stream_insecure_option}

e3_in *e3_in_open(const char *endpoint, e3_err *err);
/* A stream in memory (tests, fuzzing); the bytes are borrowed. */
e3_in *e3_in_memory(const void *bytes, size_t len, e3_err *err);
/* The next message: 1; 0 after `end`; -1 on damage, on end of file before `end` ("truncated"), on an `abort` from upstream (the
 * text names the stage that failed and why), or when a signal asked to stop ("interrupted"; e3_stop_signal() tells).
 * *msg is owned by the reader and valid until the next call. `end` itself is handed out (1) before the 0. */
int e3_in_next(e3_in *in, e3_msg *msg, e3_err *err);
void e3_in_close(e3_in *in);

/* Refuses a terminal. The stream must be closed with e3_out_close after `end`, or with e3_out_abort. */
e3_out *e3_out_open(const char *endpoint, e3_err *err);
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
int e3_out_end(e3_out *out, const e3_end *x, e3_err *err);
/* Flushes and closes, checked; a file appears under its name now. Frees `out` in every case. */
int e3_out_close(e3_out *out, e3_err *err);
/* Tells the stages downstream that `tool` failed, and closes; a file does not appear. Failures are ignored: the caller is
 * failing already. NULL is fine. When `text` came from an upstream abort, its tool is kept: the first failure is what is reported. */
void e3_out_abort(e3_out *out, const char *tool, int code, const char *text);
/* After a failed e3_out_*: true when a pipe's reader went away (seen only with SIGPIPE ignored; else the process ended). */
bool e3_out_reader_gone(const e3_out *out);

/* The upstream abort that made e3_in_next fail, or NULL; owned by `in`. */
const e3_abort *e3_in_abort(const e3_in *in);

/* Decoding: fill *x (released first, so one struct serves a whole stream). -1 names message, field, expected and found. Sizes,
 * types and finite scalars (pts, fit, pose, fps) are checked; dense arrays may hold anything. Unknown keys are skipped. */
int e3_head_decode(const e3_msg *msg, e3_head *x, e3_err *err);
int e3_frame_decode(const e3_msg *msg, e3_frame *x, e3_err *err);
int e3_pred_decode(const e3_msg *msg, e3_pred *x, e3_err *err);
int e3_evict_decode(const e3_msg *msg, e3_evict *x, e3_err *err);
int e3_attn_decode(const e3_msg *msg, e3_attn *x, e3_err *err);
int e3_truth_decode(const e3_msg *msg, e3_truth *x, e3_err *err);
int e3_end_decode(const e3_msg *msg, e3_end *x, e3_err *err);
int e3_abort_decode(const e3_msg *msg, e3_abort *x, e3_err *err);

#endif
