/* view: a run inside the store. */
#ifndef VIEW_RUN_H
#define VIEW_RUN_H

#include "e3/thread.h"
#include "view/kept.h"
#include "view/record.h"
#include "view/rows.h"
#include "view/sample.h"
#include "view/shelf.h"
#include <pthread.h>
#include <stdatomic.h>

/* What is on disk for each frame: its record, and where its message lies in a recording. */
typedef struct view_row {
	uint8_t record[VIEW_FRAME_BYTES];
	uint32_t kind; /* E3_FRAME or E3_PRED */
	uint64_t at, len;
} view_row;

/* A frame that came, as far as it is made. */
typedef struct view_making {
	bool is;
	view_frame frame;
	e3_buf part[VIEW_PARTS]; /* bodies */
	view_chunk chunk;
	uint32_t kind;
	uint64_t at, len;
} view_making;

/* Corrections in the order in which they came; those before `base` were replaced. */
typedef struct view_corrections {
	e3_corrections now;
	e3_correction *log;
	size_t n, room;
	int64_t base;
} view_corrections;

/* What was made of a recording, the one not used for longest goes first. */
typedef struct view_made {
	view_making frame;
	uint32_t n;
	uint64_t used;
} view_made;

enum { VIEW_RATE = 16 /* frames that the rate is taken of */ };

typedef struct view_run {
	int number;
	bool begun, headed, fed;
	int fd; /* of a recording; -1 */
	char *name;
	e3_head head;
	e3_view_state state;
	char reason[1024];

	/* by the thread that feeds, or goes through the file */
	view_making making;
	view_sampler sampler;
	view_merge merge;
	view_kept kept;
	bool has_kept, any_kept;
	e3_pred pred;
	e3_frame frame;
	e3_evict evict;
	e3_buf small;

	/* under the store's lock */
	view_rows rows;
	view_shelf shelf;
	view_corrections corrections;
	double confidence[2]; /* {0, 0}: not known */
	int64_t frames, known_kept, dropped;
	double came[VIEW_RATE];
	double ms, latency;
	int64_t tokens; /* after the newest frame; -1: not known */

	/* of a recording */
	e3_thread thread;
	atomic_bool quit;
	bool indexed;
	pthread_mutex_t reading; /* of what follows */
	view_made *made;
	size_t n_made, room_made;
	int64_t made_bytes, chunk_limit;
	uint64_t clock;
	view_sampler made_sampler;
	view_merge made_merge;
	e3_pred made_pred;
	e3_frame made_frame;
	uint8_t *message;
	size_t message_room;
} view_run;

struct e3_view_store {
	e3_view_options o;
	char epoch[17];
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t changes, hello_changes;
	view_run run[E3_VIEW_RUNS];
};

/* --- store.c --- */

/* The share of a limit that one run has. */
int64_t view_share(const e3_view_store *v, int64_t limit);
void view_change(e3_view_store *v, bool hello);
void view_making_release(view_making *m);

/* --- feed.c --- */

/* A run begins with its head. */
int view_begin_run(e3_view_store *v, view_run *r, const e3_msg *head, e3_err *err);
/* A prediction, or a frame where there are none; light: without its arrays. */
int view_take_pred(e3_view_store *v, view_run *r, const e3_pred *p, view_making *to, e3_err *err);
/* Record and flags of a frame are complete. */
int view_commit(e3_view_store *v, view_run *r, e3_err *err);
int view_take_evict(e3_view_store *v, view_run *r, const e3_evict *x, e3_err *err);
int view_take_correct(e3_view_store *v, view_run *r, const e3_correct *x, e3_err *err);
/* Makes pictures, maps and points. */
typedef struct view_makers {
	view_sampler *sampler;
	view_merge *merge;
	double spread;
	int64_t limit;
	double confidence[2];
	uint32_t n; /* the frame */
} view_makers;
int view_make_pred(const e3_pred *p, const view_makers *by, view_making *to, e3_err *err);
int view_make_frame(const e3_frame *f, view_making *to, e3_err *err);
void view_frame_of(const e3_pred *p, view_frame *to);

#endif
