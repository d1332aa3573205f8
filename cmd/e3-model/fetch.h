/* e3-model: the parts of a download: HTTP (fetch_http.c), the file while it comes (fetch_part.c), what is fetched
 * and how it goes on after a failure (fetch.c). */
#ifndef E3_CMD_MODEL_FETCH_H
#define E3_CMD_MODEL_FETCH_H

#include "e3/err.h"
#include "e3/sha256.h"
#include <stdbool.h>
#include <stdint.h>

enum { FETCH_URL = 4096, FETCH_TAG = 256 };

/* --- fetch_http.c --- */

typedef struct fetch_http fetch_http;

typedef struct fetch_settings {
	const char *token; /* for the hub alone; NULL: none */
	const char *ca;    /* file of certificates that are trusted; NULL: those of the system */
	double timeout;    /* seconds without a byte */
	int (*stop)(void); /* not 0: give up */
} fetch_settings;

/* What a call came to: again after a while, or never. */
typedef enum fetch_end { FETCH_OK, FETCH_AGAIN, FETCH_NEVER } fetch_end;

/* What the hub says about a file. */
typedef struct fetch_facts {
	int64_t size;
	char sha256[65];
	char data[FETCH_URL]; /* where it lies now */
	bool hub_has_data;    /* that is at the hub itself */
} fetch_facts;

/* What comes, in order. first: where in the file; -1 to end the transfer. */
typedef struct fetch_sink {
	int (*begin)(void *to, int64_t first, int64_t total, const char *tag, e3_err *err);
	int (*add)(void *to, const void *bytes, size_t n, e3_err *err);
	void *to;
} fetch_sink;

fetch_http *fetch_http_open(const fetch_settings *s, e3_err *err);
/* HTTPS; or HTTP to this machine, for tests. */
int fetch_url_check(const char *url, e3_err *err);
/* Asks the hub, without the data: size and SHA-256 are in the headers of its first answer. */
fetch_end fetch_ask(fetch_http *h, const char *url, fetch_facts *to, e3_err *err);
/* The bytes from `first` on, or all of them where the server has another file by now (its tag differs). */
fetch_end fetch_get(fetch_http *h, const fetch_facts *f, int64_t first, const char *tag, const fetch_sink *sink,
	e3_err *err);
void fetch_http_close(fetch_http *h);

/* --- fetch_part.c --- */

/* PATH.partial, and beside it PATH.partial.about: of which file it is a part. */
typedef struct fetch_part {
	char *path, *partial, *about;
	int fd; /* locked; -1: closed */
	int64_t have;
	char sha256[65];     /* of the whole file; empty: not known */
	char tag[FETCH_TAG]; /* the data server's; empty: none */
	e3_sha256 sum;       /* of what is there */
} fetch_part;

/* Opens and locks it; waits while another process fetches the same file, and says so. 1: meanwhile PATH has come. */
int fetch_part_open(fetch_part *p, const char *path, int (*stop)(void), e3_err *err);
/* The file is this one: a part of another one is dropped. Sums up what is there. */
int fetch_part_expect(fetch_part *p, const fetch_facts *f, int (*stop)(void), e3_err *err);
/* Forgets what is there. */
int fetch_part_restart(fetch_part *p, e3_err *err);
int fetch_part_tag(fetch_part *p, const char *tag, e3_err *err);
int fetch_part_add(fetch_part *p, const void *bytes, size_t n, e3_err *err);
/* Complete: checks size and sum, and gives it its name. Of a wrong sum nothing is kept. */
int fetch_part_finish(fetch_part *p, const fetch_facts *f, e3_err *err);
void fetch_part_close(fetch_part *p);

#endif
