/* video: the number of frames and their times, without decoding.
 *
 * The index of an mp4 states the number. Other files on disk are read through once, by a reader of their own. For pipes
 * and the network both stay unknown. Frames that no decoder shows are not counted.
 */
#include "internal.h"
#include "e3/mem.h"
#include <stdlib.h>
#include <string.h>

/* Refuses a file that ends before the last byte that its index refers to. */
int video_truncation_check(e3_video *v, e3_err *err)
{
	int64_t size = v->format->pb && (v->format->pb->seekable & AVIO_SEEKABLE_NORMAL) ? avio_size(v->format->pb) : -1,
			need = 0;
	if (!video_is_mov(v->format) || size <= 0)
		return 0;
	int n = avformat_index_get_entries_count(v->stream);
	for (int k = 0; k < n; k++) {
		const AVIndexEntry *e = avformat_index_get_entry(v->stream, k);
		need = e->pos + e->size > need ? e->pos + e->size : need;
	}
	if (need > size)
		return e3_fail(err, "reading: %s: truncated: its frames reach to byte %lld, it has %lld", v->options.input,
			(long long)need, (long long)size);
	return 0;
}

/* The mp4 index, when it lists every frame from the start (a fragmented file's does not). */
static bool count_from_index(e3_video *v)
{
	int n = avformat_index_get_entries_count(v->stream);
	if (!video_is_mov(v->format) || n < 1 || n < v->stream->nb_frames || v->stream->nb_frames < 1)
		return false;
	v->frames = 0;
	for (int k = 0; k < n; k++)
		v->frames += !(avformat_index_get_entry(v->stream, k)->flags & AVINDEX_DISCARD_FRAME);
	return true;
}

static int by_tick(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

/* VP8 has packets with frames that are only referred to; a bit says which ones are shown. */
static bool shown(const AVCodecParameters *par, const AVPacket *p)
{
	return !(p->flags & AV_PKT_FLAG_DISCARD) &&
		!(par->codec_id == AV_CODEC_ID_VP8 && p->size > 0 && !(p->data[0] & 0x10));
}

typedef struct tally {
	int64_t *ticks;
	size_t n, cap;
	bool timed, began; /* every packet has a time; the first key frame has come */
	int64_t key;       /* its time */
} tally;

static int tally_add(tally *t, int64_t pts, e3_err *err)
{
	/* To be shown before the first key frame, decoded after it: refers to frames that were cut off; no decoder shows
	 * it. */
	if (pts != AV_NOPTS_VALUE && t->key != AV_NOPTS_VALUE && pts < t->key)
		return 0;
	if (t->n == t->cap) {
		size_t cap = t->cap ? 2 * t->cap : 1024;
		if (e3_grow((void **)&t->ticks, cap, sizeof *t->ticks, "frame times", err))
			return -1;
		t->cap = cap;
	}
	t->timed = t->timed && pts != AV_NOPTS_VALUE;
	t->ticks[t->n++] = pts;
	return 0;
}

/* Reads every packet of the stream. A read error ends the count, as it will end the decoding. */
static int tally_packets(e3_video *v, AVFormatContext *format, AVPacket *packet, tally *t, e3_err *err)
{
	int rc = 0;
	AVStream *stream = format->streams[v->stream->index];
	for (unsigned s = 0; s < format->nb_streams; s++)
		format->streams[s]->discard = format->streams[s] == stream ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
	while (!rc && av_read_frame(format, packet) >= 0) {
		if (packet->stream_index == stream->index) {
			if (!t->began && (packet->flags & AV_PKT_FLAG_KEY))
				t->began = true, t->key = packet->pts;
			if (t->began && shown(stream->codecpar, packet))
				rc = tally_add(t, packet->pts, err);
		}
		av_packet_unref(packet);
		if (video_stopped(&v->options))
			rc = e3_fail(err, "reading: %s: interrupted", v->options.input);
	}
	return rc;
}

static int count_by_reading(e3_video *v, e3_err *err)
{
	AVFormatContext *format = NULL;
	video_reader reader;
	tally t = {.timed = true, .key = AV_NOPTS_VALUE};
	AVPacket *packet = av_packet_alloc();
	int rc = packet ? video_format_open(v, &reader, &format, err)
					: e3_fail(err, "reading: %s: out of memory", v->options.input);
	if (!rc && v->stream->index < (int)format->nb_streams)
		rc = tally_packets(v, format, packet, &t, err);
	av_packet_free(&packet);
	video_format_close(&format);
	if (rc || t.n == 0 || !t.timed) {
		/* Without times it is unknown whether MPEG-2 begins with frames that refer to frames that were cut off. */
		bool open = v->stream->codecpar->codec_id == AV_CODEC_ID_MPEG2VIDEO ||
			v->stream->codecpar->codec_id == AV_CODEC_ID_MPEG1VIDEO;
		v->frames = !rc && t.n && !open ? (int64_t)t.n : -1;
		free(t.ticks);
		return rc;
	}
	qsort(t.ticks, t.n, sizeof *t.ticks, by_tick);
	v->ticks = t.ticks, v->frames = (int64_t)t.n;
	v->origin = t.ticks[0];
	return 0;
}

/* Whether a second reader finds the same bytes: in our own seekable descriptor, or in a plain file. */
static bool readable_twice(const e3_video *v)
{
	if (v->options.fd >= 0)
		return v->bytes.seekable;
	const char *protocol = avio_find_protocol_name(v->url);
	return protocol && strcmp(protocol, "file") == 0 && v->format->pb &&
		(v->format->pb->seekable & AVIO_SEEKABLE_NORMAL);
}

int e3_video_index(e3_video *v, bool times, e3_err *err)
{
	if (!times && count_from_index(v))
		return 0;
	return readable_twice(v) ? count_by_reading(v, err) : 0;
}

int64_t e3_video_frames(const e3_video *v) { return v->frames; }
bool e3_video_times_known(const e3_video *v) { return v->ticks != NULL; }

double e3_video_time(const e3_video *v, int64_t index)
{
	return (double)(v->ticks[index] - v->ticks[0]) * av_q2d(v->stream->time_base);
}

int64_t video_lookup(const e3_video *v, int64_t tick)
{
	int64_t lo = 0, hi = v->frames;
	while (lo < hi) {
		int64_t mid = lo + (hi - lo) / 2;
		if (v->ticks[mid] < tick)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}
