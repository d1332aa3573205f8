/* video: decoding: from packets to frames with numbers and times; tolerates damage; seeks. */
#include "internal.h"
#include <libavutil/time.h>
#include <stdlib.h>
#include <string.h>

int64_t e3_video_errors(const e3_video *v) { return v->errors; }

/* Number and time of the frame just decoded. */
static void stamp(e3_video *v)
{
	AVFrame *f = v->frame;
	int64_t tick = f->pts != AV_NOPTS_VALUE ? f->pts : f->best_effort_timestamp;
	if (v->origin == AV_NOPTS_VALUE && v->next_index == 0)
		v->origin = tick;
	double fps = v->info.fps[E3_FPS_GUESS], step = fps > 0 ? 1 / fps : 0;
	double pts = tick != AV_NOPTS_VALUE && v->origin != AV_NOPTS_VALUE
		? (double)(tick - v->origin) * av_q2d(v->stream->time_base)
		: v->next_index == 0 ? 0
							 : v->last_pts + step;
	if (v->seeked && tick != AV_NOPTS_VALUE) {
		v->next_index = video_lookup(v, tick);
		v->seeked = false;
	}
	video_add_tags(v);
	v->last_pts = pts;
	v->current = (e3_video_frame){v->next_index++, pts, f->key_frame != 0};
	v->errors += f->decode_error_flags != 0 || (f->flags & AV_FRAME_FLAG_CORRUPT);
}

/* The container's index lists more packets than came. */
static bool ended_early(const e3_video *v, int64_t *expected)
{
	*expected = avformat_index_get_entries_count(v->stream);
	return video_is_mov(v->format) && v->packets >= 0 && v->packets < *expected;
}

static void remember_failure(e3_video *v, int code)
{
	e3_err err;
	int64_t expected;
	bool early = ended_early(v, &expected) && !v->bytes.error && (code == AVERROR_EOF || code == AVERROR_INVALIDDATA);
	if (early)
		e3_fail(&err, "reading: %s: truncated: %lld frames of %lld are there", v->options.input, (long long)v->packets,
			(long long)expected);
	else if (code != AVERROR_EOF || v->bytes.error)
		video_fail(v, code, &err);
	else
		return;
	v->failure = strdup(err.text);
}

/* Gives the decoder the next packet, or tells it that there is none. A packet that it refuses is counted and dropped.
 */
static int feed(e3_video *v)
{
	for (;;) {
		video_expect(v);
		int rc = av_read_frame(v->format, v->packet);
		if (rc == AVERROR(EAGAIN) && !video_stopped(&v->options)) {
			av_usleep(5000); /* a device that has no frame yet and does not wait */
			continue;
		}
		if (rc < 0) {
			remember_failure(v, rc);
			v->draining = true;
		} else if (v->packet->stream_index != v->stream->index) {
			av_packet_unref(v->packet);
			continue;
		}
		v->packets += v->packets >= 0 && !v->draining;
		rc = avcodec_send_packet(v->codec, v->draining ? NULL : v->packet);
		av_packet_unref(v->packet);
		if (rc == AVERROR(ENOMEM))
			return rc;
		v->errors += rc < 0 && rc != AVERROR(EAGAIN); /* this packet, or an earlier one that another thread decodes */
		return 0;
	}
}

static int at_end(e3_video *v, e3_err *err)
{
	if (v->failure)
		return e3_fail(err, "%s", v->failure);
	if (v->next_index == 0)
		return e3_fail(err, "reading: %s: no frame could be decoded", v->options.input);
	return 0;
}

static int decode_one(e3_video *v, e3_err *err)
{
	enum { MAX_DRAIN_ERRORS = 1000 }; /* for a decoder that never reports that it is empty */
	for (int refused = 0; refused < MAX_DRAIN_ERRORS;) {
		if (video_stopped(&v->options))
			return video_fail(v, AVERROR_EXIT, err);
		int rc = avcodec_receive_frame(v->codec, v->frame);
		if (rc == 0) {
			stamp(v);
			return 1;
		}
		if (rc == AVERROR_EOF)
			return at_end(v, err);
		if (rc == AVERROR(EAGAIN) && !v->draining)
			rc = feed(v);
		else if (rc != AVERROR(ENOMEM))
			v->errors++, refused += v->draining, rc = 0;
		if (rc < 0)
			return video_fail(v, rc, err);
	}
	return at_end(v, err);
}

int e3_video_next(e3_video *v, e3_video_frame *out, e3_err *err)
{
	int rc = v->held ? 1 : decode_one(v, err);
	v->held = false;
	if (rc > 0)
		*out = v->current;
	return rc;
}

/* Seeks to where decoding can start for this tick by the container's index, and decodes the first frame there. */
static int seek_to(e3_video *v, int64_t tick, e3_err *err)
{
	int rc = av_seek_frame(v->format, v->stream->index, tick, AVSEEK_FLAG_BACKWARD);
	if (rc < 0)
		return video_fail(v, rc, err);
	avcodec_flush_buffers(v->codec);
	v->packets = -1; /* no longer comparable with the index */
	v->seeked = true, v->draining = false;
	rc = decode_one(v, err);
	v->held = rc > 0;
	v->errors = 0; /* a decoder that starts in the middle reports errors */
	return rc < 0 ? -1 : 0;
}

int e3_video_seek(e3_video *v, double pts, e3_err *err)
{
	/* Containers seek by decoding time, which is a few frames ahead of presentation time. */
	const double margin = 1;
	if (!v->ticks || pts <= 2 * margin)
		return 0;
	double ticks = (pts - margin) / av_q2d(v->stream->time_base);
	if (seek_to(v, v->origin + (int64_t)ticks, err) == 0 && v->held && v->current.pts <= pts)
		return 0;
	return video_restart(v, err); /* the seek failed or went too far: read from the start */
}
