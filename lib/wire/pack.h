/* wire: building one message: small parts in a buffer, large arrays borrowed until it is sent, so that they are not
 * copied. */
#ifndef E3_WIRE_PACK_H
#define E3_WIRE_PACK_H

#include "e3/mem.h"
#include "e3/value.h"
#include <msgpack.h>
#include <sys/uio.h>

enum { E3_PACK_CUTS = 8, E3_PACK_PARTS = 2 * E3_PACK_CUTS + 1 };

typedef struct e3_pack {
	e3_buf small; /* kept from message to message */
	msgpack_packer pk;
	int kind;
	int64_t value;   /* its index, or the count of an end */
	unsigned fields; /* of the map being written */
	struct {
		size_t at; /* goes into `small` here */
		const void *data;
		size_t n;
	} cut[E3_PACK_CUTS];
	int n_cuts;
	bool failed; /* out of memory */
	struct iovec part[E3_PACK_PARTS];
	int n_parts;
	size_t len;       /* of the finished message */
	uint16_t *halves; /* e3_pack_halves */
	size_t halves_cap;
} e3_pack;

void e3_pack_begin(e3_pack *p, int kind, int64_t value);
/* Completes envelope and map and lists the parts: p->part[0 .. n_parts), together p->len bytes. */
int e3_pack_finish(e3_pack *p, e3_err *err);
void e3_pack_release(e3_pack *p);

void e3_pack_int(e3_pack *p, const char *key, int64_t v);
void e3_pack_int_or_nil(e3_pack *p, const char *key, int64_t v); /* nil when negative */
void e3_pack_u64(e3_pack *p, const char *key, uint64_t v);
void e3_pack_real(e3_pack *p, const char *key, double v);
void e3_pack_single(e3_pack *p, const char *key, float v);
void e3_pack_text(e3_pack *p, const char *key, const char *text); /* NULL: "" */
void e3_pack_reals(e3_pack *p, const char *key, const double *v, int n);
void e3_pack_ints(e3_pack *p, const char *key, const int *v, int n);
void e3_pack_counts(e3_pack *p, const char *key, const int64_t *v, int n);
/* Whose cache a record is about; nothing for segment 0 from frame 0 on, so that streams without segments do not change.
 */
void e3_pack_cache(e3_pack *p, int64_t segment, int64_t first);
/* Data of 16 KiB and more is borrowed until the message was sent. */
void e3_pack_array(e3_pack *p, const char *key, e3_array_type t, const void *data, int rank, const size_t *shape);
/* Room for n numbers of half precision, kept from message to message. */
uint16_t *e3_pack_halves(e3_pack *p, size_t n, e3_err *err);
/* A list of n maps follows, each opened with e3_pack_map; its fields do not count for the outer map. */
void e3_pack_list(e3_pack *p, const char *key, size_t n);
void e3_pack_map(e3_pack *p, size_t n);

/* One number alone (nil when negative), into at most 9 bytes: how many. */
size_t e3_pack_count(uint8_t to[9], int64_t v);

#endif
