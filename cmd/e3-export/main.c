/* e3-export: prediction stream in, files for other programs out: options, the loop over the stream, what was made. */
#include "export.h"
#include "e3/hold.h"
#include "e3/num.h"
#include "e3/tool.h"
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct source {
	e3_stage *stage;
	placing *place;
	e3_pred seen;  /* room for what the place is found from */
	bool failed;   /* the stream ends here, with this error: it failed, or what is made of it did */
	bool unplaced; /* the place cannot be found: predictions stay as they are */
	bool nothing;  /* and nothing is to be made of them */
	e3_err why, own;
} source;

static bool reads_a_file(const e3_stage *s)
{
	struct stat st;
	bool there = strcmp(s->input, "-") ? stat(s->input, &st) == 0 : fstat(STDIN_FILENO, &st) == 0;
	return there && S_ISREG(st.st_mode);
}

/* The place cannot be found. A file can be exported again; of what comes only once, everything is kept, with the
 * stream's own scale and under the names of parts. */
static void stay(source *in, const e3_err *why)
{
	in->unplaced = true;
	if (in->failed)
		e3_warn("%s", why->text);
	else if (reads_a_file(in->stage))
		in->failed = in->nothing = true, in->why = *why;
	else
		in->own = *why;
}

/* What the place is found from. */
static void see(source *in, const e3_msg *msg)
{
	e3_err why;
	if (e3_pred_decode(msg, &in->seen, &in->why))
		in->failed = true;
	else if (e3_place_see(in->place->place, &in->seen, &why))
		stay(in, &why);
}

/* What is read while the stream is held. A failure is an end at first: what was held until then is handed out. */
static int next(void *from, e3_msg *msg, e3_err *err)
{
	source *in = from;
	e3_stage *s = in->stage;
	bool waits = placing_waits(in->place);
	if (in->failed)
		return 0;
	int more = e3_stage_next(s, msg, &in->why);
	in->failed = more < 0;
	if (more > 0 && msg->kind == E3_PRED && waits && !in->unplaced)
		see(in, msg);
	if (in->failed)
		return 0;
	if (more > 0 && msg->kind == E3_PRED && (waits || s->head.corrects))
		e3_stage_progress(s, s->preds, s->head.frames, ", waiting for %s", waits ? "the end" : "corrections");
	return more;
}

static int take_pred(e3_export *x, e3_stage *s, e3_pred *pred, e3_err *err)
{
	if (e3_export_add(x, pred, err))
		return -1;
	e3_latency_add(&s->latency, pred->s.t_capture, e3_now_utc());
	const e3_export_facts *f = e3_export_facts_of(x);
	e3_stage_progress(s, f->frames, s->head.frames, ", %.1f MB spooled", (double)f->spooled / 1e6);
	return 0;
}

/* Where predictions go. */
typedef struct target {
	e3_export *x;
	source *in;
	e3_hold *h;
} target;

static int add(void *to, e3_pred *pred, e3_err *err)
{
	e3_err why;
	const target *t = to;
	source *in = t->in;
	placing *p = in->place;
	if (placing_waits(p) && !p->solved && !in->unplaced && placing_solve(p, t->h, &why))
		stay(in, &why);
	if (in->nothing)
		return 0;
	return e3_hold_pred(t->h, pred, err) || placing_apply(p, pred, err) || take_pred(t->x, in->stage, pred, err) ? -1
																												 : 0;
}

/* The stream to its end, to a signal or to a failure: then what came so far is finished. */
static void read_stream(e3_export *x, source *in, bool masks)
{
	e3_stage *s = in->stage;
	e3_msg msg;
	e3_err err;
	e3_hold *h = e3_hold_open(1U << E3_PRED | (masks ? 1U << E3_MASK : 0), &err);
	target to = {x, in, h};
	waiting *w = h ? waiting_open(x, masks, add, &to, &err) : NULL;
	int rc = w ? 0 : -1, more = 1;
	if (h && placing_waits(in->place))
		e3_hold_wait(h);
	while (!rc && !in->nothing && (more = e3_hold_read(h, next, in, &msg, &err)) > 0)
		if (msg.kind == E3_HEAD)
			rc = e3_export_head(x, &s->head, &err);
		else if (msg.kind == E3_PRED)
			rc = waiting_pred(w, &msg, &err);
		else if (msg.kind == E3_MASK && masks)
			rc = waiting_mask(w, &msg, &err);
	if (!rc) {
		e3_err last;
		if (waiting_end(w, more < 0 ? &last : &err) && more >= 0)
			rc = -1;
	}
	waiting_close(w);
	e3_pred_release(&in->seen);
	e3_hold_close(h);
	if (rc || more < 0) {
		in->failed = true;
		in->why = err;
	} else if (in->unplaced && !in->failed) {
		in->failed = true;
		in->why = in->own;
	}
}

/* Of a stream that failed: what came stays, and the failure is what is reported. */
static int keep(e3_export *x, const source *in, e3_err *err)
{
	e3_err other = {""};
	if (e3_export_keep(x, &other))
		e3_warn("%s", other.text);
	*err = in->why;
	return -1;
}

/* A signal while the outputs are written: what came from a file can be read again, so they are given up. A stream does
 * not come twice. */
static bool may_give_up;

static int give_up(void) { return may_give_up && e3_stop_signal(); }

static int run(const e3_export_options *opt, e3_stage *s, placing *place, e3_err *err)
{
	source in = {.stage = s, .place = place};
	e3_export *x = e3_export_open(opt, err);
	int rc = !x || e3_stage_open_input(s, err) ? -1 : 0;
	if (!rc)
		read_stream(x, &in, opt->cloud.n_masks > 0);
	rc = e3_stage_finish(s, rc, err);
	e3_progress_end();
	e3_status_flush();
	e3_status("state=writing the files");
	e3_status_flush();
	may_give_up = !e3_stop_signal() && reads_a_file(s);
	if (!rc && in.nothing)
		rc = e3_fail(err, "%s", in.why.text);
	else if (!rc && in.failed)
		rc = keep(x, &in, err);
	else if (!rc)
		rc = e3_export_finish(x, s->ended && !s->end.cut[0] ? &s->end : NULL, err);
	if (rc && s->ended && !s->preds)
		e3_head_explain_empty(&s->head, err);
	placing_tell(place);
	if (x && !in.failed)
		e3_export_tell(opt, e3_export_facts_of(x));
	if (!rc && s->latency.n)
		e3_detail("from capture to export: %.3f s on average, %.3f s at most", e3_latency_mean(&s->latency),
			s->latency.max);
	e3_export_close(x);
	e3_stage_close(s);
	return rc;
}

int main(int argc, char **argv)
{
	e3_export_options opt;
	e3_err err;
	e3_tool_init("e3-export");
	placing *place;
	e3_stage *stage = e3_export_parse(argc, argv, &opt, &place);
	stage->needs = E3_STAGE_PREDICTIONS;
	opt.stop = give_up;
	if (opt.n_outputs > 1) /* a reader that exits ends its own output */
		signal(SIGPIPE, SIG_IGN);
	int rc = placing_open(place, &opt, &err) || run(&opt, stage, place, &err) ? -1 : 0;
	placing_close(place);
	return e3_tool_exit(rc, &err);
}
