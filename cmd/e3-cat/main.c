/* e3-cat: a stream from one endpoint to one or several others: pipe, file, ZeroMQ; part of it with --skip and --take.
 * Also makes keys.
 *
 * Messages are forwarded as the bytes they came in; only the number of frames in head and end is rewritten, when it
 * changes. */
#include "cat.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "e3/opt.h"
#include "e3/tool.h"
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

enum { MAX_COPIES = 15 };

/* A copy of the stream. */
typedef struct tee {
	const char *endpoint;
	bool block; /* its reader may hold up the others */
} tee;

typedef struct cat {
	e3_stage stage; /* the main output; the inputs are join's */
	const char *output, *keygen;
	tee tee[MAX_COPIES];
	e3_out *copy[MAX_COPIES]; /* NULL once it failed */
	int n_tee, n_open, failed_copies;
	e3_err why_copy;    /* of the first of them */
	int64_t skip, take; /* take -1: all */

	const char *part[CAT_PARTS]; /* the input, then what --then names */
	int n_parts;
	cat_join *in;
	bool headed, corrects; /* the head was sent; it announces corrections */
	bool tail;             /* the wanted part is over: only corrections of it are of interest */
	int64_t seen, last;    /* distinct indices so far, and the highest */
	int64_t first_kept;    /* index; -1: none yet */
	int64_t last_kept;
	int64_t frames, preds; /* sent */
} cat;

static int add_copy(cat *c, const char *endpoint, bool block, e3_err *err)
{
	if (c->n_tee == MAX_COPIES)
		return e3_fail(err, "expected at most %d copies", MAX_COPIES);
	c->tee[c->n_tee++] = (tee){endpoint, block};
	return 0;
}

static int add_tee(void *to, const char *arg, e3_err *err) { return add_copy(to, arg, false, err); }

static int add_tee_block(void *to, const char *arg, e3_err *err) { return add_copy(to, arg, true, err); }

static int add_part(void *to, const char *arg, e3_err *err)
{
	cat *c = to;
	if (c->n_parts == CAT_PARTS)
		return e3_fail(err, "expected at most %d further inputs", CAT_PARTS - 1);
	c->part[c->n_parts++] = arg;
	return 0;
}

/* What the table of options does not have; output: NULL when it has that. */
static void claim(const cat *c, const char *output)
{
	char public_key[4096];
	if (c->keygen) {
		snprintf(public_key, sizeof public_key, "%.4000s.pub", c->keygen);
		e3_opts_claim(&(e3_claim){.use = E3_WRITES, .path = public_key, .by = "--keygen"});
		return;
	}
	e3_opts_claim(&(e3_claim){.use = E3_READS | E3_STREAM, .path = c->part[0], .what = "the stream that is read"});
	if (output)
		e3_opts_claim(&(e3_claim){.use = E3_WRITES | E3_STREAM, .path = output});
}

static void parse(cat *c, int argc, char **argv)
{
	const e3_opt table[] = {
		E3_OPT_TITLE("Output"),
		E3_OPT_SENDS("output,o", &c->output, "ENDPOINT", "write to ENDPOINT (default: -, standard output)"),
		E3_OPT_CALL_SENDS("tee,t", c, "ENDPOINT", add_tee,
			"write a copy to ENDPOINT too; its reader delays no other\nand loses frames when it is slow; may be repeated"),
		E3_OPT_CALL_SENDS("tee-block", c, "ENDPOINT", add_tee_block,
			"write a complete copy; a slow reader delays all outputs"),
		E3_OPT_ROWS(e3_stage_queue_rows, &c->stage.stream),
		E3_OPT_TITLE("Part of the stream"),
		E3_OPT_INT("skip", &c->skip, "N", 0, 0x1p53, "leave out the first N frames and their records"),
		E3_OPT_INT("take", &c->take, "N", 0, 0x1p53, "end after N frames"),
		E3_OPT_CALL_READS("then", c, "INPUT", add_part,
			"append the stream of the run that resumed this one;\nmay be repeated"),
		E3_OPT_TITLE("Network"),
		E3_OPT_ROWS(e3_stage_endpoint_rows, &c->stage.stream),
		E3_OPT_WRITES("keygen", &c->keygen, "FILE", "make a key pair: secret in FILE, public in FILE.pub; and exit"),
		E3_OPT_END,
	};
	const e3_opts opts = {
		"e3-cat", "[options] [INPUT [OUTPUT]]", "Carry an e3 stream between pipes, files and ZeroMQ.", table,
		"Endpoints: -, a path, zmq:pull:ADDR or zmq:sub:ADDR to read, zmq:push:ADDR or zmq:pub:ADDR to write;\n"
		"ADDR is tcp://host:port or ipc://path.\n",
		.streams = false, /* the second one is written */
	};
	int at = e3_opts_parse(&opts, argc, argv);
	if (c->keygen && (at < argc || c->output || c->n_tee))
		e3_usage_error("--keygen only makes keys: it takes no endpoints");
	c->part[0] = at < argc ? argv[at++] : "-";
	if (at < argc && c->output)
		e3_usage_error("two outputs: --output %s and %s; copies are made with --tee", c->output, argv[at]);
	const char *operand_output = at < argc ? argv[at] : c->output ? NULL : "-";
	if (at < argc)
		c->output = argv[at++];
	if (at < argc)
		e3_usage_error("too many operands: %s; e3-cat reads one stream", argv[at]);
	if (c->output)
		c->stage.output = c->output;
	claim(c, operand_output);
}

static int open_all(cat *c, e3_err *err)
{
	c->in = cat_join_open(c->part, c->n_parts, e3_stage_options(&c->stage), err);
	if (!c->in || e3_stage_open_output(&c->stage, err))
		return -1;
	for (; c->n_open < c->n_tee; c->n_open++) {
		const tee *t = &c->tee[c->n_open];
		e3_stream_options o = *e3_stage_options(&c->stage);
		o.drop = t->block ? E3_DROP_NONE : o.drop ? o.drop : E3_DROP_OLDEST;
		if (!(c->copy[c->n_open] = e3_out_open_copy(t->endpoint, &o, err)))
			return -1;
	}
	return 0;
}

/* A copy cannot be written any more: reported, and the other outputs continue. */
static void lose_copy(cat *c, int k, const e3_err *why)
{
	if (!c->failed_copies++)
		c->why_copy = *why;
	e3_warn("%s; the other outputs continue", why->text);
	e3_out_abort(c->copy[k], e3_tool_name(), 1, why->text);
	c->copy[k] = NULL;
}

/* What goes to every output: a message; with `frames` in place of its count; or an end made here. */
typedef struct parcel {
	const e3_msg *msg;
	bool counted;
	int64_t frames;
	const e3_end *end;
} parcel;

static int send_one(e3_out *out, const parcel *p, e3_err *err)
{
	if (p->end)
		return e3_out_end(out, p->end, err);
	return p->counted ? e3_out_msg_frames(out, p->msg, p->frames, err) : e3_out_msg(out, p->msg, err);
}

static int send_all(cat *c, const parcel *p, e3_err *err)
{
	if (send_one(c->stage.out, p, err))
		return -1;
	for (int k = 0; k < c->n_tee; k++) {
		e3_err why = {""};
		if (c->copy[k] && send_one(c->copy[k], p, &why))
			lose_copy(c, k, &why);
	}
	return 0;
}

/* Where a frame index stands: before what is wanted, in it, or beyond it. */
typedef enum place { BEFORE, WITHIN, BEYOND } place;

static place place_of(cat *c, const e3_msg *msg)
{
	int64_t i = e3_msg_index(msg);
	if (msg->kind == E3_EDGE || msg->kind == E3_CORRECT) /* their index may be of a frame that is not in the stream */
		i = i < c->last ? i : c->last;
	if (i > c->last) {
		c->last = i, c->seen++;
		if (c->seen == c->skip + 1)
			c->first_kept = i;
	}
	if (c->take >= 0 && c->seen > c->skip + c->take)
		return BEYOND;
	c->last_kept = c->last;
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
	if (e3_stage_head_decode(msg, c->part[0], &head, err))
		return -1;
	int64_t frames = count_kept(c, head.frames);
	bool changed = frames != head.frames;
	c->corrects = head.corrects;
	e3_head_release(&head);
	if (send_all(c, &(parcel){.msg = msg, .counted = changed, .frames = frames}, err))
		return -1;
	c->headed = true;
	return 0;
}

static int64_t sent(const cat *c) { return c->frames > c->preds ? c->frames : c->preds; }

static int send_end(cat *c, const e3_msg *msg, e3_err *err)
{
	return send_all(c, &(parcel){.msg = msg, .counted = true, .frames = sent(c)}, err);
}

/* The stream ends here because of --take, or a signal. */
static int make_end(cat *c, e3_err *err)
{
	const e3_end end = e3_stage_end(&c->stage, sent(c));
	return send_all(c, &(parcel){.end = &end}, err);
}

static int forward(cat *c, const e3_msg *msg, e3_err *err)
{
	if (send_all(c, &(parcel){.msg = msg}, err))
		return -1;
	c->frames += msg->kind == E3_FRAME;
	c->preds += msg->kind == E3_PRED;
	return 0;
}

/* After the wanted part: what is still to come may correct it. */
static int forward_correction(cat *c, const e3_msg *msg, e3_err *err)
{
	e3_correct x;
	if (msg->kind != E3_CORRECT || c->first_kept < 0)
		return 0;
	if (e3_correct_decode(msg, &x, err))
		return -1;
	return x.from <= c->last_kept && x.to >= c->first_kept ? forward(c, msg, err) : 0;
}

static void show_progress(const cat *c)
{
	int64_t dropped = e3_out_dropped(c->stage.out);
	char text[64] = "";
	for (int k = 0; k < c->n_tee; k++)
		dropped += c->copy[k] ? e3_out_dropped(c->copy[k]) : 0;
	if (dropped)
		snprintf(text, sizeof text, ", %" PRId64 " dropped", dropped);
	e3_stage_progress(&c->stage, sent(c), -1, "%s", text);
}

/* One message: 1 to go on, 0 when the wanted part is complete, -1 on failure. */
static int step(cat *c, const e3_msg *msg, e3_err *err)
{
	if (msg->kind == E3_HEAD)
		return send_head(c, msg, err) ? -1 : 1;
	if (msg->kind == E3_END)
		return (c->tail ? make_end(c, err) : send_end(c, msg, err)) ? -1 : 1;
	place p = place_of(c, msg);
	c->tail = p == BEYOND;
	if (c->tail && !c->corrects)
		return make_end(c, err);
	if (c->tail ? forward_correction(c, msg, err) : p == WITHIN ? forward(c, msg, err) : 0)
		return -1;
	if (e3_progress_due())
		show_progress(c);
	return 1;
}

static int loop(cat *c, e3_err *err)
{
	e3_msg msg;
	int more;
	while ((more = cat_join_next(c->in, &msg, err)) > 0)
		if ((more = step(c, &msg, err)) <= 0)
			return more;
	if (more < 0 && e3_stop_signal() && c->headed && !e3_out_ended(c->stage.out))
		return make_end(c, err);
	return more;
}

/* The user ended the run, and the reader was the first to go: a copy ends as it does when e3-cat notices first. */
static bool end_copy(const cat *c, e3_out *out)
{
	e3_err err;
	const e3_end end = e3_stage_end(&c->stage, e3_out_frames(out));
	return e3_stop_signal() && e3_out_frames(out) >= 0 && (e3_out_ended(out) || !e3_out_end(out, &end, &err));
}

/* Completes every output, or tells every reader why there is no more. A copy that fails changes the exit status, and
 * nothing else. */
static int finish(cat *c, int rc, e3_err *err)
{
	bool failed = rc != 0, gone = failed && c->stage.out && e3_out_reader_gone(c->stage.out);
	e3_err reason = *err;
	rc = e3_stage_finish(&c->stage, rc, err);
	for (int k = 0; k < c->n_open; k++) {
		e3_err why = {""};
		if (!c->copy[k])
			continue;
		if (failed && !(gone && end_copy(c, c->copy[k])))
			e3_out_abort(c->copy[k], e3_tool_name(), 1, reason.text);
		else if (e3_out_close(c->copy[k], &why))
			e3_warn("%s", why.text), c->why_copy = c->failed_copies++ ? c->why_copy : why;
	}
	cat_join_close(c->in);
	e3_stage_close(&c->stage);
	signal(SIGPIPE, SIG_DFL);
	if (gone && !e3_stop_signal())
		e3_tool_broken_pipe();
	if (!rc && c->failed_copies)
		rc = e3_fail(err, "copying: %d of %d copies failed: %s", c->failed_copies, c->n_tee, c->why_copy.text);
	return rc;
}

int main(int argc, char **argv)
{
	cat c = {.stage = E3_STAGE_INIT, .n_parts = 1, .take = -1, .last = -1, .first_kept = -1};
	e3_err err = {""};
	e3_tool_init("e3-cat");
	parse(&c, argc, argv);
	if (c.keygen)
		return e3_tool_exit(e3_curve_keygen(c.keygen, &err), &err);
	signal(SIGPIPE, SIG_IGN); /* so that the copies are closed before this process ends */
	int rc = open_all(&c, &err) || loop(&c, &err) ? -1 : 0;
	rc = finish(&c, rc, &err);
	return e3_tool_exit(rc, &err);
}
