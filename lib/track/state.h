/* track: what the parts of a saved chain are made of. Private to this layer. */
#ifndef E3_TRACK_STATE_H
#define E3_TRACK_STATE_H

#include "e3/saved.h"
#include "track.h"

/* A part of the chain's state, with a name and a version of its own: a row of the table in state.c. */
typedef struct e3_track_part {
	char name[16];
	uint32_t version;
	bool (*has)(const e3_track *t);
	int (*save)(const e3_track *t, e3_saved_out *to, e3_err *err); /* the same each time that it is called */
	/* Refuses what the chain cannot be. Before memory for what follows is allocated, its size is compared with what is
	 * left (e3_saved_left). */
	int (*load)(e3_track *t, e3_saved_file *from, e3_err *err);
} e3_track_part;

/* Little-endian, one after the other. */
int e3_put_ints(e3_saved_out *to, const int64_t *v, size_t n, e3_err *err);
int e3_put_doubles(e3_saved_out *to, const double *v, size_t n, e3_err *err);
int e3_put_similarity(e3_saved_out *to, const e3_similarity *v, e3_err *err);
int e3_put_view(e3_saved_out *to, const e3_view *v, e3_err *err);
int e3_get_ints(e3_saved_file *from, int64_t *v, size_t n, e3_err *err);
/* Refuses those that are not finite. */
int e3_get_doubles(e3_saved_file *from, double *v, size_t n, e3_err *err);
/* Refuses a scale that is not positive. */
int e3_get_similarity(e3_saved_file *from, e3_similarity *v, e3_err *err);
/* *v is empty, or holds a view that is replaced. Refuses a grid that is not one of the session's pictures. */
int e3_get_view(e3_saved_file *from, e3_view *v, e3_err *err);

/* state_loops.c: what the loops know, and a trial that is under way. */
bool e3_has_loops(const e3_track *t);
int e3_save_loops(const e3_track *t, e3_saved_out *to, e3_err *err);
int e3_load_loops(e3_track *t, e3_saved_file *from, e3_err *err);
/* Frames of a trial that the side has seen; 0 when there is none. */
int e3_trial_frames(const e3_track *t);

#endif
