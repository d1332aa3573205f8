/* e3-decode: what its files share: the options, where frames go, and data sets. */
#ifndef E3_DECODE_H
#define E3_DECODE_H

#include "e3/input.h"
#include "e3/io.h"
#include "e3/sets.h"
#include "e3/stage.h"

/* --- options.c --- */

typedef struct set_request {
	e3_set_options set;
	const char *sequence; /* pattern; NULL: all */
	int64_t repeat;       /* how often a sequence is sent */
	bool list, json;      /* only say what is there */
} set_request;

typedef struct decode_options {
	e3_stage stage;     /* its output: an endpoint; NULL: not given */
	const char *png;    /* folder for pictures, or NULL */
	const char *images; /* folder for the pictures that were sent, at source size; or NULL */
	e3_fit_rule fit;    /* how frames are resized; target 0: not at all */
	e3_input_options input;
	bool from_set; /* read a data set instead of `input` */
	set_request request;
} decode_options;

/* Ends the tool on a usage error. The options stay valid until the tool ends. */
decode_options *options_parse(int argc, char **argv);
/* Files that an output may not be: claims.c. */
void options_claim_inputs(const e3_input_options *in);
/* Refuses options that mean nothing for this kind of live source. */
int options_check_live(const decode_options *o, e3_err *err);

/* --- writer.c: files of pictures, written by threads --- */

typedef struct picture_writer picture_writer;

picture_writer *writer_open(e3_err *err);
/* Both return when the picture waits to be written. A failure is reported by a later call. */
int writer_png(picture_writer *w, const char *to, const e3_image *im, e3_err *err);
int writer_copy(picture_writer *w, const char *to, const char *from, size_t length, e3_err *err);
/* Waits until all are written. NULL is fine. */
int writer_close(picture_writer *w, e3_err *err);

/* --- images.c: names of pictures; the folder of those that were sent --- */

typedef struct images images;

/* dir: NULL, or an empty folder, which is made. exif: pictures are turned as EXIF says. The writer is borrowed. */
images *images_open(const char *dir, bool exif, picture_writer *writer, e3_err *err);
void images_close(images *s);
/* Names a picture that was read from `path` (NULL: frame src_i of a video or pipe) and writes it to the folder.
 * *name: ours, NULL when it has none. */
int images_add(images *s, const e3_image *im, const char *path, int64_t src_i, const char **name, e3_err *err);

/* --- sink.c: frames to the stream, to pictures in a folder, or to both --- */

typedef struct sink {
	const decode_options *o;
	e3_stage *stage;  /* without an open output: no stream */
	const char *name; /* of the source, for messages */
	e3_file table;    /* DIR/frames.tsv */
	int64_t listed;   /* pictures in the table of an earlier run */
	picture_writer *writer;
	images *images;
	const char *picture; /* the file that the next frame was read from; NULL: none */
	bool begun;          /* the head was written */
	bool lost;           /* a live source was lost: what was sent is whole, and the tool fails */
	int64_t total, sent, skipped, left_out;
	double first_pts, last_pts;
	bool cut;          /* said that pictures lose rows */
	e3_fitter *fitter; /* opened when it is needed */
	e3_image fitted;
} sink;

int sink_open(sink *s, decode_options *o, e3_err *err);
/* total: frames that will come, -1: unknown; fps: of the stream, 0: unknown. */
int sink_head(sink *s, int64_t total, double fps, e3_err *err);
/* A picture that is upright; `at` has its time, its number in the source and its rotation. */
int sink_frame(sink *s, const e3_image *im, e3_source at, bool key, e3_err *err);
/* Ends the stream and commits the table, or passes the failure (rc -1) on to the stages downstream. */
int sink_close(sink *s, int rc, e3_err *err);

/* --- set.c: sequences of a data set --- */

/* Lists them, or sends one stream for each. */
int set_run(decode_options *o, e3_err *err);

#endif
