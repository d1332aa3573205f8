/* view: messages without their large arrays, taken from memory or from a file that is not read whole. */
#ifndef VIEW_LIGHT_H
#define VIEW_LIGHT_H

#include "e3/mem.h"
#include "e3/stream.h"

enum { VIEW_WINDOW = 4096 };

/* Bytes of a file or in memory. */
typedef struct view_bytes {
	const uint8_t *memory; /* NULL: of the descriptor */
	int fd;
	uint64_t size; /* of the whole */
	uint64_t at;   /* what the window holds */
	size_t n;
	uint8_t window[VIEW_WINDOW];
} view_bytes;

/* n bytes at `at`, n up to VIEW_WINDOW; NULL when there are not so many, or they cannot be read. Valid until the next
 * call. */
const uint8_t *view_bytes_at(view_bytes *b, uint64_t at, size_t n);

/* Which arrays a message had. */
enum {
	VIEW_ARRAY_RGB = 1,
	VIEW_ARRAY_DEPTH = 2,
	VIEW_ARRAY_DEPTH_CONF = 4,
	VIEW_ARRAY_POINTS = 8,
	VIEW_ARRAY_POINTS_CONF = 16
};

/* The message of `len` bytes at `at`, without those arrays, to *out (envelope included). Its body is sound then. */
int view_light(view_bytes *from, uint64_t at, uint64_t len, e3_buf *out, unsigned *arrays, e3_err *err);
/* A pred or a frame without arrays, as e3_pred: rgb, depth and points are NULL. *x is released first. */
int view_light_decode(const e3_msg *msg, e3_pred *x, e3_err *err);

#endif
