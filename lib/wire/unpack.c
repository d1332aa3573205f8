/* wire: what every decoder does: opening a body, checking and copying arrays. Owns the reuse of buffers. */
#include "unpack.h"
#include "e3/mem.h"
#include "e3/num.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "arrays travel little-endian and are copied as they are: a big-endian host needs swaps here and in pack.c"
#endif

int e3_decode_body(const e3_msg *msg, e3_kind kind, e3_field *table, e3_err *err)
{
	if (msg->kind != (int)kind || msg->len < E3_ENVELOPE)
		return e3_fail(err, "is %s, expected %s", e3_kind_name(msg->kind) ? e3_kind_name(msg->kind) : "unknown",
			e3_kind_name(kind));
	e3_cursor c = {msg->bytes + E3_ENVELOPE, msg->bytes + msg->len};
	if (e3_body_check(c.at, msg->len - E3_ENVELOPE, err))
		return -1;
	return e3_fields_read(&c, table, err);
}

int e3_decode_failed(const e3_msg *msg, e3_err *err)
{
	const char *name = e3_kind_name(msg->kind);
	int64_t i = e3_msg_index(msg);
	if (i >= 0)
		return e3_fail_in(err, "decoding %s %" PRId64, name, i);
	return e3_fail_in(err, "decoding %s", name ? name : "message");
}

int e3_decode_want(const e3_array *a, const char *name, e3_array_type t, int rank, const size_t *shape, e3_err *err)
{
	if (a->dtype != t)
		return e3_fail(err, "%s: is %s, expected %s", name, e3_array_type_name(a->dtype), e3_array_type_name(t));
	if (a->rank != (rank ? rank : 1))
		return e3_fail(err, "%s: has %d dimensions, expected %d", name, a->rank, rank ? rank : 1);
	for (int k = 0; k < rank; k++)
		if (a->shape[k] != shape[k])
			return e3_fail(err, "%s: shape[%d] is %" PRIu32 ", expected %zu", name, k, a->shape[k], shape[k]);
	return 0;
}

int e3_decode_want_dense(const e3_array *a, const char *name, int rank, const size_t *shape, e3_err *err)
{
	return e3_decode_want(a, name, a->dtype == E3_ARRAY_F16 ? E3_ARRAY_F16 : E3_ARRAY_F32, rank, shape, err);
}

/* n elements from possibly unaligned half precision. */
static void widen(float *to, const uint8_t *from, size_t n)
{
	uint16_t part[2048];
	for (size_t k = 0; k < n;) {
		size_t m = n - k < 2048 ? n - k : 2048;
		memcpy(part, from + 2 * k, 2 * m);
		e3_f16_to_f32_n(part, to + k, m);
		k += m;
	}
}

int e3_decode_take(void *slot, size_t held, const e3_array *a, const char *name, e3_err *err)
{
	void **to = slot;
	size_t size = a->dtype == E3_ARRAY_F16 ? 4 : e3_array_type_size(a->dtype);
	if (!*to || held != a->count) {
		free(*to);
		*to = e3_alloc(a->count, size, name, err);
		if (!*to)
			return -1;
	}
	if (a->dtype == E3_ARRAY_F16)
		widen(*to, a->data, a->count);
	else if (a->count)
		memcpy(*to, a->data, a->count * size);
	return 0;
}

int e3_decode_cache(bool has_segment, bool has_first, int64_t i, int64_t *segment, int64_t *first, e3_err *err)
{
	if (has_segment != has_first)
		return e3_fail(err, "%s without %s", has_segment ? "segment" : "first", has_segment ? "first" : "segment");
	if (!has_segment)
		*segment = *first = 0;
	return *first > i ? e3_fail(err, "first: is %" PRId64 ", after frame %" PRId64, *first, i) : 0;
}

int e3_decode_ascending(const char *name, const e3_array *ids, e3_err *err)
{
	for (size_t k = 1; k < ids->count; k++) {
		uint32_t before = e3_le32(ids->data + 4 * (k - 1)), now = e3_le32(ids->data + 4 * k);
		if (now <= before)
			return e3_fail(err, "%s: [%zu] is %" PRIu32 " after %" PRIu32 ", ids must ascend", name, k, now, before);
	}
	return 0;
}
