/* video: private to the inputs: input.c opens one of the kinds below, whose files know nothing of each other. */
#ifndef E3_VIDEO_INPUT_H
#define E3_VIDEO_INPUT_H

#include "e3/input.h"

typedef struct input_kind {
	/* As e3_input_next; *at is zeroed. */
	int (*next)(e3_input *in, e3_image *im, e3_source *at, bool *key, e3_err *err);
	/* Reports counts and warnings at the end; may be NULL. */
	void (*report)(e3_input *in);
} input_kind;

/* Bytes of standard input that were read to see what it carries. */
typedef struct input_head {
	uint8_t bytes[E3_IMAGE_HEAD];
	size_t n;
} input_head;

/* The sharpest frame of an interval so far. */
typedef struct input_best {
	bool has, ended;
	double sharpness;
	e3_video_frame frame; /* of a video */
	e3_image picture, spare;
	e3_source source;
	const char *path;
	int64_t lost; /* damaged pictures in this interval */
} input_best;

struct e3_input {
	e3_input_options o;
	const char *name; /* for messages */
	const input_kind *kind;
	int64_t total;    /* frames that will be kept; -1: unknown */
	double fps;       /* of the frames that are kept; 0: unknown */
	int64_t given;    /* frames handed out */
	int64_t left_out; /* damaged pictures, not handed out */
	int64_t known;    /* of these, before the first frame */
	bool told;        /* of an animation, or of more pictures in a file */
	int w, h;         /* of the frame handed out last; 0: none */
	bool told_size;   /* that it changes */
	e3_err damage;    /* the first of them */
	input_head head;
	e3_sampler sampler;      /* pictures, video */
	int64_t index;           /* pictures: number of the next one */
	e3_picture_list list;    /* pictures in files */
	const char *picture;     /* path of the one given last */
	bool *bad;               /* [list.n] left out before the first frame */
	e3_image_stream *stream; /* pictures on standard input */
	e3_video *video;
	bool told_cut;   /* of the video: that it ends early */
	input_best best; /* choosing the sharpest */
	e3_live *live;
	int fd; /* of a FIFO, or what `live` reads; -1: none, or standard input */
};

/* headers.c: what the headers of the pictures say, before the first is decoded. */
typedef struct headers {
	struct {
		int w, h;
		int64_t n;
		const char *first; /* path, borrowed */
	} size[4];
	int sizes;                      /* in the table, which may be full */
	int64_t kind[E3_IMAGE_RAW + 1]; /* pictures of each kind */
	uint64_t read;                  /* bytes of pictures that were read to their end */
	int64_t animated;               /* pictures of which only the first image is used */
	const char *moves;              /* the first of them */
} headers;

/* Of picture in->index: -1 when it is damaged, as far as that shows without decoding. */
int input_header_look(const e3_input *in, headers *seen, e3_err *err);
/* Different sizes, animations. */
void input_headers_report(const e3_input *in, const headers *seen);

/* Each opens `in` as its kind: fills kind, total, fps. e3_input_open frees what was opened before a failure. */
int input_open_pictures(e3_input *in, e3_err *err); /* those of in->list */
int input_open_picture_stream(e3_input *in, e3_err *err);
/* The pipe that is read: standard input or a FIFO. */
static inline int input_pipe(const e3_input *in) { return in->fd >= 0 ? in->fd : 0; }
int input_open_video(e3_input *in, int fd, e3_err *err); /* fd < 0: the first operand */
int input_open_live(e3_input *in, e3_err *err);

/* list.c: adds a copy of dir/name, or of name; sorts path[from..n) and says where the two orders differ. */
int input_list_add(e3_picture_list *list, const char *dir, const char *name, e3_err *err);
void input_list_sort(e3_picture_list *list, size_t from, const char *dir, bool lexical);
/* pattern.c: the pictures that a pattern names; none when it is no pattern of pictures. */
int input_list_pattern(e3_picture_list *list, const char *pattern, bool lexical, e3_err *err);

/* input_video.c: decodes the next frame; says at the end whether it came early. As e3_video_next. */
int input_next_decoded(e3_input *in, e3_video_frame *f, e3_err *err);
/* input_pictures.c: the time of picture in->index; reads it and turns it upright; leaves a damaged one out, or fails.
 */
double input_picture_time(const e3_input *in);
int input_load_picture(e3_input *in, const char *path, e3_image *im, e3_source *at, e3_err *err);
int input_leave_out(e3_input *in, e3_err *err);
/* sharpest.c: next functions of input_kind. */
int input_next_sharpest_file(e3_input *in, e3_image *im, e3_source *at, bool *key, e3_err *err);
int input_next_sharpest(e3_input *in, e3_image *im, e3_source *at, bool *key, e3_err *err);
/* choice.c: the rule for a source of this frame rate (0: unknown), and *kept_fps, the rate of the frames it keeps. */
int input_rule(const e3_frame_choice *c, bool pictures, double fps, e3_sampling *rule, double *kept_fps, e3_err *err);
/* choice.c: says once what becomes of pixels that are not square, of HDR and of wide gamuts. */
void input_describe_picture(const e3_input *in, const e3_video_info *i);
/* choice.c: the options that videos and live sources share. */
e3_video_options input_video_options(const e3_input *in, int fd);

#endif
