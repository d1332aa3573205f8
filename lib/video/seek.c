/* video: starting in the middle: only where it is proven that the same frames come as when reading from the beginning.
 *
 * The place is one that the bytes prove (unit.h). After a seek the packet is recognized by its time stamps, its place
 * and its bytes (the same recording may come twice), and its picture must be the first that counts. Where anything
 * differs, decoding begins at the first packet.
 */
#include "e3/num.h"
#include "tally.h"

/* The last place whose picture is not shown after `tick`; NULL: there is none but the beginning. */
static const video_start *choose(const e3_video *v, int64_t tick)
{
	const video_start *best = NULL;
	for (size_t k = 0; k < v->tally->n_starts; k++) {
		const video_start *s = &v->tally->starts[k];
		if (s->tick <= tick && (!best || s->tick > best->tick))
			best = s;
	}
	return best && best->index > 0 ? best : NULL;
}

static bool is_packet(const AVPacket *p, const video_start *s)
{
	return p->pts == s->pts && p->dts == s->dts && p->pos == s->pos && video_start_hash(p) == s->hash;
}

static bool seeks_by_bytes(const e3_video *v)
{
	int flags = v->format->iformat->flags;
	return (flags & AVFMT_TS_DISCONT) && !(flags & AVFMT_NO_BYTE_SEEK);
}

static int jump(e3_video *v, const video_start *s)
{
	if (seeks_by_bytes(v) && s->pos >= 0)
		return av_seek_frame(v->format, -1, s->pos, AVSEEK_FLAG_BYTE);
	int64_t at = s->dts != AV_NOPTS_VALUE && s->dts < s->pts ? s->dts : s->pts;
	return av_seek_frame(v->format, v->stream->index, at, AVSEEK_FLAG_BACKWARD);
}

/* Reads up to the packet, which stays in v->packet to be decoded next. */
static bool find(e3_video *v, const video_start *s)
{
	enum { MOST = 5000 }; /* packets from where the seek led to the place */
	for (int k = 0; k < MOST && !video_stopped(&v->options);) {
		video_expect(v);
		if (av_read_frame(v->format, v->packet) < 0)
			return false;
		bool ours = v->packet->stream_index == v->stream->index;
		if (ours && is_packet(v->packet, s))
			return true;
		k += ours;
		av_packet_unref(v->packet);
	}
	return false;
}

/* Decodes up to the picture of the place: pictures before it lead it. */
static int meet(e3_video *v, const video_start *s, e3_err *err)
{
	int rc;
	do
		rc = video_decode(v, err);
	while (rc > 0 && v->raw < s->pts);
	if (rc > 0 && v->raw == s->pts) {
		video_dated_as(v, s->index, s->tick);
		return 1;
	}
	return rc < 0 ? -1 : 0;
}

int e3_video_seek(e3_video *v, double pts, bool *sought, e3_err *err)
{
	*sought = false;
	/* Where times come twice, an index by time leads astray. */
	bool twice = v->tally && v->tally->parts > 1 && !seeks_by_bytes(v);
	if (!v->ticks || !v->tally || v->tally->doubt || twice)
		return 0;
	const video_start *s = choose(v, v->ticks[0] + (int64_t)((pts + 1e-6) / av_q2d(v->stream->time_base)));
	if (!s)
		return 0;
	bool found = jump(v, s) >= 0;
	avcodec_flush_buffers(v->codec);
	found = found && find(v, s);
	if (found) {
		v->packets = -1; /* no longer comparable with the index */
		v->began = v->waits = true;
		found = meet(v, s, NULL) > 0;
	}
	v->errors = 0;
	if (found) {
		*sought = v->held = true;
		return 0;
	}
	return video_restart(v, err);
}
