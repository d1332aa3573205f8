/* e3-scene: the scene as a data set on disk instead of a stream. */
#ifndef E3_SCENE_AS_H
#define E3_SCENE_AS_H

#include "e3/scene.h"
#include "e3/sets.h"

typedef struct scene_as {
	int set; /* e3_set_id; -1: a stream is wanted */
	const char *dir;
	const char *sequence; /* NULL: the usual one */
	int64_t start;
	double fps;
} scene_as;

/* Sets metres, the data set's size (where *o has none) and its camera. */
void scene_as_complete(const scene_as *as, e3_scene_options *o);
/* Renders and writes all frames. */
int scene_as_run(const scene_as *as, const e3_scene_options *o, e3_err *err);

#endif
