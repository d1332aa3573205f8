/* base: memory with checked sizes, and how much of it the process uses. */
#ifndef E3_MEM_H
#define E3_MEM_H

#include "e3/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* n × size bytes, zeroed, 64-byte aligned; NULL and an error naming `what` when the product overflows or there is no
 * memory. n × size = 0 gives a valid pointer. Free with free(). */
void *e3_alloc(size_t n, size_t size, const char *what, e3_err *err);

/* Grows *p (from e3_alloc, e3_grow or NULL) to hold n × size bytes, contents kept, new bytes undefined. 0 or -1. */
int e3_grow(void **p, size_t n, size_t size, const char *what, e3_err *err);

/* Does it say that an allocation failed, here or on a device? Memory that somebody gives back may help then. */
bool e3_no_memory(const e3_err *err);

/* *out = a × b: 0, or -1 on overflow. */
int e3_mul(size_t a, size_t b, size_t *out);

/* Resident memory of this process in bytes: now, and the highest so far; 0 when unknown. */
uint64_t e3_rss_now(void);
uint64_t e3_rss_peak(void);

/* A growing byte string. Zero-initialised is empty. Once something was added, a NUL follows the `len` bytes of `data`.
 */
typedef struct e3_buf {
	char *data;
	size_t len, cap;
} e3_buf;

int e3_buf_add(e3_buf *b, const void *bytes, size_t n, e3_err *err);
int e3_buf_printf(e3_buf *b, e3_err *err, const char *fmt, ...) E3_PRINTF(3, 4);
/* Adds `text` as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
int e3_buf_json(e3_buf *b, const char *text, e3_err *err);
void e3_buf_release(e3_buf *b);

/* Length of the UTF-8 sequence that n >= 1 bytes at s begin with; 0 when they do not begin with a valid one. */
size_t e3_utf8_length(const void *s, size_t n);

#endif
