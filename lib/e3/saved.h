/* model: saving a session in a file and resuming it: e3-cache(5).
 *
 * A resumed session gives, frame by frame, the bits that the saved one would have given: slots keep their order, scores
 * and the camera head's memory are saved, the plan is the same. That holds on the same kind of device. Another device
 * that keeps keys and values in the same type can resume the file too; its results are as accurate, but not bit for bit
 * the same. Files are written and read piece by piece: there is no second copy of the cache in memory.
 */
#ifndef E3_SAVED_H
#define E3_SAVED_H

#include "e3/infer.h"

/* The newest. A file is written in the lowest version that has all that it says: older programs read it, or refuse it.
 */
#define E3_SAVED_VERSION 4

/* Where in its stream a session stands. The session itself does not know: the caller keeps this, saves it with the
 * session and gets it back. */
typedef struct e3_stream_position {
	int64_t first_i, last_i; /* indices in the output of the first and the last frame that it saw */
	double last_pts;
	int64_t earlier; /* frames of the stream before the first one of the session's past: those of earlier segments */
	int64_t overlap; /* frames that two segments share (e3/track.h); 0: none */
	int64_t places;  /* that are remembered for finding loops; 0: no loops */
	int64_t shift_i; /* the indices and times in the output minus those in the source */
	double shift_pts;
	uint32_t first_crc, last_crc; /* e3_picture_crc of what the network saw of them */
	int64_t truths;               /* messages of ground truth and masks of last_i that were forwarded */
	int fit;          /* how pictures were brought to the network's size: the caller's numbering, 0 to 255 */
	char source[256]; /* what the stream was read from, truncated if it is longer */
} e3_stream_position;

/* What a file has of a past of the session (e3/infer.h). */
typedef struct e3_saved_past {
	int64_t t;                                           /* frames seen: of the main past at least 1 */
	int64_t keys;                                        /* of them those that were kept: key frames */
	int start;                                           /* of them those that the past began with, together */
	uint32_t slots[E3_MAX_LAYERS], holes[E3_MAX_LAYERS]; /* of each layer */
	int camera_keys;                                     /* in each cache of the camera head */
} e3_saved_past;

/* The header of a file. */
typedef struct e3_saved {
	char model[128], device[64];
	uint64_t fingerprint;
	e3_infer_options o;   /* those of the cache; without `attn` and `frozen`; outputs: pose or nothing */
	int size[2];          /* rows, columns of the network's picture */
	uint64_t peak_tokens; /* the most over all layers */
	int layers, heads, head_dim, tokens_per_frame;
	e3_saved_past past[2];                            /* of the main stream; beside it, if that has seen a frame */
	int camera_caches, camera_heads, camera_head_dim; /* 0 when poses were not asked for */
	int camera_frames;                                /* that each has room for */
	int banks, bank_numbers; /* of a policy that evicts whole frames: sets of frames in each past, and how many numbers
								describe a frame */
	uint64_t extra;          /* bytes of the caller's */
	e3_dtype packed;         /* of the network's matrices: E3_I8, E3_F8; 0: not in 8 bits */
	uint32_t wide[E3_MAX_LAYERS]; /* those of them that are not: e3_net_wide */
	e3_stream_position position;
} e3_saved;

typedef struct e3_saved_file e3_saved_file;

uint32_t e3_picture_crc(const uint8_t *rgb, int w, int h);

/* Bytes of the caller's own, which the file carries unread. `write` puts them out piece by piece; it is called twice,
 * and puts out the same both times. */
typedef struct e3_saved_out e3_saved_out;
typedef struct e3_saved_extra {
	int (*write)(void *ctx, e3_saved_out *to, e3_err *err);
	void *ctx;
} e3_saved_extra;
int e3_saved_put(e3_saved_out *to, const void *bytes, size_t n, e3_err *err);
/* How many bytes it puts out. */
int e3_saved_extra_bytes(const e3_saved_extra *extra, uint64_t *n, e3_err *err);
#define E3_SAVED_EXTRA_MOST ((uint64_t)1 << 32)

/* Call it between steps, for a session that has seen a frame and is not frozen. `extra` may be NULL. The file replaces
 * an older one only when it is complete and on disk. */
int e3_session_save(e3_session *s, const e3_stream_position *position, const e3_saved_extra *extra, const char *path,
	e3_err *err);

/* Reads the header. Refuses other versions, damage, and files that are shorter or longer than the header says. */
e3_saved_file *e3_saved_open(const char *path, e3_err *err);
/* The same from bytes in memory, which must stay valid until the file is closed. */
e3_saved_file *e3_saved_memory(const void *bytes, size_t n, e3_err *err);
void e3_saved_close(e3_saved_file *file);
const e3_saved *e3_saved_head(const e3_saved_file *file);
/* Frames of the stream that the session has seen, of earlier segments too. */
int64_t e3_saved_seen(const e3_saved *x);

/* Refuses a file of another network, of one whose matrices are kept in other types, or with a type of keys and values
 * that the device does not have; the error names both. An error names a setting in quotes: 'device', 'precision'. */
int e3_saved_fits(const e3_saved_file *file, const e3_net *net, const e3_dev *dev, e3_err *err);
/* Opens a session where the saved one stood; once for each file. `o` is what the file says. It may ask for other
 * reports and other 'outputs' (but for no poses if the file has no camera memory), and may be frozen. With another
 * budget the results are not those of the saved session: if the budget is less than the cache holds, the surplus is
 * evicted after the next frame, and its memory is used until then. Without a `side` that of the file is left out. */
e3_session *e3_session_resume(const e3_net *net, e3_dev *dev, const e3_infer_options *o, e3_saved_file *file,
	e3_err *err);
/* After that: the next n bytes of the caller's own; -1 when there are not so many left. */
int e3_saved_get(e3_saved_file *file, void *to, size_t n, e3_err *err);
uint64_t e3_saved_left(const e3_saved_file *file);

#endif
