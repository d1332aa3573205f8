/* e3-cat: a stream from one endpoint to one or several others: pipe, file, ZeroMQ; part of it with --skip and --take.
 *
 * Messages are forwarded as the bytes they came in; only the number of frames in head and end is rewritten, when it changes. */
#include "e3-cat.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "e3/opt.h"
#include "e3/stream.h"
#include "e3/tool.h"
#include <inttypes.h>
#include <signal.h>

enum { MAX_OUTPUTS = 16 };

typedef struct cat {
	const char *output;
	const char *tee[MAX_OUTPUTS - 1];
	int n_tee;
	int64_t skip, take; /* take -1: all */

	const char *part[CAT_PARTS]; /* the input, then what --then names */
	int n_parts;
	cat_join *in;
	e3_out *out[MAX_OUTPUTS]; /* the first is the main one */
	int n_out;
	bool headed, ended;
	int64_t seen, last;        /* distinct indices so far, and the highest */
	int64_t first_kept;        /* index; -1: none yet */
	int64_t frames, preds;     /* sent */
	double started;
} cat;

static int add_tee(void *to, const char *arg, e3_err *err)
{
	cat *c = to;
	if (c->n_tee == MAX_OUTPUTS - 1)
		return e3_fail(err, "at most %d", MAX_OUTPUTS - 1);
	c->tee[c->n_tee++] = arg;
	return 0;
}

static int add_part(void *to, const char *arg, e3_err *err)
{
	cat *c = to;
	if (c->n_parts == CAT_PARTS)
		return e3_fail(err, "at most %d", CAT_PARTS - 1);
	c->part[c->n_parts++] = arg;
	return 0;
}

static void parse(cat *c, int argc, char **argv)
{
	const e3_opt table[] = {
		{E3_OPT_TITLE, NULL, 0, NULL, NULL, "Output", 0, 0, NULL, NULL},
		{E3_OPT_TEXT, "output", 'o', &c->output, "ENDPOINT", "where to (default: -, standard output)", 0, 0, NULL, NULL},
		{E3_OPT_CALL, "tee", 't', c, "ENDPOINT", "a copy to here as well; may be repeated", 0, 0, NULL, add_tee},
		{E3_OPT_TITLE, NULL, 0, NULL, NULL, "Part of the stream", 0, 0, NULL, NULL},
		{E3_OPT_INT, "skip", 0, &c->skip, "N", "leave out the first N frames, and all that belongs to them", 0, 0x1p53, NULL, NULL},
		{E3_OPT_INT, "take", 0, &c->take, "N", "end after N frames", 0, 0x1p53, NULL, NULL},
		{E3_OPT_CALL, "then", 0, c, "INPUT", "the run that went on where this one stopped, joined to it; may be repeated", 0, 0, NULL, add_part},
		{E3_OPT_TITLE, NULL, 0, NULL, NULL, "Network", 0, 0, NULL, NULL},
		E3_STREAM_OPTIONS,
		{E3_OPT_END, NULL, 0, NULL, NULL, NULL, 0, 0, NULL, NULL},
	};
	const e3_opts opts = {
		"e3-cat", "[options] [INPUT [OUTPUT]]", "Carry an e3 stream between pipes, files and ZeroMQ.", table,
		"Endpoints: -, a path, zmq:pull:ADDR to read, zmq:push:ADDR to write; ADDR is tcp://host:port or ipc://path.\n",
	};
	int at = e3_opts_parse(&opts, argc, argv);
	c->part[0] = at < argc ? argv[at++] : "-";
	if (at < argc && c->output)
		e3_usage_error("two outputs: --output %s and %s; copies are made with --tee", c->output, argv[at]);
	if (at < argc)
		c->output = argv[at++];
	if (at < argc)
		e3_usage_error("too many operands: %s; e3-cat reads one stream", argv[at]);
	if (!c->output)
		c->output = "-";
}

static int open_all(cat *c, e3_err *err)
{
	c->in = cat_join_open(c->part, c->n_parts, err);
	if (!c->in)
		return -1;
	for (int k = 0; k <= c->n_tee; k++) {
		c->out[k] = e3_out_open(k == 0 ? c->output : c->tee[k - 1], err);
		if (!c->out[k])
			return -1;
		c->n_out++;
	}
	return 0;
}

/* Where a frame index stands: before what is wanted, in it, or beyond it. */
typedef enum place { BEFORE, WITHIN, BEYOND } place;

static place place_of(cat *c, int64_t i)
{
	if (i > c->last) {
		c->last = i, c->seen++;
		if (c->seen == c->skip + 1)
			c->first_kept = i;
	}
	if (c->take >= 0 && c->seen > c->skip + c->take)
		return BEYOND;
	return c->first_kept >= 0 && i >= c->first_kept ? WITHIN : BEFORE;
}

static int64_t count_kept(const cat *c, int64_t total)
{
	if (total < 0)
		return -1;
	int64_t left = total > c->skip ? total - c->skip : 0;
	return c->take >= 0 && c->take < left ? c->take : left;
}

static int send_head(cat *c, const e3_msg *msg, e3_err *err)
{
	e3_head head = {0};
	if (e3_head_decode(msg, &head, err))
		return -1;
	int64_t frames = count_kept(c, head.frames);
	bool changed = frames != head.frames;
	e3_head_release(&head);
	for (int k = 0; k < c->n_out; k++)
		if (changed ? e3_out_msg_frames(c->out[k], msg, frames, err) : e3_out_msg(c->out[k], msg, err))
			return -1;
	c->headed = true;
	return 0;
}

static int64_t sent(const cat *c)
{
	return c->frames > c->preds ? c->frames : c->preds;
}

static int send_end(cat *c, const e3_msg *msg, e3_err *err)
{
	for (int k = 0; k < c->n_out; k++)
		if (e3_out_msg_frames(c->out[k], msg, sent(c), err))
			return -1;
	c->ended = true;
	return 0;
}

/* The stream ends here by our will: --take, or a signal. */
static int make_end(cat *c, e3_err *err)
{
	const e3_end end = {.frames = sent(c), .seconds = e3_now() - c->started, .peak_rss = e3_rss_peak()};
	for (int k = 0; k < c->n_out; k++)
		if (e3_out_end(c->out[k], &end, err))
			return -1;
	c->ended = true;
	return 0;
}

static int forward(cat *c, const e3_msg *msg, e3_err *err)
{
	for (int k = 0; k < c->n_out; k++)
		if (e3_out_msg(c->out[k], msg, err))
			return -1;
	c->frames += msg->kind == E3_FRAME;
	c->preds += msg->kind == E3_PRED;
	return 0;
}

/* One message: 1 to go on, 0 when the wanted part is complete, -1 on failure. */
static int step(cat *c, const e3_msg *msg, e3_err *err)
{
	if (msg->kind == E3_HEAD)
		return send_head(c, msg, err) ? -1 : 1;
	if (msg->kind == E3_END)
		return send_end(c, msg, err) ? -1 : 1;
	place p = place_of(c, e3_msg_index(msg));
	if (p == BEYOND)
		return make_end(c, err);
	if (p == WITHIN && forward(c, msg, err))
		return -1;
	if (e3_progress_due())
		e3_progress("%" PRId64 " frames  %.1f frames/s", sent(c), (double)sent(c) / (e3_now() - c->started + 1e-9));
	return 1;
}

static int loop(cat *c, e3_err *err)
{
	e3_msg msg;
	int rc;
	c->started = e3_now();
	while ((rc = cat_join_next(c->in, &msg, err)) > 0)
		if ((rc = step(c, &msg, err)) <= 0)
			return rc;
	if (rc < 0 && e3_stop_signal() && c->headed && !c->ended)
		return make_end(c, err);
	return rc;
}

/* Finishes every output, or tells every reader why there is no more. *gone: the main output's reader left. */
static int close_all(cat *c, int rc, bool *gone, e3_err *err)
{
	*gone = c->n_out > 0 && e3_out_reader_gone(c->out[0]);
	for (int k = 0; k < c->n_out; k++) {
		if (rc)
			e3_out_abort(c->out[k], e3_tool_name(), 1, err->text);
		else
			rc = e3_out_close(c->out[k], err);
	}
	cat_join_close(c->in);
	return rc;
}

int main(int argc, char **argv)
{
	cat c = {.n_parts = 1, .take = -1, .last = -1, .first_kept = -1};
	e3_err err = {""};
	bool gone;
	e3_tool_init("e3-cat");
	parse(&c, argc, argv);
	signal(SIGPIPE, SIG_IGN); /* so that the other outputs are closed properly before we go */
	int rc = open_all(&c, &err);
	if (!rc)
		rc = loop(&c, &err);
	rc = close_all(&c, rc, &gone, &err);
	if (gone && !e3_stop_signal()) {
		e3_progress_end();
		signal(SIGPIPE, SIG_DFL);
		raise(SIGPIPE);
	}
	return e3_tool_exit(rc, &err);
}
