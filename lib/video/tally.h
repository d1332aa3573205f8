/* video: private: what reading all packets tells without decoding: the pictures, their times, where decoding can start.
 */
#ifndef E3_VIDEO_TALLY_H
#define E3_VIDEO_TALLY_H

#include "internal.h"

/* A packet at which decoding can start, and how to recognize it. */
typedef struct video_start {
	int64_t pts, dts, pos;
	uint64_t hash; /* video_start_hash */
	int64_t index; /* number of its picture */
	int64_t tick;  /* its time, on a clock that goes on */
	int32_t part;  /* part of the source whose clock it has */
} video_start;

typedef struct video_tally {
	int64_t frames;      /* pictures that a decoder shows */
	int64_t *ticks;      /* [frames] ascending: their times; NULL: some have none */
	video_start *starts; /* [n_starts] by time */
	size_t n_starts;
	int64_t leading; /* pictures that lead the first key frame: not among them */
	int32_t parts;   /* parts of the source with a clock each */
	bool began;      /* there was a key frame */
	bool unusual;    /* not every packet is a frame */
	bool doubt;      /* damaged or unusual: only decoding tells the number */
} video_tally;

/* Of a packet's bytes without the zeros before them: after a seek one that belongs to a start code may come or not. */
uint64_t video_start_hash(const AVPacket *p);

/* Reads at most `most` packets of the video's stream by a reader of its own (0: all). A read error ends it, as it will
 * end the decoding. `probe`: the format needs FFmpeg's analysis to give packets their times. */
int video_tally_read(e3_video *v, int64_t most, bool probe, video_tally *out, e3_err *err);
void video_tally_release(video_tally *t);

#endif
