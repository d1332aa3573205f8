/* stage: a tool's input and output. Owns their opening and closing, and what becomes of the process when the reader of
 * the output goes away. */
#include "e3/stage.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "e3/tool.h"
#include "wrong.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int e3_stage_output_lost(e3_stage *s, e3_err *err)
{
	pthread_mutex_lock(&s->lock);
	int rc = s->out ? e3_out_lost(s->out, err) : 0;
	if (rc && e3_out_reader_gone(s->out))
		e3_tool_broken_pipe();
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static int output_lost(void *context, e3_err *err) { return e3_stage_output_lost(context, err); }

const e3_stream_options *e3_stage_options(e3_stage *s)
{
	e3_progress_claim();
	/* E3_DRAIN of e3(7): the stages before this one have the signal too, and end the stream. */
	s->stream.stop = getenv("E3_DRAIN") ? NULL : e3_stop_signal;
	s->stream.output_lost = output_lost;
	s->stream.context = s;
	return &s->stream;
}

static void set_output(e3_stage *s, e3_out *out)
{
	pthread_mutex_lock(&s->lock);
	s->out = out;
	pthread_mutex_unlock(&s->lock);
}

int e3_stage_open_output(e3_stage *s, e3_err *err)
{
	s->started = s->started > 0 ? s->started : e3_now();
	e3_out *out = e3_out_open(s->output, e3_stage_options(s), err);
	set_output(s, out);
	if (!out)
		e3_stage_explain(err);
	return out ? 0 : -1;
}

int e3_stage_open_input(e3_stage *s, e3_err *err)
{
	s->started = s->started > 0 ? s->started : e3_now();
	if (e3_stage_peek(s, err))
		return -1;
	s->in = e3_in_open(s->input, e3_stage_options(s), err);
	if (!s->in)
		e3_stage_explain(err);
	return s->in ? 0 : -1;
}

/* What the first stage reads is an input of this process too. A relative name is taken from the folder of a recorded
 * stream, else from the current one; one from another machine says nothing. */
static int claim_source(const char *input, const char *source, e3_err *err)
{
	const char *slash = strrchr(input, '/');
	char *path = NULL;
	if (!source || strcmp(source, "-") == 0 || strncmp(input, "zmq:", 4) == 0)
		return 0;
	if (asprintf(&path, "%.*s%s", source[0] == '/' || !slash ? 0 : (int)(slash + 1 - input), input, source) < 0)
		return e3_fail(err, "reading: out of memory");
	int rc = e3_claim_add(&(e3_claim){.use = E3_READS, .path = path, .what = "the source of the stream"}, err);
	free(path);
	return rc;
}

int e3_stage_head_decode(const e3_msg *msg, const char *input, e3_head *head, e3_err *err)
{
	return e3_head_decode(msg, head, err) || claim_source(input, head->source, err) ? -1 : 0;
}

int e3_stage_head_take(const e3_stage *s, const e3_msg *msg, e3_head *head, e3_err *err)
{
	return e3_stage_head_decode(msg, s->input, head, err) || stage_head_fits(s->needs, s->input, head, err) ? -1 : 0;
}

int e3_stage_next(e3_stage *s, e3_msg *msg, e3_err *err)
{
	int more = e3_in_next(s->in, msg, err);
	if (more <= 0) {
		s->interrupted = more < 0 && e3_stop_signal();
		return s->interrupted ? 0 : more;
	}
	s->frames += msg->kind == E3_FRAME, s->preds += msg->kind == E3_PRED;
	if (msg->kind == E3_HEAD && e3_stage_head_take(s, msg, &s->head, err))
		return -1;
	if (msg->kind == E3_END && e3_end_decode(msg, &s->end, err))
		return -1;
	s->ended |= msg->kind == E3_END;
	return 1;
}

int e3_stage_pass(e3_stage *s, const e3_msg *msg, e3_err *err) { return s->out ? e3_out_msg(s->out, msg, err) : 0; }

e3_head e3_stage_head(const char *source)
{
	return (e3_head){.tool = (char *)(uintptr_t)e3_tool_name(),
		.version = (char *)(uintptr_t)E3_VERSION,
		.source = (char *)(uintptr_t)source,
		.frames = -1,
		.budget = -1};
}

e3_end e3_stage_end(const e3_stage *s, int64_t frames)
{
	return (e3_end){.frames = frames,
		.seconds = e3_now() - s->started,
		.peak_rss = e3_rss_peak(),
		.latency_mean = e3_latency_mean(&s->latency),
		.latency_max = s->latency.max};
}

/* After a signal a stream gets its end, if the tool wrote none; one that has no head yet is reported downstream as
 * interrupted. */
static int close_output(e3_stage *s, e3_out *out, int rc, e3_err *err)
{
	bool cut = !rc && s->interrupted && !e3_out_ended(out);
	if (cut && e3_out_frames(out) >= 0) {
		const e3_end end = e3_stage_end(s, e3_out_frames(out));
		cut = false;
		rc = e3_out_end(out, &end, err);
	}
	if (!rc && !cut)
		return e3_out_close(out, err);
	e3_out_abort(out, e3_tool_name(), cut ? 128 + e3_stop_signal() : 1, cut ? "interrupted" : err->text);
	return rc;
}

int e3_stage_finish(e3_stage *s, int rc, e3_err *err)
{
	e3_out *out = s->out;
	if (rc)
		e3_stage_explain(err);
	if (!out)
		return rc;
	bool gone = rc && e3_out_reader_gone(out);
	set_output(s, NULL);
	if (close_output(s, out, rc, err) && !rc) {
		rc = -1;
		e3_stage_explain(err);
	}
	if (gone && !e3_stop_signal())
		e3_tool_broken_pipe();
	return rc;
}

void e3_stage_close(e3_stage *s)
{
	e3_in_close(s->in);
	s->in = NULL;
	e3_head_release(&s->head);
}
