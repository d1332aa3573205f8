/* export: MCAP (doc/formats.md 4.12): growing bytes, the container, and Foxglove's messages in it. Private to mcap*.c.
 */
#ifndef E3_EXPORT_MCAP_H
#define E3_EXPORT_MCAP_H

#include "e3/geom.h"
#include "e3/io.h"
#include "e3/mem.h"
#include "export/writer.h"

/* --- mcap_bytes.c: little-endian numbers, and fields of protobuf --- */

/* Zero-initialised but for err. A failure stays: rc is -1 from then on, and nothing more is added. */
typedef struct e3_bytes {
	e3_buf b;
	e3_err *err;
	int rc;
} e3_bytes;

void e3_bytes_add(e3_bytes *o, const void *from, size_t n);
/* The lowest n <= 8 bytes of v. */
void e3_bytes_le(e3_bytes *o, uint64_t v, int n);
/* Writes over what is there already. */
void e3_bytes_le_at(e3_bytes *o, size_t at, uint64_t v, int n);
/* A text as MCAP has it: its length in 4 bytes, then UTF-8; bytes that are not become U+FFFD. NULL is empty. */
void e3_bytes_text(e3_bytes *o, const char *text);

void e3_pb_int(e3_bytes *o, int field, uint64_t v);
void e3_pb_fixed32(e3_bytes *o, int field, uint32_t v);
void e3_pb_double(e3_bytes *o, int field, double v);
void e3_pb_doubles(e3_bytes *o, int field, const double *v, size_t n); /* repeated, packed */
void e3_pb_text(e3_bytes *o, int field, const char *text);             /* of UTF-8 */
/* n bytes follow, which the caller adds. */
void e3_pb_bytes(e3_bytes *o, int field, size_t n);
/* A message in a message: what is added until e3_pb_close, which takes what e3_pb_open returned. */
size_t e3_pb_open(e3_bytes *o, int field);
void e3_pb_close(e3_bytes *o, size_t mark);

/* --- mcap_file.c: the container --- */

typedef struct e3_mcap e3_mcap;

enum { E3_MCAP_CHANNELS = 8 };

/* What a channel carries. */
typedef struct e3_mcap_channel {
	const char *topic, *schema; /* name of the schema */
	const e3_buf *description;  /* of the schema: a FileDescriptorSet. Borrowed until e3_mcap_finish */
} e3_mcap_channel;

/* Writes to `to` (borrowed), from its first byte. channels: [n], n <= E3_MCAP_CHANNELS; kept by pointer. */
e3_mcap *e3_mcap_open(e3_file *to, const e3_mcap_channel *channels, int n, e3_err *err);
/* Names and values in turn, then NULL. Before the first message. */
int e3_mcap_metadata(e3_mcap *m, const char *name, const char *const *pairs, e3_err *err);
/* A message of channels[channel] at a time in nanoseconds. Messages come in the order of their times, as far as the
 * stream has them in order. The bytes are copied. */
int e3_mcap_message(e3_mcap *m, int channel, uint64_t time, const e3_buf *message, e3_err *err);
/* The index and the end. Nothing can be added afterwards. */
int e3_mcap_finish(e3_mcap *m, e3_err *err);
void e3_mcap_close(e3_mcap *m);

/* --- mcap_schemas.c: what the messages are made of --- */

/* The messages that are written, by their names in Foxglove's schemas. */
typedef enum e3_foxglove {
	E3_FOXGLOVE_TRANSFORMS,
	E3_FOXGLOVE_CALIBRATION,
	E3_FOXGLOVE_COMPRESSED_IMAGE,
	E3_FOXGLOVE_RAW_IMAGE,
	E3_FOXGLOVE_POINT_CLOUD,
	E3_FOXGLOVE_POSES
} e3_foxglove;

const char *e3_foxglove_name(e3_foxglove which);
/* Appends the FileDescriptorSet of a message and of all that it is made of. */
void e3_foxglove_describe(e3_foxglove which, e3_bytes *o);

/* --- mcap_messages.c: one function for each message. o is emptied first; time in nanoseconds --- */

/* Bytes of a point: x y z confidence (f32), red green blue alpha (u8). */
enum { E3_MCAP_POINT = 20 };

/* The rotation (row-major) from the world to an upright one, and, unless pose is NULL, where the camera is. */
void e3_foxglove_transforms(e3_bytes *o, uint64_t time, const double upright[9], const e3_pose *pose);
void e3_foxglove_calibration(e3_bytes *o, uint64_t time, const e3_intrinsics *k);
/* A picture of w × h RGB bytes, as JPEG. */
void e3_foxglove_picture(e3_bytes *o, uint64_t time, const uint8_t *rgb, int w, int h);
/* depth: [h][w]; unknown becomes not a number. */
void e3_foxglove_depth(e3_bytes *o, uint64_t time, const float *depth, int w, int h);
/* n points of E3_MCAP_POINT bytes each follow, which the caller adds. */
void e3_foxglove_points(e3_bytes *o, uint64_t time, size_t n);
void e3_mcap_point(const e3_point *p, uint8_t to[E3_MCAP_POINT]);
/* The path: poses follow, each by e3_foxglove_path_pose. */
void e3_foxglove_path(e3_bytes *o, uint64_t time);
void e3_foxglove_path_pose(e3_bytes *o, const e3_pose *pose);

#endif
