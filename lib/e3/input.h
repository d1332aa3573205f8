/* video: any input as one sequence of upright RGB frames: pictures in files and folders, pictures on a pipe, a video, a
 * live source. Decides which of these an input is, which frames are kept, and what they are dated.
 *
 * What happens on the way (a frame rate that varies, damage, a connection lost) is told through e3_tell.
 */
#ifndef E3_INPUT_H
#define E3_INPUT_H

#include "e3/data.h"
#include "e3/live.h"
#include "e3/video.h"

/* Which frames are wanted. Without `every`, `step` and `all`: all pictures, every 0.5 s of a video, all
 * that the reader has time for of a live source. */
typedef struct e3_frame_choice {
	double every;       /* seconds; 0: not given */
	int64_t step;       /* every Nth frame; 0: not given */
	bool all;           /* every frame */
	bool by_time;       /* `every` by time stamps; else by counting frames at the frame rate, as the reference does */
	bool first;         /* the first frame too */
	bool sharpest;      /* of each interval the sharpest frame, instead of the one that the rule names */
	double start, end;  /* seconds; INFINITY: no end */
	int64_t max_frames; /* 0: no limit */
	double fps;         /* frame rate for `every` and times of pictures; 0: as the source states it */
	e3_fps_source rate; /* which of the rates that the source states */
} e3_frame_choice;

typedef enum e3_live_mode {
	E3_LIVE_AUTO,   /* cameras and network streams are live: as LATEST */
	E3_LIVE_LATEST, /* the newest frame when the reader is ready; older ones are skipped */
	E3_LIVE_ALL,    /* every frame: the source waits for the reader */
	E3_LIVE_OFF     /* read like a file */
} e3_live_mode;

typedef struct e3_input_options {
	char **operand; /* [n] one video or live source, "-" (standard input), or pictures and folders of pictures */
	int n;
	bool lexical; /* sort folders by bytes instead of naturally, 2 before 10 */
	e3_frame_choice choice;
	e3_live_mode live;
	int w, h;               /* of a camera's pictures; 0: its choice */
	double rate;            /* frames per second of a camera; 0: its choice */
	const char *pixfmt;     /* of a camera; NULL: its choice */
	double reconnect;       /* seconds until a lost live source is given up; < 0: the default for its kind */
	double stall;           /* seconds without data until a source counts as lost; < 0: the default; 0: never */
	const char *const *set; /* [n_set] "key=value" for FFmpeg's demuxer and protocol */
	int n_set;
	bool spool;          /* copy a piped video to a temporary file first, so that its frames can be counted */
	uint64_t spool_max;  /* bytes that such a copy may have */
	int stream, threads; /* as in e3_video_options; threads >= 1 */
	bool autorotate;     /* turn videos by their display matrix */
	bool upstream;       /* 16-bit grey PNG as the reference reads it */
	bool exif;           /* turn pictures by their EXIF orientation */
	bool tonemap;        /* videos of HDR and wide gamuts become SDR of BT.709 */
	bool square;         /* pixels of videos that are not square become so, in width */
	e3_matrix matrix;
	bool strict;       /* damage that can be left out (a picture among others) is an error */
	int (*stop)(void); /* not 0: end; asked while waiting too */
} e3_input_options;

typedef struct e3_input e3_input;

/* Whether the input will be read as a live source. */
bool e3_input_is_live(const e3_input_options *o);
/* The name of the first operand for messages. */
const char *e3_input_name(const e3_input_options *o);

/* The texts and operands in the options are borrowed until the input is closed. */
e3_input *e3_input_open(const e3_input_options *o, e3_err *err);
int64_t e3_input_frames(const e3_input *in);   /* that e3_input_next will give; -1: unknown */
double e3_input_fps(const e3_input *in);       /* of these frames; 0: unknown */
int64_t e3_input_skipped(e3_input *in);        /* frames of a live source that a newer one replaced */
int64_t e3_input_left_out(const e3_input *in); /* damaged pictures so far that e3_input_frames counts */
/* The next frame that is kept: 1; 0 at the end, or when stop() says so; -1. After -1 of a live source what it gave
 * before is whole: the source was lost. *im is reused. *at receives time, number in the source and rotation. */
int e3_input_next(e3_input *in, e3_image *im, e3_source *at, bool *key, e3_err *err);
/* The file that the picture given last was read from; NULL: a video or a pipe. The input owns it. */
const char *e3_input_picture(const e3_input *in);
/* Reports skipped frames, lost connections and damage, and frees. NULL is fine. */
void e3_input_close(e3_input *in);

/* --- list.c: pictures in files and folders --- */

typedef struct e3_picture_list {
	char **path; /* [n] in order */
	size_t n;
} e3_picture_list;

/* Files and folders to paths of pictures. One operand that is no picture gives an empty list: it may be a video.
 * Several operands must all be pictures or folders. Operands are recognized by their first bytes, files in folders by
 * their names. Folders are sorted naturally: runs of digits by their value, letters without regard to case, all else by
 * bytes; or by bytes alone. */
int e3_pictures_expand(char *const *operand, int n, bool lexical, e3_picture_list *out, e3_err *err);
void e3_pictures_release(e3_picture_list *list);

#endif
