/* place: what the files of lib/place share. */
#ifndef PLACE_PLACE_H
#define PLACE_PLACE_H

#include "e3/place.h"

/* A camera that was seen. */
typedef struct place_camera {
	int64_t frame;
	double time;
	double center[3], q[4]; /* world from camera */
} place_camera;

typedef struct place_found {
	bool seen;
	double at[3]; /* in the run's coordinates, as they were sent */
} place_found;

struct e3_place {
	e3_place_options o;
	e3_place_facts facts;
	place_camera *camera;
	size_t n, room;
	int64_t frames, first, last; /* seen, with or without a pose; their numbers */
	place_found *end[2];         /* [n_distances] */
};

/* distance.c */
int place_see_distances(e3_place *p, const e3_pred *pred, const e3_pose *pose, e3_err *err);
int place_solve_distances(e3_place *p, e3_place_correction *correct, void *of, e3_err *err);
/* path.c */
int place_solve_path(e3_place *p, e3_err *err);

#endif
