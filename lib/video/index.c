/* video: the number of frames and their times before they are decoded.
 *
 * The index of an mp4 states the number, once its first packets have shown nothing unusual. Other files on disk are
 * read through once, by a reader of their own. Where the packets leave doubt, the frames are counted by decoding them.
 * For pipes and the network both stay unknown.
 */
#include "e3/mem.h"
#include "tally.h"
#include <stdlib.h>
#include <string.h>

static bool is_codec(const e3_video *v, enum AVCodecID id) { return v->stream->codecpar->codec_id == id; }

/* The mp4 index, when it lists every frame from the start (a fragmented file's does not). */
static int64_t count_from_index(const e3_video *v)
{
	int n = avformat_index_get_entries_count(v->stream);
	int64_t frames = 0;
	if (!video_is_mov(v->format) || v->cut || n < 1 || n < v->stream->nb_frames || v->stream->nb_frames < 1)
		return -1;
	for (int k = 0; k < n; k++) {
		const AVIndexEntry *e = avformat_index_get_entry(v->stream, k);
		frames += !(e->flags & AVINDEX_DISCARD_FRAME) && e->size > 0;
	}
	return frames;
}

/* Whether each packet of an mp4 is a frame, by its first ones. Codecs whose packets may hold none are read through. */
static int check_beginning(e3_video *v, bool *usual, e3_err *err)
{
	enum { FEW = 48 };
	video_tally t;
	int order = v->stream->codecpar->field_order;
	*usual = false;
	if (is_codec(v, AV_CODEC_ID_VP8) || is_codec(v, AV_CODEC_ID_VP9) ||
		(order > AV_FIELD_PROGRESSIVE && is_codec(v, AV_CODEC_ID_H264)))
		return 0;
	if (!video_readable_twice(v)) {
		*usual = true; /* the best there is */
		return 0;
	}
	if (video_tally_read(v, FEW, false, &t, err))
		return -1;
	*usual = t.began && !t.doubt && !t.unusual;
	video_tally_release(&t);
	return 0;
}

static int add_tick(e3_video *v, size_t *cap, e3_err *err)
{
	if ((size_t)v->frames == *cap) {
		*cap = *cap ? 2 * *cap : 1024;
		if (e3_grow((void **)&v->ticks, *cap, sizeof *v->ticks, "frame times", err))
			return -1;
	}
	v->ticks[v->frames++] = v->times.at;
	return 0;
}

/* Decodes all frames, counts them, and starts again. */
static int count_by_decoding(e3_video *v, e3_err *err)
{
	size_t cap = 0;
	bool timed = true;
	int rc;
	e3_err why; /* what ends the frames will end them again */
	free(v->ticks);
	v->ticks = NULL, v->frames = 0, v->origin = AV_NOPTS_VALUE;
	while ((rc = video_decode(v, &why)) > 0) {
		timed = timed && v->times.begun;
		if (add_tick(v, &cap, err))
			return -1;
	}
	if (video_stopped(&v->options))
		return e3_fail(err, "%s", why.text);
	if (!timed || v->frames == 0) {
		free(v->ticks);
		v->ticks = NULL;
	}
	v->origin = v->ticks ? v->ticks[0] : AV_NOPTS_VALUE;
	v->counted = true;
	return video_restart(v, err);
}

static int count_by_reading(e3_video *v, e3_err *err)
{
	v->tally = e3_alloc(1, sizeof *v->tally, "a list of frames", err);
	if (!v->tally || video_tally_read(v, 0, true, v->tally, err))
		return -1;
	if (!v->tally->began && !v->anywhere) { /* without any key frame */
		video_tally_release(v->tally);
		v->anywhere = true;
		if (video_tally_read(v, 0, true, v->tally, err))
			return -1;
	}
	video_tally *t = v->tally;
	if (t->doubt)
		return count_by_decoding(v, err);
	v->ticks = t->ticks, t->ticks = NULL;
	v->frames = t->frames > 0 ? t->frames : -1;
	if (v->ticks)
		v->origin = v->ticks[0];
	return 0;
}

bool video_readable_twice(const e3_video *v)
{
	if (v->options.fd >= 0)
		return v->bytes.seekable;
	const char *protocol = avio_find_protocol_name(v->url);
	return protocol && strcmp(protocol, "file") == 0 && v->format->pb &&
		(v->format->pb->seekable & AVIO_SEEKABLE_NORMAL);
}

int e3_video_index(e3_video *v, bool times, e3_err *err)
{
	int64_t listed = times ? -1 : count_from_index(v);
	bool usual = false;
	if (listed >= 0 && check_beginning(v, &usual, err))
		return -1;
	if (usual)
		v->frames = listed;
	return usual || !video_readable_twice(v) ? 0 : count_by_reading(v, err);
}

int64_t e3_video_frames(const e3_video *v) { return v->frames; }
bool e3_video_times_known(const e3_video *v) { return v->ticks != NULL; }

double e3_video_time(const e3_video *v, int64_t index)
{
	return (double)(v->ticks[index] - v->ticks[0]) * av_q2d(v->stream->time_base);
}

e3_video_notes e3_video_noted(const e3_video *v)
{
	return (e3_video_notes){.cut = v->cut,
		.damaged = v->errors,
		.before_key = v->before ? v->before + (v->tally ? v->tally->leading : 0) : 0,
		.restarts = v->times.restarts,
		.ends = v->last_end,
		.listed = video_is_mov(v->format) && v->stream->nb_frames > 0 && v->packets >= 0,
		.by_decoding = v->counted};
}
