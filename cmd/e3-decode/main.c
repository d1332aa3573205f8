/* e3-decode: video, pictures, live sources and data sets to a stream of frames. */
#include "decode.h"
#include "e3/tool.h"
#include <poll.h>

static e3_stage *output; /* for the callback, which has no argument */

/* While a live source gives nothing, its reader may go away. */
static int stop_live(void) { return e3_stop_signal() || e3_stage_output_lost(output, NULL); }

static void to_detail(const char *line) { e3_detail("%s", line); }

/* What waits in the output gets old: of a live source, as little as possible waits there. */
static void prepare_live(decode_options *o)
{
	e3_queue_limit *queue = &o->stage.stream.queue;
	if (o->input.live != E3_LIVE_ALL && queue->messages == 0)
		queue->messages = 1;
	output = &o->stage;
	o->input.stop = stop_live;
}

/* A pipe holds frames of its own. While it does, the newest frame stays in the source, where a newer one replaces it.
 */
static void wait_for_reader(const sink *s)
{
	enum { MS = 2 };
	int64_t most = s->o->input.choice.max_frames;
	while (s->stage->out && e3_out_unread(s->stage->out) && !(most > 0 && s->sent >= most) && !stop_live())
		(void)poll(NULL, 0, MS);
}

static int send_frames(sink *s, e3_input *in, bool live, e3_err *err)
{
	e3_image im = {0};
	e3_source at;
	bool key;
	int rc = 0, more = 0;
	do {
		if (live && s->o->input.live != E3_LIVE_ALL)
			wait_for_reader(s);
		more = e3_input_next(in, &im, &at, &key, err);
		s->skipped = e3_input_skipped(in);
		s->left_out = e3_input_left_out(in);
		s->picture = e3_input_picture(in);
		rc = more > 0 ? sink_frame(s, &im, at, key, err) : 0;
	} while (more > 0 && !rc);
	e3_image_release(&im);
	if (live && !rc && !e3_stop_signal() && e3_stage_output_lost(s->stage, err))
		return -1;
	s->lost = live && more < 0 && s->sent > 0;
	return rc || more < 0 ? -1 : 0;
}

static int run(sink *s, e3_err *err)
{
	const decode_options *o = s->o;
	bool live = e3_input_is_live(&o->input);
	if (live && options_check_live(o, err))
		return -1;
	e3_input *in = e3_input_open(&o->input, err);
	for (int k = 0; !in && !e3_stop_signal() && k < o->input.n; k++)
		e3_stage_explain_source(o->input.operand[k], err);
	if (!in)
		return -1;
	int rc = sink_head(s, e3_input_frames(in), e3_input_fps(in), err);
	if (!rc)
		rc = send_frames(s, in, live, err);
	e3_input_close(in);
	return rc;
}

int main(int argc, char **argv)
{
	e3_err err = {""};
	sink s;
	e3_tool_init("e3-decode");
	decode_options *o = options_parse(argc, argv);
	if (o->from_set)
		return e3_tool_exit(set_run(o, &err), &err);
	e3_video_log(to_detail);
	if (e3_input_is_live(&o->input))
		prepare_live(o);
	int rc = sink_open(&s, o, &err);
	if (!rc) {
		rc = run(&s, &err);
		if (rc && e3_stop_signal())
			rc = 0; /* only the wait for more failed: the frames so far are whole */
		rc = sink_close(&s, rc, &err);
	}
	return e3_tool_exit(rc, &err);
}
