/* stage: what every tool does that reads or writes a stream.
 *
 *   static e3_stage stage = E3_STAGE_INIT;      with e3_stage_endpoint_rows in the table of options
 *
 *   rc = e3_stage_open_output(&stage, &err) || e3_stage_open_input(&stage, &err) ? -1 : 0;
 *   while (!rc && (more = e3_stage_next(&stage, &msg, &err)) > 0)
 *       rc = (what the tool does with msg) || e3_stage_pass(&stage, &msg, &err) ? -1 : 0;
 *   rc = e3_stage_finish(&stage, rc || more < 0 ? -1 : 0, &err);
 *   e3_stage_close(&stage);
 *   return e3_tool_exit(rc, &err);
 *
 * A tool that only reads leaves out the output, one that only writes the input. SIGINT and SIGTERM end a wait for
 * either. When the reader of the output goes away, so does this process, as in any pipeline: by SIGPIPE for a pipe,
 * with an error for a socket, also while it waits for input.
 */
#ifndef E3_STAGE_H
#define E3_STAGE_H

#include "e3/opt.h"
#include "e3/stream.h"
#include <pthread.h>

/* What a stage refuses to read a stream without. */
typedef enum e3_stage_need { E3_STAGE_ANY, E3_STAGE_FRAMES, E3_STAGE_PREDICTIONS } e3_stage_need;

typedef struct e3_stage {
	/* Set by options or by the tool before opening. */
	const char *input, *output; /* endpoints */
	e3_stream_options stream;   /* of both */
	e3_stage_need needs;

	e3_in *in;
	e3_out *out;           /* write with e3_out_*, from one thread */
	pthread_mutex_t lock;  /* guards `out` while it is opened and closed; the reading thread checks it */
	double started;        /* e3_now() at opening */
	e3_head head;          /* from the first message on */
	int64_t frames, preds; /* messages read so far */
	e3_end end;            /* once `ended` */
	bool ended;            /* the stream was read to its end */
	bool interrupted;      /* a signal ended reading before that */
	e3_latency latency;    /* of this stage's results, filled by the tool */
} e3_stage;

#define E3_STAGE_INIT \
	{ \
		.input = "-", .output = "-", .stream = E3_STREAM_DEFAULTS, .lock = PTHREAD_MUTEX_INITIALIZER \
	}

/* Rows of a tool's table of options, documented in e3-stream(5), ENDPOINTS: for all endpoints, and for outputs. They
 * fill an e3_stream_options: E3_OPT_ROWS(e3_stage_endpoint_rows, &stage.stream). */
extern const e3_opt e3_stage_endpoint_rows[], e3_stage_queue_rows[];

/* Opens stage->output, or stage->input. */
int e3_stage_open_output(e3_stage *s, e3_err *err);
int e3_stage_open_input(e3_stage *s, e3_err *err);
/* Before work that takes long: -1 when the input is a file that this stage cannot read, because it is of another kind
 * or carries no frames (predictions). Opening does it too. */
int e3_stage_peek(const e3_stage *s, e3_err *err);
/* The options for further endpoints of the same tool, opened with e3_in_open or e3_out_open_copy. */
const e3_stream_options *e3_stage_options(e3_stage *s);

/* Has the reader of the output gone away? 0, or -1; for a pipe the process ends here instead. Asked while the input
 * waits; other waits may ask too. From any thread. */
int e3_stage_output_lost(e3_stage *s, e3_err *err);

/* The next message, as e3_in_next: 1; 0 after the end, or when a signal asked to stop (stage->interrupted); -1. Head
 * and end are decoded into the stage; a stream without what it `needs` is refused. */
int e3_stage_next(e3_stage *s, e3_msg *msg, e3_err *err);
/* For a tool that reads its input itself: the head, unless an output of this process is the file or the folder that the
 * first stage read (if its name leads to one from here). */
int e3_stage_head_decode(const e3_msg *msg, const char *input, e3_head *head, e3_err *err);
/* The same for the input of the stage; a stream without what it `needs` is refused. */
int e3_stage_head_take(const e3_stage *s, const e3_msg *msg, e3_head *head, e3_err *err);
/* Forwards a message to the output, where there is one. */
int e3_stage_pass(e3_stage *s, const e3_msg *msg, e3_err *err);

/* A head that says who writes, from what, and nothing else; its texts are borrowed: it is not released. */
e3_head e3_stage_head(const char *source);
/* An end that says what every stage says: frames, seconds, memory, latency. */
e3_end e3_stage_end(const e3_stage *s, int64_t frames);

/* The line of progress: "done of total frames, frames/s, time left, behind", then `more` ("" for none); `total` < 0 is
 * unknown. Costs nothing unless it is due. */
void e3_stage_progress(const e3_stage *s, int64_t done, int64_t total, const char *more, ...) E3_PRINTF(4, 5);

/* Closes the output: after success and an `end` as complete; otherwise it tells the stages downstream why there is no
 * more. rc: 0 or -1 with the error so far. Returns the verdict of both. Ends the process when the reader of a pipe has
 * gone. */
int e3_stage_finish(e3_stage *s, int rc, e3_err *err);
/* Closes the input and frees the rest. */
void e3_stage_close(e3_stage *s);

/* Puts the options of the command line for the settings that an error text names in quotes: 'curve_key' becomes
 * --curve-key; and where a file is no stream, what to do with it. e3_stage_finish does it. */
void e3_stage_explain(e3_err *err);

/* For a tool that reads videos and pictures, after it failed: where the file is a stream, a checkpoint or a result,
 * that and what to do with it take the place of the error. Returns -1. */
int e3_stage_explain_source(const char *path, e3_err *err);

#endif
