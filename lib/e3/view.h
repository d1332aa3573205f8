/* view: a run, or two, as what a page in a browser shows of it (e3-view(5)).
 *
 * A store is filled by a stream while it arrives (e3_view_feed), or stands for a recording, which it reads where it is
 * asked to (e3_view_recording). What it holds of a stream is bounded: frame records lie in a nameless temporary file,
 * points, pictures and what the cache held in memory within the limits below, thinned evenly over the whole run when
 * they are reached.
 */
#ifndef E3_VIEW_H
#define E3_VIEW_H

#include "e3/err.h"
#include "e3/io.h"
#include "e3/mem.h"
#include "e3/stream.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct e3_view_store e3_view_store;

enum { E3_VIEW_RUNS = 2 };

/* Zero: the default. */
typedef struct e3_view_options {
	int64_t points; /* held for all runs together: 10,000,000, of 10 bytes each */
	int64_t bytes;  /* of pictures, depth, confidence and kept patches, all runs together: 256 MiB */
	int64_t chunk;  /* points of one frame, at most: 20,000 */
} e3_view_options;

e3_view_store *e3_view_open(const e3_view_options *o, e3_err *err);
/* No other call may be in progress. NULL is fine. */
void e3_view_close(e3_view_store *v);

/* Run 0 or 1: the next message of its stream, as e3_in_next hands it out. From one thread for each run; encodes, so it
 * takes some milliseconds a frame. Kinds that a page shows nothing of are skipped. -1: the message is damaged, or there
 * is no room; the store stays as it was, and the next message may be fed. */
int e3_view_feed(e3_view_store *v, int run, const e3_msg *msg, e3_err *err);
/* What is left of a message when there is no time for it: 1 and the same message without its large arrays in *out,
 * to be fed in its place: a frame keeps its record, and loses picture, depth, confidence and points. 0: feed it as it
 * is. */
int e3_view_lighten(const e3_msg *msg, e3_buf *out, e3_err *err);
/* The stream of a run is over. failed: why it failed; NULL: it ended well. */
void e3_view_ended(e3_view_store *v, int run, const char *failed);

/* Run 0 or 1 is the recording `path`, a regular file. Returns once its head is read; a thread goes through the file
 * from message to message, without reading pictures and arrays, so that e3_view_frames grows as it does of a stream. A
 * file that is damaged or cut short ends with a reason, as a stream that failed. */
int e3_view_recording(e3_view_store *v, int run, const char *path, e3_err *err);
/* Waits until the whole file was gone through; not 0 when stop() said so first (may be NULL). */
int e3_view_indexed(e3_view_store *v, int run, int (*stop)(void));

/* For a page in one file, which a browser holds whole: the limits of its store. */
enum { E3_VIEW_HTML_POINTS = 1000000, E3_VIEW_HTML_BYTES = 24 << 20 };

/* The page with all that the store holds inside, to an open file, which the caller commits: shown from anywhere,
 * without a server. Meant for runs that were fed. stop: not 0 ends it with "interrupted"; may be NULL. */
int e3_view_html(e3_view_store *v, e3_file *to, int (*stop)(void), e3_err *err);

#endif
