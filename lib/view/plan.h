/* view: what one client is sent next. There is no queue of its own for a client: it has counters, and two bytes for
 * each frame that say what it was sent already, so one that reads slowly, or not at all, costs nothing more.
 *
 * In this order: frame records, all of them, in theirs; corrections; pictures and what the cache holds of the frame
 * that is looked at (the newest of a live run), and the first points of it; pictures of other frames that are shown
 * beside it; the first points of every other frame, spread over the run; then more points of all. Of every
 * VIEW_PLAN_ROW bytes of frame records in a row one other record goes between, so that a long run does not keep a
 * client waiting for its first picture.
 */
#ifndef VIEW_PLAN_H
#define VIEW_PLAN_H

#include "view/ask.h"
#include "view/store.h"

enum {
	VIEW_PLAN_ROW = 32 << 10,
	VIEW_PIECE = 1024,          /* points of a frame come in pieces: so many, as many again, twice as many, ... */
	VIEW_PIECE_MOST = 32 << 10, /* up to so many at once */
};

/* Where records come from; the store, or a test. As the functions of view/store.h. */
typedef struct view_source {
	void *of;
	int64_t (*frames)(void *of, int run);
	int64_t (*kept)(void *of, int run);
	int64_t (*corrections)(void *of, int run);
	int (*get)(void *of, const e3_view_key *key, e3_buf *out, e3_err *err);
} view_source;

view_source view_source_of(e3_view_store *v);

/* Of one run: what was sent. */
typedef struct view_track {
	int64_t frames, corrections; /* so many */
	uint8_t *flags;              /* [frames] bits of E3_VIEW_PICTURE ... E3_VIEW_KEPT: sent, or there is none */
	uint8_t *pieces;             /* [frames] of its points; 255: all */
	size_t flags_room, pieces_room;
	int deepest;          /* the most pieces that a frame has had which has more */
	int64_t from, to, at; /* as in view_ask; -1: not said */
	int64_t look, also[VIEW_ALSO_MOST];
	int n_also;
} view_track;

typedef struct view_plan {
	view_source source;
	view_track run[E3_VIEW_RUNS];
	int64_t points;  /* the most that the client wants */
	int turn;        /* the run that is asked first */
	size_t row;      /* bytes of frame records since the last other record */
	bool unfinished; /* view_plan_next looked for long and found none: it is to be called again */
} view_plan;

void view_plan_init(view_plan *p, view_source source);
void view_plan_release(view_plan *p);
void view_plan_want(view_plan *p, const view_ask *ask);

/* Appends the next record, with seq 0: 1; 0: there is nothing to send now; -1. */
int view_plan_next(view_plan *p, e3_buf *out, e3_err *err);

/* The first point of piece k, from 0, and how many the piece has. */
int64_t view_piece_at(int k);
int64_t view_piece_points(int k);

#endif
