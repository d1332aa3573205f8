/* video: reads all packets of a stream and lists its pictures without decoding them. */
#include "tally.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "unit.h"
#include <stdlib.h>
#include <string.h>

typedef struct picture {
	int64_t pts;
	int32_t part;  /* parts of the source with a clock each, numbered */
	int32_t start; /* index + 1 of its entry among the starts; 0: none */
} picture;

typedef struct reading {
	e3_video *v;
	AVFormatContext *format;
	video_units *units;
	video_tally *out;
	picture *list;
	size_t n, cap, starts_cap;
	int64_t packets, dts;
	int32_t part;
	int field;       /* the field that waits for its other one; 0: none */
	bool timed;      /* every picture has a time */
	bool closed;     /* of the key frame that decoding begins with */
	int64_t key_pts; /* its time */
} reading;

static int add_picture(reading *r, int64_t pts, e3_err *err)
{
	if (r->n == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 1024;
		if (e3_grow((void **)&r->list, cap, sizeof *r->list, "frame times", err))
			return -1;
		r->cap = cap;
	}
	r->timed = r->timed && pts != AV_NOPTS_VALUE;
	r->list[r->n++] = (picture){.pts = pts, .part = r->part};
	return 0;
}

uint64_t video_start_hash(const AVPacket *p)
{
	int zeros = 0;
	while (zeros < p->size && p->data[zeros] == 0)
		zeros++;
	return e3_fnv1a64(p->data + zeros, (size_t)(p->size - zeros));
}

static int add_start(reading *r, const AVPacket *p, e3_err *err)
{
	video_tally *t = r->out;
	if (t->n_starts == r->starts_cap) {
		size_t cap = r->starts_cap ? 2 * r->starts_cap : 64;
		if (e3_grow((void **)&t->starts, cap, sizeof *t->starts, "places to start at", err))
			return -1;
		r->starts_cap = cap;
	}
	t->starts[t->n_starts++] =
		(video_start){.pts = p->pts, .dts = p->dts, .pos = p->pos, .hash = video_start_hash(p), .part = r->part};
	r->list[r->n - 1].start = (int32_t)t->n_starts;
	return 0;
}

/* Where the clock of the packets starts again, another part begins. */
static void follow_clock(reading *r, const AVPacket *p, bool begins)
{
	if (p->dts == AV_NOPTS_VALUE)
		return;
	if (r->dts != AV_NOPTS_VALUE && video_times_jump(&r->v->times, r->dts, p->dts)) {
		r->part++;
		r->out->doubt = r->out->doubt || !begins; /* pictures of both parts may be shown in any order */
	} else if (r->dts != AV_NOPTS_VALUE && p->dts <= r->dts) {
		r->out->doubt = true; /* frames may be shown in another order than that of their stamps */
	}
	r->dts = p->dts;
}

/* Pictures of one field each: two make a frame. */
static int add_field(reading *r, const AVPacket *p, int field, e3_err *err)
{
	bool second = r->field && r->field != field;
	r->out->doubt = r->out->doubt || (r->field && !second);
	r->field = second ? 0 : field;
	return second ? 0 : add_picture(r, p->pts, err);
}

static int take(reading *r, const AVPacket *p, e3_err *err)
{
	video_tally *t = r->out;
	video_unit u = video_unit_of(r->units, p, !t->began);
	if (p->size <= 0)
		return 0;
	if (!t->began) {
		t->unusual = t->unusual || !u.begins;
		if (!u.begins && !r->v->anywhere)
			return 0;
		t->began = true, r->key_pts = p->pts, r->closed = u.closed;
		/* H.264 that begins without an IDR picture is shown from where it has recovered. */
		t->doubt = t->doubt || !u.begins || (r->v->stream->codecpar->codec_id == AV_CODEC_ID_H264 && !u.closed);
	}
	follow_clock(r, p, u.begins);
	t->doubt = t->doubt || u.odd;
	/* To be shown before the first key frame, decoded after it: refers to pictures that were cut off. */
	bool cut =
		!r->closed && r->part == 0 && p->pts != AV_NOPTS_VALUE && r->key_pts != AV_NOPTS_VALUE && p->pts < r->key_pts;
	t->unusual = t->unusual || u.leading || cut || u.field || (u.shown != 1 && !(p->flags & AV_PKT_FLAG_DISCARD));
	t->leading += u.leading || cut ? u.shown : 0;
	if (u.leading || cut)
		return 0;
	t->doubt = t->doubt || (r->field && !u.field);
	if (u.field)
		return add_field(r, p, u.field, err);
	r->field = 0;
	int rc = 0;
	for (int k = 0; !rc && k < u.shown; k++)
		rc = add_picture(r, p->pts, err);
	return !rc && u.shown && u.start && p->pts != AV_NOPTS_VALUE ? add_start(r, p, err) : rc;
}

static int read_packets(reading *r, AVPacket *packet, int64_t most, e3_err *err)
{
	int rc = 0;
	AVStream *stream = r->format->streams[r->v->stream->index];
	for (unsigned s = 0; s < r->format->nb_streams; s++)
		r->format->streams[s]->discard = r->format->streams[s] == stream ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
	while (!rc && (most == 0 || r->packets < most) && av_read_frame(r->format, packet) >= 0) {
		if (packet->stream_index == stream->index) {
			r->packets++;
			rc = take(r, packet, err);
		}
		av_packet_unref(packet);
		if (video_stopped(&r->v->options))
			rc = e3_fail(err, "reading: %s: interrupted", r->v->options.input);
	}
	return rc;
}

static int by_time(const void *a, const void *b)
{
	const picture *x = a, *y = b;
	if (x->part != y->part)
		return x->part < y->part ? -1 : 1;
	return (x->pts > y->pts) - (x->pts < y->pts);
}

/* Puts the pictures into the order of presentation and dates them. */
static int arrange(reading *r, e3_err *err)
{
	video_tally *t = r->out;
	video_times times = r->v->times;
	t->frames = (int64_t)r->n, t->parts = r->part + 1;
	if (r->n == 0 || !r->timed) {
		t->n_starts = 0;
		return 0;
	}
	t->ticks = e3_alloc(r->n, sizeof *t->ticks, "frame times", err);
	if (!t->ticks)
		return -1;
	qsort(r->list, r->n, sizeof *r->list, by_time);
	for (size_t k = 0; k < r->n; k++) {
		t->ticks[k] = video_times_add(&times, r->list[k].pts);
		if (r->list[k].start)
			t->starts[r->list[k].start - 1].index = (int64_t)k, t->starts[r->list[k].start - 1].tick = t->ticks[k];
	}
	return 0;
}

int video_tally_read(e3_video *v, int64_t most, bool probe, video_tally *out, e3_err *err)
{
	video_reader reader;
	*out = (video_tally){.frames = -1};
	reading r = {.v = v, .out = out, .dts = AV_NOPTS_VALUE, .timed = true, .key_pts = AV_NOPTS_VALUE};
	AVPacket *packet = av_packet_alloc();
	int rc = packet ? video_format_open(v, &reader, probe, &r.format, err)
					: e3_fail(err, "reading: %s: out of memory", v->options.input);
	if (!rc && v->stream->index < (int)r.format->nb_streams) {
		r.units = video_units_open(r.format->streams[v->stream->index]->codecpar);
		rc = r.units ? read_packets(&r, packet, most, err)
					 : e3_fail(err, "reading: %s: out of memory", v->options.input);
	}
	if (!rc)
		rc = arrange(&r, err);
	video_units_close(r.units);
	av_packet_free(&packet);
	video_format_close(&r.format);
	free(r.list);
	if (rc)
		video_tally_release(out);
	return rc;
}

void video_tally_release(video_tally *t)
{
	free(t->ticks), free(t->starts);
	*t = (video_tally){.frames = -1};
}
