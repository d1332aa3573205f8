/* e3-infer: frames in, predictions out, one frame at a time: parse, open, loop, close. Refuses frames that change size
 * in mid-stream, streams that already carry predictions, and budgets that are too small. */
#include "infer.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "e3/tool.h"
#include "e3/watch.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- loop ---- */

/* --each: forgets the last frame once its results have been written. */
static int forget(infer *f, e3_err *err)
{
	infer_written written;
	if (infer_writer_wait(f->writer, &written, err))
		return -1;
	infer_close_session(f);
	return 0;
}

/* --save-every: saves when the next frame has come, once the results of all frames before it have been written. A disk
 * that is full now may have room later: the run continues. */
static int autosave(infer *f, e3_err *err)
{
	e3_err why = {""};
	infer_written written;
	if (!f->r.save_every || !f->resume.computed || e3_track_frames(f->track) % f->r.save_every)
		return 0;
	if (infer_write_beside(f->writer, f->track, err) || infer_writer_wait(f->writer, &written, err))
		return -1;
	if (infer_resume_save(&f->resume, &f->r, f->track, written, &why))
		e3_warn("%s; the run continues", why.text);
	return 0;
}

static int check_size(infer *f, const e3_image *picture, e3_err *err)
{
	if (!f->size[0])
		f->size[0] = picture->h, f->size[1] = picture->w;
	if (f->size[1] == picture->w && f->size[0] == picture->h)
		return 0;
	return e3_fail(err,
		"reading frame %lld: %d × %d for the network, %d × %d %s: all frames of a stream must have one shape; --fit-mode pad gives it",
		(long long)f->frames, picture->w, picture->h, f->size[1], f->size[0],
		f->frames ? "before" : "in the saved cache");
}

/* `frame`: of those that began together. */
static int pack(infer *f, infer_parcel *to, const e3_result *r, int frame, e3_err *err)
{
	e3_latency_add(&f->r.stage.latency, to->pred.s.t_capture, e3_now_utc());
	if (f->r.separate)
		e3_evict_release(&to->evict); /* there is no cache to report */
	e3_track_place at = e3_track_placed(f->track);
	to->pred.has_segment = at.segment > 0, to->pred.segment = at.segment;
	e3_similarity_pack(&at.world, to->pred.world);
	to->pred.ms = f->ms;
	to->pred.half = f->r.half;
	to->pred.latency = to->pred.s.t_capture != 0 ? f->r.stage.latency.last : 0;
	return infer_parcel_pack(to, &f->r, f->session, r, frame, err);
}

static int compute(infer *f, infer_parcel *to, infer_computed *computed, e3_err *err)
{
	e3_result r;
	if (f->r.dump)
		e3_watch_frame(f->setup.dev, to->pred.s.i);
	double t = e3_now();
	if (e3_track_step(f->track, to->fitted.px, to->pred.s.i, &r, &to->evict, err))
		return -1;
	f->ms = 1e3 * (e3_now() - t);
	*computed = (infer_computed){to};
	return pack(f, to, &r, 0, err);
}

/* The first frame of a session takes all memory that it needs. */
static int compute_or_wait(infer *f, infer_parcel *to, infer_computed *computed, e3_err *err)
{
	int rc;
	while ((rc = compute(f, to, computed, err)) && !infer_begin_again(f, err))
		;
	infer_slot_pass(f);
	return rc || (!f->head_sent && infer_send_head(f, err)) ? -1 : 0;
}

/* While the result is on its way. Not given up where the session is saved: a frame that was delivered is computed
 * beside too. */
static int compute_beside(infer *f, e3_err *err)
{
	e3_halt *halt = f->setup.dev->halt;
	if (f->r.dump)
		e3_watch_frame(f->setup.dev, -1);
	if (halt)
		halt->armed = !f->r.save;
	int rc = e3_track_beside(f->track, err);
	if (halt)
		halt->armed = true;
	return rc;
}

/* Whether what belongs to frame *i is written, and under which index: --continue numbers it as its frame. 1, 0 or -1.
 */
static int record_place(infer *f, int64_t *i, e3_err *err)
{
	infer_written written;
	if (!f->head_sent && !f->resume.from)
		return 0; /* its frame is not in the stream */
	if (infer_resume_record(&f->resume, &f->r, i))
		return 0;
	return !f->head_sent && (infer_writer_wait(f->writer, &written, err) || infer_begin(f, err)) ? -1 : 1;
}

/* Forwarded as it is. */
static int pass_truth(infer *f, const e3_msg *msg, e3_err *err)
{
	int64_t i = e3_msg_index(msg);
	int wanted = record_place(f, &i, err);
	return wanted <= 0 ? wanted : infer_write_truth(f->writer, msg, i, err);
}

static int pass_mask(infer *f, e3_mask *mask, e3_err *err)
{
	int wanted = record_place(f, &mask->i, err);
	return wanted <= 0 ? wanted : infer_writer_mask(f->writer, mask, err);
}

static int send_frame(infer *f, infer_computed computed, e3_err *err)
{
	infer_resume_count(&f->resume, &f->r, computed);
	f->unsent = NULL;
	if (infer_writer_send(f->writer, computed, err))
		return -1;
	if (!f->frames++) {
		f->first_done = e3_now();
		e3_detail("the first frame is computed %.2f s after the start", f->first_done - f->born);
	}
	return 0;
}

/* How many frames begin together; the session is opened for it. */
static int expect_start(infer *f, e3_err *err)
{
	infer_start *s = &f->first;
	s->wanted = 1;
	if (!f->resume.from && !f->r.separate) {
		if (infer_begin(f, err))
			return -1;
		int together = e3_session_plan(f->session)->together;
		s->wanted = f->head.frames >= 0 && f->head.frames < together ? (int)f->head.frames : together;
		if (s->wanted > 1)
			infer_slot_pass(f); /* the other frames may take long */
	}
	s->done = s->wanted <= 1;
	return 0;
}

static int send_first(infer *f, infer_frame *frame, int k, e3_err *err)
{
	infer_parcel *to = infer_writer_fill(f->writer, infer_resume_place(&f->resume, &f->r, &f->head, frame));
	infer_parcel_beside(to, f->track);
	e3_evict_release(&to->evict);
	to->evict = f->first.evicts[k], f->first.evicts[k] = (e3_evict){0};
	return pack(f, to, &f->first.results[k], k, err) || send_frame(f, (infer_computed){to}, err) ? -1 : 0;
}

/* Those that wait begin together: their results leave one after the other. */
static int do_start(infer *f, e3_err *err)
{
	infer_start *s = &f->first;
	double t = e3_now();
	int rc = 0;
	if (s->done || !s->frames)
		return 0;
	s->done = true;
	if (f->r.dump)
		e3_watch_frame(f->setup.dev, s->item[0].frame.source.i);
	while (infer_start_compute(s, f->track, err))
		if (infer_begin_again(f, err))
			return -1;
	infer_slot_pass(f);
	f->ms = 1e3 * (e3_now() - t) / s->frames;
	rc = !f->head_sent && infer_send_head(f, err) ? -1 : 0;
	for (int k = 0, n = 0; !rc && k < s->n; k++) {
		infer_item *item = &s->item[k];
		rc = item->kind == E3_TRUTH ? pass_truth(f, &item->msg, err)
			: item->kind == E3_MASK ? pass_mask(f, &item->mask, err)
									: send_first(f, &item->frame, n++, err);
	}
	if (rc || compute_beside(f, err))
		return -1;
	infer_report(f);
	return 0;
}

/* Does what follows a frame wait with it? */
static bool waits(const infer *f) { return f->first.frames > 0 && !f->first.done; }

static int do_frame(infer *f, infer_item *item, e3_err *err)
{
	infer_frame *frame = &item->frame;
	infer_computed computed;
	if (frame->covered)
		return infer_resume_check(&f->resume, frame, err);
	if (autosave(f, err) || check_size(f, &frame->picture, err) ||
		(f->streams ? infer_streams_calibrate(f->streams, &f->r, &frame->picture, err)
					: !f->resume.from && infer_setup_calibrate(&f->setup, &f->r, NULL, &frame->picture, err)))
		return -1;
	if (!f->first.wanted && expect_start(f, err))
		return -1;
	if (!f->first.done) {
		if (infer_start_keep(&f->first, item, err))
			return -1;
		return f->first.frames < f->first.wanted ? 0 : do_start(f, err);
	}
	infer_placed placed = infer_resume_place(&f->resume, &f->r, &f->head, frame);
	infer_parcel *parcel = infer_writer_fill(f->writer, placed);
	infer_parcel_beside(parcel, f->track);
	f->unsent = parcel;
	if ((f->r.separate && forget(f, err)) || infer_begin(f, err) || compute_or_wait(f, parcel, &computed, err))
		return -1;
	if (send_frame(f, computed, err) || compute_beside(f, err))
		return -1;
	infer_report(f);
	return 0;
}

static int send_end(infer *f, e3_err *err)
{
	infer_written written;
	f->over = true;
	if (infer_writer_wait(f->writer, &written, err) ||
		(f->resume.from ? infer_begin(f, err) : !f->head_sent && infer_send_head(f, err)) ||
		(f->unsent ? infer_write_unsent(f->writer, f->unsent, err) : infer_write_beside(f->writer, f->track, err)))
		return -1;
	e3_cache_use use = f->track ? e3_track_cache(f->track) : (e3_cache_use){0};
	e3_end end = e3_stage_end(&f->r.stage, f->frames);
	end.seconds = e3_now() - f->start;
	e3_end_cut(&end, f->cut);
	end.cache_now = use.now, end.cache_peak = use.peak, end.cache_full = use.full;
	end.device_used = infer_setup_used(&f->setup);
	e3_detail(
		"%lld frames in %.2f s; resident memory at most %.1f MiB; cache %.1f MiB, at most %.1f, without eviction %.1f",
		(long long)f->frames, end.seconds, (double)end.peak_rss / 1048576, (double)use.now / 1048576,
		(double)use.peak / 1048576, (double)use.full / 1048576);
	if (f->r.stage.latency.n)
		e3_detail("from capture to prediction: %.3f s on average, %.3f s at most", end.latency_mean, end.latency_max);
	e3_batch_rest(f->r.o.batch);
	int rc = e3_out_end(f->r.stage.out, &end, err);
	e3_batch_wake(f->r.o.batch);
	return rc;
}

/* A signal while a frame was computed: the frame is given up, and the stream ends after those before it. */
static int give_up(infer *f, e3_err *err)
{
	if (!e3_stop_signal())
		return -1;
	f->r.stage.interrupted = !f->head_sent;
	return f->head_sent ? send_end(f, err) : 0;
}

static int take_head(infer *f, const e3_msg *msg, e3_err *err)
{
	if (e3_stage_head_take(&f->r.stage, msg, &f->head, err))
		return -1;
	infer_warn_demo(e3_net_config(f->setup.net)->name, &f->head, f->r.stage.input);
	return 0;
}

static int take_end(infer *f, const e3_msg *msg, e3_err *err)
{
	e3_end end;
	if (e3_end_decode(msg, &end, err))
		return -1;
	memcpy(f->cut, end.cut, sizeof f->cut);
	return 0;
}

static int loop(infer *f, e3_err *err)
{
	infer_item *item;
	int more;
	while ((more = infer_reader_next(f->reader, &item, err)) > 0) {
		int rc = 0;
		f->resume.covered = item->covered;
		if (item->kind == E3_HEAD)
			rc = take_head(f, &item->msg, err);
		else if (item->kind == E3_FRAME)
			rc = do_frame(f, item, err);
		else if (waits(f) && (item->kind == E3_TRUTH || item->kind == E3_MASK))
			rc = infer_start_keep(&f->first, item, err);
		else if (item->kind == E3_TRUTH)
			rc = pass_truth(f, &item->msg, err);
		else if (item->kind == E3_MASK)
			rc = pass_mask(f, &item->mask, err);
		else if (item->kind == E3_END)
			rc = take_end(f, &item->msg, err);
		else
			rc = e3_fail(err, "reading: the stream carries predictions already: expected frames from e3-decode");
		if (rc)
			return give_up(f, err);
	}
	f->resume.covered = item->covered;
	bool failed = more < 0 && !e3_stop_signal();
	e3_err why = {""};
	if (do_start(f, failed ? &why : err)) /* a stream shorter than its start */
		return failed ? -1 : give_up(f, err);
	f->input_failed = failed && !infer_write_beside(f->writer, f->track, NULL);
	return failed ? -1 : send_end(f, err);
}

/* ---- close ---- */

/* Saves when the loop has ended. All results have been written by then: a saved cache covers only frames whose results
 * were delivered. Also when the input failed, since the frames before that are complete. */
static int save_last(infer *f, infer_written written, int rc, e3_err *err)
{
	e3_err why = {""};
	if (!f->r.save || (rc && !f->input_failed))
		return rc;
	if (!f->track || !e3_track_frames(f->track)) {
		e3_note("%s: not saved: there was no frame", f->r.save);
		return rc;
	}
	if (infer_resume_save(&f->resume, &f->r, f->track, written, &why) == 0) {
		if (rc)
			infer_resume_tell(&f->resume, &f->r);
		return rc;
	}
	if (rc)
		e3_warn("%s", why.text);
	else
		*err = why;
	return -1;
}

static int open_all(infer *f, e3_err *err)
{
	e3_stage *s = &f->r.stage;
	if (e3_stage_open_output(s, err) || !(f->writer = infer_writer_open(s->out, f->r.o.batch, err)) ||
		infer_setup_try(&f->r, err) || (!f->streams && infer_setup_open(&f->setup, &f->r, err)) ||
		infer_resume_open(&f->resume, &f->r, f->setup.net, f->setup.dev, err))
		return -1;
	if (f->resume.from)
		f->size[0] = f->resume.from->size[0], f->size[1] = f->resume.from->size[1];
	if (e3_stage_open_input(s, err))
		return -1;
	f->reader = infer_reader_open(s->in, e3_net_config(f->setup.net), (e3_fit_mode)f->r.fit_mode,
		infer_resume_span(&f->resume, &f->r), f->r.o.batch, err);
	return f->reader ? 0 : -1;
}

int infer_run(infer *f, e3_err *err)
{
	infer_written written = {NULL};
	int rc = open_all(f, err);
	f->start = e3_now();
	e3_batch_wake(f->r.o.batch);
	if (rc && e3_stop_signal()) /* while the network was loaded */
		rc = 0, f->r.stage.interrupted = true;
	else
		rc = rc || loop(f, err) ? -1 : 0;
	infer_slot_pass(f);
	infer_explain(err);
	if (f->writer)
		infer_writer_wait(f->writer, &written, NULL);
	e3_batch_rest(f->r.o.batch);
	if (!f->streams && f->r.counters && f->frames)
		e3_watch_print(f->setup.dev, stderr);
	rc = e3_stage_finish(&f->r.stage, rc, err);
	return save_last(f, written, rc, err);
}

bool infer_close(infer *f)
{
	bool closed = infer_reader_close(f->reader);
	if (closed)
		e3_stage_close(&f->r.stage);
	infer_writer_close(f->writer);
	infer_start_release(&f->first);
	infer_close_session(f);
	infer_resume_close(&f->resume);
	if (!f->streams)
		infer_setup_close(&f->setup);
	e3_head_release(&f->head);
	return closed;
}

int main(int argc, char **argv)
{
	static infer f;
	e3_err err = {""};
	f.born = e3_now();
	e3_tool_init("e3-infer");
	infer_parse(argc, argv, &f.r);
	int rc = f.r.plan ? infer_setup_plan(&f.setup, &f.r, &err)
		: f.r.streams ? infer_streams_run(&f.r, &err)
					  : infer_run(&f, &err);
	infer_close(&f);
	return e3_tool_exit(rc, &err);
}
