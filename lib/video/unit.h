/* video: private: what one packet of a video holds, by its own bytes. The marks that containers set are often wrong. */
#ifndef E3_VIDEO_UNIT_H
#define E3_VIDEO_UNIT_H

#include <libavcodec/avcodec.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct video_unit {
	bool start;  /* proven: a decoder that begins here shows, from this picture's time on, what reading through shows */
	bool begins; /* a start, or what the container or the stream calls a key frame */
	bool leading; /* refers to pictures before the one that decoding began with: not shown then */
	bool closed;  /* what is decoded after it and shown before it needs nothing that came earlier */
	int shown;    /* pictures that a decoder makes of it */
	int field;    /* it holds a single field: 1 the top one, 2 the bottom one; 0: whole pictures */
	bool odd;     /* damaged or unusual: the number of pictures is a guess */
} video_unit;

/* The codecs that are taken apart; of others the container's marks are believed, and no start is proven. */
typedef struct video_units video_units;

/* NULL when memory runs out. Packets are given in the order of decoding, from the first one on. */
video_units *video_units_open(const AVCodecParameters *par);
void video_units_close(video_units *u);
/* `from_here`: decoding began with this packet or begins now: pictures that lead it are not shown. */
video_unit video_unit_of(video_units *u, const AVPacket *p, bool from_here);

#endif
