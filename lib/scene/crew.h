/* scene: the threads that share the rows of a frame. */
#ifndef SCENE_CREW_H
#define SCENE_CREW_H

#include "e3/err.h"

typedef struct scene_crew scene_crew;

/* threads >= 1, the caller being one of them. */
scene_crew *scene_crew_open(int threads, e3_err *err);
/* fn(ctx, task, thread) for each task from 0; returns when all are done. */
void scene_crew_run(scene_crew *crew, int tasks, void (*fn)(void *ctx, int task, int thread), void *ctx);
void scene_crew_close(scene_crew *crew);

#endif
