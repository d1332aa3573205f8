/* video: when the frames of a live source were taken, on our clock; the source's clock counts evenly from an unknown
 * origin.
 *
 * A frame was taken at its time stamp plus an offset: the smallest (arrival - time stamp) of the last 10 to 20 seconds,
 * which is that of the packets that waited least on their way. So times are even although packets arrive in bursts, and
 * a source whose clock drifts is followed. The travel time of the fastest packet is unknown and not part of a latency.
 */
#ifndef E3_VIDEO_CLOCK_H
#define E3_VIDEO_CLOCK_H

#include <stdbool.h>

/* Seconds on e3_now's clock unless stated otherwise. Zero-initialised is ready. */
typedef struct video_clock {
	bool has;              /* offsets are known */
	double least, before;  /* offset in this window, in the window before */
	double window;         /* when this window began */
	double stamp, arrival; /* of the last frame */
	double origin, last;   /* times of the first frame and of the last */
	bool begun;
} video_clock;

/* When the frame was taken: always after the one before it, and not after `arrival` unless that order requires it.
 * `stamp`: its time by the source's clock; NaN: none, it is dated on arrival. `same`: the stamp is taken as a time on
 * our clock if it may be one. */
double video_clock_taken(video_clock *c, double stamp, double arrival, bool same);
/* The source was connected again: its clock may be another one. */
void video_clock_renew(video_clock *c);

#endif
