/* e3-export: prediction stream in, files for other programs out: options, the loop over the stream, what was made. */
#include "export.h"
#include "e3/num.h"
#include "e3/opt.h"
#include "e3/stream.h"
#include "e3/tool.h"
#include <string.h>

typedef struct stream {
	e3_in *in;
	e3_export *x;
	e3_head head;
	e3_pred pred;
	e3_end end;
	e3_latency latency; /* of a live source: until the frame is in the files, or spooled */
	bool ended;
} stream;

static int take_head(stream *s, const e3_msg *msg, e3_err *err)
{
	if (e3_head_decode(msg, &s->head, err))
		return -1;
	if (!s->head.model)
		return e3_fail(err, "reading the stream: it comes from %s and holds no predictions; e3-infer makes them",
			s->head.tool ? s->head.tool : "an unknown tool");
	return e3_export_head(s->x, &s->head, err);
}

static void show_progress(const stream *s)
{
	const e3_export_facts *f = e3_export_facts_of(s->x);
	if (!e3_progress_due())
		return;
	char behind[64];
	e3_latency_print(&s->latency, behind, sizeof behind);
	if (s->head.frames > 0)
		e3_progress("frame %lld of %lld, %.1f MB spooled%s", (long long)f->frames, (long long)s->head.frames,
			(double)f->spooled / 1e6, behind);
	else
		e3_progress("frame %lld, %.1f MB spooled%s", (long long)f->frames, (double)f->spooled / 1e6, behind);
}

static int take(stream *s, const e3_msg *msg, e3_err *err)
{
	switch (msg->kind) {
	case E3_HEAD:
		return take_head(s, msg, err);
	case E3_PRED:
		if (e3_pred_decode(msg, &s->pred, err) || e3_export_add(s->x, &s->pred, err))
			return -1;
		e3_latency_add(&s->latency, s->pred.s.t_capture, e3_now_utc());
		show_progress(s);
		return 0;
	case E3_END:
		s->ended = true;
		return e3_end_decode(msg, &s->end, err);
	default: /* frames, evictions, attention, truth: not for files */
		return 0;
	}
}

/* Reads the stream to its end. A signal ends it early: what came so far is finished. */
static int read_stream(stream *s, e3_err *err)
{
	e3_msg msg;
	int rc;
	while (!e3_stop_signal() && (rc = e3_in_next(s->in, &msg, err)) != 0)
		if (rc < 0 || take(s, &msg, err))
			return e3_stop_signal() && rc < 0 ? 0 : -1;
	return 0;
}

static int run(const e3_export_options *opt, const char *from, e3_err *err)
{
	stream s = {0};
	int rc = -1;
	s.x = e3_export_open(opt, err);
	if (s.x)
		s.in = e3_in_open(from, err);
	if (s.in)
		rc = read_stream(&s, err);
	if (!rc) {
		e3_progress_end();
		rc = e3_export_finish(s.x, s.ended ? &s.end : NULL, err);
	}
	if (!rc)
		e3_export_tell(opt, e3_export_facts_of(s.x));
	if (!rc && s.latency.n)
		e3_detail("from capture to export: %.3f s on average, %.3f s at most", e3_latency_mean(&s.latency),
			s.latency.max);
	if (s.in)
		e3_in_close(s.in);
	e3_export_close(s.x);
	e3_head_release(&s.head);
	e3_pred_release(&s.pred);
	return rc;
}

int main(int argc, char **argv)
{
	e3_export_options opt;
	e3_err err;
	e3_tool_init("e3-export");
	const char *from = e3_export_parse(argc, argv, &opt);
	return e3_tool_exit(run(&opt, from, &err), &err);
}
