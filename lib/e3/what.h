/* base: what a file is, by its first bytes, so that a file which is given to the wrong program can be named, and what
 * to do with it be said. */
#ifndef E3_WHAT_H
#define E3_WHAT_H

#include <stddef.h>
#include <stdint.h>

/* As many bytes as are looked at. */
enum { E3_WHAT_BYTES = 512 };

typedef enum e3_what_kind {
	E3_WHAT_UNKNOWN,
	E3_WHAT_EMPTY,
	E3_WHAT_STREAM, /* of e3: frames or predictions */
	E3_WHAT_CACHE,  /* a saved session of e3-infer */
	E3_WHAT_VIDEO,
	E3_WHAT_PICTURE,
	E3_WHAT_MODEL, /* a checkpoint, as e3-infer reads it */
	E3_WHAT_CLOUD, /* points or a scene for viewers */
	E3_WHAT_ARRAYS,
	E3_WHAT_OTHER, /* known by name only */
	E3_WHAT_TEXT
} e3_what_kind;

typedef struct e3_what {
	e3_what_kind kind;
	const char *name; /* "a video (MP4)"; NULL when unknown */
} e3_what;

/* n of the first bytes; fewer than E3_WHAT_BYTES may leave it unknown. */
e3_what e3_what_bytes(const uint8_t *p, size_t n);
/* Of a regular file; unknown when it cannot be read. Standard input, "-", only where it is one; its position stays. */
e3_what e3_what_file(const char *path);

#endif
