/* The golden stream tests/data/stream/golden.e3 (head, frame 0, truth 0, mask 0, pred 0, evict 0, attn 0, pred 1, end),
 * damaged ones made of it, and readers that must refuse them. */
#ifndef WIRE_DAMAGE_H
#define WIRE_DAMAGE_H

#include "check.h"
#include "e3/io.h"
#include "e3/num.h"
#include "e3/value.h"
#include "wire_read.h"
#include "wire_samples.h"
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HEAD, FRAME, TRUTH, MASK, PRED, EVICT, ATTN, PRED1, END, MESSAGES };

static uint8_t *golden;
static size_t size, at[MESSAGES + 1];

static inline int setup(void **state)
{
	e3_map map;
	e3_err err;
	if (e3_map_open(&map, "tests/data/stream/golden.e3", &err)) {
		print_error("%s (run from the top of the tree)\n", err.text);
		return -1;
	}
	size = map.size;
	golden = malloc(size);
	memcpy(golden, map.data, size);
	e3_map_close(&map);
	for (int k = 0; k < MESSAGES; k++)
		at[k + 1] = at[k] + 6 + e3_be32(golden + at[k] + 1);
	return at[MESSAGES] == size ? 0 : -1;
}

static inline int teardown(void **state)
{
	free(golden);
	return 0;
}

/* Reads everything, as a tool that only passes it on. */
static inline int pass_all(e3_in *in, e3_err *err)
{
	e3_msg msg;
	int rc = in ? 1 : -1;
	while (rc > 0)
		rc = e3_in_next(in, &msg, err);
	e3_in_close(in);
	return rc;
}

/* The bytes, copied to a block of exactly their size so that a sanitizer sees a read beyond it, must be refused with
 * this text, whether or not the reader decodes them. */
static inline void refused(const uint8_t *bytes, size_t n, const char *text, const char *what)
{
	uint8_t *copy = malloc(n ? n : 1);
	memcpy(copy, bytes, n);
	for (int decode = 0; decode < 2; decode++) {
		e3_err err = {"(no error)"};
		e3_in *in = e3_in_memory(copy, n, &err);
		int rc = decode ? read_all(in, &err) : pass_all(in, &err);
		if (rc != -1 || !strstr(err.text, text))
			fail_msg("%s: %s: %d, '%s'; expected '%s'", what, decode ? "decoded" : "passed on", rc, err.text, text);
	}
	free(copy);
}

/* The golden stream with the value of one key in one message replaced; key_too: the key with it ("name" -> new key and
 * value). */
static inline uint8_t *replaced(int m, const char *key, const void *value, size_t n, size_t *len)
{
	e3_value v;
	e3_cursor from, to;
	const uint8_t *body = golden + at[m] + 6;
	size_t body_len = at[m + 1] - at[m] - 6;
	if (!e3_body_find(body, body_len, key, &v, &from))
		fail_msg("the golden stream has no %s in message %d", key, m);
	to = from;
	assert_int_equal(e3_value_skip(&to), 0);
	size_t before = (size_t)(from.at - golden), after = (size_t)(to.at - golden);
	uint8_t *copy = malloc(size + n);
	memcpy(copy, golden, before);
	memcpy(copy + before, value, n);
	memcpy(copy + before + n, golden + after, size - after);
	*len = before + n + size - after;
	e3_put_be32(copy + at[m] + 1, (uint32_t)(body_len + n - (after - before)));
	return copy;
}

// clang-format off
#define BYTES(s) s, sizeof(s) - 1
#define NAN64 BYTES("\xcb\x7f\xf8\0\0\0\0\0\0")
#define INF64 BYTES("\xcb\x7f\xf0\0\0\0\0\0\0")
#define ARRAY(dtype, shape, data) BYTES("\x83\xa5" "dtype" dtype "\xa5" "shape" shape "\xa4" "data" data)
#define ZEROS36 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
// clang-format on

#endif
