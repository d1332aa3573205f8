/* video: when the frames of a live source were taken: the source's clock, which counts evenly but from anywhere,
 * brought to ours.
 *
 * A frame's time stamp plus an offset is when it was taken; the offset is the smallest (arrival - time stamp) of the
 * last 10 to 20 seconds: of the packets that waited least on their way. So times are even although packets arrive in
 * bursts, and a source whose clock drifts is followed. What the fastest packet took is not seen and missing in a
 * latency.
 */
#ifndef E3_VIDEO_CLOCK_H
#define E3_VIDEO_CLOCK_H

#include <stdbool.h>

/* Seconds throughout, on e3_now's clock where not said otherwise. Zero-initialised is ready. */
typedef struct video_clock {
	bool has;              /* offsets are known */
	double least, before;  /* offset in this window, in the window before */
	double window;         /* when this window began */
	double stamp, arrival; /* of the last frame */
	double origin, last;   /* times of the first frame and of the last */
	bool begun;
} video_clock;

/* When the frame was taken: after the last one always, never after `arrival`, except to keep that order. `stamp`: its
 * time by the source's clock, NaN when there is none (then it was taken on arrival). `same`: stamps are on our clock
 * already if they can be. */
double video_clock_taken(video_clock *c, double stamp, double arrival, bool same);
/* The source was connected anew: its clock may be another one. */
void video_clock_renew(video_clock *c);

#endif
