/* base: writing JSON: quoting, numbers, nesting and commas.
 *
 *     e3_json j = {.to = &buf, .err = err};
 *     e3_json_object(&j, NULL);
 *     e3_json_text(&j, "model", head->model);
 *     e3_json_array(&j, "frames"); ... e3_json_end(&j);
 *     e3_json_end(&j);
 *     return j.rc;
 *
 * Each function adds one value: `key` is its name inside an object, NULL inside an array and at the top. The first
 * failure stays in `rc` and *err; the calls after it do nothing, so one check at the end is enough. The caller may
 * write the buffer out and empty it at any time.
 */
#ifndef E3_JSON_H
#define E3_JSON_H

#include "e3/err.h"
#include "e3/mem.h"
#include <stdbool.h>
#include <stdint.h>

enum { E3_JSON_DEPTH = 64 }; /* levels of nesting */

/* The caller sets the first three; everything else zero. */
typedef struct e3_json {
	e3_buf *to;
	e3_err *err;
	bool spaced; /* a blank after each ':' and ',' */
	int rc;      /* 0, or -1 after a failure */
	/* private */
	int depth;
	uint64_t arrays;   /* bit per level: 1 array, 0 object */
	bool comma;        /* a value precedes on this level */
	bool after_key;    /* e3_json_key wrote the name of the next value */
	const char *blank; /* goes before the next value or end */
} e3_json;

void e3_json_object(e3_json *j, const char *key);
void e3_json_array(e3_json *j, const char *key);
void e3_json_end(e3_json *j); /* of the innermost object or array */

void e3_json_text(e3_json *j, const char *key, const char *text); /* NULL gives null; not UTF-8 becomes U+FFFD */
void e3_json_int(e3_json *j, const char *key, int64_t v);
void e3_json_bool(e3_json *j, const char *key, bool v);
void e3_json_null(e3_json *j, const char *key);
/* `digits` significant digits; NaN and the infinities, which JSON does not have, give null. */
void e3_json_real(e3_json *j, const char *key, double v, int digits);
/* An array of n numbers. */
void e3_json_ints(e3_json *j, const char *key, const int *v, int n);
void e3_json_reals(e3_json *j, const char *key, const double *v, int n, int digits);
/* A value that is JSON already. */
void e3_json_raw(e3_json *j, const char *key, const char *json, size_t n);

/* Only the name; the next call gives the value, with key NULL. */
void e3_json_key(e3_json *j, const char *key);
/* White space to put before the next value or end (after the comma): layout for people. `blank` must stay valid. */
void e3_json_blank(e3_json *j, const char *blank);

#endif
