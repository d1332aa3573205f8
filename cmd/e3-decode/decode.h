/* e3-decode: private to cmd/e3-decode*.c. */
#ifndef E3_DECODE_H
#define E3_DECODE_H

#include "e3/data.h"
#include "e3/image.h"
#include "e3/io.h"
#include "e3/live.h"
#include "e3/stage.h"
#include "e3/video.h"

enum { LIVE_AUTO, LIVE_LATEST, LIVE_ALL, LIVE_OFF, MAX_SETTINGS = 32 };

typedef struct decode_options {
	double every; /* seconds; < 0: not given */
	int64_t step; /* 0: not given */
	bool all, first;
	int sampling; /* 0 count, 1 time */
	double start, end;
	int64_t max_frames;
	double fps; /* 0: as the source says */
	int fps_source, matrix, fit_mode;
	int live;    /* LIVE_AUTO ... */
	int size[2]; /* --size: width and height; 0: the camera's choice */
	double rate; /* --rate; 0: the same */
	const char *pixfmt;
	const char *set[MAX_SETTINGS]; /* --input-option */
	int n_set;
	double reconnect, stall; /* seconds; < 0: not given */
	int64_t stream, threads, fit, patch, spool_max;
	bool natural, autorotate, spool;
	int compat;     /* 1: upstream */
	e3_stage stage; /* its output; NULL: not given */
	const char *png;
} decode_options;

enum { DEFAULT_PATCH = 14 };
#define DEFAULT_EVERY 0.5

/* --- where frames go: the stream, pictures in a folder --- */

typedef struct sink {
	const decode_options *o;
	const char *source, *name; /* as the head has it; as messages have it */
	e3_stage stage;            /* its output; without one: no stream */
	e3_file table;             /* DIR/frames.tsv */
	bool begun;                /* the head is out */
	bool lost;                 /* a live source went away: the stream ends properly, the tool fails */
	int64_t total, sent;
	int64_t skipped; /* of a live source: a newer one was there before they could leave */
	double started, first_pts, last_pts;
	e3_image fitted;
} sink;

int sink_open(sink *s, const decode_options *o, const char *source, e3_err *err);
/* total: frames that will come, -1 when unknown; fps: of the stream, 0 when unknown. */
int sink_head(sink *s, int64_t total, double fps, e3_err *err);
/* The picture upright, with pts, src_i and rot of the source filled. */
int sink_frame(sink *s, const e3_image *im, e3_source at, bool key, e3_err *err);
int sink_end(sink *s, e3_err *err);
void sink_abort(sink *s, e3_err *why);

/* --- what is read --- */

typedef struct input_list {
	char **path; /* pictures, in order; none: one video */
	size_t n;
} input_list;

/* Operands to pictures: files, folders of files. -1 also for a mixture with videos. */
int inputs_expand(char **operand, int n, bool natural, input_list *out, e3_err *err);
void inputs_release(input_list *list);

int decode_pictures(const input_list *list, sink *s, e3_err *err);
int decode_picture_stream(const uint8_t *head, size_t n_head, sink *s, e3_err *err);
int decode_video(const char *input, int fd, const uint8_t *head, size_t n_head, sink *s, e3_err *err);
int decode_stdin(sink *s, e3_err *err);
/* Whether this input is read as a live source. */
bool decode_is_live(const char *input, const decode_options *o);
/* Before the output is opened: what waits in it is no longer fresh. */
void decode_live_prepare(const char *input, decode_options *o);
/* Seconds without anything after which the input is lost; 0: never. */
double decode_timeout(const char *input, const decode_options *o);
/* -1 also when the source was lost after its first frames: then s->lost is set, and what was sent is whole. */
int decode_live(const char *input, sink *s, e3_err *err);

/* The sampling asked for, on a source of this frame rate (0 = unknown); *fps_out: of the frames kept. */
int sampling_make(const decode_options *o, bool pictures, double fps, e3_sampling *rule, double *fps_out, e3_err *err);

#endif
