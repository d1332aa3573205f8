/* view: what the server, and the writer of a file, take from the store: records of e3-view(5), by number.
 *
 * All of these may be called from any thread while a run is fed or a recording is gone through.
 */
#ifndef E3_VIEW_STORE_H
#define E3_VIEW_STORE_H

#include "e3/mem.h"
#include "e3/view.h"

/* Types of records (e3-view(5)). */
typedef enum e3_view_type {
	E3_VIEW_HELLO = 1,
	E3_VIEW_FRAME,
	E3_VIEW_PICTURE,
	E3_VIEW_DEPTH,
	E3_VIEW_CONFIDENCE,
	E3_VIEW_KEPT,
	E3_VIEW_CORRECT,
	E3_VIEW_CHUNK,
	E3_VIEW_STATUS
} e3_view_type;

enum { E3_VIEW_HEADER = 16 };

/* Runs that have begun: 0, 1 or 2. */
int e3_view_runs(e3_view_store *v);
/* Frame records that there are: 0 .. frames - 1. Grows. */
int64_t e3_view_frames(e3_view_store *v, int run);
/* Frames for which it is known what the cache held after them; of a recording fewer than frames until the records of
 * its cache are replayed. What e3_view_get answers of E3_VIEW_KEPT is final for n below this. */
int64_t e3_view_kept(e3_view_store *v, int run);
/* Corrections so far; get them by n = 0 .. count - 1 in this order. Those that newer ones replaced may be gone (0). */
int64_t e3_view_corrections(e3_view_store *v, int run);
/* Grows with every change of the counts above, of hello and of the state. */
uint64_t e3_view_changes(e3_view_store *v);
/* Grows when hello says something new (a run began, its size became known): it is sent again then, with the same epoch.
 */
uint64_t e3_view_hello_changes(e3_view_store *v);

/* The whole record, appended to *out, with seq 0; so are those of e3_view_get. */
int e3_view_hello(e3_view_store *v, e3_buf *out, e3_err *err);

typedef struct e3_view_key {
	int type, run;
	int64_t n;      /* frame; of E3_VIEW_CORRECT: number of the correction */
	int64_t offset; /* E3_VIEW_CHUNK: the first point. */
	int64_t count;  /* E3_VIEW_CHUNK: points at most, 0: all from offset on. E3_VIEW_KEPT: 0: the record of frame n,
					   which may say only what changed; 1: a full one, of n or of the last frame before that has one */
} e3_view_key;

/* 1; 0: there is none (the frame has none; it was dropped, or thinned away; of chunks: no point from offset on); -1.
 * What a recording has is read from its file, which takes some milliseconds. */
int e3_view_get(e3_view_store *v, const e3_view_key *key, e3_buf *out, e3_err *err);
/* Points of the frame, as they are now: e3_view_get gives no more. 0: none, or not yet read from a recording, for which
 * the most that it may be is returned instead. */
int64_t e3_view_points(e3_view_store *v, int run, int64_t n);

typedef enum e3_view_state { E3_VIEW_LIVE, E3_VIEW_ENDED, E3_VIEW_FAILED, E3_VIEW_RECORDING } e3_view_state;

/* What status records say of a run. */
typedef struct e3_view_facts {
	e3_view_state state;
	char reason[1024];
	int64_t frames, dropped; /* dropped: frames that came without arrays (e3_view_lighten) */
	double fps;              /* of the frames that came last; 0: unknown */
	double ms, latency;      /* of the newest frame */
	int64_t cache, budget;   /* bytes of the cache after the newest frame; -1: unknown, or none */
	int64_t points, bytes;   /* held in memory for the run */
} e3_view_facts;

void e3_view_facts_of(e3_view_store *v, int run, e3_view_facts *out);

/* Sets the seq of a record that e3_view_get made. */
void e3_view_set_seq(void *record, uint32_t seq);
/* Begins a record in *out and ends it: *at is where it begins. Between them its body is added. */
int e3_view_begin(e3_buf *out, int type, int run, uint32_t n, size_t *at, e3_err *err);
int e3_view_finish(e3_buf *out, size_t at, e3_err *err);

#endif
