/* video: private: times that go on when the clock of the source starts again. */
#ifndef E3_VIDEO_TIMES_H
#define E3_VIDEO_TIMES_H

#include <stdbool.h>
#include <stdint.h>

/* Where recordings were joined, time stamps begin again or jump. Time then goes on by the duration of a frame. Ticks
 * are those of the stream; AV_NOPTS_VALUE: unknown. */
typedef struct video_times {
	int64_t slack;   /* ticks by which stamps may go back without another clock */
	int64_t longest; /* ticks that stamps may go forward; 0: any number */
	int64_t step;    /* of a frame, until it is seen */
	bool begun;
	int64_t raw, at, offset; /* the stamp of the last frame; its time; between the two */
	int64_t without;         /* frames without a stamp since then */
	int64_t restarts;        /* how often the clock changed */
} video_times;

/* The time of the next frame in order of presentation: after that of the one before it. */
int64_t video_times_add(video_times *t, int64_t raw);
/* Whether a stamp after another one is of another clock. */
bool video_times_jump(const video_times *t, int64_t before, int64_t after);

#endif
