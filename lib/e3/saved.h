/* model: a session in a file, to be gone on with: e3-cache(5).
 *
 * A session that was resumed gives, frame by frame, the bits the saved one would have given: slots keep their order,
 * scores and the camera head's memory come along, the plan is the same. That holds on the same kind of device; the file
 * may be taken to another one that keeps keys and values in the same type, where results are as right but not the same
 * bits. Files are written and read piece by piece: there is no second copy of the cache in memory.
 */
#ifndef E3_SAVED_H
#define E3_SAVED_H

#include "e3/infer.h"

#define E3_SAVED_VERSION 1

/* Where in its stream a session stands. The session does not know: its owner keeps this, and gets it back. */
typedef struct e3_stream_position {
	int64_t first_i,
		last_i; /* indices of the first frame of the source it saw and of the last, as they were sent on ... */
	double last_pts;
	int64_t shift_i; /* ... which is so much more than the source says: it was not the first one */
	double shift_pts;
	uint32_t first_crc, last_crc; /* e3_picture_crc of what the network saw of them */
	int64_t truths;               /* messages of ground truth of last_i that were passed on */
	int fit;                      /* how pictures were brought to the network's size: the owner's numbering, 0 to 255 */
	char source[256];             /* what the stream was read from, cut short if need be */
} e3_stream_position;

/* What a file says of itself. */
typedef struct e3_saved {
	char model[128], device[64];
	uint64_t fingerprint;
	e3_infer_options o; /* what the cache keeps and how; `attn` and `frozen` are not in it; outputs: pose or nothing */
	int size[2];        /* rows, columns of the network's picture */
	int64_t t;          /* frames seen, at least 1 */
	uint64_t peak_tokens; /* over all layers, at the highest */
	int layers, heads, head_dim, tokens_per_frame;
	uint32_t slots[E3_MAX_LAYERS], holes[E3_MAX_LAYERS]; /* of each layer */
	int camera_caches, camera_heads, camera_head_dim;    /* 0 when poses were not asked for */
	int camera_keys, camera_frames;                      /* keys in each; frames it has room for */
	e3_stream_position position;
} e3_saved;

typedef struct e3_saved_file e3_saved_file;

uint32_t e3_picture_crc(const uint8_t *rgb, int w, int h);

/* Between steps, of a session that has seen a frame and is not frozen. The file appears under its name whole, on disk,
 * or what was there stays. */
int e3_session_save(e3_session *s, const e3_stream_position *position, const char *path, e3_err *err);

/* Reads as far as what the file says of itself. Refuses other versions, damage, files that are shorter or longer than
 * they say. */
e3_saved_file *e3_saved_open(const char *path, e3_err *err);
/* The same from bytes in memory, which must stay. */
e3_saved_file *e3_saved_memory(const void *bytes, size_t n, e3_err *err);
void e3_saved_close(e3_saved_file *file);
const e3_saved *e3_saved_head(const e3_saved_file *file);

/* Refuses a file that is of another network, or of another type of keys and values than the device has, naming both. */
int e3_saved_fits(const e3_saved_file *file, const e3_net *net, const e3_dev *dev, e3_err *err);
/* Opens a session where the saved one stood; once for each file. `o` is what the file says, with other reports and
 * outputs if wanted (but no poses if the file has no camera memory), frozen if wanted, and where exactness is not,
 * another budget: if that is less than the cache holds, the surplus leaves after the next frame, and until then its
 * memory is there. */
e3_session *e3_session_resume(const e3_net *net, e3_dev *dev, const e3_infer_options *o, e3_saved_file *file,
	e3_err *err);
/* Frames a session has seen, those before it was resumed included. */
int64_t e3_session_frames(const e3_session *s);

#endif
