/* video: decoding: from packets to frames with numbers and times; tolerates damage. */
#include "internal.h"
#include <libavutil/time.h>
#include <stdlib.h>
#include <string.h>

int64_t e3_video_errors(const e3_video *v) { return v->errors; }

static double seconds(const e3_video *v, int64_t tick)
{
	return (double)(tick - v->origin) * av_q2d(v->stream->time_base);
}

static int64_t duration_of(const AVFrame *f)
{
#if LIBAVUTIL_VERSION_MAJOR >= 58
	return f->duration;
#else
	return f->pkt_duration;
#endif
}

/* Number and time of the frame just decoded. */
static void stamp(e3_video *v)
{
	AVFrame *f = v->frame;
	double fps = v->info.fps[E3_FPS_GUESS], pts = v->next_index == 0 ? 0 : v->last_pts + (fps > 0 ? 1 / fps : 0);
	v->raw = f->pts != AV_NOPTS_VALUE ? f->pts : f->best_effort_timestamp;
	if (v->next_index == 0 && v->origin == AV_NOPTS_VALUE)
		v->origin = v->raw;
	if (v->origin != AV_NOPTS_VALUE && (v->times.begun || v->raw != AV_NOPTS_VALUE))
		pts = seconds(v, video_times_add(&v->times, v->raw));
	double lasts = (double)duration_of(f) * av_q2d(v->stream->time_base), gap = pts - v->last_pts;
	v->last_end = pts + (lasts > 0 ? lasts : v->next_index ? gap : 0);
	video_add_tags(v);
	v->last_pts = pts;
	v->current = (e3_video_frame){v->next_index++, pts, f->key_frame != 0};
	v->errors += f->decode_error_flags != 0 || (f->flags & AV_FRAME_FLAG_CORRUPT);
}

void video_dated_as(e3_video *v, int64_t index, int64_t tick)
{
	v->times.begun = true, v->times.restarts = 0;
	v->times.raw = v->raw, v->times.at = tick, v->times.offset = tick - v->raw;
	v->last_pts = seconds(v, tick), v->next_index = index + 1;
	v->current.index = index, v->current.pts = v->last_pts;
}

/* What stopped the reading: the end; the source was cut off; an error. */
static void remember_end(e3_video *v, int code)
{
	e3_err err;
	int64_t missing = 0, there = v->packets >= 0 && video_is_mov(v->format) ? video_index_pictures(v, &missing) : 0;
	bool damaged = (code == AVERROR_EOF || code == AVERROR_INVALIDDATA) && !v->bytes.error;
	if (damaged && v->packets >= 0 && v->packets < there + missing)
		e3_fail(&err, "reading: %s: truncated: %lld frames of %lld are there", v->options.input, (long long)v->packets,
			(long long)(there + missing));
	else if (code != AVERROR_EOF || v->bytes.error)
		video_fail(v, code, &err);
	else
		return;
	char **to = damaged && !v->options.strict && v->packets != 0 ? &v->cut : &v->failure;
	if (!*to)
		*to = strdup(err.text);
}

/* Whether decoding has begun or begins with this packet; pictures before the first key frame are left out. */
static bool begins(e3_video *v)
{
	enum { MOST = 1000 }; /* of a source that cannot be read again */
	if (v->began)
		return true;
	video_unit u = video_unit_of(v->units, v->packet, true);
	v->began = u.begins || v->anywhere || v->options.low_delay || (v->before >= MOST && !video_readable_twice(v));
	int pictures = u.field == 2 ? 0 : u.shown > 0 || !u.odd ? u.shown : 1; /* a damaged packet may have been one */
	v->before += v->began ? 0 : pictures;
	return v->began;
}

/* Reads the next packet to decode: 0; AVERROR_EOF: there is none. */
static int read_packet(e3_video *v)
{
	if (v->waits) {
		v->waits = false;
		return 0;
	}
	for (;;) {
		video_expect(v);
		int rc = av_read_frame(v->format, v->packet);
		if (rc == AVERROR(EAGAIN) && !video_stopped(&v->options)) {
			av_usleep(5000); /* a device that has no frame yet and does not wait */
			continue;
		}
		if (rc < 0) {
			remember_end(v, rc);
			return AVERROR_EOF;
		}
		/* To the decoder a packet without bytes is the end of the stream. */
		bool ours = v->packet->stream_index == v->stream->index && v->packet->size > 0;
		v->packets += ours && v->packets >= 0 && !(v->packet->flags & AV_PKT_FLAG_CORRUPT);
		if (ours && begins(v))
			return 0;
		av_packet_unref(v->packet);
	}
}

/* Gives the decoder the next packet, or tells it that there is none. A packet that it refuses is counted and dropped.
 */
static int feed(e3_video *v)
{
	v->draining = read_packet(v) < 0;
	int rc = avcodec_send_packet(v->codec, v->draining ? NULL : v->packet);
	av_packet_unref(v->packet);
	if (rc == AVERROR(ENOMEM))
		return rc;
	v->errors += rc < 0 && rc != AVERROR(EAGAIN); /* this packet, or an earlier one that another thread decodes */
	return 0;
}

static int at_end(e3_video *v, e3_err *err)
{
	if (v->failure)
		return e3_fail(err, "%s", v->failure);
	if (v->next_index > 0 || (video_is_mov(v->format) && video_index_missing(v, err)))
		return v->next_index > 0 ? 0 : -1;
	return e3_fail(err, "reading: %s: no frame could be decoded", v->options.input);
}

/* Nothing is a key frame: begins again, with any picture. */
static bool begin_anywhere(e3_video *v, e3_err *err)
{
	if (v->began || v->before == 0 || v->anywhere || !video_readable_twice(v))
		return false;
	v->anywhere = true;
	return video_restart(v, err) == 0;
}

int video_decode(e3_video *v, e3_err *err)
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
		if (rc == AVERROR_EOF && begin_anywhere(v, err))
			continue;
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
	int rc = v->held ? 1 : video_decode(v, err);
	v->held = false;
	if (rc > 0)
		*out = v->current;
	return rc;
}
